"""The section of a sweep: curves first, then distances, sparsity and damage by layer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from compressor.report import Report
from compressor.view.html.layers import damage, sparsity
from compressor.view.html.section import Chapter, Tone, environment
from compressor.view.parts import Part
from compressor.view.plots.curve import curve, styles_of
from compressor.view.plots.drawing import name_of, share
from compressor.view.plots.panels import DistanceRow, panels
from compressor.view.plots.points import Picture, PointRow, pictures
from compressor.view.plots.said import found


def answer(report: Report) -> tuple[str, str, Tone]:
    """The recommended sparsity, as the big word."""
    recommended, sentence = report.summary.get("recommended"), str(report.summary["sentence"])
    if recommended is None or float(str(recommended)) == 0:
        return "no free sparsity", sentence, "open"
    return f"sparsity {share(float(str(recommended)))}", sentence, "good"


def chapters(report: Report) -> Iterator[Chapter]:
    """Everything that the sweep measured, the metric that decides first."""
    shown = pictures(report.summary, report.tables)
    for picture in shown:
        yield Chapter(f"{name_of(picture.metric, 80)}", [curve(picture), found(picture)])
    if shown:
        rows = [DistanceRow.model_validate(row) for row in report.tables.get("distances", ())]
        if rows:
            yield Chapter("Distance to dense", [panels(rows, styles_of(shown[0]))])
        yield from _by_layer(report.tables, shown[0])
    yield from _prepared(report.tables)
    yield from environment(report)


def _by_layer(tables: Mapping[str, Any], picture: Picture) -> Iterator[Chapter]:
    """Of the main curve: zeros at the point nearest to its essential sparsity, damage at all."""
    if picture.main is None:
        return
    model, label = picture.main
    point = _nearest(picture)
    where = f"{name_of(label)} at {name_of(point.pattern)}"
    density = [
        (str(row["tensor"]), str(row["role"]), float(row["sparsity"]), 1.0)
        for row in tables.get("density", ())
        if (row["model"], row["curve"], row["pattern"]) == (model, label, point.pattern)
    ]
    data = picture.metric.rpartition("/")[0]
    layers = [
        {**row, "column": row["pattern"] if ":" in row["pattern"] else share(row["sparsity"])}
        for row in sorted(tables.get("layers", ()), key=lambda row: row["sparsity"])
        if (row["model"], row["curve"], row["data"]) == (model, label, data)
    ]
    drawings = [
        *sparsity(density, where),
        *damage(layers, "sparsity", f"{name_of(label)} on {name_of(data)}"),
    ]
    if drawings:
        yield Chapter("Layer by layer", drawings)


def _nearest(picture: Picture) -> PointRow:
    """The point of the main curve that lies nearest to what was found."""
    assert picture.main is not None, "asked for where there is one"
    points = [point for point in picture.lines[picture.main] if point.kind != "dense"]
    row = picture.curves.get(picture.main)
    is_known = row is not None and math.isfinite(row.essential_sparsity)
    wanted = row.essential_sparsity if row is not None and is_known else points[0].sparsity
    return min(points, key=lambda point: abs(point.sparsity - wanted))


def _prepared(tables: Mapping[str, Any]) -> Iterator[Chapter]:
    rows = tables.get("preparations", ())
    if rows:
        same = {(row["data"], row["what"], row["value"]): row for row in rows}
        part = Part("", ("data", "what", "value", "origin"), list(same.values()))
        yield Chapter("How inputs were prepared", [part])
