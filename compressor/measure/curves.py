"""From the points of a sweep to curves: how far each dropped, what it proves, where it bends.

The decision is the first-violation rule on point estimates, as in the paper; a point whose paired
interval holds the limit is called uncertain beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, TypeAlias, final

import numpy as np

from compressor.errors import InputError, UsageError, listing, printable
from compressor.measure.accuracy import Asked
from compressor.measure.evidence import Metric
from compressor.measure.interval import UNKNOWN, Interval
from compressor.measure.knee import Knee, knee_of
from compressor.measure.points import Curve, Point
from compressor.measure.resampling import difference_of, interval_of, intervals, resampled
from compressor.measure.search import Decided, decided, status
from compressor.measure.statistics import Floats
from compressor.measure.tables import finite
from compressor.sparsity import Unstructured
from compressor.tolerance import Drop

Cells: TypeAlias = dict[str, Any]

_FEWER: Final = 1000
"""Resamples of a distance: it is drawn and never judged, and there are many of them."""


@final
@dataclass(frozen=True)
class Swept:
    """One model at all its places; `weights` are those of each tensor that a prune may touch."""

    model: str
    dense: Point
    points: Sequence[Point]
    weights: Mapping[str, int]
    roles: Mapping[str, str]


@final
@dataclass(frozen=True)
class Judged:
    """A metric of the dense model that pruned ones are held against."""

    data: str
    metric: Metric

    @property
    def name(self) -> str:
        """As `--metric` names it: `sts/spearman`."""
        return f"{self.data}/{self.metric.name}"

    @property
    def value(self) -> float:
        """What the dense model has."""
        return self.metric.statistic.value

    def limit(self, drop: Drop) -> float:
        """How much worse the metric may become, in its own unit; NaN for points it has not."""
        return drop.margin(self.value, self.metric.point)


@final
@dataclass(frozen=True)
class CurveFound:
    """What a curve says by one metric; what was never tried has no place in it."""

    model: str
    curve: Curve
    judged: Judged
    decided: Decided
    knee: Knee | None


def judged(dense: Point) -> list[Judged]:
    """Every metric that can be judged, in order."""
    return [
        Judged(each.planned.task.data, metric)
        for each in dense.asked
        for metric in each.metrics
        if metric.better is not None
    ]


def deciding(dense: Point, name: str | None, drop: Drop) -> Judged:
    """The metric that decides: the one named, or the first that a verdict would rest on."""
    known = judged(dense)
    wanted = [
        each for each in known if (each.metric.is_headline if name is None else each.name == name)
    ]
    if not wanted:
        raise UsageError(
            "SWEEP-METRIC",
            "no such metric is measured with these data, so that nothing decides",
            at="--metric",
            found=f"{'none' if name is None else f'`{printable(name)}`'}, expected one of: "
            f"{listing((each.name for each in known), 20)}",
            do="name one of them, or leave --metric out",
        )
    if not math.isfinite(wanted[0].value):
        raise InputError(
            "SWEEP-DENSE",
            "the dense model's own score is not a finite number, so that nothing can drop from it",
            at=wanted[0].name,
            found=f"{wanted[0].value}, expected a number",
            do="see what is wrong with the model: compressor bench MODEL --data SPEC",
        )
    if math.isnan(wanted[0].limit(drop)):
        raise UsageError(
            "SWEEP-DROP",
            "the metric that decides has no points, so that a drop in points is no limit",
            at="--drop",
            found=f"`{drop}` for {printable(wanted[0].name)}, expected a share of the dense value",
            do="write it in per cent, such as --drop 1%",
        )
    return wanted[0]


def drop_of(point: Point, by: Judged) -> float:
    """How much worse a point is than the dense model; NaN where its answers prove nothing."""
    asked, metric = metric_at(point, by)
    if asked.collapse or not asked.is_comparable:
        return math.nan
    return worsening(metric, by)


def worsening(metric: Metric, by: Judged) -> float:
    """The change for the worse, above 0 where it is worse, in the metric's own unit."""
    change = metric.statistic.value - by.value
    return change if by.metric.better == "lower" else -change


def point_tables(
    swept: Swept, curves: Sequence[Curve], drop: Drop, seed: int
) -> tuple[list[Cells], list[CurveFound]]:
    """The rows of every point, and what every curve says, by each metric that can be judged."""
    rows, found = [], []
    metrics = judged(swept.dense)
    every = [swept.dense, *swept.points]
    statistics = [metric_at(point, by)[1].statistic for by in metrics for point in every]
    drawn = iter(resampled(statistics, seed))
    for by in metrics:
        limit = by.limit(drop)
        own = [(point, next(drawn)) for point in every]
        rows += [_row(swept, point, values, by, own[0][1], limit) for point, values in own]
        for curve in [] if math.isnan(limit) else curves:
            on_it = [own[0], *((each, values) for each, values in own if _is_on(each, curve))]
            found.append(_curve(swept.model, curve, by, on_it, limit))
    return rows, found


