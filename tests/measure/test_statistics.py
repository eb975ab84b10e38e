"""Statistics of weighted items against scipy, numpy, and items that were really repeated."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import f1_score

from compressor.measure import statistics
from compressor.measure.resampling import interval
from compressor.measure.statistics import (
    Constant,
    MacroF1,
    Mean,
    Quantile,
    Ratio,
    Spearman,
    Statistic,
    from_columns,
    is_binary,
)

ROUNDING = 1e-12
"""Sums of at most 1e3 terms near 1 in fp64: 1e3 · 2**-53 ≈ 1e-13, times ten."""

RANDOM = np.random.default_rng(7)


def columns(items: int, *, ties: bool = False) -> tuple[Any, Any]:
    """Two columns that correlate somewhat; with ties, of few distinct values."""
    first = RANDOM.standard_normal(items)
    second = first + RANDOM.standard_normal(items)
    return (np.round(first), np.round(second)) if ties else (first, second)


def repeated(values: Any, counts: Any) -> Any:
    """Every item as often as it counts."""
    return np.repeat(values, counts.astype(int))


@pytest.mark.parametrize("items", [2, 3, 63, 100])
@pytest.mark.parametrize("ties", [False, True])
def test_a_weighted_statistic_is_that_of_items_really_repeated(items: int, ties: bool) -> None:
    first, second = columns(items, ties=ties)
    weights = RANDOM.multinomial(items, np.full(items, 1 / items), 20).astype(float)

    spearman = Spearman(first, second).of(weights)
    mean = Mean(first).of(weights)
    ratio = Ratio(first, np.abs(second) + 1).of(weights)
    quantile = Quantile(first, 0.3).of(weights)

    for place, counts in enumerate(weights):
        one, two = repeated(first, counts), repeated(second, counts)
        is_constant = len(set(one)) < 2 or len(set(two)) < 2
        wanted = math.nan if is_constant else stats.spearmanr(one, two).statistic
        assert spearman[place] == pytest.approx(wanted, abs=ROUNDING, nan_ok=True)
        assert mean[place] == pytest.approx(one.mean(), abs=ROUNDING)
        assert ratio[place] == pytest.approx(one.sum() / (np.abs(two) + 1).sum(), abs=ROUNDING)
        assert quantile[place] == np.quantile(one, 0.3, method="inverted_cdf")


@pytest.mark.parametrize("probability", [0.01, 0.05, 0.5, 0.95, 0.99])
@pytest.mark.parametrize("items", [1, 3, 63, 100, 1000])
def test_a_quantile_is_the_inverse_of_the_empirical_distribution(
    probability: float, items: int
) -> None:
    values = RANDOM.standard_normal(items)

    found = Quantile(values, probability).value

    assert found == np.quantile(values, probability, method="inverted_cdf")


def test_a_ratio_as_exponent_is_a_perplexity() -> None:
    losses, tokens = np.array([6.0, 9.0]), np.array([2.0, 3.0])

    assert Ratio(losses, tokens, is_exponent=True).value == pytest.approx(math.exp(3), rel=1e-15)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_one_item_that_is_no_number_leaves_no_statistic_a_value(bad: float) -> None:
    values, others = np.array([bad, 1.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0, 4.0])
    every = [
        Mean(values),
        Ratio(values, others),
        Spearman(values, others),
        Spearman(others, values),
        Quantile(values, 0.5),
    ]

    assert [math.isfinite(statistic.value) for statistic in every] == [False] * len(every)
    assert not any(interval(statistic).is_finite for statistic in every)


def test_no_items_have_no_value_and_no_interval() -> None:
    nothing = np.array([], dtype=np.float64)

    for statistic in (Mean(nothing), Spearman(nothing, nothing), Quantile(nothing, 0.5)):
        assert math.isnan(statistic.value)
        assert not interval(statistic).is_finite


FLOATS = st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=20)


@given(FLOATS, st.floats(0.01, 0.99), st.booleans())
def test_a_statistic_reads_back_from_json(
    values: list[float], probability: float, is_exponent: bool
) -> None:
    array = np.array(values)
    every: list[Statistic] = [
        Mean(array),
        Ratio(array, array, is_exponent),
        Spearman(array, array),
        Quantile(array, probability),
        Quantile(array, probability, np.arange(len(array)) // 2),
        MacroF1(np.arange(len(array)) % 3, np.arange(len(array)) % 2),
        Constant(values[0], len(values)),
    ]

    for statistic in every:
        written = json.loads(json.dumps(statistic.as_columns(), allow_nan=False))
        found = from_columns(written)

        assert type(found) is type(statistic)
        assert json.dumps(found.as_columns()) == json.dumps(statistic.as_columns())


def test_shares_are_told_by_their_values() -> None:
    right = np.array([1.0, 0.0, 1.0])

    assert is_binary(Mean(right), Mean(1 - right))
    assert not is_binary(Mean(right), Mean(right / 2))
    assert not is_binary(Quantile(right, 0.5))


@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0.0, 1.0, 1.5, 7.0])), min_size=1),
    st.lists(st.integers(0, 3), min_size=4, max_size=4),
    st.sampled_from([0.01, 0.5, 0.99, 1.0]),
)
def test_a_quantile_counts_each_value_as_often_as_its_item_is_drawn(
    held: list[tuple[int, float]], weights: list[int], probability: float
) -> None:
    owners, values = (np.asarray(column) for column in zip(*held, strict=True))
    statistic = Quantile(values, probability, owners)

    found = statistic.of(np.asarray([weights[: statistic.size]], np.float64))[0]

    drawn = [value for item, value in held for _ in range(weights[item])]
    if not drawn:
        assert math.isnan(found)
        return
    assert found == np.quantile(drawn, probability, method="inverted_cdf")


def test_many_draws_give_what_each_gives_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    owners = RANDOM.integers(0, 9, 200)
    statistic = Quantile(RANDOM.normal(size=200), 0.5, owners)
    weights = RANDOM.integers(0, 4, (31, statistic.size)).astype(np.float64)
    alone = [statistic.of(row[None])[0] for row in weights]

    monkeypatch.setattr(statistics, "_CHUNK", 500)

    assert statistic.of(weights).tolist() == alone


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_one_value_of_an_item_that_is_no_number_leaves_no_quantile(bad: float) -> None:
    statistic = Quantile(np.array([1.0, bad, 2.0]), 0.5, np.array([0, 0, 1]))

    assert math.isnan(statistic.value)


@pytest.mark.parametrize("items", [1, 3, 63, 100])
def test_macro_f1_is_that_of_items_really_repeated(items: int) -> None:
    predicted, labels = RANDOM.integers(0, 4, items), RANDOM.integers(1, 6, items)
    weights = RANDOM.multinomial(items, np.full(items, 1 / items), 20).astype(float)

    found = MacroF1(predicted, labels).of(weights)

    wanted = [
        f1_score(
            repeated(labels, row), repeated(predicted, row), average="macro", zero_division=0.0
        )
        for row in weights
    ]
    assert found == pytest.approx(wanted, abs=ROUNDING)


def test_an_item_without_an_answer_leaves_no_macro_f1() -> None:
    assert math.isnan(MacroF1(np.array([0, -1, 1]), np.array([0, 1, 1])).value)


def test_a_constant_has_a_value_and_no_interval() -> None:
    found = Constant(3.5, 20)

    assert (found.value, found.size) == (3.5, 20)
    assert not interval(found).is_finite
    assert np.isnan(found.of(np.array([[2.0, *[1.0] * 18, 0.0]]))).all()
