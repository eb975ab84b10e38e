"""One number against one limit: it holds, it does not, or the items do not decide.

A limit holds if the whole interval lies on its right side, the limit itself included where the
comparison includes it: a worsening is within a margin (`<=`) if its interval ends at the margin or
before. It does not hold if the whole interval lies on the wrong side. This is the test of
non-inferiority (methods.md 9.5), read from both ends of one interval.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, final

from compressor.measure.interval import Interval

Comparison: TypeAlias = Literal["<=", ">=", "==", "<", ">"]
Status: TypeAlias = Literal["pass", "fail", "inconclusive"]

FEWEST_ITEMS: Final = 30
"""A bootstrap of fewer items is narrower than it claims; it neither passes nor fails anything."""


@final
@dataclass(frozen=True)
class Measured:
    """A number, where it may lie, and what carries it."""

    value: float
    interval: Interval
    items: int | None
    """None: counted, not measured, so that the interval is the number itself."""
    is_exact: bool = False
    """Whether the interval is honest for any number of items, as that of right and wrong is."""

    @property
    def is_finite(self) -> bool:
        """Whether there is anything to judge."""
        return math.isfinite(self.value) and self.interval.is_finite


@final
@dataclass(frozen=True)
class Judgement:
    """The answer, and how many more items would give one where there is none."""

    status: Status
    more_items: int | None = None


def counted(value: float) -> Measured:
    """A number without an interval: it was counted over all there is."""
    return Measured(value, Interval(value, value), items=None, is_exact=True)


def too_few(measured: Measured) -> bool:
    """Whether there are too few items for the interval to be believed."""
    return measured.items is not None and measured.items < FEWEST_ITEMS and not measured.is_exact


def judged(measured: Measured, comparison: Comparison, limit: float) -> Judgement:
    """Whether `measured COMPARISON limit`; a number that is not finite is never a pass.

    Nor is one whose interval is unknown, of which more items would tell more.
    """
    if measured.items is not None and too_few(measured) and math.isfinite(measured.value):
        return Judgement("inconclusive", FEWEST_ITEMS - measured.items)
    if not (math.isfinite(measured.value) and math.isfinite(limit)):
        return Judgement("fail")
    if not measured.interval.is_finite:
        return Judgement("inconclusive")
    holds, fails = _ends(measured.interval, comparison, limit)
    if holds or fails:
        return Judgement("pass" if holds else "fail")
    return Judgement("inconclusive", items_needed(measured, limit))


def items_needed(measured: Measured, limit: float) -> int | None:
    """How many more items would take the limit out of the interval, if the value holds.

    Half the width shrinks with the square root of the items. None where the value is the limit
    itself but for rounding, which no number of items decides.
    """
    gap = abs(measured.value - limit)
    half = max(measured.interval.high - measured.value, measured.value - measured.interval.low)
    if measured.items is None or gap <= half * 1e-6:
        return None
    return max(1, math.ceil(measured.items * ((half / gap) ** 2 - 1)))


def _ends(interval: Interval, comparison: Comparison, limit: float) -> tuple[bool, bool]:
    """Whether the comparison is true at both ends of the interval, and whether at none of it."""
    low, high = interval.low, interval.high
    return {
        "<=": (high <= limit, low > limit),
        "<": (high < limit, low >= limit),
        ">=": (low >= limit, high < limit),
        ">": (low > limit, high <= limit),
        "==": (low == high == limit, not low <= limit <= high),
    }[comparison]
