"""Where a curve bends: two straight lines fitted to it, and how sure the items make the bend.

A description, which gates nothing. It is another number than the essential sparsity: where the fall
accelerates, however much or little has been lost by then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from compressor.measure.interval import between
from compressor.measure.resampling import resampled
from compressor.measure.statistics import Floats, Statistic

_STEP: Final = 0.01
_FEWEST: Final = 5
"""Points: the two lines take four numbers."""
_RESAMPLES: Final = 2000
"""Enough for the ends of a description, on a grid as coarse as this."""
_AT_ONCE: Final = 500


@final
@dataclass(frozen=True)
class Knee:
    """The sparsity at which the curve bends, and the 95 % bootstrap interval of it."""

    at: float
    low: float
    high: float


def knee(sparsities: Sequence[float], curves: Sequence[Statistic], seed: int = 0) -> Knee | None:
    """The knee of the curve whose height at each sparsity is a statistic of the same items."""
    values = np.array([each.value for each in curves])
    return knee_of(sparsities, values, np.stack(resampled(curves, seed, _RESAMPLES), axis=1))


def knee_of(sparsities: Sequence[float], values: Floats, drawn: Floats) -> Knee | None:
    """The same from `values (points,)`, and from those of every resample `(resamples, points)`.

    `y(s) = a + b·s + c·max(0, s − t)` by least squares, t on a grid of 0.01 so that two points lie
    on either side. None where there are too few points, no height, or one that is no number.
    """
    places = np.asarray(sparsities, dtype=np.float64)
    order = np.argsort(places, kind="stable")
    places, values, drawn = places[order], values[order], drawn[:_RESAMPLES, order]
    if len(places) < _FEWEST or not (np.isfinite(values).all() and np.isfinite(drawn).all()):
        return None
    if np.ptp(values) == 0:
        return None
    bends = _bends(places)
    if not len(bends):
        return None
    outside = _outside(places, bends)
    at = bends[_best(values[None], outside)]
    parts = range(0, len(drawn), _AT_ONCE)
    found = [_best(drawn[start : start + _AT_ONCE], outside) for start in parts]
    interval = between(bends[np.concatenate(found)])
    return Knee(float(at[0]), interval.low, interval.high)


def _bends(places: Floats) -> Floats:
    first, last = (round(float(each) / _STEP) for each in (places[1], places[-2]))
    return np.round(np.arange(first, last + 1) * _STEP, 10)


def _outside(places: Floats, bends: Floats) -> Floats:
    """What no two lines with that bend explain, as directions `(points, bends, points - 3)`."""
    directions = []
    for bend in bends:
        design = np.stack(
            [np.ones_like(places), places, np.maximum(0.0, places - bend)], axis=1
        )  # (points, 3)
        whole, _ = np.linalg.qr(design, mode="complete")
        directions.append(whole[:, 3:])
    return np.stack(directions, axis=1)


def _best(heights: Floats, outside: Floats) -> NDArray[np.intp]:
    """For each curve `(curves, points)` the bend that leaves least of it unexplained."""
    points, bends, left = outside.shape
    rest = (heights @ outside.reshape(points, -1)).reshape(len(heights), bends, left)
    found: NDArray[np.intp] = np.argmin((rest**2).sum(axis=2), axis=1)
    return found
