"""Bootstrap intervals against scipy's, alone and in pairs; what is known without a draw is used."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from compressor.measure.proportions import proportion, proportion_difference
from compressor.measure.resampling import RESAMPLES, difference, draws, interval, intervals
from compressor.measure.statistics import Constant, Mean, Quantile, Spearman

RANDOM = np.random.default_rng(7)


def columns(items: int) -> tuple[Any, Any]:
    """Two columns that correlate somewhat."""
    first = RANDOM.standard_normal(items)
    return first, first + RANDOM.standard_normal(items)


@pytest.mark.parametrize("items", [1, 7, 500])
def test_every_draw_has_as_many_items_as_there_are(items: int) -> None:
    drawn = np.concatenate(list(draws(items, 0)))

    assert drawn.shape == (RESAMPLES, items)
    assert (drawn.sum(axis=1) == items).all()
    # The mean count of an item over 1e4 draws is 1 with a standard error of at most 0.01.
    assert np.abs(drawn.mean(axis=0) - 1).max() < 0.06


@pytest.mark.parametrize("kind", ["mean", "spearman", "paired mean"])
def test_the_bootstrap_interval_is_that_of_scipy(kind: str) -> None:
    first, second = columns(80)
    given, statistic, found = {
        "mean": ((first,), lambda x: x.mean(), interval(Mean(first))),
        "spearman": (
            (first, second),
            lambda x, y: stats.spearmanr(x, y).statistic,
            interval(Spearman(first, second)),
        ),
        "paired mean": (
            (first, second),
            lambda x, y: x.mean() - y.mean(),
            difference(Mean(first), Mean(second)),
        ),
    }[kind]
    resamples = 2000

    wanted = stats.bootstrap(
        given,
        statistic,
        paired=len(given) > 1,
        vectorized=False,
        n_resamples=resamples,
        method="percentile",
        rng=np.random.default_rng(1),
    )

    # An empirical quantile q of n draws has the standard error sqrt(q(1-q)/n) / density. With
    # q = 0.025 of a normal distribution of deviation s, the density is 0.0584/s: 2.67 s/sqrt(n).
    # Both sides have one; five of them together.
    each = 2.67 * float(wanted.standard_error)
    slack = 5 * each * math.sqrt(1 / resamples + 1 / RESAMPLES)
    low, high = wanted.confidence_interval
    assert (found.low, found.high) == (
        pytest.approx(low, abs=slack),
        pytest.approx(high, abs=slack),
    )
    assert slack < (high - low) / 4


def test_a_pair_sees_the_same_draws_so_that_what_is_common_cancels() -> None:
    noise = RANDOM.standard_normal(200)

    apart = difference(Mean(noise + 0.125), Mean(noise))
    alone = interval(Mean(noise))

    assert (apart.low, apart.high) == (pytest.approx(0.125), pytest.approx(0.125))
    assert alone.high - alone.low > 0.2


def test_intervals_of_several_functions_are_those_of_each() -> None:
    share = Mean(RANDOM.integers(0, 2, 50).astype(float))
    every = [Mean(columns(50)[0]), share, Quantile(columns(60)[0], 0.5), Mean(columns(20)[1])]

    assert intervals(every, 3) == [interval(each, seed=3) for each in every]


def test_right_and_wrong_answers_are_compared_by_their_exact_counts() -> None:
    dense, other = np.array([1.0] * 60 + [0.0] * 40), np.array([1.0] * 57 + [0.0] * 42 + [1.0])

    found = difference(Mean(other), Mean(dense))

    assert found == proportion_difference(1, 3, 100)
    assert difference(Mean(other / 2), Mean(dense / 2)) != found


def test_a_share_of_right_answers_has_the_interval_of_its_counts() -> None:
    full = Mean(np.ones(40))

    assert interval(full, 0.9) == proportion(40, 40, 0.9)
    assert interval(full, 0.9).low < 1


def test_fewer_draws_are_the_first_ones() -> None:
    every, some = (np.concatenate(list(draws(300, 1, count))) for count in (RESAMPLES, 4000))

    assert (some == every[:4000]).all()


@pytest.mark.parametrize(
    "statistic", [Constant(3.5, 20), Quantile(RANDOM.standard_normal(20), 0.5)], ids=["all", "half"]
)
def test_what_is_not_redrawn_by_itself_is_not_redrawn_in_pairs(
    statistic: Constant | Quantile,
) -> None:
    assert not difference(statistic, statistic).is_finite


@pytest.mark.parametrize(("probability", "items"), [(0.99, 500), (0.05, 100), (0.5, 30)])
def test_the_interval_of_a_quantile_covers_it_as_often_as_promised(
    probability: float, items: int
) -> None:
    random, rounds = np.random.default_rng(2), 2000

    found = [interval(Quantile(random.random(items), probability)) for _ in range(rounds)]

    # Exact: at least 0.95, of which 2000 rounds are off by 0.0049; four of them.
    covered = np.mean([each.low <= probability <= each.high for each in found])
    assert covered >= 0.95 - 4 * 0.0049


def test_the_interval_of_a_quantile_is_unknown_where_no_value_bounds_it() -> None:
    few = interval(Quantile(RANDOM.standard_normal(100), 0.99))

    assert math.isfinite(few.low)
    assert math.isnan(few.high)


@pytest.mark.parametrize(("probability", "items"), [(0.99, 400), (0.05, 80), (0.5, 8)])
def test_values_that_share_items_have_an_interval_from_so_many_items_on(
    probability: float, items: int
) -> None:
    values, owners = RANDOM.standard_normal(2 * items), np.repeat(np.arange(items), 2)

    few = interval(Quantile(values[:-2], probability, owners[:-2]))
    enough = interval(Quantile(values, probability, owners))

    assert (few.is_finite, enough.is_finite) == (False, True)
