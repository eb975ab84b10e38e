"""The picture of a sweep: how a score falls with sparsity, and where it leaves what is allowed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from typing import Any, Final, TypeAlias

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter, PercentFormatter, StrMethodFormatter

from compressor.view.plots.drawing import Drawing, canvas, colour, drawn, name_of, plain, share
from compressor.view.plots.palette import SERIES
from compressor.view.plots.points import Picture, PointRow, Series
from compressor.view.plots.said import numbers, says

Style: TypeAlias = Mapping[str, Any]

_MARKERS: Final = ("o", "s", "^", "v", "P", "p")
_DASHES: Final[tuple[Any, ...]] = ("-", (0, (6, 2)), (0, (3, 1.5)), (0, (6, 2, 1.5, 2)))
_CONTROL: Final[Style] = {"color": colour("soft"), "marker": "X", "linestyle": (0, (1, 1.6))}
_PATTERN: Final[Style] = {"marker": "D", "linestyle": "none"}
_FILLS: Final = {"within": "full", "violated": "none", "uncertain": "left"}
_STATUS: Final = {
    "within": "within the limit",
    "uncertain": "its interval holds the limit",
    "violated": "beyond the limit",
}

_WIDE: Final = 10
"""Beyond this ratio of the worst to the best value, a score such as perplexity is logarithmic."""

_APART: Final = 13
"""Points between the names of patterns that have the same sparsity."""


def curve(picture: Picture) -> Drawing:
    """The whole fall above, below what lies near the limit: a point is a hair's breadth of it."""
    with canvas(6.8) as figure:
        fill(figure, picture)
        title = f"{name_of(picture.metric, 60)} over sparsity"
        return drawn(figure, "curve", title, says(picture), numbers(picture))


def fill(figure: Figure, picture: Picture) -> None:
    """Curves with their bands, the dense and the limit line, patterns, and what was found."""
    whole, near = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    styles = styles_of(picture)
    for axes in (whole, near):
        plain(axes)
        for series, points in picture.lines.items():
            _band(axes, picture, points, styles[series])
            _line(axes, picture, points, styles[series])
        for series, points in picture.patterns.items():
            _line(axes, picture, points, {**styles[series], **_PATTERN})
    _scale(whole, picture)
    _zoom(near, picture)
    for axes in (whole, near):
        _limits(axes, picture, is_named=axes is near)
    _name_patterns(whole, picture)
    _found(whole, near, picture)
    whole.set_ylabel(_axis(picture))
    near.set_ylabel("near the limit")
    near.set_xlabel("sparsity of the prunable weights")
    figure.align_ylabels([whole, near])
    figure.legend(handles=list(_legend(picture, styles)), loc="outside lower center", ncols=2)


def styles_of(picture: Picture) -> dict[Series, Style]:
    """A colour, a marker and a dash for each curve; the control is always the same grey."""
    found: dict[Series, Style] = {}
    own = zip(SERIES, _MARKERS, _DASHES * 2, strict=False)
    given: Iterator[tuple[str, str, Any]] = cycle(own)
    controls = picture.controls
    for series in {**picture.lines, **picture.patterns}:
        if series not in controls:
            name, marker, dash = next(given)
            found[series] = {"color": colour(name), "marker": marker, "linestyle": dash}
    return found | dict.fromkeys(controls, _CONTROL)


def _band(axes: Axes, picture: Picture, points: Sequence[PointRow], style: Style) -> None:
    known = [point for point in points if point.kind == "dense" or math.isfinite(point.drop_low)]
    lows = [picture.place(p.model, 0.0 if p.kind == "dense" else p.drop_low) for p in known]
    highs = [picture.place(p.model, 0.0 if p.kind == "dense" else p.drop_high) for p in known]
    across = [point.sparsity for point in known]
    axes.fill_between(across, lows, highs, color=style["color"], alpha=0.18, linewidth=0)


