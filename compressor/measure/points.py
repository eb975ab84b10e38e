"""What one state of a model came to, as a file: a sweep that was interrupted goes on from these.

A point is always used as its file has it, so that a sweep that goes on finds what one that was
never interrupted does.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, final

from compressor.checkpoint.write.disk import write_whole, writing
from compressor.measure.accuracy import Asked
from compressor.measure.evidence import Metric
from compressor.measure.loaded import Preparation
from compressor.measure.statistics import Statistic, from_columns
from compressor.measure.tasks.plan import Planned
from compressor.sparsity import Sparsity, Unstructured

Kind: TypeAlias = Literal["dense", "grid", "bisection", "pattern"]

FOLDER = "points"


@final
@dataclass(frozen=True)
class Curve:
    """The states that one method makes of a model, by the weights that compete."""

    method: str
    scope: str

    def __str__(self) -> str:
        return f"{self.method} {self.scope}"


@final
@dataclass(frozen=True)
class Place:
    """Where on which curve a point lies; a curve begins at the dense model."""

    curve: Curve
    kind: Kind
    sparsity: Sparsity

    @property
    def pattern(self) -> str:
        """As a prune takes it: `0.5`, `2:4`."""
        return str(self.sparsity)

    @property
    def scope(self) -> str:
        """Which weights compete: of a pattern, those of one group."""
        return self.curve.scope if isinstance(self.sparsity, Unstructured) else "group"

    @property
    def file(self) -> str:
        """How its file is called: `magnitude-global-0.5`, `magnitude-group-2-4`."""
        if self.kind == "dense":
            return "dense"
        return f"{self.curve.method}-{self.scope}-{self.pattern.replace(':', '-')}"


@final
@dataclass(frozen=True)
class Point:
    """What was measured at a place; `zeros` are those of each tensor that was pruned."""

    place: Place
    zeros: Mapping[str, int]
    asked: Sequence[Asked]


def write_point(point: Point, file: Path, key: str) -> None:
    """The point as a file, in one piece; `key` says what it depends on."""
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, _text(point, key).encode())


def read_point(file: Path, key: str, place: Place, plan: Sequence[Planned]) -> Point | None:
    """The point in a file; None where there is none of that key."""
    try:
        return _point(file.read_text(), key, place, plan)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def as_kept(point: Point, plan: Sequence[Planned]) -> Point:
    """The point as its file would have it."""
    found = _point(_text(point, ""), "", point.place, plan)
    assert found is not None, "a point reads back from what it writes"
    return found


def _text(point: Point, key: str) -> str:
    data = {
        "key": key,
        "zeros": dict(point.zeros),
        "asked": [
            {
                "model": each.model,
                "items": each.items,
                "is_comparable": each.is_comparable,
                "collapse": each.collapse,
                "metrics": [_metric(metric) for metric in each.metrics],
                "distances": [_metric(metric) for metric in each.distances],
                "cka": {layer: _finite(value) for layer, value in each.cka.items()},
                "preparations": [asdict(how) for how in each.preparations],
            }
            for each in point.asked
        ],
    }
    return json.dumps(data, allow_nan=False) + "\n"


def _point(text: str, key: str, place: Place, plan: Sequence[Planned]) -> Point | None:
    data = json.loads(text)
    if data["key"] != key:
        return None
    asked = [
        Asked(
            planned=planned,
            model=each["model"],
            items=each["items"],
            is_comparable=each["is_comparable"],
            collapse=each["collapse"],
            metrics=[_as_metric(row) for row in each["metrics"]],
            distances=[_as_metric(row) for row in each["distances"]],
            cka={
                layer: math.nan if value is None else value for layer, value in each["cka"].items()
            },
            preparations=[Preparation(**how) for how in each["preparations"]],
        )
        for planned, each in zip(plan, data["asked"], strict=True)
    ]
    return Point(place, data["zeros"], asked)


def _metric(metric: Metric) -> dict[str, Any]:
    columns = {
        name: [_finite(value) for value in column]
        if isinstance(column, list)
        else _finite(column)
        if isinstance(column, float)
        else column
        for name, column in metric.statistic.as_columns().items()
        if column is not None
    }
    return {
        "name": metric.name,
        "statistic": columns,
        "unit": metric.unit,
        "definition": metric.definition,
        "better": metric.better,
        "is_headline": metric.is_headline,
    }


def _as_metric(row: Mapping[str, Any]) -> Metric:
    return Metric(**{**row, "statistic": _statistic(row["statistic"])})


def _statistic(columns: Mapping[str, Any]) -> Statistic:
    """The statistic that its columns describe, where an empty cell is NaN."""
    given = {name: math.nan if column is None else column for name, column in columns.items()}
    return from_columns(given)


def _finite(value: float) -> float | None:
    """JSON has no NaN: a value that is no number is empty, and reads back as NaN."""
    return value if math.isfinite(value) else None
