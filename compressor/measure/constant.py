"""A number of all items together, which no bootstrap redraws honestly: it has no interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from compressor.measure.statistics import Floats, Statistic


@final
@dataclass(frozen=True, eq=False)
class Constant(Statistic):
    """`number` where every item counts once, and NaN under any other weights."""

    name: ClassVar[str] = "constant"
    number: float
    items: int

    @property
    def size(self) -> int:
        return self.items

    def of(self, weights: Floats) -> Floats:
        found: Floats = np.where((weights == 1).all(axis=1), self.number, math.nan)
        return found
