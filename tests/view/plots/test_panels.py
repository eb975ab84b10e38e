"""Distances over sparsity: a panel for each, its lines at the numbers of the table."""

from __future__ import annotations

from sweepreports import sweep_report

from compressor.view.plots.curve import styles_of
from compressor.view.plots.drawing import Drawing
from compressor.view.plots.panels import DistanceRow, panels
from compressor.view.plots.points import pictures


def distances() -> tuple[list[DistanceRow], Drawing]:
    report = sweep_report()
    rows = [DistanceRow.model_validate(row) for row in report.tables["distances"]]
    return rows, panels(rows, styles_of(pictures(report.summary, report.tables)[0]))


def test_every_distance_of_every_state_stands_in_the_table() -> None:
    rows, drawing = distances()

    shown = {
        (row["curve"], row["sparsity"], name): row[name]
        for row in drawing.numbers.rows
        for name in ("sts/cosine", "sts/neighbour-overlap")
    }
    assert shown == {
        (row.curve, row.pattern, row.name): f"{row.value:.4g} ({row.low:.4g} to {row.high:.4g})"
        for row in rows
    }


def test_each_distance_has_a_panel_of_its_name() -> None:
    _, drawing = distances()

    for name in ("sts/cosine", "sts/neighbour-overlap", "random layer", "magnitude global"):
        assert drawing.svg.count(f">{name}<") == 1
    assert "sts/cosine, sts/neighbour-overlap" in drawing.says