def _line(axes: Axes, picture: Picture, points: Sequence[PointRow], style: Style) -> None:
    """The points in order, each with a marker that says whether it is within the limit."""
    across = [point.sparsity for point in points]
    heights = [_height(picture, point) for point in points]
    axes.plot(across, heights, color=style["color"], linestyle=style["linestyle"], zorder=3)
    fills = [_FILLS.get(point.status or "", "full") for point in points]
    for fill in dict.fromkeys(fills):
        own = [(x, y) for x, y, each in zip(across, heights, fills, strict=True) if each == fill]
        axes.add_line(_marker(style, fill, *zip(*own, strict=True)))


def _marker(style: Style, fill: str, x: Sequence[float] = (), y: Sequence[float] = ()) -> Line2D:
    return Line2D(
        x,
        y,
        color=style["color"],
        marker=style["marker"],
        markersize=6.5,
        fillstyle=fill,  # type: ignore[arg-type]  # one of its names
        markerfacecoloralt=colour("paper"),
        linestyle="none",
        zorder=4,
    )


def _height(picture: Picture, point: PointRow) -> float:
    return picture.place(point.model, 0.0 if point.kind == "dense" else point.drop)


def _scale(axes: Axes, picture: Picture) -> None:
    """Every point and both lines inside, with room above for the names of what was found."""
    heights = [_height(picture, point) for point in picture.points]
    heights += [picture.place(model, picture.margin(model)) for model in picture.models]
    heights = [height for height in heights if math.isfinite(height)] or [0.0, 1.0]
    low, high = min(heights), max(heights)
    across = [point.sparsity for point in picture.points]
    axes.set_xlim(-0.02, min(1.02, max(across) + 0.09))
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    if low > 0 and high / low > _WIDE and picture.points[0].better == "lower":
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_ylim(low / (high / low) ** 0.08, high * (high / low) ** 0.06)
    else:
        room = (high - low or 1.0) * 0.08
        axes.set_ylim(low - room, high + room)


def _zoom(axes: Axes, picture: Picture) -> None:
    """From a little better than dense to several times what is allowed."""
    ends = [
        picture.place(model, times * (picture.margin(model) or 1e-9))
        for model in picture.models
        for times in (-2, 5)
    ]
    axes.set_ylim(min(ends), max(ends))


def _limits(axes: Axes, picture: Picture, *, is_named: bool) -> None:
    """The dense line and the limit, named at their right end, where curves have left them."""
    is_up = picture.points[0].better == "higher"
    placed: list[float] = []
    for model in picture.models:
        dense, limit = picture.place(model, 0.0), picture.place(model, picture.margin(model))
        if dense not in placed:
            _rule(axes, dense, "-", f"dense {dense:.4g}", is_above=is_up)
        if limit not in placed:
            said = f"limit {limit:.4g}" if is_named else ""
            _rule(axes, limit, (0, (4, 2)), said, is_above=not is_up)
        placed += [dense, limit]


def _rule(axes: Axes, height: float, dash: Any, said: str, *, is_above: bool) -> None:
    axes.axhline(height, color=colour("ink"), linestyle=dash, linewidth=0.9, zorder=2)
    axes.annotate(
        said,
        (1, height),
        (0, 3 if is_above else -3),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        horizontalalignment="right",
        verticalalignment="bottom" if is_above else "top",
        fontsize=8.5,
        zorder=5,
    )


