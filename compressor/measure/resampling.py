"""Intervals by redrawing items: the bootstrap (Efron, 1979), paired where there are two models.

A paired comparison hands the same draws to both models, so that what the items have in common
cancels. What is known without a draw is not drawn.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from compressor.measure.interval import CONFIDENCE, UNKNOWN, Interval, between
from compressor.measure.proportions import proportion_difference
from compressor.measure.statistics import Constant, Floats, Mean, Quantile, Statistic, is_binary

RESAMPLES: Final = 10_000
_CHUNK: Final = 1 << 20
"""Counts that are held at once: 8 MB."""


def interval(statistic: Statistic, confidence: float = CONFIDENCE, seed: int = 0) -> Interval:
    """The interval that the statistic knows, else the percentile bootstrap interval."""
    if (closed := statistic.closed_interval(confidence)) is not None:
        return closed
    (drawn,) = resampled([statistic], seed)
    return between(drawn, confidence)


def intervals(
    statistics: Sequence[Statistic], seed: int, resamples: int = RESAMPLES
) -> list[Interval]:
    """The interval of each statistic; those that have to be drawn see the same draws."""
    closed = [each.closed_interval(CONFIDENCE) for each in statistics]
    pairs = zip(statistics, closed, strict=True)
    drawn = iter(resampled([each for each, known in pairs if known is None], seed, resamples))
    return [between(next(drawn)) if known is None else known for known in closed]


def difference(
    other: Statistic, dense: Statistic, confidence: float = CONFIDENCE, seed: int = 0
) -> Interval:
    """The interval of `other - dense`, item by item: both see the same draws."""
    if (closed := closed_difference(other, dense, confidence)) is not None:
        return closed
    other_drawn, dense_drawn = resampled([other, dense], seed)
    return difference_of(other, dense, other_drawn, dense_drawn, confidence)


def interval_of(statistic: Statistic, drawn: Floats) -> Interval:
    """What `interval` gives, from values that were drawn already; of no use where it is known."""
    closed = statistic.closed_interval(CONFIDENCE)
    return between(drawn) if closed is None else closed


def difference_of(
    other: Statistic,
    dense: Statistic,
    other_drawn: Floats,
    dense_drawn: Floats,
    confidence: float = CONFIDENCE,
) -> Interval:
    """What `difference` gives, from values that were drawn already; of no use where it is known."""
    if (closed := closed_difference(other, dense, confidence)) is not None:
        return closed
    with np.errstate(invalid="ignore"):
        return between(other_drawn - dense_drawn, confidence)


def closed_difference(
    other: Statistic, dense: Statistic, confidence: float = CONFIDENCE
) -> Interval | None:
    """The interval of `other - dense` where it takes no draws; None where it does.

    Right and wrong answers get Tango's score interval (1998), which stays honest where the models
    differ on no item at all; the bootstrap would call that certainty. What is not redrawn by itself
    is not redrawn in pairs.
    """
    if (counts := gained_and_lost(other, dense)) is not None:
        return proportion_difference(*counts, other.size, confidence)
    return UNKNOWN if isinstance(dense, Quantile | Constant) else None


def gained_and_lost(other: Statistic, dense: Statistic) -> tuple[int, int] | None:
    """How many items `other` alone answers rightly, and how many `dense` alone; None elsewhere."""
    if not (isinstance(other, Mean) and isinstance(dense, Mean) and is_binary(other, dense)):
        return None
    gained, lost = other.values > dense.values, other.values < dense.values
    return int(gained.sum()), int(lost.sum())


def resampled(
    statistics: Sequence[Statistic], seed: int, resamples: int = RESAMPLES
) -> list[Floats]:
    """The values `(resamples,)` of each statistic; those of equal size see the same draws."""
    found: list[list[Floats]] = [[] for _ in statistics]
    for size in {each.size for each in statistics}:
        for weights in draws(size, seed, resamples):
            for values, each in zip(found, statistics, strict=True):
                if each.size == size:
                    values.append(each.of(weights))
    return [np.concatenate(values) if values else np.full(1, math.nan) for values in found]


def draws(items: int, seed: int, resamples: int = RESAMPLES) -> Iterator[Floats]:
    """Bootstrap draws: rows of counts that sum to `items`, a chunk at a time."""
    random = np.random.Generator(np.random.PCG64(seed))
    rows = max(1, _CHUNK // max(1, items))
    for start in range(0, resamples if items else 0, rows):
        count = min(rows, resamples - start)
        drawn = random.integers(0, items, (count, items)) + items * np.arange(count)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape)
        yield counts.astype(np.float64)
