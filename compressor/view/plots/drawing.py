"""From a figure to what a page and a folder hold: themed SVG, PNG, words, and its numbers.

The same report gives the same bytes: no dates, no random ids, no settings of this machine.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from compressor.errors import printable
from compressor.view.parts import Part
from compressor.view.plots.palette import LIGHT

WIDTH: Final = 4.9
"""Inches. Narrow, so that the letters of a picture are still read at the width of a phone."""

_DPI: Final = 160
_SETTINGS: Final[Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.5,
    "axes.labelsize": 9.5,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "text.color": LIGHT["ink"],
    "text.parse_math": False,
    "axes.edgecolor": LIGHT["soft"],
    "axes.labelcolor": LIGHT["ink"],
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.use_mathtext": False,
    "figure.facecolor": "none",
    "figure.constrained_layout.use": True,
    "grid.color": LIGHT["grid"],
    "grid.linewidth": 0.7,
    "xtick.color": LIGHT["soft"],
    "xtick.labelcolor": LIGHT["ink"],
    "ytick.color": LIGHT["soft"],
    "ytick.labelcolor": LIGHT["ink"],
    "svg.fonttype": "none",
    "svg.hashsalt": "compressor",
}
_NAME_OF: Final = {colour: name for name, colour in LIGHT.items()}
_COLOURED: Final = re.compile("|".join(LIGHT.values()))
_GROUP_ID: Final = re.compile(r'(<g) id="[^"]*"')
_VIEW_BOX: Final = re.compile(r'viewBox="0 0 ([0-9.]+) ([0-9.]+)"')


@final
@dataclass(frozen=True)
class Drawing:
    """A picture: what it is called, what it says to those who cannot see it, and its numbers."""

    name: str
    """Of its file, behind that of the page: `curve`."""
    title: str
    says: str
    numbers: Part
    size: tuple[float, float]
    svg: str
    """What stands inside the `svg` element; its colours are those of the page's theme."""
    png: bytes


@contextmanager
def canvas(height: float, width: float = WIDTH) -> Iterator[Figure]:
    """An empty figure of this size in inches, under our settings and no others."""
    with mpl.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing from font")
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        figure = Figure(figsize=(width, height))
        FigureCanvasAgg(figure)
        yield figure


def drawn(figure: Figure, name: str, title: str, says: str, numbers: Part) -> Drawing:
    """The figure in both formats; to be called inside `canvas`."""
    # Laid out once: `savefig` would do it twice more for each format, which is most of its time.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    text, png = io.StringIO(), io.BytesIO()
    svg_canvas: Any = FigureCanvasSVG(figure)
    svg_canvas.print_svg(text, metadata={"Date": None})
    figure.set_dpi(_DPI)
    figure.set_facecolor(LIGHT["paper"])
    png_canvas: Any = FigureCanvasAgg(figure)
    png_canvas.print_png(png, metadata={"Software": None})
    size, body = _inside(text.getvalue())
    return Drawing(name, title, says, numbers, size, body, png.getvalue())


def colour(name: str) -> str:
    """A colour of the palette, which the page replaces by that of its theme."""
    return LIGHT[name]


def name_of(text: object, limit: int = 28) -> str:
    """An untrusted name as a picture can show it."""
    return printable(text, limit)


def share(value: float) -> str:
    """`35 %`, as short as it can be said."""
    return f"{round(100 * value, 2):g} %"


def plain(axes: Axes) -> None:
    """A faint grid behind everything."""
    axes.grid(visible=True)
    axes.set_axisbelow(True)


def _inside(svg: str) -> tuple[tuple[float, float], str]:
    """The size of a picture, and its body: no ids that repeat, colours by their name."""
    found = _VIEW_BOX.search(svg)
    assert found is not None, "matplotlib writes the size of a picture"
    start = svg.index(">", svg.index("<svg")) + 1
    body = svg[start : svg.rindex("</svg>")]
    body = re.sub(r"\s*<metadata>.*?</metadata>", "", body, count=1, flags=re.S)
    body = _GROUP_ID.sub(r"\1", body).replace("xlink:href", "href")
    body = _COLOURED.sub(lambda match: f"var(--{_NAME_OF[match[0]]})", body)
    return (float(found[1]), float(found[2])), body.strip()
