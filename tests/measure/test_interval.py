"""An interval has two ends, and no end where it is not known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from compressor.measure.interval import UNKNOWN, Interval, between


def test_an_interval_turns_around() -> None:
    assert -Interval(-1.0, 3.0) == Interval(-3.0, 1.0)


def test_the_interval_of_drawn_values_leaves_equal_shares_on_both_sides() -> None:
    drawn = np.random.default_rng(0).permutation(np.arange(1001.0))

    found = between(drawn, 0.9)

    assert (found.low, found.high) == (pytest.approx(50), pytest.approx(950))


def test_one_drawn_value_that_is_no_number_leaves_the_interval_unknown() -> None:
    found = [between(np.array([1.0, bad, 2.0])) for bad in (math.nan, math.inf)]

    assert found == [UNKNOWN] * 2
    assert not UNKNOWN.is_finite
