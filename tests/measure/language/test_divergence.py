"""Divergences are of positions, and their intervals are over the texts that hold these."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compressor.measure.language import divergence as module
from compressor.measure.language.divergence import PositionQuantile, divergence


@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0.0, 1.0, 1.5, 7.0])), min_size=1),
    st.lists(st.integers(0, 3), min_size=4, max_size=4),
    st.sampled_from([0.01, 0.5, 0.99, 1.0]),
)
def test_a_quantile_counts_each_position_as_often_as_its_text_is_drawn(
    positions: list[tuple[int, float]], weights: list[int], probability: float
) -> None:
    items, values = (np.asarray(column) for column in zip(*positions, strict=True))
    statistic = PositionQuantile(values, items, 4, probability)

    found = statistic.of(np.asarray([weights], np.float64))[0]

    drawn = [value for item, value in positions for _ in range(weights[item])]
    if not drawn:
        assert math.isnan(found)
        return
    assert found == np.quantile(drawn, probability, method="inverted_cdf")


def test_many_draws_give_what_each_gives_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    items = random.integers(0, 9, 200)
    statistic = PositionQuantile(random.normal(size=200), items, 9, 0.5)
    weights = random.integers(0, 4, (31, 9)).astype(np.float64)
    alone = [statistic.of(row[None])[0] for row in weights]

    monkeypatch.setattr(module, "_DRAWN", 500)

    assert statistic.of(weights).tolist() == alone


@pytest.mark.parametrize("strange", [math.nan, math.inf])
def test_one_value_that_is_no_number_leaves_no_quantile(strange: float) -> None:
    statistic = PositionQuantile(np.array([1.0, strange, 2.0]), np.array([0, 0, 1]), 2, 0.5)

    assert math.isnan(statistic.value)


def test_pieces_of_the_logits_give_what_the_whole_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    dense, other = random.normal(size=(2, 40, 11)).astype(np.float32)
    items = np.sort(random.integers(0, 5, 40))
    whole = [each.statistic.value for each in divergence(dense, other, items, 5, "here")]

    monkeypatch.setattr(module, "_CHUNK", 33)

    assert [each.statistic.value for each in divergence(dense, other, items, 5, "here")] == whole


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
    assert "at 4 positions" in found["kl"].definition


def test_logits_of_another_vocabulary_are_not_compared() -> None:
    dense, other = np.zeros((2, 3), np.float32), np.zeros((2, 4), np.float32)

    assert list(divergence(dense, other, np.zeros(2, np.int64), 1, "here")) == []
