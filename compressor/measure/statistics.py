"""The kinds of number: every statistic is a function of how often each item counts.

A point estimate counts every item once, and a bootstrap (`resampling`) as often as it was drawn.
Documents, pairs and images are items; tokens of one document never are.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Final, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from compressor.measure.interval import UNKNOWN, Interval
from compressor.measure.proportions import proportion, ranks

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]

_CHUNK: Final = 1 << 20
"""Counts of values that are held at once: 8 MB."""

FEWEST_BEYOND: Final = 4
"""Items that have to lie beyond a quantile of what they hold: 400 for a 99th percentile.

If all that an item holds is equal, the worst that can be, a bootstrap of so many covers the
quantile 87 to 95 times of 100, and one of 100 items a 99th percentile 63 times.
"""


class Statistic(ABC):
    """A number that per-item values determine; `weights (resamples, items)` say how often each."""

    name: ClassVar[str]
    integers: ClassVar[tuple[str, ...]] = ()
    """The columns that hold integers; all others hold floats."""

    @abstractmethod
    def of(self, weights: Floats) -> Floats:
        """The statistic under each row of weights, `(resamples,)`; NaN where it has no value."""

    @abstractmethod
    def closed_interval(self, confidence: float) -> Interval | None:
        """The interval that follows from the values themselves; None where it takes a bootstrap."""

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

    def closed_interval(self, confidence: float) -> Interval | None:
        """Wilson's (1927) of right answers: where all are right, a bootstrap sees no doubt."""
        is_share = is_binary(self)
        return proportion(int(self.values.sum()), self.size, confidence) if is_share else None


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

    def closed_interval(self, confidence: float) -> Interval | None:
        return None


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

    def closed_interval(self, confidence: float) -> Interval | None:
        return None


@final
@dataclass(frozen=True, eq=False)
class Quantile(Statistic):
    """The smallest value that a share `probability` of the values does not exceed.

    `owners (values,)` says which item holds each value; by default each value is an item.
    """

    name: ClassVar[str] = "quantile"
    integers: ClassVar[tuple[str, ...]] = ("owners",)
    values: Floats
    probability: float
    owners: Integers | None = None

    @property
    def size(self) -> int:
        if self.owners is None or not len(self.owners):
            return len(self.values)
        return int(self.owners.max()) + 1

    def of(self, weights: Floats) -> Floats:
        if not np.isfinite(self.values).all():
            return np.full(len(weights), math.nan)
        order = np.argsort(self.values, kind="stable")
        ranked = self.values[order]
        columns = order if self.owners is None else self.owners[order]
        rows, found = max(1, _CHUNK // len(ranked)), np.empty(len(weights))
        for start in range(0, len(weights), rows):
            reached = np.cumsum(weights[start : start + rows][:, columns], axis=1)
            # A share such as 0.05 of 100 items has to be 5 of them, whatever rounding adds to it.
            wanted = self.probability * reached[:, -1:] * (1 - 1e-12)
            chosen = ranked[np.argmax(reached >= wanted, axis=1)]
            found[start : start + rows] = np.where(reached[:, -1] > 0, chosen, math.nan)
        return found

    def closed_interval(self, confidence: float) -> Interval | None:
        """Order statistics of single values: a bootstrap never goes beyond the largest of them.

        Values that share items are not independent: None, or unknown where a bootstrap of so few
        items would miss the quantile as well.
        """
        if not np.isfinite(self.values).all():
            return UNKNOWN
        if self.owners is not None:
            beyond = min(self.probability, 1 - self.probability)
            # 0.01 is 1 - 0.99 but for rounding.
            return None if self.size * beyond >= FEWEST_BEYOND - 1e-9 else UNKNOWN
        ranked = np.sort(self.values)
        low, high = ranks(len(ranked), self.probability, confidence)
        return Interval(
            math.nan if low is None else float(ranked[low]),
            math.nan if high is None else float(ranked[high]),
        )


@final
@dataclass(frozen=True, eq=False)
class MacroF1(Statistic):
    """The mean over classes of `2 TP / (2 TP + FP + FN)`, of classes that occur on either side.

    Columns of class numbers; where one of `predicted` is below 0, an item has no answer, and the
    whole no value.
    """

    name: ClassVar[str] = "macro-f1"
    integers: ClassVar[tuple[str, ...]] = ("predicted", "labels")
    predicted: Integers
    labels: Integers

    @property
    def size(self) -> int:
        return len(self.labels)

    def of(self, weights: Floats) -> Floats:
        if (self.predicted < 0).any():
            return np.full(len(weights), math.nan)
        hits = _totals(self.labels, weights * (self.predicted == self.labels), self._classes)
        sizes = _totals(self.labels, weights, self._classes)
        sizes += _totals(self.predicted, weights, self._classes)
        scores = np.divide(2 * hits, sizes, out=np.zeros_like(hits), where=sizes > 0)
        found: Floats = scores.sum(axis=1) / (sizes > 0).sum(axis=1)
        return found

    def closed_interval(self, confidence: float) -> Interval | None:
        return None

    @property
    def _classes(self) -> int:
        return int(max(self.predicted.max(), self.labels.max())) + 1


@final
@dataclass(frozen=True, eq=False)
class Constant(Statistic):
    """A number of all items together, which no bootstrap redraws honestly: it has no interval."""

    name: ClassVar[str] = "constant"
    number: float
    items: int

    @property
    def size(self) -> int:
        return self.items

    def of(self, weights: Floats) -> Floats:
        found: Floats = np.where((weights == 1).all(axis=1), self.number, math.nan)
        return found

    def closed_interval(self, confidence: float) -> Interval | None:
        return UNKNOWN


_KINDS: Final[dict[str, type[Statistic]]] = {
    kind.name: kind for kind in (Mean, Ratio, Spearman, Quantile, MacroF1, Constant)
}


def from_columns(columns: Mapping[str, Any]) -> Statistic:
    """The statistic that `as_columns` described."""
    given = dict(columns)
    kind: Any = _KINDS[given.pop("statistic")]
    found: Statistic = kind(
        **{
            name: np.asarray(column, np.int64 if name in kind.integers else np.float64)
            if isinstance(column, list)
            else column
            for name, column in given.items()
        }
    )
    return found


def is_binary(*statistics: Statistic) -> bool:
    """Whether all of them are shares of right answers: each item is wrong (0) or right (1)."""
    return all(isinstance(each, Mean) and np.isin(each.values, (0, 1)).all() for each in statistics)


def _midranks(values: Floats, weights: Floats) -> Floats:
    """The rank of each item, `(resamples, items)`, where item i stands `weights[:, i]` times."""
    distinct, place = np.unique(values, return_inverse=True)
    tied = _totals(place, weights, len(distinct))
    ranks_of = np.cumsum(tied, axis=1) - (tied - 1) / 2
    found: Floats = ranks_of[:, place]
    return found


def _totals(groups: Integers, weights: Floats, count: int) -> Floats:
    """The weights of the items of each group together, `(resamples, count)`."""
    order = np.argsort(groups, kind="stable")
    present, starts = np.unique(groups[order], return_index=True)
    found = np.zeros((len(weights), count))
    found[:, present] = np.add.reduceat(weights[:, order], starts, axis=1)
    return found
