"""Multiple choice equals lm-eval's numbers, and planted models get the accuracy they were given."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tinylanguage as tiny
import torch

from compressor.errors import CompressorError
from compressor.measure.tasks.choice import Choice, fits

QUERIES: Mapping[str, Sequence[Any]] = {
    "query": [
        "The right operand of",
        "Names refer to ",
        "",
        "An assignment " * 30,
        "Trailing spaces   ",
        "Who",
    ],
    "choices": [
        ["an assignment", "a tuple", "a module, which is longer"],
        ["objects", "the class statement"],
        ["Sentences alone", "stand by themselves", "and so do these", "x"],
        ["evaluates", "target = value"],
        ["are moved", "é ünïcödé"],
        ["a", "b"],
    ],
    "gold": [0, 1, 3, 1, 0, 1],
}
CONTEXTS: Mapping[str, Sequence[Any]] = {
    "contexts": [["Maria so Sarah", "Maria so Maria"], ["A tuple", "A list", ""]],
    "continuation": ["always got the easier cases.", "is immutable"],
    "gold": ["1", "0"],
}
PAIRS: Mapping[str, Sequence[Any]] = {
    "good": ["Names refer to objects.", "An index is an integer."],
    "bad": ["Names refers to objects.", "An index are an integer."],
}


def numbers(task: Choice, model: Any, folder: Path, **settings: Any) -> dict[str, float]:
    answers = task.answers(tiny.ready(model, folder, **settings))
    return {metric.name: metric.statistic.value for metric in task.metrics(answers)}


def requests(rows: Mapping[str, Sequence[Any]]) -> list[tuple[str, str]]:
    """Context and continuation of every answer, as lm-eval's tasks are written."""
    if "good" in rows:
        return [("", f" {row}") for pair in zip(*rows.values(), strict=True) for row in pair]
    if "query" in rows:
        pairs = zip(rows["query"], rows["choices"], strict=True)
        return [(query, f" {choice}") for query, choices in pairs for choice in choices]
    pairs = zip(rows["contexts"], rows["continuation"], strict=True)
    return [(context, f" {after}") for contexts, after in pairs for context in contexts]


@pytest.mark.parametrize("rows", [QUERIES, CONTEXTS, PAIRS])
@pytest.mark.parametrize("adds_start", [False, True])
@pytest.mark.parametrize("length", [24, 64])
def test_every_log_likelihood_is_that_of_lm_eval(
    tmp_path: Path, rows: Mapping[str, Sequence[Any]], adds_start: bool, length: int
) -> None:
    harness = pytest.importorskip("lm_eval.models.huggingface")
    instance = pytest.importorskip("lm_eval.api.instance").Instance
    tokenizer = tiny.save_tokenizer(tmp_path, adds_start=adds_start)
    model, task = tiny.gpt2(spread=8.0), Choice(tiny.dataset(rows))

    answers = task.answers(tiny.ready(model, tmp_path, max_length=length))

    other = harness.HFLM(pretrained=model, tokenizer=tokenizer, batch_size=3, max_length=length)
    asked = [instance("loglikelihood", {}, pair, 0) for pair in requests(rows)]
    theirs = [sum for sum, _ in other.loglikelihood(asked, disable_tqdm=True)]
    # Sums of fp32 log-probabilities, theirs in fp32 and ours in fp64.
    assert answers.arrays["loglikelihood"] == pytest.approx(theirs, rel=1e-5)


@torch.inference_mode()
def test_it_is_the_sum_of_the_log_probabilities_of_the_answer(tmp_path: Path) -> None:
    tokenizer, model = tiny.save_tokenizer(tmp_path), tiny.gpt2(spread=8.0)
    task = Choice(tiny.dataset({"query": ["one two"], "choices": [["three", "four"]], "gold": [0]}))

    answers = task.answers(tiny.ready(model, tmp_path))

    expected = []
    context = tokenizer("one two")["input_ids"]
    for answer in (" three", " four"):
        tokens = [*context, *tokenizer(answer)["input_ids"]]
        assert tokens == tokenizer(f"one two{answer}")["input_ids"]
        logits = torch.log_softmax(model(torch.tensor([tokens])).logits[0].double(), dim=-1)
        expected.append(
            sum(float(logits[at - 1, tokens[at]]) for at in range(len(context), len(tokens)))
        )
    assert answers.arrays["loglikelihood"] == pytest.approx(expected, rel=1e-6)


def planted(tokenizer: Any, favourite: str) -> dict[str, Sequence[Any]]:
    """Ten questions with answers of one token; the right one is `favourite` in seven of them."""
    other = "the"
    assert all(len(tokenizer(f" {word}")["input_ids"]) == 1 for word in (favourite, other))
    right = [0, 1, 0, 1, 1, 0, 1, 0, 0, 1]
    choices = [
        [favourite, other] if (gold == 0) == (row < 7) else [other, favourite]
        for row, gold in enumerate(right)
    ]
    return {"query": ["Say"] * 10, "choices": choices, "gold": right}


def test_a_model_that_always_says_one_word_is_right_where_that_is_the_answer(
    tmp_path: Path,
) -> None:
    tokenizer = tiny.save_tokenizer(tmp_path)
    (token,) = tokenizer(" a")["input_ids"]
    task = Choice(tiny.dataset(planted(tokenizer, "a")))

    found = numbers(task, tiny.always(token, by=5.0), tmp_path)

    assert found["accuracy"] == found["accuracy-norm"] == 0.7
    assert found["margin"] == pytest.approx(0.7 * 5.0 - 0.3 * 5.0, rel=1e-6)


