"""The models of one report, set against those of another: the same items, or nothing at all."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Final

from compressor.errors import InputError, listing, printable
from compressor.measure.judgement.readback import BenchTables, MetricRow, ModelRow

_SUFFIX: Final = " (baseline)"


def rebased(bench: BenchTables, other: BenchTables, names: Collection[str]) -> BenchTables:
    """`bench` with the models of `other` in the place of its dense one, for these metrics.

    A model is set against the one of its own name, else against the dense one of `other`, else
    against its only one. What cannot be compared item by item is an `InputError`.
    """
    models = [ModelRow(model=name, role="candidate") for name in bench.subjects]
    metrics, items = [], dict(bench.items)
    for row in bench.metrics:
        if row.name not in names or row.model not in bench.subjects:
            continue
        base = _counterpart(row, other)
        _require_same(row, base, bench, other)
        dense = _unlike(base.model + _SUFFIX, bench.subjects)
        if (kept := other.items.get((base.name, base.model))) is not None:
            items[base.name, dense] = kept
        metrics.append(row.model_copy(update=_against(dense, base)))
    dense_names = dict.fromkeys(row.dense for row in metrics if row.dense is not None)
    stand_ins = [ModelRow(model=name, role="dense") for name in dense_names]
    return replace(bench, models=[*stand_ins, *models], metrics=metrics, items=items)


def _unlike(name: str, taken: Collection[str]) -> str:
    """The name, made longer until no model is called so: its items are not to be replaced."""
    while name in taken:
        name += _SUFFIX
    return name


def _against(dense: str, base: MetricRow) -> dict[str, object]:
    unknown = float("nan")
    return {
        "dense": dense,
        "dense_value": base.value,
        "difference_low": unknown,
        "difference_high": unknown,
    }


def _counterpart(row: MetricRow, other: BenchTables) -> MetricRow:
    found = other.rows(row.name)
    only = next(iter(found)) if len(found) == 1 else None
    for name in (row.model, other.dense, only):
        if name in found:
            return found[name]
    known = listing(other.names()) if not found else listing(found)
    raise _mismatch(
        row,
        f"{'metrics' if not found else 'models'} {known}, expected {printable(row.name)} of "
        f"`{printable(row.model)}`, of a dense model or of a single one",
    )


def _require_same(row: MetricRow, base: MetricRow, bench: BenchTables, other: BenchTables) -> None:
    own, kept = (
        each.items.get((line.name, line.model)) for each, line in ((bench, row), (other, base))
    )
    if row.items != base.items:
        raise _mismatch(row, f"{row.items} items and {base.items}, expected equal numbers")
    if own is not None and kept is not None and (unlike := own.unlike(kept)):
        raise _mismatch(row, f"{listing(unlike)}; expected them to be equal")


def _mismatch(row: MetricRow, found: str) -> InputError:
    return InputError(
        "BASELINE-MISMATCH",
        "the two reports did not measure the same thing, so that no difference means anything",
        at=row.name,
        found=found,
        do="measure both with the same data, seed, --num-samples, --dtype and --device",
    )
