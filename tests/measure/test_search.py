"""The search for essential sparsity, against planted curves whose answer is known."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import pytest

from compressor.measure.interval import UNKNOWN, Interval
from compressor.measure.search import decided, parse_grid, search, status
from compressor.tolerance import parse

GRID = parse_grid("0:0.9:0.1").points
HALF = Fraction("0.05")


def cliff(at: str, seen: list[Fraction] | None = None) -> Callable[[Fraction], float]:
    """Free up to `at`, and 10 points gone beyond."""

    def drop(sparsity: Fraction) -> float:
        if seen is not None:
            seen.append(sparsity)
        return 0.1 if sparsity > Fraction(at) else 0.0

    return drop


def test_a_grid_is_what_was_written_and_leaves_the_dense_model_out() -> None:
    assert [str(float(point)) for point in GRID] == [f"0.{tenths}" for tenths in range(1, 10)]
    assert parse_grid("0.3:0.5:0.1").points == [Fraction(3, 10), Fraction(4, 10), Fraction(5, 10)]
    assert str(parse_grid("0:0.9:0.1")) == "0:0.9:0.1"


@pytest.mark.parametrize(
    "text", ["0.9:0:0.1", "0.5:0.5:0.1", "0:0.9:0", "0:0.9", "0:1:0.1", "a:b:c", "0:0.9:1e-9", ""]
)
def test_a_grid_that_does_not_rise_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="found"):
        parse_grid(text)


@pytest.mark.parametrize("at", [f"0.{hundredths:02d}" for hundredths in range(5, 90, 7)])
def test_a_planted_cliff_is_found_to_the_resolution(at: str) -> None:
    found = decided(search(cliff(at), GRID, 0.01, Fraction("0.01")), 0.01)

    assert found.upper is not None
    assert found.essential <= Fraction(at) < found.upper
    assert found.upper - found.essential <= Fraction("0.01")
    assert found.largest_within == found.essential


def test_every_point_of_the_grid_is_asked_once_in_order_and_then_one_for_each_halving() -> None:
    seen: list[Fraction] = []

    search(cliff("0.33", seen), GRID, 0.01, HALF)

    assert seen == [*GRID, Fraction("0.35")]


def test_a_curve_without_a_violation_has_no_upper_end() -> None:
    found = decided(search(cliff("1"), GRID, 0.01, HALF), 0.01)

    assert (found.essential, found.upper) == (Fraction("0.9"), None)


def test_a_first_point_beyond_the_limit_is_halved_towards_the_dense_model() -> None:
    seen: list[Fraction] = []

    found = decided(search(cliff("0", seen), GRID, 0.01, HALF), 0.01)

    assert seen[-1] == Fraction("0.05")
    assert (found.essential, found.upper) == (Fraction(0), Fraction("0.05"))


def test_a_curve_that_comes_back_obeys_the_first_violation() -> None:
    def drop(sparsity: Fraction) -> float:
        return 0.1 if Fraction("0.3") <= sparsity < Fraction("0.6") else 0.0

    found = decided(search(drop, GRID, 0.01, HALF), 0.01)

    assert (found.essential, found.upper) == (Fraction("0.25"), Fraction("0.3"))
    assert found.largest_within == Fraction("0.9")


def test_a_number_that_is_none_is_a_violation() -> None:
    def drop(sparsity: Fraction) -> float:
        return math.nan if sparsity == Fraction("0.4") else 0.0

    found = decided(search(drop, GRID, 0.01, HALF), 0.01)

    assert (found.essential, found.upper) == (Fraction("0.35"), Fraction("0.4"))


def test_a_point_and_a_per_cent_differ_where_the_metric_has_50_points() -> None:
    """From 0.50, 1pt leaves 0.49 and 1% leaves 0.495."""
    dense = 0.5

    def drop(sparsity: Fraction) -> float:
        return dense - (dense - 0.02 * float(sparsity))

    found = {
        text: decided(
            search(drop, GRID, parse(text).margin(dense, 0.01), HALF),
            parse(text).margin(dense, 0.01),
        ).essential
        for text in ("1pt", "1%")
    }

    assert found == {"1pt": Fraction("0.5"), "1%": Fraction("0.25")}


def test_a_drop_on_the_limit_itself_is_within_whatever_rounding_adds() -> None:
    assert 0.80 - 0.79 > 0.01
    assert decided({Fraction("0.1"): 0.80 - 0.79}, 0.01).essential == Fraction("0.1")


@pytest.mark.parametrize(
    ("drop", "interval", "said"),
    [
        (0.002, Interval(-0.001, 0.005), "within"),
        (0.002, Interval(-0.01, 0.012), "uncertain"),
        (0.02, Interval(0.005, 0.03), "uncertain"),
        (0.03, Interval(0.02, 0.04), "violated"),
        (math.nan, UNKNOWN, "violated"),
        (0.002, UNKNOWN, "within"),
        (0.0, Interval(0.0, 0.0), "within"),
    ],
)
def test_a_point_is_uncertain_where_its_interval_holds_the_limit(
    drop: float, interval: Interval, said: str
) -> None:
    assert status(drop, interval, 0.01) == said
