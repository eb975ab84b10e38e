"""What follows from counts alone: intervals of shares, and the ranks that bound a quantile.

Right and wrong answers, or values below and above a number: nothing is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np

from compressor.measure.interval import CONFIDENCE, UNKNOWN, Interval


def mcnemar(gained: int, lost: int) -> float:
    """The exact two-sided p of `gained` against `lost` under a fair coin (McNemar, 1947)."""
    way = ways = 1
    for heads in range(min(gained, lost)):
        way = way * (gained + lost - heads) // (heads + 1)
        ways += way
    return min(1.0, 2 * ways / (1 << gained + lost))


def proportion(right: int, items: int, confidence: float = CONFIDENCE) -> Interval:
    """Wilson's score interval of `right / items`."""
    if not items:
        return UNKNOWN
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, slack = right / items, z * z / items
    middle = (share + slack / 2) / (1 + slack)
    half = z / (1 + slack) * math.sqrt(share * (1 - share) / items + slack / (4 * items))
    return Interval(max(0.0, middle - half), min(1.0, middle + half))


def proportion_difference(
    gained: int, lost: int, items: int, confidence: float = CONFIDENCE
) -> Interval:
    """The score interval of `(gained - lost) / items` for paired answers (Tango, 1998, eq. 7)."""
    if not items:
        return UNKNOWN
    z = NormalDist().inv_cdf((1 + confidence) / 2)

    def score(delta: float) -> float:
        b = -gained - lost + (2 * items - gained + lost) * delta
        c = -lost * delta * (1 - delta)
        q = (math.sqrt(max(0.0, b * b - 8 * items * c)) - b) / (4 * items)
        variance = items * (2 * q + delta * (1 - delta))
        distance = gained - lost - items * delta
        if variance <= 0:
            return math.copysign(math.inf, distance) if distance else 0.0
        return float(distance / math.sqrt(variance))

    return Interval(_bisect(score, z, -1.0, 1.0), _bisect(score, -z, -1.0, 1.0))


def ranks(
    items: int, probability: float, confidence: float = CONFIDENCE
) -> tuple[int | None, int | None]:
    """Which of `items` sorted values, from 0, bound a quantile; None where none of them does.

    So many of the values lie below it as a coin of that probability shows heads, so that each end
    is beyond it with at most half of what the confidence leaves: exact for values without ties.
    """
    if not 0 < probability < 1:
        return None, None
    tail = (1 - confidence) / 2
    below = np.arange(items)
    # log C(items, k) p^k (1-p)^(items-k) from one k to the next, which no factorial overflows.
    steps = np.log((items - below) / (below + 1)) + math.log(probability / (1 - probability))
    logs = items * math.log1p(-probability) + np.concatenate(([0.0], np.cumsum(steps)))
    at_most = np.cumsum(np.exp(logs))  # (items + 1,)
    # The last value of which as many as its rank lie below so seldom, and the first of which not.
    low = int(np.searchsorted(at_most, tail, side="right")) - 1
    high = int(np.searchsorted(at_most, 1 - tail, side="left"))
    return low if low >= 0 else None, high if high < items else None


def _bisect(score: Callable[[float], float], wanted: float, low: float, high: float) -> float:
    """Where a falling `score` passes `wanted`."""
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if score(middle) > wanted else (low, middle)
    return (low + high) / 2
