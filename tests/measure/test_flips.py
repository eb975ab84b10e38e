"""Flips count what changed either way; what is not known stays unknown."""

from __future__ import annotations

import math

import numpy as np

from compressor.measure.flips import flips


def test_both_ways_are_counted_where_accuracy_stays() -> None:
    found = flips(np.array([1.0, 1.0, 0.0, 0.0]), np.array([0.0, 1.0, 1.0, 0.0]))

    assert found.statistic.value == 0.5
    assert found.definition.endswith("1 from right to wrong, 1 from wrong to right")


def test_an_answer_that_is_not_known_leaves_no_share() -> None:
    found = flips(np.array([1.0, 1.0]), np.array([math.nan, 1.0]))

    assert math.isnan(found.statistic.value)
