"""How much can be zero before a score drops too far: a grid, the first violation, bisection.

Essential sparsity (Jaiswal et al., 2023, section 3): the largest sparsity below which every one
that was tried keeps the drop within the limit. Pure: what a sparsity costs is asked of a function.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Literal, TypeAlias, final

from compressor.errors import printable
from compressor.measure.interval import Interval
from compressor.sparsity import Unstructured, parse

Status: TypeAlias = Literal["within", "violated", "uncertain"]

MAX_POINTS: Final = 1000
"""More points of a grid than this are a slip of the pen."""

_ROUNDING: Final = 1e-12
"""What subtracting two scores may add to a drop that lies on the limit itself."""


@final
@dataclass(frozen=True)
class Grid:
    """The sparsities from `start` to `stop`, `step` apart; exact, as they were written."""

    start: Fraction
    stop: Fraction
    step: Fraction

    def __post_init__(self) -> None:
        if not (0 <= self.start < self.stop < 1 and self.step > 0):
            raise ValueError(f"expected a grid that rises between 0 and 1, found `{self}`")
        if (self.stop - self.start) / self.step > MAX_POINTS:
            raise ValueError(f"expected at most {MAX_POINTS} points, found `{self}`")

    @property
    def points(self) -> Sequence[Fraction]:
        """Every sparsity of the grid above 0, rising; at 0 stands the dense model."""
        count = (self.stop - self.start) // self.step + 1
        every = (self.start + place * self.step for place in range(count))
        return [point for point in every if point > 0]

    def __str__(self) -> str:
        return ":".join(
            str(Unstructured(each)) if 0 <= each < 1 else f"{float(each):g}"
            for each in (self.start, self.stop, self.step)
        )


def parse_grid(text: str) -> Grid:
    """`0:0.9:0.1` as a value; `ValueError` says what was expected."""
    parts = text.strip().split(":")
    try:
        found = [parse(part) for part in parts]
    except ValueError:
        found = []
    fractions = [each.fraction for each in found if isinstance(each, Unstructured)]
    if len(fractions) != 3:
        raise ValueError(
            f"expected START:STOP:STEP such as `0:0.9:0.1`, found `{printable(text, 40)}`"
        )
    return Grid(*fractions)


@final
@dataclass(frozen=True)
class Decided:
    """What the drops at the sparsities that were tried say."""

    essential: Fraction
    """The largest sparsity so that it and all smaller ones are within; 0 where none is."""
    upper: Fraction | None
    """The first one that violates the limit; None where none does."""
    largest_within: Fraction
    """The largest one that is within: more than `essential` where the curve goes up again."""


def search(
    drop: Callable[[Fraction], float], grid: Sequence[Fraction], limit: float, resolution: Fraction
) -> dict[Fraction, float]:
    """The drop at every point of the grid, and at those that halve the first interval violated.

    A drop is a worsening: above `limit` it is too much, and one that is no number always is.
    """
    drops = {point: drop(point) for point in grid}
    while True:
        found = decided(drops, limit)
        if found.upper is None or found.upper - found.essential <= resolution:
            return drops
        middle = (found.essential + found.upper) / 2
        drops[middle] = drop(middle)


def decided(drops: Mapping[Fraction, float], limit: float) -> Decided:
    """The first-violation rule over these drops; at 0 there is none."""
    essential = largest = Fraction(0)
    upper: Fraction | None = None
    for point in sorted(drops):
        if is_within(drops[point], limit):
            largest = point
            essential = point if upper is None else essential
        elif upper is None:
            upper = point
    return Decided(essential, upper, largest)


def is_within(drop: float, limit: float) -> bool:
    """Whether a drop is one that is allowed; NaN never is."""
    return drop <= limit + _ROUNDING * max(1.0, abs(limit))


def status(drop: float, interval: Interval, limit: float) -> Status:
    """Whether a drop is within the limit, is not, or has an interval in which the limit lies."""
    if not math.isfinite(drop):
        return "violated"
    if interval.low <= limit <= interval.high and interval.low < interval.high:
        return "uncertain"
    return "within" if is_within(drop, limit) else "violated"
