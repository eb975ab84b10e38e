"""A number that no bootstrap redraws has a value and no interval."""

from __future__ import annotations

import math

from compressor.measure.constant import Constant
from compressor.measure.statistics import interval


def test_it_has_a_value_and_no_interval() -> None:
    found = Constant(3.5, 20)

    assert (found.value, found.size) == (3.5, 20)
    assert math.isnan(interval(found).low)
    assert math.isnan(interval(found).high)
