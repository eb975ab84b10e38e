"""A report of `sweep`, read back: its points, its curves, and where each of them gives way."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, final

from compressor.measure.judgement.readback import Number, Row
from compressor.tolerance import Drop, parse

Series: TypeAlias = tuple[str, str]
"""A model and the label of its curve."""


@final
class PointRow(Row):
    """One metric of one pruned state; `drop` is how much worse than dense it is."""

    model: str
    curve: str
    method: str = ""
    kind: Literal["dense", "grid", "bisection", "pattern"]
    pattern: str
    sparsity: float
    data: str
    metric: str
    better: Literal["higher", "lower"]
    point: float | None
    value: Number
    low: Number
    high: Number
    drop: Number
    drop_low: Number
    drop_high: Number
    status: str | None = None

    @property
    def name(self) -> str:
        """As gates name it: `sts/spearman`."""
        return f"{self.data}/{self.metric}"

    @property
    def worse(self) -> float:
        """The sign of a change for the worse on the scale of the metric."""
        return -1.0 if self.better == "higher" else 1.0


@final
class CurveRow(Row):
    """Where one curve leaves what is allowed, and where its fall accelerates; NaN: nowhere."""

    model: str
    curve: str
    data: str
    metric: str
    essential_sparsity: Number = math.nan
    upper: Number = math.nan
    largest_within: Number = math.nan
    knee: Number = math.nan
    knee_low: Number = math.nan
    knee_high: Number = math.nan

    @property
    def name(self) -> str:
        """As gates name it: `sts/spearman`."""
        return f"{self.data}/{self.metric}"


@final
@dataclass(frozen=True)
class Picture:
    """All that was measured of one metric: what one picture shows."""

    metric: str
    points: Sequence[PointRow]
    curves: Mapping[Series, CurveRow]
    drop: Drop

    @property
    def models(self) -> list[str]:
        """The models, in order."""
        return list(dict.fromkeys(point.model for point in self.points))

    @property
    def dense(self) -> Mapping[str, PointRow]:
        """What each dense model has."""
        return {point.model: point for point in self.points if point.kind == "dense"}

    @property
    def lines(self) -> dict[Series, list[PointRow]]:
        """The points of each curve by sparsity, from the dense model on; N:M is on no line."""
        found: dict[Series, list[PointRow]] = {}
        for point in self.points:
            if point.kind in ("grid", "bisection"):
                found.setdefault((point.model, point.curve), []).append(point)
        for (model, _), points in found.items():
            if model in self.dense and all(point.sparsity > 0 for point in points):
                points.append(self.dense[model])
            points.sort(key=lambda point: point.sparsity)
        return found

    @property
    def patterns(self) -> dict[Series, list[PointRow]]:
        """The N:M points of each curve."""
        found: dict[Series, list[PointRow]] = {}
        for point in self.points:
            if point.kind == "pattern":
                found.setdefault((point.model, point.curve), []).append(point)
        return found

    @property
    def controls(self) -> list[Series]:
        """The curves on which chance decides."""
        found = {**self.patterns, **self.lines}
        return [series for series, points in found.items() if points[-1].method == "random"]

    @property
    def main(self) -> Series | None:
        """The curve that the report speaks of: the first one that is not a control."""
        return next((series for series in self.lines if series not in self.controls), None)

    @property
    def is_relative(self) -> bool:
        """Whether changes are drawn and not values: dense models differ among themselves."""
        return len(self.models) > 1

    def margin(self, model: str) -> float:
        """How much worse than dense a value may be."""
        dense = self.dense[model]
        return self.drop.margin(dense.value, dense.point)

    def limit(self, model: str) -> float:
        """The worst value that is allowed."""
        dense = self.dense[model]
        return dense.value + dense.worse * self.margin(model)

    def place(self, model: str, worse: float) -> float:
        """Where `worse` than dense lies on the axis."""
        dense = self.dense[model]
        return (0.0 if self.is_relative else dense.value) + dense.worse * worse


def pictures(summary: Mapping[str, Any], tables: Mapping[str, Any]) -> list[Picture]:
    """One for each metric that has curves, the one that decides first."""
    points = [PointRow.model_validate(row) for row in tables["points"]]
    curves = [CurveRow.model_validate(row) for row in tables["curves"]]
    decides = str(summary["metric"])
    names = dict.fromkeys([decides, *(row.name for row in curves)])
    return [
        Picture(
            name,
            [point for point in points if point.name == name],
            {(row.model, row.curve): row for row in curves if row.name == name},
            parse(str(summary["drop"])),
        )
        for name in names
        if any(point.name == name and point.kind == "dense" for point in points)
    ]
