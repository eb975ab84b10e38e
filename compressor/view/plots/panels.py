"""Small pictures side by side: each distance to the dense model over sparsity."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from compressor.measure.judgement.readback import Number, Row
from compressor.view.parts import Part
from compressor.view.plots.curve import Style
from compressor.view.plots.drawing import Drawing, canvas, colour, drawn, name_of, plain
from compressor.view.plots.points import Series


class DistanceRow(Row):
    """How far the answers of one pruned state are from those of the dense model."""

    model: str
    curve: str
    pattern: str
    sparsity: float
    data: str
    metric: str
    value: Number
    low: Number
    high: Number

    @property
    def name(self) -> str:
        """As gates name it: `sts/cosine`."""
        return f"{self.data}/{self.metric}"


def panels(rows: Sequence[DistanceRow], styles: Mapping[Series, Style]) -> Drawing:
    """A panel for each distance, with the lines of all curves in it; patterns are single points."""
    names = list(dict.fromkeys(row.name for row in rows))
    lines = math.ceil(len(names) / 2)
    known = {(row.model, row.curve) for row in rows}
    shown = {series: style for series, style in styles.items() if series in known}
    is_several = len({model for model, _ in shown}) > 1
    with canvas(0.6 + 1.9 * lines + 0.1 * len(shown)) as figure:
        grid = figure.subplots(lines, 2, squeeze=False, sharex=True)
        for name, axes in zip(names, grid.flat, strict=False):
            own = [row for row in rows if row.name == name]
            for series, style in shown.items():
                _line(axes, [row for row in own if (row.model, row.curve) == series], style)
            plain(axes)
            axes.set_title(name_of(name), fontsize=9)
            axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
        for axes in list(grid.flat)[len(names) :]:
            axes.set_visible(False)
        for axes in list(grid.flat)[max(0, len(names) - 2) : len(names)]:
            axes.set_xlabel("sparsity", fontsize=9)
            axes.tick_params(labelbottom=True)
        handles = [
            Line2D(
                [],
                [],
                **style,
                label=f"{name_of(model, 16)}: {name_of(label)}" if is_several else name_of(label),
            )
            for (model, label), style in shown.items()
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=2)
        listed = ", ".join(name_of(name, 60) for name in names)
        says = f"Distances to the dense model over sparsity: {listed}. Bands are 95 % intervals."
        return drawn(figure, "distances", "Distance to dense over sparsity", says, _numbers(rows))


def _line(axes: Axes, rows: Sequence[DistanceRow], style: Style) -> None:
    plain_rows = sorted(
        (row for row in rows if ":" not in row.pattern), key=lambda row: row.sparsity
    )
    across = [row.sparsity for row in plain_rows]
    lows, highs = [row.low for row in plain_rows], [row.high for row in plain_rows]
    axes.fill_between(across, lows, highs, color=style["color"], alpha=0.18, linewidth=0)
    axes.plot(across, [row.value for row in plain_rows], markersize=4, linewidth=1.3, **style)
    apart = [row for row in rows if ":" in row.pattern]
    axes.plot(
        [row.sparsity for row in apart],
        [row.value for row in apart],
        color=style["color"],
        marker="D",
        markersize=4.5,
        markerfacecolor=colour("paper"),
        linestyle="none",
    )


def _numbers(rows: Sequence[DistanceRow]) -> Part:
    """A line for each state, a column for each distance."""
    names = list(dict.fromkeys(row.name for row in rows))
    whose = ("model",) if len({row.model for row in rows}) > 1 else ()
    states: dict[tuple[str, str, str], dict[str, str]] = {}
    for row in rows:
        state = states.setdefault(
            (row.model, row.curve, row.pattern),
            {"model": row.model, "curve": row.curve, "sparsity": row.pattern}
            | dict.fromkeys(names, "–"),
        )
        if math.isfinite(row.value):
            state[row.name] = f"{row.value:.4g} ({row.low:.4g} to {row.high:.4g})"
    return Part("", (*whose, "curve", "sparsity", *names), list(states.values()))
