"""The accuracy of nearest neighbours is scikit-learn's, each item asked of all the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tinyencoders as encoders
import tinylanguage as tiny
import torch
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier

from compressor.errors import InputError
from compressor.measure.evidence import Answers
from compressor.measure.tasks.neighbours import Neighbours, fits, nearest_labels

RANDOM = np.random.default_rng(0)


def task(labels: Any) -> Neighbours:
    texts = [f"text {number}" for number in range(len(labels))]
    return Neighbours(tiny.dataset({"text": texts, "label": labels}))


def accuracy(question: Neighbours, embeddings: NDArray[Any]) -> float:
    answers = Answers("items", {"embeddings": embeddings[:, None]})
    found = {metric.name: metric for metric in question.metrics(answers)}
    return found["accuracy"].statistic.value


def test_it_names_what_scikit_learn_names_without_the_item_itself() -> None:
    rows = RANDOM.normal(size=(700, 8))
    # With two labels and five neighbours no vote is tied.
    labels = (rows[:, 0] + RANDOM.normal(size=700) > 0).astype(np.int64)

    found = nearest_labels(rows, labels)

    for item in range(0, 700, 7):
        others = np.delete(np.arange(700), item)
        reference = KNeighborsClassifier(5, metric="cosine", algorithm="brute")
        expected = reference.fit(rows[others], labels[others]).predict(rows[item : item + 1])
        assert found[item] == expected[0]


def test_of_tied_labels_that_of_the_nearest_is_named() -> None:
    angles = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.5])
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1)

    def named(labels: list[int]) -> int:
        return int(nearest_labels(rows, np.array(labels))[0])

    assert named([9, 1, 2, 1, 2, 3]) == 1
    assert named([9, 3, 2, 1, 2, 1]) == 2
    assert named([9, 3, 1, 2, 2, 2]) == 2


def test_labels_that_lie_together_are_all_found_and_permuted_ones_are_not() -> None:
    centres = np.repeat(np.eye(4), 25, axis=0)
    rows = centres + 0.01 * RANDOM.normal(size=centres.shape)
    labels = np.repeat(["a", "b", "c", "d"], 25).tolist()

    assert accuracy(task(labels), rows) == 1.0
    # Chance is a quarter: 0.5 of 100 items is 5.8 standard deviations away.
    assert accuracy(task(RANDOM.permutation(labels).tolist()), rows) < 0.5


def test_one_infinite_embedding_leaves_no_accuracy() -> None:
    rows = RANDOM.normal(size=(20, 4))
    rows[3, 1] = np.inf

    assert np.isnan(accuracy(task([0, 1] * 10), rows))


def test_flips_are_counted_both_ways() -> None:
    labels = np.repeat([0, 1], 20).tolist()
    rows = np.repeat(np.eye(2), 20, axis=0) + 0.01 * RANDOM.normal(size=(40, 2))
    other = rows.copy()
    other[:3] = rows[20:23]
    dense, candidate = (Answers("items", {"embeddings": each[:, None]}) for each in (rows, other))

    found = {each.name: each for each in task(labels).distances(dense, candidate)}

    assert found["flips"].statistic.value == pytest.approx(3 / 40)
    assert "3 from right to wrong, 0 from wrong to right" in found["flips"].definition


def test_texts_are_embedded_by_the_model(tmp_path: Path) -> None:
    tiny.save_tokenizer(tmp_path, frames=True)
    texts = encoders.texts(24)
    question = Neighbours(tiny.dataset({"text": texts, "label": [len(each) for each in texts]}))

    with torch.inference_mode():
        answers = question.answers(tiny.ready(encoders.encoder(), tmp_path, "embedding"))

    assert answers.arrays["embeddings"].shape == (24, 1, 32)
    headline = next(metric for metric in question.metrics(answers) if metric.is_headline)
    assert "the other 23 (leave-one-out)" in headline.definition


def test_five_items_are_too_few(tmp_path: Path) -> None:
    model = tiny.ready(encoders.encoder(), tmp_path, "embedding")

    with pytest.raises(InputError, match="at least 6") as refused:
        task([0, 1, 0, 1, 0]).answers(model)

    assert refused.value.id == "DATA-TOO-SMALL"


def test_it_fits_labelled_texts_and_a_model_that_embeds() -> None:
    assert fits("embedding", task([0, 1]).dataset)
    assert not fits("text-classification", task([0, 1]).dataset)
    assert not fits("embedding", tiny.dataset({"text": ["a"]}))
