"""A data set as tasks see it: aligned columns of chosen items, with a digest of what was chosen."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Final, final

import numpy as np

from compressor.checkpoint.digest import new_hasher
from compressor.data.columns import Taken, take
from compressor.data.opening import open_rows
from compressor.data.rows import Opened, Row
from compressor.data.spec import Role, Spec, Unit
from compressor.data.values import require_gold, series, values
from compressor.errors import InputError

POOL: Final = 100_000
"""Rows from the start of the data that a sample is drawn from."""
_PROBE: Final = 100
"""Rows that are looked at to find the columns."""


@final
@dataclass(frozen=True)
class Dataset:
    """The items that were chosen: one sequence for each role, all of the same length."""

    name: str
    spec: Spec
    roles: Mapping[Role, str]
    """The column that was taken for each role; several of `target` are joined by `+`."""
    values: Mapping[Role, Sequence[Any]]
    """Text as str, labels as str or int, scores as float, images as uint8 arrays, choices as list;
    `target` as one float64 array `(time, channels)`."""
    digest: str
    """BLAKE3 of the values, their order included."""
    count: int
    total: int | None
    """Rows in the source; None where it was not read to its end."""
    notes: tuple[str, ...]


@final
@dataclass(frozen=True)
class _Pool:
    """Rows cut down to the columns that are used; None where a row is known not to be chosen."""

    rows: Sequence[Row | None]
    total: int | None
    dropped: int


def load(
    spec: Spec,
    *,
    by_default: Unit = "line",
    count: int | None = None,
    seed: int = 0,
    offline: bool = False,
) -> Dataset:
    """The items that `spec` names: all of them in their order, or `count` drawn by the seed.

    A sample comes from the first `POOL` rows, in the order of the draw. A series of numbers is
    never sampled: its order is what it says.
    """
    opened = open_rows(spec, by_default, offline=offline)
    with closing(opened.rows):
        probe = list(islice(opened.rows, _PROBE))
        if not probe:
            raise _empty(opened.at, "no rows")
        taken = take(spec.columns, probe, opened.at, is_typed=opened.is_typed)
        wanted = None if "target" in taken.columns else count
        pool = _pool(chain(probe, opened.rows), opened, taken, spec, wanted, seed)
    size = len(pool.rows)
    if not size:
        raise _empty(opened.at, f"{pool.dropped} rows, each with an empty cell")
    order = range(size) if wanted is None else _drawn(size, wanted, seed)
    rows = [row for place in order if (row := pool.rows[place]) is not None]
    found = _values(rows, taken, opened)
    return Dataset(
        name=spec.name,
        spec=spec,
        roles={role: "+".join(columns) for role, columns in taken.columns.items()},
        values=found,
        digest=digest(found),
        count=len(rows),
        total=pool.total,
        notes=(
            *opened.notes,
            *taken.notes,
            *_said(pool, len(rows), count, wanted, seed),
            *_copies(found),
        ),
    )


def digest(columns: Mapping[Role, Sequence[Any]]) -> str:
    """BLAKE3 of the values of each role, in the order of the roles' names."""
    hasher = new_hasher()
    for role in sorted(columns):
        hasher.update(f"{role} {len(columns[role])}\n".encode())
        column = columns[role]
        for value in [column] if isinstance(column, np.ndarray) else column:
            hasher.update(_stored(value))
    return hasher.hexdigest()


def _stored(value: Any) -> bytes:
    """The bytes of one value that a digest is taken of."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape}\n".encode() + value.tobytes()
    return json.dumps(value, ensure_ascii=True).encode() + b"\n"


def too_small(name: str, need: int, have: int, what: str = "items") -> InputError:
    """The error for data that hold fewer items than a task needs."""
    return InputError(
        "DATA-TOO-SMALL",
        "the data hold too few items for what is asked of them",
        at=name,
        found=f"{have} {what}, expected at least {need}",
        do="name a larger data set, or raise --num-samples",
    )


def _pool(
    rows: Iterator[Row], opened: Opened, taken: Taken, spec: Spec, count: int | None, seed: int
) -> _Pool:
    """The rows that are chosen from, read up to the limit and no further."""
    columns = [column for names in taken.columns.values() for column in names]
    limit = chosen = None
    if count is not None:
        limit = max(POOL, count)
        # Where rows can be counted beforehand, those that are not drawn are not held.
        if opened.total is not None and spec.nulls == "error":
            chosen = set(_drawn(min(opened.total, limit), count, seed))
    kept: list[Row | None] = []
    empty: list[str] = []
    seen = 0
    for row in islice(rows, limit):
        cells = {column: row.cells.get(column) for column in columns}
        if any(_is_empty(cell, opened) for cell in cells.values()):
            empty.append(row.place)
        else:
            is_chosen = chosen is None or seen in chosen
            kept.append(Row(row.place, cells) if is_chosen else None)
        seen += 1
    if empty and spec.nulls == "error":
        raise InputError(
            "DATA-COLUMN",
            "some rows have an empty cell in a column that is used",
            at=f"{opened.at}, {empty[0]}",
            found=f"{len(empty)} of {seen} rows, expected a value in each",
            do="fill them, or drop those rows with the key nulls=drop",
        )
    is_whole = limit is None or seen < limit or next(rows, None) is None
    return _Pool(kept, seen if is_whole else opened.total, len(empty))


def _drawn(size: int, count: int, seed: int) -> list[int]:
    random = np.random.Generator(np.random.PCG64(seed))
    found: list[int] = random.permutation(size)[:count].tolist()
    return found


def _is_empty(cell: object, opened: Opened) -> bool:
    return cell is None or (not opened.is_typed and cell == "")


def _values(rows: Sequence[Row], taken: Taken, opened: Opened) -> dict[Role, Sequence[Any]]:
    places = [row.place for row in rows]
    found: dict[Role, Any] = {}
    for role, columns in taken.columns.items():
        cells = [[row.cells[column] for row in rows] for column in columns]
        is_series = role == "target"
        found[role] = (
            series(cells, places, opened) if is_series else values(role, cells[0], places, opened)
        )
    if "gold" in found:
        require_gold(found["gold"], found.get("choices", found.get("contexts")), places, opened)
    return found


def _said(
    pool: _Pool, chosen: int, count: int | None, wanted: int | None, seed: int
) -> Iterator[str]:
    if pool.dropped:
        yield f"dropped, for an empty cell: {pool.dropped}"
    if count is not None and wanted is None:
        yield f"all {chosen} times are kept, since a series is not sampled"
    elif wanted is not None:
        yield f"drawn with seed {seed}: {chosen} of the first {len(pool.rows)} rows"
        if pool.total is None or pool.total > len(pool.rows) + pool.dropped:
            yield "there are more rows, which the sample does not reach"


def _copies(columns: Mapping[Role, Sequence[Any]]) -> Iterator[str]:
    """The note that items stand more than once, which makes an interval look narrower."""
    # The times of a series are no items of their own.
    if "target" in columns:
        return
    distinct = set()
    count = 0
    for item in zip(*columns.values(), strict=True):
        hasher = new_hasher()
        for value in item:
            hasher.update(_stored(value))
        distinct.add(hasher.hexdigest())
        count += 1
    if len(distinct) < count:
        yield f"{count - len(distinct)} of {count} items are copies of another one"


def _empty(at: str, found: str) -> InputError:
    return InputError(
        "DATA-EMPTY",
        "the data hold nothing",
        at=at,
        found=f"{found}, expected at least one",
        do="name a file that holds data",
    )
