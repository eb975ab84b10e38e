"""The Spearman correlation of cosines and scores is scipy's, whatever the batches and the order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tinyencoders as encoders
import tinylanguage as tiny
import torch
from scipy.stats import spearmanr

from compressor.measure.evidence import Answers
from compressor.measure.loaded import Loaded
from compressor.measure.tasks.similarity import Similarity, fits

FIRST, SECOND = encoders.texts(60)[:30], encoders.texts(60)[30:]
SCORES = np.random.default_rng(0).integers(0, 6, 30).astype(float).tolist()


def task(order: Any = slice(None)) -> Similarity:
    columns = {"text": FIRST[order], "text2": SECOND[order], "score": SCORES[order]}
    return Similarity(tiny.dataset(columns))


@torch.inference_mode()
def asked(question: Similarity, model: Loaded) -> Answers:
    return question.answers(model)


def spearman(question: Similarity, answers: Answers) -> float:
    found = {metric.name: metric for metric in question.metrics(answers)}
    assert [name for name, metric in found.items() if metric.is_headline] == ["spearman"]
    return found["spearman"].statistic.value


@torch.inference_mode()
def test_it_is_the_rank_correlation_that_scipy_finds(tmp_path: Path) -> None:
    tokenizer, model = tiny.save_tokenizer(tmp_path, frames=True), encoders.encoder()

    answers = asked(task(), tiny.ready(model, tmp_path, "embedding", batch_size=4))

    def mean(text: str) -> torch.Tensor:
        return model(torch.tensor([tokenizer(text)["input_ids"]])).last_hidden_state[0].mean(0)

    cosine = [
        float(torch.cosine_similarity(mean(one), mean(two), dim=0))
        for one, two in zip(FIRST, SECOND, strict=True)
    ]
    # fp32 moves a cosine by 2e-7 between batches: no rank can change.
    assert np.diff(sorted(cosine)).min() > 1e-5
    assert spearman(task(), answers) == pytest.approx(spearmanr(cosine, SCORES)[0], abs=1e-12)


def test_neither_the_batch_size_nor_the_order_of_pairs_changes_it(tmp_path: Path) -> None:
    tiny.save_tokenizer(tmp_path, frames=True)
    models = [tiny.ready(encoders.encoder(), tmp_path, "embedding", batch_size=n) for n in (1, 64)]
    backwards = task(slice(None, None, -1))

    found = [
        spearman(task(), asked(task(), models[0])),
        spearman(task(), asked(task(), models[1])),
        spearman(backwards, asked(backwards, models[0])),
    ]

    # Cosines are further apart than fp32 moves them, so that ranks are the same.
    assert found == pytest.approx([found[0]] * 3, abs=1e-12)


def test_pairs_are_the_items(tmp_path: Path) -> None:
    tiny.save_tokenizer(tmp_path, frames=True)
    model = tiny.ready(encoders.encoder(), tmp_path, "embedding")

    answers = asked(task(), model)

    distances = {each.name: each.statistic for each in task().distances(answers, answers)}
    assert task().count == 30
    assert {each.size for each in distances.values()} == {30}
    assert distances["cosine"].value == pytest.approx(1.0, abs=1e-12)
    assert distances["neighbour-overlap"].value == 1.0


def test_it_fits_scored_pairs_and_a_model_that_embeds() -> None:
    pairs = task().dataset

    assert fits("embedding", pairs)
    assert not fits("text-classification", pairs)
    assert not fits("embedding", tiny.dataset({"text": FIRST, "score": SCORES}))
