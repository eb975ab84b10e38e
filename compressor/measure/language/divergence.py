"""How far the next-token distributions of a model are from the dense model's, position by position.

The positions are tokens and the items are the texts that hold them: an interval redraws texts, and
their positions with them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Final, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from compressor.measure.distance import kl
from compressor.measure.evidence import Metric
from compressor.measure.statistics import Floats, Ratio, Statistic

Numbers: TypeAlias = NDArray[np.int64]

_CHUNK: Final = 1 << 22
"""Logits that are compared at once: 32 MB in fp64."""
_DRAWN: Final = 1 << 20
"""Counts of positions that are held at once: 8 MB."""


@final
@dataclass(frozen=True, eq=False)
class PositionQuantile(Statistic):
    """The smallest value that a share `probability` of the positions does not exceed.

    `items (positions,)` says to which item each of the `values` belongs.
    """

    name: ClassVar[str] = "position-quantile"
    values: Floats
    items: Numbers
    count: int
    probability: float

    @property
    def size(self) -> int:
        return self.count

    def of(self, weights: Floats) -> Floats:
        order = np.argsort(self.values, kind="stable")
        ranked, items = self.values[order], self.items[order]
        rows = max(1, _DRAWN // len(ranked))
        found = np.empty(len(weights))
        for start in range(0, len(weights), rows):
            reached = np.cumsum(weights[start : start + rows][:, items], axis=1)
            wanted = self.probability * reached[:, -1:] * (1 - 1e-12)
            chosen = ranked[np.argmax(reached >= wanted, axis=1)]
            # NaN ranks last and would pass unseen; a draw of no position has no quantile.
            is_number = np.isfinite(ranked[-1]) & (reached[:, -1] > 0)
            found[start : start + rows] = np.where(is_number, chosen, math.nan)
        return found


def divergence(
    dense: NDArray[Any], other: NDArray[Any], items: Numbers, count: int, where: str
) -> Iterator[Metric]:
    """KL (mean, median, 99th percentile) and top-1 agreement of logits `(positions, vocabulary)`.

    `items` are the items of the positions, of `count`. Nothing where the vocabularies differ.
    """
    if dense.shape != other.shape:
        return
    apart, agrees = np.empty(len(dense)), np.empty(len(dense))
    rows = max(1, _CHUNK // dense.shape[1])
    for start in range(0, len(dense), rows):
        piece = slice(start, start + rows)
        with np.errstate(invalid="ignore", over="ignore"):
            apart[piece] = kl(dense[piece], other[piece])
        agrees[piece] = dense[piece].argmax(axis=1) == other[piece].argmax(axis=1)
    agrees[~np.isfinite(apart)] = math.nan
    positions = np.bincount(items, minlength=count).astype(np.float64)

    def mean(values: Floats) -> Ratio:
        return Ratio(np.bincount(items, values, count).astype(np.float64), positions)

    at = f"{where}, at {len(apart)} positions"
    kl_of = "KL from the dense model in nats per token, Σ p log(p / q)"
    yield Metric("kl", mean(apart), f"mean {kl_of}{at}", "lower")
    for name, probability in (("kl-p50", 0.5), ("kl-p99", 0.99)):
        quantile = PositionQuantile(apart, items, count, probability)
        yield Metric(name, quantile, f"quantile {probability} of {kl_of}{at}", "lower")
    agreement = "share of tokens for which both models hold the same token most likely"
    yield Metric("top1-agreement", mean(agrees), f"{agreement}{at}", "higher")
