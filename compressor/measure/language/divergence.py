"""How far the next-token distributions of a model are from the dense model's, position by position.

The positions are tokens and the items are the texts that hold them: an interval redraws texts, and
their positions with them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from compressor.measure.distance import kl
from compressor.measure.evidence import Metric
from compressor.measure.statistics import Floats, Quantile, Ratio

Numbers: TypeAlias = NDArray[np.int64]


def divergence(
    dense: NDArray[Any], other: NDArray[Any], items: Numbers, count: int, where: str
) -> Iterator[Metric]:
    """KL (mean, median, 99th percentile) and top-1 agreement of logits `(positions, vocabulary)`.

    `items` are the items of the positions, of `count`. Nothing where the vocabularies differ.
    """
    if dense.shape != other.shape:
        return
    with np.errstate(invalid="ignore", over="ignore"):
        apart = kl(dense, other)
    is_same = dense.argmax(axis=1) == other.argmax(axis=1)
    agrees: Floats = np.where(np.isfinite(apart), is_same, math.nan)
    positions = np.bincount(items, minlength=count).astype(np.float64)

    def mean(values: Floats) -> Ratio:
        return Ratio(np.bincount(items, values, count).astype(np.float64), positions)

    at = f"; {where}, at {len(apart)} positions"
    kl_of = "KL from the dense model in nats per token, Σ p log(p / q)"
    yield Metric("kl", mean(apart), "nats", f"mean {kl_of}{at}", "lower")
    for name, probability in (("kl-p50", 0.5), ("kl-p99", 0.99)):
        quantile = Quantile(apart, probability, items)
        yield Metric(name, quantile, "nats", f"quantile {probability} of {kl_of}{at}", "lower")
    agreement = "share of tokens for which both models hold the same token most likely"
    yield Metric("top1-agreement", mean(agrees), "share", f"{agreement}{at}", "higher")
