"""What was measured, as the rows of a report: values with intervals, paired where there are two.

A number that is not finite is no number: its cell is empty, its note says so, and it is an anomaly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias, final

from compressor.measure.accuracy import Asked
from compressor.measure.evidence import Metric
from compressor.measure.opening import Setting
from compressor.measure.statistics import (
    Floats,
    Interval,
    Mean,
    Statistic,
    difference,
    interval,
    intervals,
    is_binary,
    mcnemar,
)

Cells: TypeAlias = dict[str, Any]


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
    found = _bootstrapped(
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
    drawn = _bootstrapped([(metric.statistic, None) for _, metric in listed], seed)
    return [_row(each, metric, own) for (each, metric), (own, _) in zip(listed, drawn, strict=True)]


def item_rows(listed: Sequence[Pair], setting: Setting) -> list[Cells]:
    """The per-item values of every metric that can be judged, for a later paired comparison."""
    return [
        {
            "data": pair.asked.planned.task.data,
            "metric": pair.metric.name,
            "model": pair.asked.model,
            "digest": pair.asked.items,
            "data_digest": pair.asked.planned.digest,
            "dtype": setting.dtype,
            "device": setting.device,
            "statistic": pair.metric.statistic.as_columns(),
        }
        for pair in listed
        if pair.metric.better is not None and is_finite(pair.metric)
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
        "point": metric.point,
        "headline": metric.is_headline,
        "definition": metric.definition,
        "note": "" if math.isfinite(value) else "not a finite number",
    }


def _mcnemar(other: Statistic, dense: Statistic) -> float | None:
    if not (isinstance(other, Mean) and isinstance(dense, Mean) and is_binary(other, dense)):
        return None
    gained = int((other.values > dense.values).sum())
    return mcnemar(gained, int((other.values < dense.values).sum()))


def _bootstrapped(
    listed: Sequence[tuple[Statistic, Statistic | None]], seed: int
) -> list[tuple[Interval, Interval | None]]:
    """The interval of each statistic, and of its difference to the other where there is one.

    Statistics over the same number of items see the same draws, which are made once.
    """
    wanted: dict[int, list[Callable[[Floats], Floats]]] = {}
    for own, other in listed:
        functions = wanted.setdefault(own.size, [])
        if not is_binary(own):
            functions.append(own.of)
        if other is not None and not is_binary(own, other):
            functions.append(partial(_apart, own, other))
    drawn = {
        size: iter(intervals(functions, size, seed=seed)) for size, functions in wanted.items()
    }
    found: list[tuple[Interval, Interval | None]] = []
    for own, other in listed:
        alone, apart = interval(own) if is_binary(own) else next(drawn[own.size]), None
        if other is not None:
            apart = difference(own, other) if is_binary(own, other) else next(drawn[own.size])
        found.append((alone, apart))
    return found


def _apart(own: Statistic, other: Statistic, weights: Floats) -> Floats:
    return own.of(weights) - other.of(weights)
