"""A heat map over the layers of a model: where the zeros are, and where the damage begins."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from compressor.view.parts import Part
from compressor.view.plots.drawing import Drawing, canvas, drawn, name_of

Cells = Mapping[tuple[str, str], float]
"""A value for each (row, column); what is missing is left empty."""

_NAMED_ROWS: Final = 26
"""Up to so many rows each has its name, and each cell its number."""

_NAMED_COLUMNS: Final = 11
_TALLEST: Final = 9.0


def heat(
    name: str,
    title: str,
    says: str,
    cells: Cells,
    *,
    rows: str,
    columns: str,
    scale: str,
    is_percent: bool,
) -> Drawing:
    """Rows downwards, columns to the right, lighter is more; `scale` says of what.

    The colours differ in lightness, so that they are read without seeing hues; where there is
    room, the numbers stand in the cells.
    """
    down = list(dict.fromkeys(row for row, _ in cells))
    across = list(dict.fromkeys(column for _, column in cells))
    values = np.full((len(down), len(across)), np.nan)
    for (row, column), value in cells.items():
        values[down.index(row), across.index(column)] = value
    is_named = len(down) <= _NAMED_ROWS and len(across) <= _NAMED_COLUMNS
    height = min(_TALLEST, 1.6 + 0.24 * len(down))
    with canvas(height) as figure:
        axes = figure.add_subplot()
        unit = 100 if is_percent else 1
        low, high = _ends(values) if is_percent else (0.0, 1.0)
        image = axes.imshow(
            np.ma.masked_invalid(values * unit),
            cmap="cividis",
            vmin=low * unit,
            vmax=high * unit,
            aspect="auto",
            interpolation="none",
            extent=(0, len(across), len(down), 0),
        )
        _ticks(axes, down, across)
        axes.set_xlabel(columns)
        axes.set_ylabel(rows)
        bar = figure.colorbar(image, ax=axes, pad=0.02, aspect=30)
        bar.set_label(scale)
        if is_named:
            _write(axes, values, (values - low) / (high - low), is_percent=is_percent)
        return drawn(figure, name, title, says, _numbers(cells, down, across, rows, is_percent))


def _ticks(axes: Axes, down: Sequence[str], across: Sequence[str]) -> None:
    if len(down) <= _NAMED_ROWS:
        axes.set_yticks(np.arange(len(down)) + 0.5, [name_of(row, 22) for row in down])
    else:
        places = [int(at) for at in MaxNLocator(12, integer=True).tick_values(0, len(down) - 1)]
        places = [at for at in places if 0 <= at < len(down)]
        axes.set_yticks([at + 0.5 for at in places], [name_of(down[at], 22) for at in places])
    step = max(1, math.ceil(len(across) / 16))
    shown = range(0, len(across), step)
    longest = max(len(column) for column in across)
    axes.set_xticks(
        [at + 0.5 for at in shown],
        [name_of(across[at], 22) for at in shown],
        rotation=35 if longest > 5 else 0,
        ha="right" if longest > 5 else "center",
        rotation_mode="anchor",
    )


def _ends(values: Any) -> tuple[float, float]:
    """The whole tenths that hold all values, at least three of them: colours tell them apart."""
    low, high = math.floor(10 * np.nanmin(values)), math.ceil(10 * np.nanmax(values))
    low = max(0, min(low, high - 3))
    return low / 10, max(high, low + 3) / 10


def _write(axes: Axes, values: Any, shades: Any, *, is_percent: bool) -> None:
    """The numbers, dark on light cells and light on dark ones."""
    colours = mpl.colormaps["cividis"](shades)
    for (row, column), value in np.ndenumerate(values):
        if math.isfinite(value):
            lightness = float(colours[row, column, :3] @ (0.2126, 0.7152, 0.0722))
            axes.text(
                column + 0.5,
                row + 0.5,
                f"{100 * value:.0f}" if is_percent else f"{value:.2f}",
                horizontalalignment="center",
                verticalalignment="center",
                fontsize=7.5,
                color="#010101" if lightness > 0.42 else "#fefefe",
            )


def _numbers(
    cells: Cells, down: Sequence[str], across: Sequence[str], rows: str, is_percent: bool
) -> Part:
    def said(row: str, column: str) -> str:
        value = cells.get((row, column), math.nan)
        if not math.isfinite(value):
            return "–"
        return f"{100 * value:.2f} %" if is_percent else f"{value:.4g}"

    listed = [{rows: row, **{column: said(row, column) for column in across}} for row in down]
    return Part("", (rows, *across), listed)
