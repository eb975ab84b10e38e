"""A report of `bench`, read back: its models, its numbers, and the items that carry them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, InstanceOf

from compressor.measure.evidence import Unit
from compressor.measure.statistics import Statistic, from_columns


def _number(value: object) -> object:
    return math.nan if value is None else value


def _statistic(value: object) -> object:
    if not isinstance(value, Mapping):
        return value
    try:
        statistic = from_columns(value)
        _ = statistic.value
    except (KeyError, TypeError, IndexError, OverflowError) as error:
        raise ValueError(f"expected a statistic with its columns, found {error}") from None
    return statistic


Number = Annotated[float, BeforeValidator(_number)]
"""NaN where the report has none: JSON holds no NaN, so that it is written as null."""


class Row(BaseModel):
    """A row of a table; cells that are only shown are left alone."""

    model_config = ConfigDict(frozen=True, extra="ignore")


@final
class ModelRow(Row):
    """One of the models that were measured."""

    model: str
    role: Literal["dense", "candidate", "alone"]


@final
class MetricRow(Row):
    """One number about one model; `dense` names the model that it is compared with."""

    data: str
    metric: str
    model: str
    value: Number
    low: Number
    high: Number
    items: int
    better: Literal["higher", "lower"] | None
    unit: Unit
    point: Annotated[float, Field(gt=0, le=1)] | None
    headline: bool
    dense: str | None = None
    dense_value: Number = math.nan
    difference_low: Number = math.nan
    difference_high: Number = math.nan

    @property
    def name(self) -> str:
        """As gates name it: `sts/spearman`."""
        return f"{self.data}/{self.metric}"


@final
class ItemRow(Row):
    """The per-item values behind one number, and what has to be equal for pairs of them."""

    data: str
    metric: str
    model: str
    digest: str
    data_digest: str
    dtype: str
    device: str
    statistic: Annotated[InstanceOf[Statistic], BeforeValidator(_statistic)]

    def unlike(self, other: ItemRow) -> list[str]:
        """What keeps two numbers from being compared, in words."""
        pairs = {
            "data": (self.data_digest, other.data_digest),
            "items as the model saw them": (self.digest, other.digest),
            "number of items": (self.statistic.size, other.statistic.size),
            "statistic": (self.statistic.name, other.statistic.name),
            "dtype": (self.dtype, other.dtype),
            "device": (self.device, other.device),
        }
        return [f"{what} {one} and {two}" for what, (one, two) in pairs.items() if one != two]


@final
@dataclass(frozen=True)
class BenchTables:
    """The tables of a report that a verdict rests on."""

    models: Sequence[ModelRow]
    metrics: Sequence[MetricRow]
    """What was scored, then the distances to dense."""
    items: Mapping[tuple[str, str], ItemRow]
    """By metric and model: `("sts/spearman", "pruned")`."""

    @property
    def subjects(self) -> list[str]:
        """The models that are judged: all but the dense one, unless there is no other."""
        others = [row.model for row in self.models if row.role != "dense"]
        return others or [row.model for row in self.models]

    @property
    def dense(self) -> str | None:
        """The dense model of this comparison, if it has one."""
        return next((row.model for row in self.models if row.role == "dense"), None)

    @property
    def compared(self) -> list[str]:
        """The models that are compared with the dense one: none where there is none."""
        return [row.model for row in self.models if row.role == "candidate"]

    def rows(self, name: str) -> dict[str, MetricRow]:
        """The rows of one metric, by model; of two that are called the same, the score."""
        return {row.model: row for row in reversed(self.metrics) if row.name == name}

    def names(self) -> list[str]:
        """Every metric that was measured, in order."""
        return list(dict.fromkeys(row.name for row in self.metrics))


def contradiction(bench: BenchTables) -> str:
    """What a report says against its own items, or nothing: the items are what was measured."""
    for row in bench.metrics:
        items = bench.items.get((row.name, row.model))
        if items is not None and not _is_same(row.value, items.statistic.value):
            return f"{row.name} of {row.model}: {row.value}, and {items.statistic.value} by items"
        kept = bench.items.get((row.name, row.dense)) if row.dense is not None else None
        if kept is not None and not _is_same(row.dense_value, kept.statistic.value):
            return f"{row.name} of {row.dense}: {row.dense_value}, and other values by items"
    return ""


def by_items(bench: BenchTables) -> BenchTables:
    """The same numbers without their intervals, which are then found again from the items."""
    unknown = dict.fromkeys(("difference_low", "difference_high"), math.nan)
    rows = [
        row.model_copy(update=unknown) if (row.name, row.model) in bench.items else row
        for row in bench.metrics
    ]
    return replace(bench, metrics=rows)


def _is_same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12) or (
        math.isnan(one) and math.isnan(other)
    )


def read_back(tables: Mapping[str, Any]) -> BenchTables:
    """The tables of a report of `bench`; pydantic's `ValidationError` where they are none."""
    items = [ItemRow.model_validate(row) for row in tables.get("items", ())]
    return BenchTables(
        models=[ModelRow.model_validate(row) for row in tables["models"]],
        metrics=[
            MetricRow.model_validate(row)
            for table in ("metrics", "distances")
            for row in tables.get(table, ())
        ],
        # Of two that are called the same, the score: it goes first.
        items={(f"{row.data}/{row.metric}", row.model): row for row in reversed(items)},
    )
