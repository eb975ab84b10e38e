"""Pseudo-perplexity equals one forward for each token that is masked by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import tinylanguage as tiny
import torch

from compressor.errors import CompressorError
from compressor.measure.evidence import Answers
from compressor.measure.tasks.masked import PseudoPerplexity, fits

# As for perplexity: fp32 losses whose sums are taken in another order.
CLOSE = 1e-5

TEXTS = ["A short line.", "", "x", "Names refer to objects.", tiny.TEXTS[0][:300]]


def asked(task: PseudoPerplexity, model: Any, folder: Path, **settings: Any) -> Answers:
    return task.answers(tiny.ready(model, folder, "masked-lm", **settings))


@torch.inference_mode()
def loss_by_hand(tokenizer: Any, model: Any, text: str, size: int) -> tuple[float, int]:
    tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
    total = 0.0
    for start in range(0, len(tokens), size):
        piece = [tiny.START, *tokens[start : start + size], tiny.END]
        for place in range(1, len(piece) - 1):
            hidden = [*piece[:place], tiny.MASK, *piece[place + 1 :]]
            logits = model(torch.tensor([hidden])).logits[0, place].double()
            total -= float(torch.log_softmax(logits, dim=-1)[piece[place]])
    return total, len(tokens)


@pytest.mark.parametrize(("length", "batch_size"), [(64, 8), (16, 1), (16, 7)])
def test_each_token_is_guessed_from_all_the_others(
    tmp_path: Path, length: int, batch_size: int
) -> None:
    tokenizer, model = tiny.save_tokenizer(tmp_path, frames=True), tiny.bert()
    task = PseudoPerplexity(tiny.dataset({"text": TEXTS}))

    answers = asked(task, model, tmp_path, max_length=length, batch_size=batch_size)

    found = [loss_by_hand(tokenizer, model, text, length - 2) for text in TEXTS]
    mean = sum(loss for loss, _ in found) / sum(count for _, count in found)
    (metric,) = task.metrics(answers)
    assert metric.statistic.value == pytest.approx(math.exp(mean), rel=CLOSE)
    assert metric.name == "pseudo-perplexity"
    assert metric.is_headline


def test_a_model_is_at_no_distance_from_itself_and_at_some_from_another(tmp_path: Path) -> None:
    tiny.save_tokenizer(tmp_path, frames=True)
    task = PseudoPerplexity(tiny.dataset({"text": TEXTS}))
    one, other = (asked(task, tiny.bert(seed=seed), tmp_path) for seed in (1, 2))

    own = {metric.name: metric.statistic.value for metric in task.distances(one, one)}
    apart = {metric.name: metric.statistic.value for metric in task.distances(one, other)}

    assert own == {"kl": 0.0, "kl-p50": 0.0, "kl-p99": 0.0, "top1-agreement": 1.0}
    assert apart["kl"] > 0
    assert apart["top1-agreement"] < 1


def test_a_weight_that_is_no_number_gives_no_number(tmp_path: Path) -> None:
    tiny.save_tokenizer(tmp_path, frames=True)
    task, broken = PseudoPerplexity(tiny.dataset({"text": TEXTS})), tiny.bert()
    with torch.no_grad():
        broken.bert.encoder.layer[0].output.dense.weight[0, 0] = math.nan

    answers = asked(task, broken, tmp_path)

    assert answers.collapse == "its perplexity is not a finite number"
    assert all(math.isnan(metric.statistic.value) for metric in task.metrics(answers))


def test_hidden_states_are_those_of_the_whole_text(tmp_path: Path) -> None:
    tokenizer, model = tiny.save_tokenizer(tmp_path, frames=True), tiny.bert()
    task = PseudoPerplexity(tiny.dataset({"text": TEXTS}))

    answers = asked(task, model, tmp_path)

    with torch.inference_mode():
        tokens = torch.tensor([tokenizer(TEXTS[0])["input_ids"]])
        states = model(tokens, output_hidden_states=True).hidden_states
    for layer, state in enumerate(states):
        expected = state[0].mean(dim=0).numpy()
        assert answers.hidden[str(layer)][0] == pytest.approx(expected, abs=1e-5)


def test_every_text_is_counted_once_as_done(tmp_path: Path) -> None:
    tiny.save_tokenizer(tmp_path, frames=True)
    told: list[int] = []
    task = PseudoPerplexity(tiny.dataset({"text": TEXTS}))

    asked(task, tiny.bert(), tmp_path, batch_size=3, observe=told.append)

    assert sum(told) == task.count == 5


def test_how_texts_were_prepared_comes_with_the_answers(tmp_path: Path) -> None:
    tiny.save_tokenizer(tmp_path, frames=True)
    task = PseudoPerplexity(tiny.dataset({"text": TEXTS}))

    found = asked(task, tiny.bert(), tmp_path, max_length=32).preparations

    assert [(each.what, each.value, each.origin) for each in found[1:]] == [
        ("sequence length", "32 tokens", "--max-length")
    ]
    assert "384 tokens" in found[0].value


def test_a_tokenizer_without_a_mask_is_refused(tmp_path: Path) -> None:
    tokenizer = tiny.save_tokenizer(tmp_path, frames=True)
    tokenizer.mask_token = None
    tokenizer.save_pretrained(str(tmp_path))
    task = PseudoPerplexity(tiny.dataset({"text": TEXTS}))

    with pytest.raises(CompressorError) as caught:
        asked(task, tiny.bert(), tmp_path)

    assert caught.value.id == "TOKENIZER"


def test_it_is_asked_of_masked_models_about_texts() -> None:
    texts = tiny.dataset({"text": ["a"]})

    assert fits("masked-lm", texts)
    assert not fits("causal-lm", texts)
    assert not fits("masked-lm", tiny.dataset({"image": [0]}))
