"""Divergences are of positions, and their intervals are over the texts that hold these."""

from __future__ import annotations

import math

import numpy as np
import pytest

from compressor.measure.language.divergence import divergence


def test_the_mean_is_over_positions_and_not_over_texts() -> None:
    dense = np.zeros((4, 2), np.float32)
    other = np.array([[0, 0], [0, 0], [0, 0], [5, 0]], np.float32)
    items = np.array([0, 0, 0, 1])

    found = {each.name: each for each in divergence(dense, other, items, 2, "here")}

    expected = math.log((1 + math.exp(5)) / 2) - 2.5
    assert found["kl"].statistic.value == pytest.approx(expected / 4, rel=1e-6)
    assert found["kl"].statistic.size == 2
    assert found["kl-p50"].statistic.value == 0.0
    assert found["kl-p99"].statistic.value == pytest.approx(expected, rel=1e-6)
    assert all("; here, at 4 positions" in each.definition for each in found.values())


def test_logits_of_another_vocabulary_are_not_compared() -> None:
    dense, other = np.zeros((2, 3), np.float32), np.zeros((2, 4), np.float32)

    assert list(divergence(dense, other, np.zeros(2, np.int64), 1, "here")) == []