def _name_patterns(axes: Axes, picture: Picture) -> None:
    """The name of each pattern beside its point; of one sparsity, one above the other."""
    groups: dict[float, list[PointRow]] = {}
    for (model, _), points in picture.patterns.items():
        for point in points:
            is_shown = point.method != "random" and model == picture.models[0]
            if is_shown and math.isfinite(_height(picture, point)):
                groups.setdefault(round(point.sparsity, 2), []).append(point)
    inch = axes.get_figure(root=True).dpi  # type: ignore[union-attr]  # it has a figure
    for group in groups.values():
        heights = {
            point: float(axes.transData.transform((0, _height(picture, point)))[1]) / inch * 72
            for point in group
        }
        bottom, top = (float(axes.transAxes.transform((0, y))[1]) / inch * 72 for y in (0, 1))
        down = -1 if max(heights.values()) > (bottom + top) / 2 else 1
        before = -math.inf
        for point, own in sorted(heights.items(), key=lambda pair: down * pair[1]):
            before = max(down * own + _APART / 2, before + _APART)
            axes.annotate(
                name_of(point.pattern, 16),
                (point.sparsity, _height(picture, point)),
                (14, down * before - own),
                textcoords="offset points",
                verticalalignment="center",
                fontsize=8.5,
                bbox={"facecolor": colour("paper"), "edgecolor": "none", "pad": 0.5, "alpha": 0.8},
                arrowprops={"arrowstyle": "-", "color": colour("soft"), "linewidth": 0.6},
                zorder=5,
            )


def _found(whole: Axes, near: Axes, picture: Picture) -> None:
    """The essential sparsity and the knee of the main curve, named above the picture."""
    row = picture.curves.get(picture.main) if picture.main is not None else None
    if row is None:
        return
    signs: list[tuple[float, str, Any]] = []
    if math.isfinite(row.essential_sparsity):
        said = f"essential sparsity {share(row.essential_sparsity)}"
        signs.append((row.essential_sparsity, said, "-"))
    if math.isfinite(row.knee):
        said = f"knee {share(row.knee)}"
        if math.isfinite(row.knee_low) and math.isfinite(row.knee_high):
            said += f" ({share(row.knee_low)} to {share(row.knee_high)})"
            for axes in (whole, near):
                axes.axvspan(row.knee_low, row.knee_high, color=colour("soft"), alpha=0.16, lw=0)
        signs.append((row.knee, said, (0, (1, 1.5))))
    signs.sort()
    is_left = bool(signs) and signs[-1][0] > sum(whole.get_xlim()) / 2
    # Names point away from the other sign's line, which ends below them.
    heights = (1.02, 1.09) if is_left else (1.09, 1.02)
    for (across, said, dash), height in zip(signs, heights[-len(signs) :], strict=True):
        near.axvline(across, color=colour("ink"), linestyle=dash, linewidth=1.1, zorder=2)
        _sign(whole, across, said, dash, height, is_left=is_left)


def _sign(axes: Axes, across: float, said: str, dash: Any, height: float, *, is_left: bool) -> None:
    line = {"color": colour("ink"), "linestyle": dash, "linewidth": 1.1}
    axes.plot(
        [across, across], [0, height], transform=axes.get_xaxis_transform(), clip_on=False, **line
    )
    axes.annotate(
        said,
        (across, height),
        (-4 if is_left else 4, 0),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        horizontalalignment="right" if is_left else "left",
        fontsize=8.5,
        fontweight="bold",
        annotation_clip=False,
    )


def _axis(picture: Picture) -> str:
    better = f"{picture.points[0].better} is better"
    change = "change to dense, " if picture.is_relative else ""
    return f"{change}{name_of(picture.metric, 40)} ({better})"


def _legend(picture: Picture, styles: Mapping[Series, Style]) -> Iterator[Line2D]:
    """The curves, then what the filling of a marker says."""
    for series, style in styles.items():
        model, label = series
        name = f"{name_of(model, 16)}: {name_of(label)}" if picture.is_relative else name_of(label)
        is_line = series in picture.lines
        name, shape = (name, style) if is_line else (f"{name} (N:M)", {**style, **_PATTERN})
        handle = _marker(shape, "full")
        handle.set_label(name)
        handle.set_linestyle(shape["linestyle"])
        yield handle
    if picture.patterns.keys() & picture.lines.keys():
        handle = _marker({"color": colour("ink"), **_PATTERN}, "full")
        handle.set_label("N:M pattern")
        yield handle
    seen = {point.status for point in picture.points}
    for status, said in _STATUS.items():
        if status in seen:
            handle = _marker({"color": colour("ink"), "marker": "o"}, _FILLS[status])
            handle.set_label(said)
            yield handle
