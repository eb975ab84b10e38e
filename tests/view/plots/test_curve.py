"""The picture of a sweep holds the numbers of its report: coordinates, bands, limits, names."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from sweepreports import PATTERNS, sweep_report

from compressor.view.plots.curve import curve, fill
from compressor.view.plots.drawing import canvas
from compressor.view.plots.points import Picture, pictures

PERPLEXITY: dict[str, Any] = {
    "models": {"llama": 31.0},
    "metric": "perplexity",
    "better": "lower",
    "slope": 3000,
}


def picture(**fields: Any) -> Picture:
    report = sweep_report(**fields)
    return pictures(report.summary, report.tables)[0]


def drawn_axes(shown: Picture) -> tuple[Axes, Axes]:
    with canvas(6) as figure:
        fill(figure, shown)
        figure.draw_without_rendering()
        whole, near = figure.axes
        return whole, near


def coordinates(axes: Axes) -> set[tuple[float, float]]:
    return {
        (round(float(x), 9), round(float(y), 9))
        for line in axes.get_lines()
        if line.get_marker() not in ("None", "", None)
        for x, y in zip(*line.get_data(), strict=True)
    }


def rules(axes: Axes) -> set[float]:
    """The heights of lines that cross the whole picture."""
    heights = (line.get_ydata() for line in axes.get_lines() if list(line.get_xdata()) == [0, 1])
    return {float(np.asarray(height)[0]) for height in heights}


@pytest.mark.parametrize("fields", [{}, PERPLEXITY], ids=["higher", "lower"])
def test_every_point_of_the_table_is_where_its_value_says(fields: dict[str, Any]) -> None:
    report = sweep_report(**fields)

    whole, near = drawn_axes(picture(**fields))

    wanted = {
        (round(row["sparsity"], 9), round(row["value"], 9)) for row in report.tables["points"]
    }
    assert coordinates(whole) == coordinates(near) == wanted


@pytest.mark.parametrize(
    ("fields", "limit"), [({}, 0.8572), ({"drop": "2%"}, 0.8672 * 0.98), (PERPLEXITY, 32.0)]
)
def test_the_limit_lies_as_far_from_dense_as_the_drop_says(
    fields: dict[str, Any], limit: float
) -> None:
    shown = picture(**fields)

    (dense,) = shown.dense.values()
    for axes in drawn_axes(shown):
        assert sorted(rules(axes)) == pytest.approx(sorted({dense.value, limit}))


def test_several_models_are_drawn_as_changes_from_zero() -> None:
    report = sweep_report(models={"a": 0.8, "b": 0.6})

    whole, _ = drawn_axes(picture(models={"a": 0.8, "b": 0.6}))

    wanted = {
        (round(row["sparsity"], 9), round(-row["drop"], 9)) for row in report.tables["points"]
    }
    assert coordinates(whole) == wanted
    assert sorted(rules(whole)) == pytest.approx([-0.01, 0.0])


def test_each_curve_has_a_band_of_its_paired_interval() -> None:
    shown = picture(curves={"magnitude global": 0.4})

    whole, _ = drawn_axes(shown)

    (band,) = [each for each in whole.collections if isinstance(each, PolyCollection)]
    corners = {tuple(np.round(corner, 9)) for corner in band.get_paths()[0].vertices}
    (dense,) = shown.dense.values()
    for point in shown.points:
        if point.kind in ("grid", "bisection"):
            for drop in (point.drop_low, point.drop_high):
                assert (round(point.sparsity, 9), round(dense.value - drop, 9)) in corners


def test_the_essential_sparsity_the_knee_and_the_patterns_are_named() -> None:
    whole, near = drawn_axes(picture())

    said = {text.get_text() for axes in (whole, near) for text in axes.texts}
    assert {"essential sparsity 42 %", "knee 52 % (49 % to 56 %)", *PATTERNS} <= said
    assert {"dense 0.8672", "limit 0.8572"} <= said


def test_lines_differ_in_marker_and_dash_and_not_in_colour_alone() -> None:
    curves = {f"magnitude {number}": 0.4 for number in range(4)} | {"random layer": 0.1}
    with canvas(6) as figure:
        fill(figure, picture(curves=curves))
        handles = figure.legends[0].legend_handles[: len(curves)]

    looks = {(line.get_marker(), str(line.get_linestyle())) for line in handles}  # type: ignore[union-attr]

    assert len(looks) == len(curves)


def test_names_above_the_picture_do_not_overlap() -> None:
    for knee in (0.02, 0.2, 0.42, 0.6, 0.78):
        with canvas(6) as figure:
            fill(figure, picture(curves={"magnitude global": knee}))
            figure.draw_without_rendering()
            whole = figure.axes[0]
            boxes = [
                text.get_window_extent()
                for text in whole.texts
                if text.get_text().startswith(("essential", "knee"))
            ]

        assert len(boxes) == 2
        assert not boxes[0].overlaps(boxes[1])
        assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 for box in boxes)


def test_a_number_that_is_none_leaves_a_gap() -> None:
    report = sweep_report()
    rows = [
        {**row, "value": None, "drop": None, "drop_low": None, "drop_high": None}
        if row["sparsity"] == 0.9
        else row
        for row in report.tables["points"]
    ]
    shown = pictures(report.summary, {**report.tables, "points": rows})[0]

    drawing = curve(shown)

    assert "nan" not in drawing.says.lower()
    values = {row["value"] for row in drawing.numbers.rows if row["sparsity"] == "90 %"}
    assert values == {"–"}


def test_the_words_hold_the_numbers_of_the_report() -> None:
    drawing = curve(picture())

    assert "0.8672 dense; the limit is 0.8572, 1pt worse" in drawing.says
    assert "magnitude global: essential sparsity 42 %; knee 52 % (49 % to 56 %)" in drawing.says
    assert "random layer: essential sparsity none" in drawing.says


def test_the_table_has_every_point_to_the_printed_digits() -> None:
    report = sweep_report()

    rows = curve(picture()).numbers.rows

    assert len(rows) == len(report.tables["points"])
    for shown, row in zip(rows, report.tables["points"], strict=True):
        assert shown["value"] == f"{row['value']:.4g}"
        assert shown["sparsity"] == f"{100 * row['sparsity']:g} %"
        if row["kind"] != "dense":
            assert shown["change"] == f"{-row['drop']:+.4g}"


def test_a_sweep_has_a_picture_for_each_metric_and_the_one_that_decides_is_first() -> None:
    report = sweep_report(data=("sts", "banking"))
    summary = {**report.summary, "metric": "banking/spearman"}

    names = [each.metric for each in pictures(summary, report.tables)]

    assert names == ["banking/spearman", "sts/spearman"]


def test_the_dense_model_begins_every_line() -> None:
    for points in picture().lines.values():
        assert points[0].kind == "dense"
        assert [point.sparsity for point in points] == sorted(point.sparsity for point in points)
        assert not math.isnan(points[0].value)
