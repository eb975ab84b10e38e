"""Numbers with intervals: every statistic is a function of how often each item counts.

A point estimate counts every item once. A bootstrap (Efron, 1979) counts it as often as it was
drawn, and a paired comparison hands the same draws to both models, so that what the items have in
common cancels. Documents, pairs and images are items; tokens of one document never are.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from statistics import NormalDist
from typing import Any, ClassVar, Final, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]

RESAMPLES: Final = 10_000
CONFIDENCE: Final = 0.95
_CHUNK: Final = 1 << 20
"""Counts that are held at once: 8 MB."""


class Statistic(ABC):
    """A number that per-item values determine; `weights (resamples, items)` say how often each."""

    name: ClassVar[str]

    @abstractmethod
    def of(self, weights: Floats) -> Floats:
        """The statistic under each row of weights, `(resamples,)`; NaN where it has no value."""

    @property
    @abstractmethod
    def size(self) -> int:
        """How many items there are."""

    @property
    def value(self) -> float:
        """The statistic of the items as they are; NaN where there is none."""
        return float(self.of(np.ones((1, self.size)))[0]) if self.size else math.nan

    def as_columns(self) -> dict[str, Any]:
        """The per-item values by name, as JSON-ready data; `from_columns` reads it back."""
        found: dict[str, Any] = {"statistic": self.name}
        for field in fields(self):  # type: ignore[arg-type]  # every statistic is a dataclass
            column = getattr(self, field.name)
            found[field.name] = column.tolist() if isinstance(column, np.ndarray) else column
        return found


@final
@dataclass(frozen=True, eq=False)
class Mean(Statistic):
    """The mean of `values (items,)`."""

    name: ClassVar[str] = "mean"
    values: Floats

    @property
    def size(self) -> int:
        return len(self.values)

    def of(self, weights: Floats) -> Floats:
        with np.errstate(invalid="ignore"):
            found: Floats = weights @ self.values / weights.sum(axis=1)
        return found


@final
@dataclass(frozen=True, eq=False)
class Ratio(Statistic):
    """`Σ numerators / Σ denominators`, as it is or as an exponent: bits per byte, perplexity."""

    name: ClassVar[str] = "ratio"
    numerators: Floats
    denominators: Floats
    is_exponent: bool = False

    @property
    def size(self) -> int:
        return len(self.numerators)

    def of(self, weights: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            ratio = (weights @ self.numerators) / (weights @ self.denominators)
            found: Floats = np.exp(ratio) if self.is_exponent else ratio
        return found


@final
@dataclass(frozen=True, eq=False)
class Spearman(Statistic):
    """Rank correlation of two columns, ties at their mid-rank."""

    name: ClassVar[str] = "spearman"
    first: Floats
    second: Floats

    @property
    def size(self) -> int:
        return len(self.first)

    def of(self, weights: Floats) -> Floats:
        if not (np.isfinite(self.first).all() and np.isfinite(self.second).all()):
            return np.full(len(weights), math.nan)
        count = weights.sum(axis=1)
        first = _midranks(self.first, weights) - (count[:, None] + 1) / 2
        second = _midranks(self.second, weights) - (count[:, None] + 1) / 2
        product = (weights * first * second).sum(axis=1)
        spread = (weights * first**2).sum(axis=1) * (weights * second**2).sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            found: Floats = product / np.sqrt(spread)
        return found


@final
@dataclass(frozen=True, eq=False)
class Quantile(Statistic):
    """The smallest value that is not exceeded by a share `probability` of the items."""

    name: ClassVar[str] = "quantile"
    values: Floats
    probability: float

    @property
    def size(self) -> int:
        return len(self.values)

    def of(self, weights: Floats) -> Floats:
        if not np.isfinite(self.values).all():
            return np.full(len(weights), math.nan)
        order = np.argsort(self.values, kind="stable")
        reached = np.cumsum(weights[:, order], axis=1)
        # A share such as 0.05 of 100 items has to be 5 of them, whatever rounding adds to it.
        wanted = self.probability * reached[:, -1] * (1 - 1e-12)
        found: Floats = self.values[order][np.argmax(reached >= wanted[:, None], axis=1)]
        return found


_KINDS: Final[dict[str, type[Statistic]]] = {
    kind.name: kind for kind in (Mean, Ratio, Spearman, Quantile)
}


def from_columns(columns: Mapping[str, Any]) -> Statistic:
    """The statistic that `as_columns` described."""
    given = dict(columns)
    kind: Any = _KINDS[given.pop("statistic")]
    found: Statistic = kind(
        **{
            name: np.asarray(column, dtype=np.float64) if isinstance(column, list) else column
            for name, column in given.items()
        }
    )
    return found


@final
@dataclass(frozen=True)
class Interval:
    """What a number may be, at the confidence that was asked for; NaN where that is unknown."""

    low: float
    high: float

    @property
    def is_finite(self) -> bool:
        return math.isfinite(self.low) and math.isfinite(self.high)

    def __neg__(self) -> Interval:
        return Interval(-self.high, -self.low)


def interval(statistic: Statistic, confidence: float = CONFIDENCE, seed: int = 0) -> Interval:
    """The percentile bootstrap interval of a number; Wilson's (1927) of a share of right answers.

    Where every answer is right, the bootstrap would call that certainty.
    """
    if isinstance(statistic, Mean) and is_binary(statistic):
        return proportion(int(statistic.values.sum()), statistic.size, confidence)
    return _between([statistic.of(weights) for weights in draws(statistic.size, seed)], confidence)


def intervals(
    functions: Sequence[Callable[[Floats], Floats]],
    items: int,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> list[Interval]:
    """The intervals of several functions of the weights of the same items, from the same draws."""
    drawn: list[list[Floats]] = [[] for _ in functions]
    for weights in draws(items, seed):
        for values, function in zip(drawn, functions, strict=True):
            values.append(function(weights))
    return [_between(values, confidence) for values in drawn]


def difference(
    other: Statistic, dense: Statistic, confidence: float = CONFIDENCE, seed: int = 0
) -> Interval:
    """The interval of `other - dense`, item by item: both see the same draws.

    Right and wrong answers get Tango's score interval (1998) instead, which stays honest where the
    models differ on no item at all; the bootstrap would call that certainty.
    """
    if isinstance(other, Mean) and isinstance(dense, Mean) and is_binary(other, dense):
        gained = int((other.values > dense.values).sum())
        lost = int((other.values < dense.values).sum())
        return proportion_difference(gained, lost, other.size, confidence)
    drawn = draws(dense.size, seed)
    return _between([other.of(weights) - dense.of(weights) for weights in drawn], confidence)


def is_binary(*statistics: Statistic) -> bool:
    """Whether all of them are shares of right answers: each item is wrong (0) or right (1)."""
    return all(isinstance(each, Mean) and np.isin(each.values, (0, 1)).all() for each in statistics)


def draws(items: int, seed: int) -> Iterator[Floats]:
    """Bootstrap draws: `RESAMPLES` rows of counts that sum to `items`, a chunk at a time."""
    random = np.random.Generator(np.random.PCG64(seed))
    rows = max(1, _CHUNK // max(1, items))
    for start in range(0, RESAMPLES if items else 0, rows):
        count = min(rows, RESAMPLES - start)
        drawn = random.integers(0, items, (count, items)) + items * np.arange(count)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape)
        yield counts.astype(np.float64)


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
        return Interval(math.nan, math.nan)
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
        return Interval(math.nan, math.nan)
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


def _bisect(score: Callable[[float], float], wanted: float, low: float, high: float) -> float:
    """Where a falling `score` passes `wanted`."""
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if score(middle) > wanted else (low, middle)
    return (low + high) / 2


def _between(drawn: Sequence[Floats], confidence: float) -> Interval:
    values = np.concatenate(drawn) if drawn else np.array([math.nan])
    if not np.isfinite(values).all():
        return Interval(math.nan, math.nan)
    low, high = np.quantile(values, ((1 - confidence) / 2, (1 + confidence) / 2))
    return Interval(float(low), float(high))


def _midranks(values: Floats, weights: Floats) -> Floats:
    """The rank of each item, `(resamples, items)`, where item i stands `weights[:, i]` times."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    order = np.argsort(place, kind="stable")
    starts = np.concatenate(([0], np.cumsum(counts)[:-1]))
    tied = np.add.reduceat(weights[:, order], starts, axis=1)  # (resamples, distinct values)
    ranks = np.cumsum(tied, axis=1) - (tied - 1) / 2
    found: Floats = ranks[:, place]
    return found
