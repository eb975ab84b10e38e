"""Where a number may lie, at the confidence that was asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

CONFIDENCE: Final = 0.95


@final
@dataclass(frozen=True)
class Interval:
    """Two ends; NaN where one is unknown, which satisfies no limit."""

    low: float
    high: float

    @property
    def is_finite(self) -> bool:
        return math.isfinite(self.low) and math.isfinite(self.high)

    def __neg__(self) -> Interval:
        return Interval(-self.high, -self.low)


UNKNOWN: Final = Interval(math.nan, math.nan)


def between(drawn: NDArray[np.float64], confidence: float = CONFIDENCE) -> Interval:
    """The percentile interval of these values; unknown where one of them is no number."""
    if not np.isfinite(drawn).all():
        return UNKNOWN
    low, high = np.quantile(drawn, ((1 - confidence) / 2, (1 + confidence) / 2))
    return Interval(float(low), float(high))