def curve_row(found: CurveFound) -> Cells:
    """What a curve says, as a row of a report."""
    knee = found.knee
    return {
        "model": found.model,
        "curve": str(found.curve),
        "data": found.judged.data,
        "metric": found.judged.metric.name,
        "essential_sparsity": float(found.decided.essential),
        "upper": None if found.decided.upper is None else float(found.decided.upper),
        "largest_within": float(found.decided.largest_within),
        "knee": None if knee is None else knee.at,
        "knee_low": None if knee is None else finite(knee.low),
        "knee_high": None if knee is None else finite(knee.high),
    }


def distance_rows(swept: Swept, seed: int) -> list[Cells]:
    """How far each point's answers are from those of the dense model."""
    listed = [
        (point, each.planned.task.data, metric)
        for point in swept.points
        for each in point.asked
        for metric in each.distances
    ]
    found = intervals([metric.statistic for _, _, metric in listed], seed, _FEWER)
    return [
        {
            **where(swept, point),
            "data": data,
            "metric": metric.name,
            "value": finite(metric.statistic.value),
            "low": finite(interval.low),
            "high": finite(interval.high),
        }
        for (point, data, metric), interval in zip(listed, found, strict=True)
    ]


def where(swept: Swept, point: Point) -> Cells:
    """Where a point lies; its sparsity is that of all weights that a prune may touch."""
    total = sum(swept.weights.values())
    return {
        "model": swept.model,
        "curve": str(point.place.curve),
        "pattern": point.place.pattern,
        "sparsity": round(sum(point.zeros.values()) / total, 6) if total else 0.0,
    }


def _row(
    swept: Swept, point: Point, drawn: Floats, by: Judged, dense_drawn: Floats, limit: float
) -> Cells:
    asked, metric = metric_at(point, by)
    own = interval_of(metric.statistic, drawn)
    is_dense = point.place.kind == "dense"
    apart = Interval(0.0, 0.0) if is_dense else UNKNOWN
    if not is_dense and asked.is_comparable:
        apart = difference_of(metric.statistic, by.metric.statistic, drawn, dense_drawn)
        apart = apart if by.metric.better == "lower" else -apart
    lost = 0.0 if is_dense else worsening(metric, by)
    decisive = 0.0 if is_dense else drop_of(point, by)
    return {
        **where(swept, point),
        "method": point.place.curve.method,
        "scope": point.place.scope,
        "kind": point.place.kind,
        "data": by.data,
        "metric": by.metric.name,
        "better": by.metric.better,
        "unit": by.metric.unit,
        "point": by.metric.point,
        "value": finite(metric.statistic.value),
        "low": finite(own.low),
        "high": finite(own.high),
        "drop": finite(lost),
        "drop_low": finite(apart.low),
        "drop_high": finite(apart.high),
        "status": None if math.isnan(limit) else status(decisive, apart, limit),
        "seconds": None,
    }


def _curve(
    model: str, curve: Curve, by: Judged, points: Sequence[tuple[Point, Floats]], limit: float
) -> CurveFound:
    """The rule over every point of the curve that has a number; the first is the dense model."""
    drops = {sparsity_of(point): drop_of(point, by) for point, _ in points[1:]}
    usable = [
        (sparsity_of(point), metric_at(point, by)[1].statistic.value, drawn)
        for point, drawn in points
        if np.isfinite(drawn).all()
    ]
    knee = None
    if usable:
        knee = knee_of(
            [float(sparsity) for sparsity, _, _ in usable],
            np.array([value for _, value, _ in usable]),
            np.stack([drawn for _, _, drawn in usable], axis=1),
        )
    return CurveFound(model, curve, by, decided(drops, limit), knee)


def sparsity_of(point: Point) -> Fraction:
    """What was asked for, exactly."""
    return point.place.sparsity.fraction


def _is_on(point: Point, curve: Curve) -> bool:
    return point.place.curve == curve and isinstance(point.place.sparsity, Unstructured)


def metric_at(point: Point, by: Judged) -> tuple[Asked, Metric]:
    """The metric of the same name at this point."""
    return next(
        (each, metric)
        for each in point.asked
        for metric in each.metrics
        if each.planned.task.data == by.data and metric.name == by.metric.name
    )


def anomalies(swept: Swept) -> Iterator[str]:
    """What is no number, or the answer of a broken model: with the places where it was seen."""
    seen: dict[tuple[str, str, str], list[str]] = {}
    for point in swept.points:
        for each in point.asked:
            faults = [each.collapse] if each.collapse else []
            faults += [
                f"{metric.name} is not a finite number"
                for metric in (*each.metrics, *each.distances)
                if not math.isfinite(metric.statistic.value)
            ]
            for fault in faults:
                key = (str(point.place.curve), each.planned.task.data, fault)
                seen.setdefault(key, []).append(point.place.pattern)
    for (curve, data, fault), patterns in seen.items():
        yield f"{swept.model}, {curve} at {', '.join(patterns)}, on {data}: {fault}"
