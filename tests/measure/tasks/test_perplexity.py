"""Perplexity equals a sum of log-probabilities taken one prefix at a time, whatever the batches."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tinylanguage as tiny
import torch

from compressor.errors import CompressorError
from compressor.measure.evidence import Answers, Metric
from compressor.measure.tasks.perplexity import Perplexity, fits

# A sum of fp32 losses of about 6 nats each, reordered: 2^-23 relative for each, with room for the
# few operations of a tiny model. A wrong context changes a loss by 1e-2 and more.
CLOSE = 1e-5

DOCUMENTS = [
    "A short line.",
    "",
    "x",
    "Expressions are evaluated from left to right, and the right-hand side goes first. " * 4,
    tiny.TEXTS[0][:700],
]


def metrics(task: Perplexity, answers: Answers) -> dict[str, Metric]:
    return {metric.name: metric for metric in task.metrics(answers)}


def value(task: Perplexity, answers: Answers, name: str = "perplexity") -> float:
    return metrics(task, answers)[name].statistic.value


@torch.inference_mode()
def loss_by_prefixes(model: Any, tokens: list[int], context: int, stride: int) -> float:
    """Each token but the first, from one forward over what its window holds before it."""
    total = 0.0
    for place in range(1, len(tokens)):
        shifts = max(0, math.ceil((place - context) / stride))
        end = min(len(tokens), context + 1 + shifts * stride)
        before = tokens[max(0, end - 1 - context) : place]
        logits = model(torch.tensor([before])).logits[0, -1].double()
        total -= float(torch.log_softmax(logits, dim=-1)[tokens[place]])
    return total


@pytest.mark.parametrize(("context", "stride"), [(64, None), (16, None), (16, 5), (16, 1), (7, 7)])
def test_it_is_the_exponent_of_the_mean_loss_over_every_prefix(
    tmp_path: Path, context: int, stride: int | None
) -> None:
    tokenizer, model = tiny.save_tokenizer(tmp_path), tiny.gpt2(spread=8.0)
    task = Perplexity(tiny.dataset({"text": DOCUMENTS}), stride=stride)

    answers = task.answers(tiny.ready(model, tmp_path, max_length=context))

    texts = [tokenizer(text)["input_ids"] for text in DOCUMENTS]
    loss = sum(loss_by_prefixes(model, each, context, stride or context) for each in texts)
    count = sum(max(0, len(each) - 1) for each in texts)
    found = metrics(task, answers)
    words = sum(len(text.split()) for text in DOCUMENTS if len(text) > 1)
    size = sum(len(text.encode()) for text in DOCUMENTS if len(text) > 1)
    assert found["perplexity"].statistic.value == pytest.approx(math.exp(loss / count), rel=CLOSE)
    word = found["word-perplexity"].statistic.value
    assert math.log(word) == pytest.approx(loss / words, rel=CLOSE)
    bits = found["bits-per-byte"].statistic.value
    assert bits == pytest.approx(loss / math.log(2) / size, rel=CLOSE)


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_the_batch_size_changes_nothing(tmp_path: Path, batch_size: int) -> None:
    tiny.save_tokenizer(tmp_path)
    model, task = tiny.gpt2(spread=8.0), Perplexity(tiny.dataset({"text": DOCUMENTS}))
    one = task.answers(tiny.ready(model, tmp_path, batch_size=2))

    other = task.answers(tiny.ready(model, tmp_path, batch_size=batch_size))

    assert other.items == one.items
    assert other.arrays["loss"] == pytest.approx(one.arrays["loss"], rel=CLOSE)


def test_a_document_longer_than_the_context_is_scored_to_its_end(tmp_path: Path) -> None:
    tokenizer = tiny.save_tokenizer(tmp_path)
    text = tiny.TEXTS[3][:3000]
    task = Perplexity(tiny.dataset({"text": [text]}))

    answers = task.answers(tiny.ready(tiny.gpt2(), tmp_path))

    length = len(tokenizer(text)["input_ids"])
    assert answers.arrays["tokens"].sum() == length - 1
    assert len(answers.arrays["tokens"]) == math.ceil((length - 1) / 64)
    assert "interval over" in answers.definition
    assert "windows, as there are few documents" in answers.definition


def test_thirty_documents_are_the_items_and_fewer_are_not(tmp_path: Path) -> None:
    tiny.save_tokenizer(tmp_path)
    few, many = (
        Perplexity(tiny.dataset({"text": [text[:600] for text in tiny.TEXTS[:count]]}))
        for count in (29, 30)
    )
    model = tiny.ready(tiny.gpt2(), tmp_path)

    by_window, by_document = few.answers(model), many.answers(model)

    assert len(by_window.arrays["loss"]) > 29
    assert len(by_document.arrays["loss"]) == 30
    assert "interval over 30 documents" in by_document.definition


def test_a_model_that_knows_nothing_has_the_perplexity_of_a_guess(tmp_path: Path) -> None:
    tiny.save_tokenizer(tmp_path)
    task = Perplexity(tiny.dataset({"text": DOCUMENTS}))

    answers = task.answers(tiny.ready(tiny.always(7, by=0.0), tmp_path))

    assert value(task, answers) == pytest.approx(384.0, rel=1e-6)
    assert "no better than guessing among its 384 tokens" in answers.collapse


def test_a_model_that_always_says_the_same_loses_what_its_logit_says(tmp_path: Path) -> None:
    tokenizer = tiny.save_tokenizer(tmp_path)
    task = Perplexity(tiny.dataset({"text": DOCUMENTS}))
    token = tokenizer("right")["input_ids"][0]

    answers = task.answers(tiny.ready(tiny.always(token, by=3.0), tmp_path))

    rest = [tokenizer(text)["input_ids"][1:] for text in DOCUMENTS]
    share = sum(each.count(token) for each in rest) / sum(map(len, rest))
    expected = math.log(math.exp(3.0) + 383) - 3.0 * share
    assert math.log(value(task, answers)) == pytest.approx(expected, rel=1e-6)


def test_without_a_start_the_first_token_is_not_scored_and_with_one_it_is(tmp_path: Path) -> None:
    tiny.save_tokenizer(tmp_path)
    tiny.save_tokenizer(tmp_path / "starts", adds_start=True)
    data, model = tiny.dataset({"text": DOCUMENTS}), tiny.gpt2()

    bare = Perplexity(data).answers(tiny.ready(model, tmp_path))
    own = Perplexity(data).answers(tiny.ready(model, tmp_path / "starts"))
    asked = Perplexity(data, bos=True).answers(tiny.ready(model, tmp_path))
    without = Perplexity(data, bos=False).answers(tiny.ready(model, tmp_path / "starts"))

    # One more for each text that is not empty: "x" too has then a token that is predicted.
    assert own.arrays["tokens"].sum() == bare.arrays["tokens"].sum() + 4
    assert own.items == asked.items != bare.items == without.items
    assert "begins with <s>" in own.definition
    assert "no BOS (a text's first token is read and not scored" in bare.definition
    assert "2 more with nothing to score" in bare.definition
    assert "1 more with nothing to score" in own.definition


def test_the_definition_holds_all_that_decides_the_number(tmp_path: Path) -> None:
    tiny.save_tokenizer(tmp_path)
    task = Perplexity(tiny.dataset({"text": DOCUMENTS}), stride=8)

    answers = task.answers(tiny.ready(tiny.gpt2(), tmp_path, max_length=32))

    scored = int(answers.arrays["tokens"].sum())
    for part in ("of 384 tokens", "context 32", "stride 8", f"{scored} tokens scored"):
        assert part in answers.definition
    for metric in list(task.metrics(answers))[:3]:
        assert answers.definition in metric.definition
        assert "\n" not in metric.definition


def test_lm_eval_sums_the_same_log_likelihood(tmp_path: Path) -> None:
    harness = pytest.importorskip("lm_eval.models.huggingface")
    instance = pytest.importorskip("lm_eval.api.instance").Instance
    tokenizer, model = tiny.save_tokenizer(tmp_path), tiny.gpt2(spread=8.0)
    texts = [text[:900] for text in tiny.TEXTS[:31]]
    task = Perplexity(tiny.dataset({"text": texts}), bos=True)

    answers = task.answers(tiny.ready(model, tmp_path, max_length=48))

    other = harness.HFLM(pretrained=model, tokenizer=tokenizer, batch_size=4, max_length=48)
    requests = [instance("loglikelihood_rolling", {}, (text,), 0) for text in texts]
    theirs = other.loglikelihood_rolling(requests, disable_tqdm=True)
    assert -answers.arrays["loss"] == pytest.approx(theirs, rel=CLOSE)


def test_a_weight_that_is_no_number_gives_no_number_anywhere(tmp_path: Path) -> None:
    tiny.save_tokenizer(tmp_path)
    task = Perplexity(tiny.dataset({"text": DOCUMENTS}))
    dense, broken = tiny.gpt2(), tiny.gpt2()
    with torch.no_grad():
        broken.transformer.h[0].mlp.c_fc.weight[3, 5] = math.nan

    before = task.answers(tiny.ready(dense, tmp_path))
    after = task.answers(tiny.ready(broken, tmp_path))

    assert after.collapse == "its perplexity is not a finite number"
    judged = [metric for metric in task.metrics(after) if metric.better is not None]
    assert len(judged) == 3
    assert all(math.isnan(metric.statistic.value) for metric in judged)
    apart = list(task.distances(before, after))
    assert all(math.isnan(metric.statistic.value) for metric in apart)


def test_a_model_is_at_no_distance_from_itself(tmp_path: Path) -> None:
    tiny.save_tokenizer(tmp_path)
    task = Perplexity(tiny.dataset({"text": DOCUMENTS}))
    answers = task.answers(tiny.ready(tiny.gpt2(), tmp_path))

    found = {each.name: each.statistic.value for each in task.distances(answers, answers)}

    assert found == {"kl": 0.0, "kl-p50": 0.0, "kl-p99": 0.0, "top1-agreement": 1.0}


def test_the_distance_is_the_mean_divergence_of_every_scored_position(tmp_path: Path) -> None:
    tokenizer, texts = tiny.save_tokenizer(tmp_path), ["one two three", "four five six seven"]
    task = Perplexity(tiny.dataset({"text": texts}))
    dense, other = tiny.gpt2(seed=1, spread=8.0), tiny.gpt2(seed=2, spread=8.0)

    found = {
        metric.name: metric.statistic.value
        for metric in task.distances(
            *(task.answers(tiny.ready(model, tmp_path)) for model in (dense, other))
        )
    }

    apart, same = [], []
    with torch.inference_mode():
        for text in texts:
            tokens = torch.tensor([tokenizer(text)["input_ids"][:-1]])
            p, q = (
                torch.log_softmax(each(tokens).logits[0].double(), -1) for each in (dense, other)
            )
            apart += (
                torch.nn.functional.kl_div(q, p, log_target=True, reduction="none").sum(1).tolist()
            )
            same += (p.argmax(1) == q.argmax(1)).tolist()
    assert found["kl"] == pytest.approx(np.mean(apart), rel=1e-4)
    assert found["kl-p50"] == pytest.approx(
        np.quantile(apart, 0.5, method="inverted_cdf"), rel=1e-4
    )
    assert found["top1-agreement"] == np.mean(same)


def test_other_tokens_are_other_items(tmp_path: Path) -> None:
    task = Perplexity(tiny.dataset({"text": DOCUMENTS}))
    tiny.save_tokenizer(tmp_path / "one", 384)
    tiny.save_tokenizer(tmp_path / "two", 320)
    model = tiny.gpt2()

    one, two = (task.answers(tiny.ready(model, tmp_path / name)) for name in ("one", "two"))
    shorter = task.answers(tiny.ready(model, tmp_path / "one", max_length=32))

    assert len({one.items, two.items, shorter.items}) == 3


def test_hidden_states_are_kept_for_every_layer(tmp_path: Path) -> None:
    tiny.save_tokenizer(tmp_path)
    task = Perplexity(tiny.dataset({"text": DOCUMENTS}))

    answers = task.answers(tiny.ready(tiny.gpt2(), tmp_path))

    assert set(answers.hidden) == {"0", "1", "2"}
    assert answers.hidden["2"].shape == (len(answers.arrays["loss"]), 32)
    assert np.abs(answers.hidden["2"]).min(axis=1).all()


def test_every_document_is_counted_once_as_done(tmp_path: Path) -> None:
    tiny.save_tokenizer(tmp_path)
    told: list[int] = []
    task = Perplexity(tiny.dataset({"text": DOCUMENTS}))

    task.answers(tiny.ready(tiny.gpt2(), tmp_path, batch_size=2, observe=told.append))

    assert sum(told) == task.count == 5


def test_a_model_that_repeats_one_token_loops(tmp_path: Path) -> None:
    tiny.save_tokenizer(tmp_path)
    task = Perplexity(tiny.dataset({"text": [text[:600] for text in tiny.TEXTS[:40]]}))

    answers = task.answers(tiny.ready(tiny.always(9, positions=128), tmp_path))

    found = metrics(task, answers)["greedy-repetition"]
    assert found.better is None
    assert found.statistic.size == 32
    assert found.statistic.value == 1.0


@pytest.mark.parametrize(
    ("texts", "id"),
    [
        (["", "", ""], "DATA-NO-TARGETS"),
        (["x", "y", "z"], "DATA-NO-TARGETS"),
        (["a few words only"], "DATA-TOO-SMALL"),
    ],
)
def test_texts_that_no_number_can_rest_on_are_refused(
    tmp_path: Path, texts: list[str], id: str
) -> None:
    tiny.save_tokenizer(tmp_path)
    task = Perplexity(tiny.dataset({"text": texts}))

    with pytest.raises(CompressorError) as caught:
        task.answers(tiny.ready(tiny.gpt2(), tmp_path))

    assert caught.value.id == id


@pytest.mark.parametrize("stride", [0, -1, 65])
def test_a_stride_that_skips_tokens_is_refused(tmp_path: Path, stride: int) -> None:
    tiny.save_tokenizer(tmp_path)
    task = Perplexity(tiny.dataset({"text": DOCUMENTS}), stride=stride)

    with pytest.raises(CompressorError) as caught:
        task.answers(tiny.ready(tiny.gpt2(), tmp_path))

    assert caught.value.id == "RANGE"


def test_it_is_asked_of_causal_models_about_texts() -> None:
    texts, images = tiny.dataset({"text": ["a"]}), tiny.dataset({"image": [0]})

    assert fits("causal-lm", texts)
    assert not fits("causal-lm", images)
    assert not fits("masked-lm", texts)


def test_the_length_of_the_input_is_stated_with_where_it_was_read(tmp_path: Path) -> None:
    tiny.save_tokenizer(tmp_path)
    task = Perplexity(tiny.dataset({"text": DOCUMENTS}))

    found = [
        task.preparations(tiny.ready(tiny.gpt2(), tmp_path, max_length=length))[1]
        for length in (None, 16, 100)
    ]

    assert [each.value for each in found] == ["64 tokens", "16 tokens", "64 tokens"]
    assert [each.origin for each in found] == ["config.json", "--max-length", "config.json"]
    assert [bool(each.warning) for each in found] == [False, False, True]
