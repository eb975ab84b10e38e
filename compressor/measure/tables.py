"""What was measured, as the rows of a report: values with intervals, paired where there are two.

A number that is not finite is no number: its cell is empty, its note says so, and it is an anomaly.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, final

import numpy as np

from compressor.measure.accuracy import Asked
from compressor.measure.evidence import Metric
from compressor.measure.interval import CONFIDENCE, Interval
from compressor.measure.opening import Setting
from compressor.measure.proportions import mcnemar
from compressor.measure.resampling import (
    closed_difference,
    difference_of,
    gained_and_lost,
    interval_of,
    intervals,
    resampled,
)
from compressor.measure.statistics import Quantile, Statistic

Cells: TypeAlias = dict[str, Any]

MOST_KEPT: Final = 20_000
"""Values of a quantile that are kept in a report: 400 KB as text, where a mean has its items."""


@final
@dataclass(frozen=True)
class Pair:
    """A metric of a model, and the same one of the dense model where they can be compared."""

    asked: Asked
    metric: Metric
    dense: Metric | None


def pairs(found: Sequence[Asked], dense: str | None) -> list[Pair]:
    """Every metric of every model, in the order of metrics, the dense model first in each."""
    own = {
        (each.planned.task.data, metric.name): metric
        for each in found
        if each.model == dense
        for metric in each.metrics
    }
    listed = [
        Pair(
            each,
            metric,
            own.get((each.planned.task.data, metric.name))
            if each.model != dense and each.is_comparable
            else None,
        )
        for each in found
        for metric in each.metrics
    ]
    order = {key: place for place, key in enumerate(dict.fromkeys(map(_key, listed)))}
    return sorted(listed, key=lambda pair: order[_key(pair)])


def metric_rows(listed: Sequence[Pair], dense: str | None, seed: int) -> list[Cells]:
    """A row for each metric of each model: value, interval, and the paired difference to dense."""
    found = _paired_intervals(
        [
            (pair.metric.statistic, None if pair.dense is None else pair.dense.statistic)
            for pair in listed
        ],
        seed,
    )
    rows = []
    for pair, (own, against) in zip(listed, found, strict=True):
        row = _row(pair.asked, pair.metric, own)
        row |= {
            "dense": None if pair.dense is None else dense,
            "dense_value": None,
            "difference": None,
            "difference_low": None,
            "difference_high": None,
            "p": None,
        }
        if pair.dense is not None:
            base, value = pair.dense.statistic.value, pair.metric.statistic.value
            row["dense_value"] = finite(base)
            row["difference"] = finite(value - base)
            if against is not None:
                row["difference_low"] = finite(against.low)
                row["difference_high"] = finite(against.high)
            row["p"] = _mcnemar(pair.metric.statistic, pair.dense.statistic)
        rows.append(row)
    return rows


def distance_rows(found: Sequence[Asked], seed: int) -> list[Cells]:
    """A row for each distance of each model to the dense one."""
    listed = [(each, metric) for each in found for metric in each.distances]
    own = intervals([metric.statistic for _, metric in listed], seed)
    return [_row(each, metric, one) for (each, metric), one in zip(listed, own, strict=True)]


def item_rows(found: Sequence[Asked], setting: Setting) -> list[Cells]:
    """The per-item values of all that can be judged, for a later gate at any confidence.

    Scores go first; of a quantile of very many values only what the report says of it is kept.
    """
    listed = [(each, metric) for each in found for metric in each.metrics]
    listed += [(each, metric) for each in found for metric in each.distances]
    return [
        {
            "data": each.planned.task.data,
            "metric": metric.name,
            "model": each.model,
            "digest": each.items,
            "data_digest": each.planned.digest,
            "dtype": setting.dtype,
            "device": setting.device,
            "statistic": metric.statistic.as_columns(),
        }
        for each, metric in listed
        if metric.better is not None and is_finite(metric) and _is_kept(metric.statistic)
    ]


def layer_rows(found: Sequence[Asked]) -> list[Cells]:
    """Linear CKA with the dense model, layer by layer."""
    return [
        {
            "data": each.planned.task.data,
            "model": each.model,
            "layer": layer,
            "cka": finite(value),
        }
        for each in found
        for layer, value in each.cka.items()
    ]


def preparation_rows(found: Sequence[Asked]) -> list[Cells]:
    """How an item becomes what a model sees."""
    return [
        {
            "data": each.planned.task.data,
            "model": each.model,
            "what": how.what,
            "value": how.value,
            "origin": how.origin,
            "warning": how.warning,
        }
        for each in found
        for how in each.preparations
    ]


def anomalies(found: Sequence[Asked]) -> Iterator[str]:
    """What no verdict can rest on: numbers that are none, broken models, unequal items."""
    for each in found:
        data = each.planned.task.data
        if each.collapse:
            yield f"{each.model} on {data}: {each.collapse}"
        if not each.is_comparable:
            yield f"{each.model} on {data}: it saw other items than the dense model"
        for metric in [*each.metrics, *each.distances]:
            if not is_finite(metric):
                yield f"{each.model} on {data}: {metric.name} is not a finite number"


def is_finite(metric: Metric) -> bool:
    """Whether the metric has a value."""
    return math.isfinite(metric.statistic.value)


def finite(value: float) -> float | None:
    """The number as JSON can hold it."""
    return value if math.isfinite(value) else None


def _is_kept(statistic: Statistic) -> bool:
    return not isinstance(statistic, Quantile) or len(statistic.values) <= MOST_KEPT


def _key(pair: Pair) -> tuple[str, str]:
    return pair.asked.planned.task.data, pair.metric.name


def _row(asked: Asked, metric: Metric, own: Interval) -> Cells:
    value = metric.statistic.value
    return {
        "data": asked.planned.task.data,
        "task": asked.planned.task.kind,
        "metric": metric.name,
        "model": asked.model,
        "value": finite(value),
        "low": finite(own.low),
        "high": finite(own.high),
        "items": metric.statistic.size,
        "better": metric.better,
        "unit": metric.unit,
        "point": metric.point,
        "headline": metric.is_headline,
        "definition": metric.definition,
        "note": "" if math.isfinite(value) else "not a finite number",
    }


def _mcnemar(other: Statistic, dense: Statistic) -> float | None:
    counts = gained_and_lost(other, dense)
    return None if counts is None else mcnemar(*counts)


def _paired_intervals(
    listed: Sequence[tuple[Statistic, Statistic | None]], seed: int
) -> list[tuple[Interval, Interval | None]]:
    """The interval of each statistic, and of its difference to the other where there is one.

    Each is drawn once, and only where an interval takes it.
    """
    wanted: dict[int, Statistic] = {}
    for own, other in listed:
        if own.closed_interval(CONFIDENCE) is None:
            wanted[id(own)] = own
        if other is not None and closed_difference(own, other) is None:
            wanted |= {id(own): own, id(other): other}
    undrawn = dict.fromkeys((id(each) for pair in listed for each in pair), np.empty(0))
    drawn = undrawn | dict(zip(wanted, resampled(list(wanted.values()), seed), strict=True))
    return [
        (
            interval_of(own, drawn[id(own)]),
            None if other is None else difference_of(own, other, drawn[id(own)], drawn[id(other)]),
        )
        for own, other in listed
    ]
