"""The picture of a sweep: how a score falls with sparsity, and where it leaves what is allowed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from compressor.view.parts import Part
from compressor.view.plots.drawing import Drawing, canvas, colour, drawn, name_of, plain, share
from compressor.view.plots.palette import SERIES
from compressor.view.plots.points import CurveRow, Picture, PointRow, Series

_MARKERS: Final = ("o", "s", "^", "v", "P", "p")
_DASHES: Final[tuple[Any, ...]] = ("-", (0, (6, 2)), (0, (3, 1.5)), (0, (6, 2, 1.5, 2)))
_CONTROL: Final = {"color": colour("soft"), "marker": "X", "linestyle": (0, (1, 1.6))}
_FILLS: Final = {"within": "full", "violated": "none", "uncertain": "left"}
_STATUS: Final = {
    "within": "within the limit",
    "uncertain": "its interval holds the limit",
    "violated": "beyond the limit",
}
_LOGARITHMIC: Final = 10
"""From this ratio of the worst to the dense value on, a score such as perplexity is drawn so."""

_APART: Final = 11
"""Points between the names of two patterns that have the same sparsity."""


def curve(picture: Picture) -> Drawing:
    """Curves with their bands, the dense and the limit line, patterns, and what was found."""
    with canvas(4.6) as figure:
        axes = figure.add_subplot()
        plain(axes)
        is_relative = len(picture.models) > 1
        styles = _styles(picture)
        for series, points in picture.lines.items():
            _line(axes, points, styles[series], is_relative=is_relative, picture=picture)
        _scale(axes, picture, is_relative=is_relative)
        _limits(axes, picture, is_relative=is_relative)
        for series, points in picture.patterns.items():
            _patterns(axes, points, styles[series], is_relative=is_relative, picture=picture)
        _found(axes, picture)
        axes.set_xlabel("sparsity of the prunable weights")
        axes.set_ylabel(_axis(picture, is_relative=is_relative))
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
        figure.legend(handles=list(_legend(picture, styles)), loc="outside lower center", ncols=2)
        return drawn(
            figure,
            "curve",
            f"{name_of(picture.metric, 60)} over sparsity",
            says(picture),
            numbers(picture),
        )


def says(picture: Picture) -> str:
    """What the picture shows, in sentences."""
    found = []
    for model, dense in picture.dense.items():
        found.append(
            f"{name_of(model, 60)}: {dense.value:.4g} dense, limit {picture.limit(model):.4g} "
            f"({picture.drop} worse)."
        )
    for (model, label), row in picture.curves.items():
        whose = f"{name_of(model, 60)}, " if len(picture.models) > 1 else ""
        found.append(f"{whose}{name_of(label, 60)}: {_where(row)}.")
    found.append("The bands are 95 % intervals of the change to dense, paired item by item.")
    return " ".join(found)


def numbers(picture: Picture) -> Part:
    """Every point of the picture."""
    columns = ("curve", "pattern", "sparsity", "value", "change", "of change", "status")
    rows = [
        {
            "model": point.model,
            "curve": point.curve,
            "pattern": point.pattern,
            "sparsity": point.sparsity,
            "value": _cell(point.value),
            "change": "–" if point.kind == "dense" else _cell(point.worse * point.drop, "+"),
            "of change": "–" if point.kind == "dense" else _range(point),
            "status": "dense" if point.kind == "dense" else point.status or "–",
        }
        for point in picture.points
    ]
    is_several = len(picture.models) > 1
    return Part("", (("model", *columns) if is_several else columns), rows)


def place(picture: Picture, point: PointRow, worse: float) -> float:
    """Where `worse` than dense lies on the axis: the value, or with several models the change."""
    start = 0.0 if len(picture.models) > 1 else picture.dense[point.model].value
    return start + point.worse * worse


def _line(
    axes: Axes,
    points: Sequence[PointRow],
    style: dict[str, Any],
    *,
    is_relative: bool,
    picture: Picture,
) -> None:
    across = [point.sparsity for point in points]
    own = dict.fromkeys(("drop", "drop_low", "drop_high"), [math.nan])
    for name in own:
        own[name] = [_worse(picture, point, name) for point in points]
    axes.fill_between(
        across, own["drop_low"], own["drop_high"], color=style["color"], alpha=0.18, linewidth=0
    )
    axes.plot(across, own["drop"], color=style["color"], linestyle=style["linestyle"], zorder=3)
    for x, y, point in zip(across, own["drop"], points, strict=True):
        _mark(axes, x, y, style, point)


def _worse(picture: Picture, point: PointRow, name: str) -> float:
    is_dense = point.kind == "dense"
    values = {"drop": point.drop, "drop_low": point.drop_low, "drop_high": point.drop_high}
    return place(picture, point, 0.0 if is_dense else values[name])


def _mark(axes: Axes, x: float, y: float, style: dict[str, Any], point: PointRow) -> None:
    axes.plot(
        [x],
        [y],
        color=style["color"],
        marker=style["marker"],
        markersize=6.5,
        fillstyle=_FILLS.get(point.status or "", "full"),
        markerfacecoloralt=colour("paper"),
        linestyle="none",
        zorder=4,
    )