def test_a_long_answer_is_not_punished_for_its_length(tmp_path: Path) -> None:
    tiny.save_tokenizer(tmp_path)
    rows = {"query": ["Say"], "choices": [["a", "a statement that goes on"]], "gold": [1]}
    guessing = tiny.always(0, by=0.0)

    found = numbers(Choice(tiny.dataset(rows)), guessing, tmp_path)

    assert found == {"accuracy": 0.0, "accuracy-norm": 1.0, "margin": found["margin"]}
    assert found["margin"] < 0


def test_contexts_have_no_length_to_correct_for(tmp_path: Path) -> None:
    tiny.save_tokenizer(tmp_path)

    found = numbers(Choice(tiny.dataset(CONTEXTS)), tiny.gpt2(), tmp_path)

    assert set(found) == {"accuracy", "margin"}


def test_the_batch_size_changes_nothing(tmp_path: Path) -> None:
    tiny.save_tokenizer(tmp_path)
    task, model = Choice(tiny.dataset(QUERIES)), tiny.gpt2(spread=8.0)

    one, other = (task.answers(tiny.ready(model, tmp_path, batch_size=size)) for size in (1, 64))

    assert one.items == other.items
    assert one.arrays["loglikelihood"] == pytest.approx(other.arrays["loglikelihood"], rel=1e-5)


def test_flips_are_counted_both_ways(tmp_path: Path) -> None:
    tokenizer = tiny.save_tokenizer(tmp_path)
    task = Choice(tiny.dataset(planted(tokenizer, "a")))
    (token,) = tokenizer(" a")["input_ids"]
    likes, dislikes = tiny.always(token, by=5.0), tiny.always(token, by=-5.0)
    before, after = (task.answers(tiny.ready(each, tmp_path)) for each in (likes, dislikes))

    found = {metric.name: metric for metric in task.distances(before, after)}
    own = {metric.name: metric.statistic.value for metric in task.distances(before, before)}

    assert found["flips"].statistic.value == 1.0
    assert "7 from right to wrong, 3 from wrong to right" in found["flips"].definition
    assert own == {"flips": 0.0, "kl": 0.0}


def test_kl_is_over_the_answers_of_each_question(tmp_path: Path) -> None:
    tiny.save_tokenizer(tmp_path)
    task = Choice(tiny.dataset(QUERIES))
    models = tiny.gpt2(seed=1, spread=8.0), tiny.gpt2(seed=2, spread=8.0)
    before, after = (task.answers(tiny.ready(model, tmp_path)) for model in models)

    found = {each.name: each.statistic.value for each in task.distances(before, after)}["kl"]

    expected, start = [], 0
    for choices in QUERIES["choices"]:
        rows = [
            torch.log_softmax(torch.tensor(each.arrays["loglikelihood"][start:][: len(choices)]), 0)
            for each in (before, after)
        ]
        expected.append(float((rows[0].exp() * (rows[0] - rows[1])).sum()))
        start += len(choices)
    assert found == pytest.approx(np.mean(expected), rel=1e-9)


def test_a_weight_that_is_no_number_gives_no_accuracy(tmp_path: Path) -> None:
    tiny.save_tokenizer(tmp_path)
    task, broken = Choice(tiny.dataset(QUERIES)), tiny.gpt2()
    with torch.no_grad():
        broken.transformer.h[0].mlp.c_fc.weight[3, 5] = math.nan

    before = task.answers(tiny.ready(tiny.gpt2(), tmp_path))
    answers = task.answers(tiny.ready(broken, tmp_path))

    assert answers.collapse == "some log-likelihoods are not finite"
    found = [*task.metrics(answers), *task.distances(before, answers)]
    assert all(math.isnan(metric.statistic.value) for metric in found)


def test_what_is_cut_is_said(tmp_path: Path) -> None:
    tiny.save_tokenizer(tmp_path)
    task = Choice(tiny.dataset(QUERIES))

    answers = task.answers(tiny.ready(tiny.gpt2(), tmp_path, max_length=32))

    assert "context 32, 2 of 15 cut from the left" in answers.definition


def test_every_question_is_counted_once_as_done(tmp_path: Path) -> None:
    tiny.save_tokenizer(tmp_path)
    told: list[int] = []
    task = Choice(tiny.dataset(QUERIES))

    task.answers(tiny.ready(tiny.gpt2(), tmp_path, batch_size=4, observe=told.append))

    assert sum(told) == task.count == 6


@pytest.mark.parametrize("gold", [2, -1, "b", 0.5, None, True])
def test_a_right_answer_that_is_none_of_them_is_refused(tmp_path: Path, gold: Any) -> None:
    tiny.save_tokenizer(tmp_path)
    rows = {"query": ["a", "b"], "choices": [["x", "y"], ["x", "y"]], "gold": [0, gold]}

    with pytest.raises(CompressorError) as caught:
        numbers(Choice(tiny.dataset(rows)), tiny.gpt2(), tmp_path)

    assert caught.value.id == "DATA-TYPE"
    assert caught.value.at == "rows, row 2"


def test_it_is_asked_of_causal_models_about_each_of_three_forms() -> None:
    for rows in (QUERIES, CONTEXTS, PAIRS):
        assert fits("causal-lm", tiny.dataset(rows))
        assert not fits("masked-lm", tiny.dataset(rows))
    assert not fits("causal-lm", tiny.dataset({"query": ["a"], "choices": [["b", "c"]]}))
