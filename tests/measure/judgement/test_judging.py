"""One number against one limit, from both ends of its interval."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compressor.measure.interval import Interval
from compressor.measure.judgement.judging import (
    FEWEST_ITEMS,
    Comparison,
    Measured,
    Status,
    counted,
    items_needed,
    judged,
)

NUMBERS = st.floats(-10, 10, allow_nan=False)
COMPARISONS: tuple[Comparison, ...] = ("<=", ">=", "==", "<", ">")


def between(low: float, high: float, items: int = 100, *, is_exact: bool = False) -> Measured:
    return Measured((low + high) / 2, Interval(low, high), items, is_exact)


@pytest.mark.parametrize(
    ("comparison", "below", "ends_at", "straddles", "starts_at", "above"),
    [
        ("<=", "pass", "pass", "inconclusive", "inconclusive", "fail"),
        ("<", "pass", "inconclusive", "inconclusive", "fail", "fail"),
        (">=", "fail", "inconclusive", "inconclusive", "pass", "pass"),
        (">", "fail", "fail", "inconclusive", "inconclusive", "pass"),
        ("==", "fail", "inconclusive", "inconclusive", "inconclusive", "fail"),
    ],
)
def test_the_whole_interval_must_lie_on_the_right_side(
    comparison: Comparison,
    below: Status,
    ends_at: Status,
    straddles: Status,
    starts_at: Status,
    above: Status,
) -> None:
    limit = 2.0
    intervals = [(0.0, 1.0), (1.0, 2.0), (1.5, 2.25), (2.0, 3.0), (3.0, 4.0)]

    found = [judged(between(*ends), comparison, limit).status for ends in intervals]

    assert found == [below, ends_at, straddles, starts_at, above]


@pytest.mark.parametrize(
    ("comparison", "holds"), [("<=", True), (">=", True), ("==", True), ("<", False), (">", False)]
)
def test_a_counted_number_on_the_limit_is_compared_exactly(
    comparison: Comparison, holds: bool
) -> None:
    above = judged(counted(0.1 + 0.2), comparison, 0.3).status
    equal = judged(counted(0.5), comparison, 0.5).status

    assert above == ("pass" if comparison in (">", ">=") else "fail")
    assert equal == ("pass" if holds else "fail")


@given(NUMBERS, NUMBERS, NUMBERS, st.sampled_from(COMPARISONS))
def test_no_interval_passes_and_fails_and_a_pass_is_true_of_every_number_in_it(
    one: float, other: float, limit: float, comparison: Comparison
) -> None:
    low, high = sorted((one, other))
    truth = {
        "<=": lambda x: x <= limit,
        ">=": lambda x: x >= limit,
        "==": lambda x: x == limit,
        "<": lambda x: x < limit,
        ">": lambda x: x > limit,
    }[comparison]

    status = judged(between(low, high), comparison, limit).status

    ends = [truth(low), truth(high)]
    assert (status == "pass") == all(ends if comparison != "==" else [*ends, low == high])
    if status == "fail":
        assert not any(ends)


@pytest.mark.parametrize("items", [1, 2, FEWEST_ITEMS - 1])
def test_a_bootstrap_of_few_items_decides_nothing(items: int) -> None:
    for limit in (-100.0, 100.0):
        found = judged(between(0, 1, items), "<=", limit)

        assert (found.status, found.more_items) == ("inconclusive", FEWEST_ITEMS - items)


def test_thirty_items_decide_and_an_exact_interval_needs_none() -> None:
    assert judged(between(0, 1, FEWEST_ITEMS), "<=", 2).status == "pass"
    assert judged(between(0, 1, 5, is_exact=True), "<=", 2).status == "pass"
    assert judged(between(0, 1, 5, is_exact=True), "<=", -2).status == "fail"


@given(
    st.sampled_from([math.nan, math.inf, -math.inf]),
    st.integers(0, 3),
    st.sampled_from(COMPARISONS),
    st.integers(1, 1000),
    st.booleans(),
)
def test_what_is_not_finite_is_never_a_pass(
    bad: float, place: int, comparison: Comparison, items: int, is_exact: bool
) -> None:
    numbers = [0.5, 0.4, 0.6, 0.5]
    numbers[place] = bad
    value, low, high, limit = numbers

    found = judged(Measured(value, Interval(low, high), items, is_exact), comparison, limit)

    assert found.status != "pass"


def test_so_many_more_items_take_the_limit_out_of_the_interval() -> None:
    measured = Measured(0.5, Interval(0.25, 0.75), 100)

    # Half the width shrinks with the root of the items: a half of it takes four times as many.
    assert items_needed(measured, 0.625) == 300


def test_a_number_on_its_limit_is_decided_by_no_number_of_items() -> None:
    assert items_needed(Measured(0.5, Interval(0.3, 0.7), 100), 0.5) is None
    assert judged(Measured(0.5, Interval(0.3, 0.7), 100), "<=", 0.5).more_items is None
