"""The report of a sweep: its tables, the sparsity that it recommends, and one sentence about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from compressor.errors import printable
from compressor.measure import curves as curve_tables
from compressor.measure.curves import CurveFound, Judged, Swept, deciding, where
from compressor.measure.opening import Setting
from compressor.measure.points import Curve, Point
from compressor.measure.tables import finite
from compressor.sparsity import Unstructured
from compressor.tolerance import Drop


def report_of(
    swept: Sequence[Swept],
    curves: Sequence[Curve],
    drop: Drop,
    metric: str | None,
    seed: int,
    setting: Setting,
) -> tuple[dict[str, Any], dict[str, Sequence[Mapping[str, Any]]], list[str]]:
    """Summary, tables and notes. The first curve of the first model decides."""
    points: list[dict[str, Any]] = []
    found: list[CurveFound] = []
    for each in swept:
        rows, said = curve_tables.point_tables(each, curves, drop, seed)
        points += rows
        found += said
    first = swept[0]
    by = deciding(first.dense, metric, drop)
    own = next(each for each in found if each.judged.name == by.name)
    row = curve_tables.curve_row(own)
    is_some = own.decided.essential > 0
    summary = {
        **{key: row[key] for key in _DECIDED},
        "metric": by.name,
        "dense_value": by.value,
        "drop": str(drop),
        "recommended": str(Unstructured(own.decided.essential)) if is_some else None,
        "method": own.curve.method,
        "scope": own.curve.scope,
        "verdict": None,
        "sentence": sentence(own, drop, points),
        "speed": "",
        "dense": first.model,
    }
    tables: dict[str, Sequence[Mapping[str, Any]]] = {
        "points": points,
        "curves": [curve_tables.curve_row(each) for each in found],
        "distances": [row for each in swept for row in curve_tables.distance_rows(each, seed)],
        "layers": [row for each in swept for row in _layer_rows(each)],
        "density": [row for each in swept for row in _density_rows(each)],
        "items": [row for each in swept for row in _item_rows(each, by, setting)],
    }
    notes = [
        f"{each.planned.task.data}: {how.warning}"
        for each in first.dense.asked
        for how in each.preparations
        if how.warning
    ]
    notes += [note for each in swept for note in curve_tables.anomalies(each)]
    return summary, tables, notes


_DECIDED: Final = (
    "essential_sparsity",
    "upper",
    "largest_within",
    "knee",
    "knee_low",
    "knee_high",
)


def sentence(found: CurveFound, drop: Drop, points: Sequence[Mapping[str, Any]]) -> str:
    """What a newcomer takes from a curve."""
    by, said = found.judged, found.decided
    lost = f"{printable(by.name)} {_spoken(drop)}"
    how = f"by {found.curve.method}, {found.curve.scope} scope"
    rows = {
        str(row["pattern"]): row
        for row in points
        if row["model"] == found.model
        and (row["curve"], row["data"]) == (str(found.curve), by.data)
        and row["metric"] == by.metric.name
    }
    model = printable(found.model)
    if said.essential == 0:
        text = (
            f"Prune nothing of {model} ({how}): already at {_percent(said.upper)} of zeros, "
            f"{printable(by.name)} is worse by {_lost(rows, said.upper, by)}, and {_allowed(drop)} "
            f"is allowed."
        )
    else:
        text = (
            f"{_percent(said.essential)} of the prunable weights of {model} can be zero ({how}) "
            f"while {lost}"
        )
        text += (
            f"; at {_percent(said.upper)} it is worse by {_lost(rows, said.upper, by)}."
            if said.upper is not None
            else ", and more was not tried."
        )
        if rows[str(Unstructured(said.essential))]["status"] == "uncertain":
            text += " The interval of that drop reaches beyond the limit: more items would decide."
    if said.largest_within > said.essential:
        text += (
            f" The curve comes back: {_percent(said.largest_within)} is within the limit as well."
        )
    return text


def _spoken(drop: Drop) -> str:
    return f"gets worse by no more than {_allowed(drop)}"


def _allowed(drop: Drop) -> str:
    amount = f"{drop.amount.normalize():f}"
    if drop.unit == "%":
        return f"{amount} % of its dense value"
    return f"{amount} {'point' if drop.amount == Decimal(1) else 'points'}"


def _percent(share: Fraction | None) -> str:
    return f"{float((share or 0) * 100):.4g} %"


def _lost(rows: Mapping[str, Mapping[str, Any]], at: Fraction | None, by: Judged) -> str:
    drop = None if at is None else rows[str(Unstructured(at))]["drop"]
    if drop is None:
        return "an amount that is no number"
    if by.metric.unit != "share":
        return f"{drop:.3g}"
    said = f"{100 * drop:.3g}"
    return f"{said} {'point' if said == '1' else 'points'}"


def _layer_rows(swept: Swept) -> list[dict[str, Any]]:
    return [
        {
            **where(swept, point),
            "data": each.planned.task.data,
            "layer": layer,
            "cka": finite(value),
        }
        for point in swept.points
        for each in point.asked
        for layer, value in each.cka.items()
    ]


def _density_rows(swept: Swept) -> list[dict[str, Any]]:
    """How much of each tensor is zero at each point."""
    return [
        {
            "model": swept.model,
            "curve": str(point.place.curve),
            "pattern": point.place.pattern,
            "tensor": name,
            "role": swept.roles[name],
            "sparsity": round(zeros / swept.weights[name], 6),
        }
        for point in swept.points
        for name, zeros in point.zeros.items()
    ]


def _item_rows(swept: Swept, by: Judged, setting: Setting) -> list[dict[str, Any]]:
    """The items behind the metric that decides, at every point at which it is a number."""
    rows = []
    for point in (swept.dense, *swept.points):
        row = _items(swept, point, by, setting)
        rows += [row] if row is not None else []
    return rows


def _items(swept: Swept, point: Point, by: Judged, setting: Setting) -> dict[str, Any] | None:
    asked, metric = curve_tables.metric_at(point, by)
    if finite(metric.statistic.value) is None:
        return None
    return {
        "data": by.data,
        "metric": by.metric.name,
        "model": swept.model,
        "curve": str(point.place.curve),
        "pattern": point.place.pattern,
        "digest": asked.items,
        "data_digest": asked.planned.digest,
        "dtype": setting.dtype,
        "device": setting.device,
        "statistic": metric.statistic.as_columns(),
    }
