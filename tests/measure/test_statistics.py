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

from compressor.measure.statistics import (
    RESAMPLES,
    Interval,
    Mean,
    Quantile,
    Ratio,
    Spearman,
    Statistic,
    difference,
    draws,
    from_columns,
    interval,
    intervals,
    is_binary,
    mcnemar,
    proportion,
    proportion_difference,
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
    one, two = Mean(columns(50)[0]), Mean(columns(50)[1])

    assert intervals([one.of, two.of], 50) == [interval(one), interval(two)]


@pytest.mark.parametrize(
    ("gained", "lost"), [(0, 0), (0, 1), (1, 0), (3, 9), (9, 3), (10, 10), (0, 40), (300, 341)]
)
def test_mcnemar_is_the_exact_two_sided_binomial_test(gained: int, lost: int) -> None:
    wanted = stats.binomtest(gained, gained + lost, 0.5).pvalue if gained + lost else 1.0

    assert mcnemar(gained, lost) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize(("right", "items"), [(0, 1), (0, 30), (7, 10), (50, 100), (40, 40)])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_the_interval_of_a_share_is_that_of_wilson(
    right: int, items: int, confidence: float
) -> None:
    wanted = stats.binomtest(right, items).proportion_ci(confidence, method="wilson")

    found = proportion(right, items, confidence)

    assert (found.low, found.high) == (
        pytest.approx(wanted.low, abs=ROUNDING),
        pytest.approx(wanted.high, abs=ROUNDING),
    )
    values = np.array([1.0] * right + [0.0] * (items - right))
    assert interval(Mean(values), confidence) == found


@pytest.mark.parametrize(
    ("gained", "lost", "items"), [(3, 9, 100), (9, 3, 100), (0, 4, 50), (5, 0, 30), (12, 40, 800)]
)
def test_both_ends_of_tangos_interval_solve_its_score_equation(
    gained: int, lost: int, items: int
) -> None:
    z = stats.norm.ppf(0.975)

    def likelihood(share_lost: float, delta: float) -> float:
        """The log-likelihood of the counts if one more is gained than lost in `delta`."""
        shares = [share_lost + delta, share_lost, 1 - 2 * share_lost - delta]
        counts = [gained, lost, items - gained - lost]
        return sum(
            count * math.log(share) if count else 0.0
            for count, share in zip(counts, shares, strict=True)
        )

    found = proportion_difference(gained, lost, items)

    for delta, sign in ((found.low, 1), (found.high, -1)):
        # The share that is lost, at its most likely under this delta, by trying 2e5 of them.
        least, most = max(0.0, -delta), (1 - delta) / 2
        tried = np.linspace(least, most, 200_002)[1:-1]
        best = max(tried, key=lambda share: likelihood(float(share), delta))
        variance = items * (2 * best + delta - delta**2)
        score = (gained - lost - items * delta) / math.sqrt(variance)
        # The grid has steps of (most - least) / 2e5 ≤ 2.5e-6: that far `best` may be off.
        slack = z * items * 2.5e-6 / variance
        assert score == pytest.approx(sign * z, abs=max(slack, 1e-6))


@pytest.mark.parametrize("items", [1, 10, 40, 1000])
def test_models_that_differ_on_no_item_are_still_uncertain(items: int) -> None:
    z = stats.norm.ppf(0.975)

    found = proportion_difference(0, 0, items)

    wanted = z**2 / (items + z**2)
    assert (found.low, found.high) == (
        pytest.approx(-wanted, rel=1e-9),
        pytest.approx(wanted, rel=1e-9),
    )


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 100))
def test_tangos_interval_holds_the_estimate_and_turns_with_the_models(
    gained: int, lost: int, same: int
) -> None:
    items = gained + lost + same
    found = proportion_difference(gained, lost, items)
    turned = -proportion_difference(lost, gained, items)

    if not items:
        assert not found.is_finite
        return
    assert -1 <= found.low <= (gained - lost) / items <= found.high <= 1
    assert (found.low, found.high) == (
        pytest.approx(turned.low, abs=1e-9),
        pytest.approx(turned.high, abs=1e-9),
    )


@pytest.mark.parametrize(
    ("gained", "lost", "items"), [(0.05, 0.05, 100), (0.02, 0.1, 100), (0.01, 0.03, 200)]
)
def test_tangos_interval_covers_the_truth_at_least_as_often_as_promised(
    gained: float, lost: float, items: int
) -> None:
    rounds = 4000
    shares = [gained, lost, 1 - gained - lost]
    counts = np.random.default_rng(3).multinomial(items, shares, rounds)
    cases = {(int(b), int(c)) for b, c, _ in counts}
    found = {case: proportion_difference(*case, items) for case in cases}

    covered = sum(
        found[int(b), int(c)].low <= gained - lost <= found[int(b), int(c)].high
        for b, c, _ in counts
    )

    # 0.95 nominal; discreteness takes a little, and 4000 rounds have a standard error of 0.0034.
    assert covered / rounds >= 0.93


def test_right_and_wrong_answers_are_compared_by_their_exact_counts() -> None:
    dense, other = np.array([1.0] * 60 + [0.0] * 40), np.array([1.0] * 57 + [0.0] * 42 + [1.0])

    found = difference(Mean(other), Mean(dense))

    assert is_binary(Mean(other), Mean(dense))
    assert found == proportion_difference(1, 3, 100)
    assert not is_binary(Mean(dense), Mean(dense / 2))
    assert not is_binary(Quantile(dense, 0.5))


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
    ]

    for statistic in every:
        written = json.loads(json.dumps(statistic.as_columns(), allow_nan=False))
        found = from_columns(written)

        assert type(found) is type(statistic)
        assert found.as_columns() == statistic.as_columns()


def test_an_interval_turns_around() -> None:
    assert -Interval(-1.0, 3.0) == Interval(-3.0, 1.0)
