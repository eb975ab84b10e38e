"""What a sweep found, made readable: how much can go, then each point of each curve."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.markup import escape

from compressor.errors import printable
from compressor.report import Report
from compressor.view.parts import Described, Part, named, percent

_POINTS = 0.01
"""A metric whose point is this is a share: its changes are said in points."""


def headline(report: Report) -> str:
    """What can go, as plain text."""
    return printable(report.summary["sentence"], 600)


def sweep(report: Report) -> Described:
    """The sentence, the points by the metric that decides, and what each curve says by each."""
    facts, tables = report.summary, report.tables
    yield f"{named(report)}: {escape(headline(report))}"
    rows = [row for row in tables["points"] if _name(row) == facts["metric"]]
    columns = ("curve", "sparsity", "value", "interval", "worse by", "of that", "status")
    several = len({row["model"] for row in rows}) > 1
    yield Part(
        f"{facts['metric']}, allowed to get worse by {facts['drop']}",
        ("model", *columns) if several else columns,
        [_point(row) for row in rows],
    )
    yield Part(
        "what each curve says",
        ("model", "curve", "metric", "essential", "first beyond", "knee"),
        [_curve(row) for row in tables["curves"]],
    )
    yield "\n".join(
        [
            "intervals: 95 %, over items, paired with the dense model; the point estimate decides, "
            "and is uncertain where its interval holds the limit",
            "essential: all that was tried up to there is within; knee: where the curve bends",
        ]
    )
    if facts["recommended"] is not None:
        yield "recommended.yaml beside the report prunes by it: compressor run recommended.yaml"


def _point(row: Mapping[str, Any]) -> dict[str, Any]:
    scale, unit = (100, " points") if row["point"] == _POINTS else (1, "")
    return {
        "model": row["model"],
        "curve": "dense" if row["kind"] == "dense" else row["curve"],
        "sparsity": row["pattern"] if ":" in row["pattern"] else percent(row["sparsity"]),
        "value": _number(row["value"]),
        "interval": _range(row["low"], row["high"]),
        "worse by": "–" if row["drop"] is None else f"{row['drop'] * scale:.3g}{unit}",
        "of that": _range(row["drop_low"], row["drop_high"], scale),
        "status": "–" if row["kind"] == "dense" else row["status"],
    }


def _curve(row: Mapping[str, Any]) -> dict[str, Any]:
    knee = "–" if row["knee"] is None else percent(row["knee"])
    interval = _range(row["knee_low"], row["knee_high"], 100)
    return {
        "model": row["model"],
        "curve": row["curve"],
        "metric": _name(row),
        "essential": percent(row["essential_sparsity"]),
        "first beyond": "–" if row["upper"] is None else percent(row["upper"]),
        "knee": knee if row["knee_low"] is None else f"{knee} ({interval})",
    }


def _name(row: Mapping[str, Any]) -> str:
    return f"{row['data']}/{row['metric']}"


def _number(value: float | None) -> str:
    return "no number" if value is None else f"{value:.4g}"


def _range(low: float | None, high: float | None, scale: float = 1) -> str:
    if low is None or high is None:
        return "–"
    return f"{low * scale:.3g} to {high * scale:.3g}"
