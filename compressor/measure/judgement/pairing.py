"""What a report measured of one model, by itself or item by item against its dense model.

The intervals that a report holds are those at 95 %, and are taken as they stand; at any other
confidence they are computed from the items that the report keeps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, final

import numpy as np

from compressor.errors import printable
from compressor.measure.interval import CONFIDENCE, Interval, between
from compressor.measure.judgement.judging import Measured
from compressor.measure.judgement.readback import BenchTables, ItemRow, MetricRow
from compressor.measure.resampling import closed_difference, difference, interval, resampled

FaultId: TypeAlias = Literal["GATE-MISSING", "GATE-NONFINITE"]
MISSING: Final = "GATE-MISSING"
NONFINITE: Final = "GATE-NONFINITE"


@final
@dataclass(frozen=True)
class Fault:
    """Why there is nothing to judge."""

    error_id: FaultId
    reason: str


def alone(bench: BenchTables, row: MetricRow, confidence: float) -> Measured | Fault:
    """The number of one model, with its own interval."""
    if not math.isfinite(row.value):
        return Fault(NONFINITE, "is not a finite number")
    items = bench.items.get((row.name, row.model))
    closed = None if items is None else items.statistic.closed_interval(confidence)
    if closed is not None:
        return Measured(row.value, closed, row.items, is_exact=True)
    if items is None and confidence == CONFIDENCE:
        return Measured(row.value, Interval(row.low, row.high), row.items)
    if items is None:
        return Fault(MISSING, "has no values for each item, so that its interval is that at 95 %")
    return Measured(row.value, interval(items.statistic, confidence), row.items)


def worsening(bench: BenchTables, row: MetricRow, confidence: float) -> Measured | Fault:
    """By how much a model is worse than the dense one, paired; below 0 where it is better."""
    if row.better is None:
        return Fault(MISSING, "has no better direction, so that it cannot drop")
    pair = _pair(bench, row)
    if isinstance(pair, Fault):
        return pair
    own, dense = (items.statistic for items in pair)
    found = Interval(row.difference_low, row.difference_high)
    if confidence != CONFIDENCE or not found.is_finite:
        found = difference(own, dense, confidence)
    apart, is_exact = row.value - row.dense_value, closed_difference(own, dense) is not None
    if row.better == "higher":
        return Measured(-apart, -found, row.items, is_exact)
    return Measured(apart, found, row.items, is_exact)


def ratio(bench: BenchTables, row: MetricRow, confidence: float) -> Measured | Fault:
    """How many times the dense model's number a model's number is, paired.

    Of right and wrong answers the share that the dense model has is taken as it is.
    """
    pair = _pair(bench, row)
    if isinstance(pair, Fault):
        return pair
    if row.dense_value == 0:
        return Fault(NONFINITE, "cannot be put in relation to the dense model, which has 0")
    own, dense = (items.statistic for items in pair)
    times = row.value / row.dense_value
    if (apart := closed_difference(own, dense, confidence)) is not None:
        ends = [1 + end / row.dense_value for end in (apart.low, apart.high)]
        return Measured(times, Interval(*ends), row.items, is_exact=True)
    drawn, dense_drawn = resampled([own, dense], seed=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = between(drawn / dense_drawn, confidence)
    return Measured(times, found, row.items)


def _pair(bench: BenchTables, row: MetricRow) -> tuple[ItemRow, ItemRow] | Fault:
    """The items of both models, if they are the same ones and both have a number."""
    if row.dense is None:
        if bench.dense in (None, row.model):
            return Fault(MISSING, "has no dense model to be compared with")
        return Fault(MISSING, "was measured on other items than that of the dense model")
    if not (math.isfinite(row.value) and math.isfinite(row.dense_value)):
        whose = "the dense model" if math.isfinite(row.value) else "this model"
        return Fault(NONFINITE, f"is not a finite number for {whose}")
    own = bench.items.get((row.name, row.model))
    dense = bench.items.get((row.name, row.dense))
    if own is None or dense is None:
        return Fault(MISSING, "has no values for each item, so that no pair can be compared")
    if unlike := own.unlike(dense):
        return Fault(MISSING, f"differs from that of the dense model in {_listed(unlike)}")
    if row.items != own.statistic.size:
        return Fault(MISSING, f"has {own.statistic.size} items kept of {row.items}")
    return own, dense


def _listed(texts: list[str]) -> str:
    return printable("; ".join(texts), 300)
