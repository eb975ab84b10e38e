"""The sections of all other steps: their pictures, then what the terminal shows of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from compressor.report import Report
from compressor.view import evidence
from compressor.view.html.layers import damage, sparsity
from compressor.view.html.section import Chapter, environment, told, unmarked
from compressor.view.parts import Part
from compressor.view.plots.bars import bars


def bench(report: Report) -> Iterator[Chapter]:
    """Numbers, size and speed, damage by layer."""
    tables: dict[str, Any] = dict(report.tables)
    yield Chapter("What was measured", list(told(report)))
    if any("bytes" in row for row in tables["models"]):
        yield Chapter("Size and speed", [bars(tables["models"], tables.get("speed", ()))])
    is_several = len({row["data"] for row in tables.get("layers", ())}) > 1
    rows = [
        {**row, "column": f"{row['data']}: {row['model']}" if is_several else row["model"]}
        for row in tables.get("layers", ())
    ]
    if report.summary["dense"] and (drawings := list(damage(rows, "model", "against dense"))):
        yield Chapter("Layer by layer", drawings)
    yield from environment(report)


def prune(report: Report) -> Iterator[Chapter]:
    """What was zeroed, layer by layer, and every tensor."""
    tensors: list[Any] = list(report.tables["tensors"])
    yield Chapter("What was done", list(told(report)))
    counted = [
        (row["name"], row["role"], row["zeros"], row["weights"])
        for row in tensors
        if "zeros" in row and not row["reason"]
    ]
    if drawings := list(sparsity(counted, "where it was pruned")):
        yield Chapter("Layer by layer", drawings)
    columns = ("name", "role", "dtype", "shape", "weights", "zeros", "sparsity", "kept dense")
    rows = [
        {
            **row,
            "sparsity": row["zeros"] / row["weights"] if row.get("zeros") is not None else None,
            "kept dense": row["reason"] or "–",
        }
        for row in tensors
        if row["weights"]
    ]
    if rows:
        yield Chapter("Every tensor", [Part("", columns, rows)], is_folded=True)


def run(report: Report) -> Iterator[Chapter]:
    """The gates, the steps and the numbers of a recipe's run."""
    tables: dict[str, Any] = dict(report.tables)
    gates = list(unmarked(evidence.judged(tables["gates"], None)))
    yield Chapter("Gates", gates or ["The recipe has no gates: numbers are shown, not judged."])
    yield Chapter("Steps", [Part("", ("step", "status", "seconds", "result"), tables["steps"])])
    if tables["metrics"]:
        columns = ("metric", "model", "value", "95 %", "dense", "items")
        yield Chapter("What was measured", [Part("", columns, tables["metrics"])])


def other(report: Report) -> Iterator[Chapter]:
    """Whatever the terminal shows of it."""
    yield Chapter("What was found", list(told(report)))
    yield from environment(report)
