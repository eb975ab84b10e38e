"""`compressor diff`: which tensors of two checkpoints differ, by how much, which are byte-equal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, final

import numpy as np
import numpy.typing as npt
from pydantic import Field

from compressor.checkpoint.blocks import Bits, Extent, Reader, extents
from compressor.checkpoint.read.header import TensorInfo
from compressor.checkpoint.read.reader import Checkpoint, Shard
from compressor.checkpoint.source import Source
from compressor.model.targets import FLOATS
from compressor.report import Report, Row
from compressor.step import Check, RunOptions, Step, opened
from compressor_kernels.floats import to_float

Stored: TypeAlias = tuple[Shard, TensorInfo]


@final
class Diff(Step):
    """Show which tensors of two checkpoints differ and by how much."""

    step: Literal["diff"] = "diff"
    against: str = Field(
        description="The checkpoint to compare with, such as the dense original.",
        json_schema_extra={"model": True, "argument": "AGAINST"},
    )
    all: bool = Field(False, description="List byte-equal tensors too.")

    def job(self, model: str, options: RunOptions) -> Check:
        """Both are read once, block by block, side by side."""
        new_source, new = opened(model, options)
        old_source, old = opened(self.against, options)
        return Check(lambda observe: self._look(new_source, new, old_source, old, options.workers))

    def _look(
        self, source: Source, new: Checkpoint, old_source: Source, old: Checkpoint, workers: int
    ) -> Report:
        before, after = _by_name(old), _by_name(new)
        names = sorted(before.keys() | after.keys())
        rows: list[Row] = []
        equal = 0
        with (
            Reader(new.folder, new.shards(), workers) as new_reader,
            Reader(old.folder, old.shards(), workers) as old_reader,
        ):
            for name in names:
                row = _compare(name, before.get(name), after.get(name), old_reader, new_reader)
                equal += row["change"] == "equal"
                if self.all or row["change"] != "equal":
                    rows.append(row)
        compared = [row for row in rows if row["change"] == "values"]
        return Report(
            step=self.as_dict(),
            source={"name": source.name, "id": source.id, "revision": source.revision},
            summary={
                "against": old_source.name,
                "tensors": len(names),
                "byte_equal": equal,
                "changed": len(compared),
                "only_in_one": sum(1 for row in rows if row["change"] in ("added", "removed")),
                "other_shape_or_dtype": sum(1 for row in rows if row["change"] == "shape or dtype"),
                "zeros_gained": sum(int(str(row["zeros_gained"])) for row in compared),
                "zeros_lost": sum(int(str(row["zeros_lost"])) for row in compared),
                "relative_error": _overall(compared),
            },
            tables={"tensors": [_public(row) for row in rows]},
            notes=[*source.notes, *old_source.notes],
        )


def _by_name(checkpoint: Checkpoint) -> dict[str, Stored]:
    return {
        component.prefix + stored[1].name: stored
        for component in checkpoint.components
        for stored in component.tensors()
    }


@final
@dataclass(frozen=True)
class _Difference:
    """Sums over a pair of blocks; squares in float64, in the order of the blocks."""

    changed: int
    gained: int
    lost: int
    error: float
    energy: float

    def __add__(self, other: _Difference) -> _Difference:
        return _Difference(
            self.changed + other.changed,
            self.gained + other.gained,
            self.lost + other.lost,
            self.error + other.error,
            self.energy + other.energy,
        )


def _compare(
    name: str, old: Stored | None, new: Stored | None, old_reader: Reader, new_reader: Reader
) -> dict[str, str | int | float | None]:
    if old is None or new is None:
        return {"name": name, "change": "added" if old is None else "removed"}
    (_, tensor), (_, other) = old, new
    if (tensor.dtype, tensor.shape) != (other.dtype, other.shape):
        return {
            "name": name,
            "change": "shape or dtype",
            "before": f"{tensor.dtype} {list(tensor.shape)}",
            "after": f"{other.dtype} {list(other.shape)}",
        }
    pairs = zip(extents(*old), extents(*new), strict=True)

    def one(pair: tuple[Extent, Extent]) -> _Difference:
        size = pair[0].stop - pair[0].start
        before = old_reader.fill(pair[0], np.empty(size, np.uint8))
        after = new_reader.fill(pair[1], np.empty(size, np.uint8))
        return _difference(before, after, tensor.dtype)

    total = sum(new_reader.in_order(one, pairs), _Difference(0, 0, 0, 0.0, 0.0))
    if not total.changed:
        return {"name": name, "change": "equal"}
    return {
        "name": name,
        "change": "values",
        "weights": tensor.count,
        "changed": total.changed,
        "changed_share": round(total.changed / tensor.count, 6),
        "zeros_gained": total.gained,
        "zeros_lost": total.lost,
        "error": total.error,
        "energy": total.energy,
        "relative_error": _ratio(total.error, total.energy),
    }


def _difference(before: Bits, after: Bits, dtype: str) -> _Difference:
    changed = int(np.count_nonzero(before != after))
    if not changed or dtype not in FLOATS:
        return _Difference(changed, 0, 0, 0.0, 0.0)
    with np.errstate(over="ignore", invalid="ignore"):
        old, new = to_float(before, dtype), to_float(after, dtype)
        gained = int(np.count_nonzero((new == 0) & (old != 0)))
        lost = int(np.count_nonzero((new != 0) & (old == 0)))
        return _Difference(changed, gained, lost, _squares(new - old), _squares(old))


def _squares(values: npt.NDArray[np.float64]) -> float:
    return float(np.vdot(values, values))


def _ratio(error: float, energy: float) -> float | None:
    """`‖new − old‖ / ‖old‖`; None where it is not a number (a zero or non-finite original)."""
    ratio = math.sqrt(error / energy) if energy > 0 else math.nan
    return round(ratio, 6) if math.isfinite(ratio) else None


def _public(row: Row) -> Row:
    """The row without the sums that the overall error is made of."""
    return {key: value for key, value in row.items() if key not in ("error", "energy")}


def _overall(rows: Sequence[Row]) -> float | None:
    """The relative error over all changed tensors together."""
    error = sum(float(str(row["error"])) for row in rows)
    return _ratio(error, sum(float(str(row["energy"])) for row in rows)) if rows else 0.0
