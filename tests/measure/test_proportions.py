"""Intervals and tests that follow from counts, against scipy and the equations they solve."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from compressor.measure.proportions import mcnemar, proportion, proportion_difference, ranks

ROUNDING = 1e-12
"""A handful of operations on numbers near 1 in fp64: 2**-53 ≈ 1e-16, times ten thousand."""


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


@pytest.mark.parametrize("probability", [0.01, 0.05, 0.5, 0.99])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.999])
@pytest.mark.parametrize("items", [1, 6, 71, 72, 367, 368, 5000])
def test_ranks_are_those_beyond_which_a_binomial_seldom_lies(
    items: int, confidence: float, probability: float
) -> None:
    below, tail = stats.binom(items, probability), (1 - confidence) / 2

    low, high = ranks(items, probability, confidence)

    # The quantile is below the value of rank `low` where at most `low` values are below it.
    assert low is None or below.cdf(low) <= tail
    assert below.cdf(0 if low is None else low + 1) > tail
    assert high is None or below.cdf(high) >= 1 - tail
    assert below.cdf(items - 1 if high is None else high - 1) < 1 - tail


@pytest.mark.parametrize(("items", "end"), [(367, None), (368, 367)])
def test_a_99th_percentile_has_an_upper_end_from_368_values_on(items: int, end: int | None) -> None:
    assert ranks(items, 0.99)[1] == end


@pytest.mark.parametrize(("items", "end"), [(71, None), (72, 0)])
def test_a_5th_percentile_has_a_lower_end_from_72_values_on(items: int, end: int | None) -> None:
    assert ranks(items, 0.05)[0] == end


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_the_least_and_the_largest_that_can_be_are_bounded_by_no_value(probability: float) -> None:
    assert ranks(1000, probability) == (None, None)
