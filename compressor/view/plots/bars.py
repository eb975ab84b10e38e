"""Bars of size and speed, a panel for each quantity, the range over rounds on each bar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

from matplotlib.axes import Axes

from compressor.view.parts import Part, amount
from compressor.view.plots.drawing import Drawing, canvas, colour, drawn, name_of

_MOST: Final = 40
"""Bars in one picture; beyond them the table has the rest."""


@final
@dataclass(frozen=True)
class Bar:
    """One number of one model: its range over rounds, and how it is said."""

    model: str
    value: float
    low: float
    high: float
    said: str


def bars(models: Sequence[Mapping[str, Any]], speed: Sequence[Mapping[str, Any]]) -> Drawing:
    """Size, memory and latencies of each model; shorter is better in every panel."""
    found = _groups(models, speed)
    count = 0
    shown: dict[str, list[Bar]] = {}
    for title, group in found.items():
        count += len(group)
        if count <= _MOST or not shown:
            shown[title] = group
    heights = [len(group) + 1.1 for group in shown.values()]
    dense = next((row["model"] for row in models if row.get("role") == "dense"), None)
    with canvas(0.35 + 0.25 * sum(heights)) as figure:
        grid = figure.subplots(len(shown), 1, squeeze=False, height_ratios=heights)
        for axes, (title, group) in zip(grid.flat, shown.items(), strict=True):
            _panel(axes, title, group, dense)
        listed = "; ".join(
            f"{title}: " + ", ".join(f"{name_of(bar.model, 60)} {bar.said}" for bar in group)
            for title, group in shown.items()
        )
        says = f"Shorter is better. {listed}."
        if speed:
            says += " The line on a bar reaches from the fastest to the slowest round."
        return drawn(figure, "speed", "Size and speed", says, _numbers(found))


def _groups(
    models: Sequence[Mapping[str, Any]], speed: Sequence[Mapping[str, Any]]
) -> dict[str, list[Bar]]:
    groups: dict[str, list[Bar]] = {}
    for title, key in (("size on disk", "bytes"), ("peak memory", "peak_memory")):
        for row in models:
            if (size := row.get(key)) is not None:
                groups.setdefault(title, []).append(
                    Bar(str(row["model"]), size, size, size, amount(size))
                )
    for row in speed:
        if not row["unit"].endswith("/s"):
            batch = "" if row["batch"] is None else f", batch {row['batch']}"
            said = f"{row['median']:.4g} {row['unit']}"
            if row["ratio"] is not None:
                said += f" ({row['ratio']:.2f}× dense)"
            groups.setdefault(f"{name_of(row['what'])}{batch}", []).append(
                Bar(str(row["model"]), row["median"], row["low"], row["high"], said)
            )
    return groups


def _panel(axes: Axes, title: str, group: Sequence[Bar], dense: object) -> None:
    places = range(len(group))
    longest = max(bar.high for bar in group)
    for place, bar in zip(places, group, strict=True):
        is_dense = bar.model == dense
        axes.barh(
            place,
            bar.value,
            height=0.62,
            facecolor=colour("grid" if is_dense else "series-1"),
            edgecolor=colour("soft" if is_dense else "series-1"),
            hatch="///" if is_dense else None,
            linewidth=0.8,
        )
        if bar.high > bar.low:
            axes.plot([bar.low, bar.high], [place, place], color=colour("ink"), linewidth=1.6)
        axes.annotate(
            bar.said,
            (max(bar.value, bar.high), place),
            (4, 0),
            textcoords="offset points",
            verticalalignment="center",
            fontsize=8.5,
        )
    axes.set_yticks(list(places), [name_of(bar.model, 22) for bar in group])
    axes.invert_yaxis()
    # The numbers stand behind the bars, so that no axis is needed to read them.
    axes.set_xlim(0, longest * 1.75 or 1)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_title(title, loc="left", fontsize=9, fontweight="bold")


def _numbers(groups: Mapping[str, Sequence[Bar]]) -> Part:
    rows = [
        {
            "what": title,
            "model": bar.model,
            "median": bar.said,
            "range": f"{bar.low:.4g} to {bar.high:.4g}" if bar.high > bar.low else "–",
        }
        for title, group in groups.items()
        for bar in group
    ]
    return Part("", ("what", "model", "median", "range"), rows)
