"""Parquet gives what pyarrow gives, or names the row; what grows without end is not laid out."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from datafiles import refused, written
from pyarrow import parquet

from compressor.data.parquet import open_parquet


def shared(value: str, rows: int) -> pyarrow.Array:
    """One value that many rows share, as a dictionary stores it."""
    return pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * rows, "int32"), [value])


def test_parquet_gives_what_pyarrow_gives_across_batches(tmp_path: Path) -> None:
    table = pyarrow.table(
        {
            "text": [f"text {number} {'long' * 250}" for number in range(3000)],
            "score": [number / 7 for number in range(3000)],
            "choices": [["a", "b" * number] if number % 3 else None for number in range(3000)],
            "image": [{"bytes": b"\xff" * (number % 999)} for number in range(3000)],
        }
    )
    parquet.write_table(table, tmp_path / "x.parquet", row_group_size=700)

    opened = open_parquet(tmp_path / "x.parquet")

    assert opened.total == 3000
    rows = list(opened.rows)
    assert [dict(row.cells) for row in rows] == table.to_pylist()
    assert [row.place for row in rows[::2999]] == ["row 1", "row 3000"]


def test_parquet_columns_of_every_kind_give_what_pyarrow_gives(tmp_path: Path) -> None:
    table = pyarrow.table(
        {
            "image": [{"bytes": b"\xff\x00", "path": "p"}, None, {"bytes": None, "path": "p"}],
            "map": pyarrow.array([[("a", 1)], None, []], pyarrow.map_("string", "int32")),
            "large": pyarrow.array(["a", None, "a"], "large_string"),
            "deep": [[["a", "b"], []], None, [None]],
            "label": pyarrow.array(["x", "y", "x"]).dictionary_encode(),
            "exact": pyarrow.array([1, None, 2], pyarrow.decimal128(9, 2)),
            "day": pyarrow.array([0, 1, None], pyarrow.date32()),
            "vector": pyarrow.array([[1, 2], [3, 4], [5, 6]], pyarrow.list_(pyarrow.float32(), 2)),
        }
    )
    parquet.write_table(table, tmp_path / "x.parquet")

    found = [dict(row.cells) for row in open_parquet(tmp_path / "x.parquet").rows]

    assert found == table.to_pylist()


def test_a_parquet_file_of_no_rows_holds_nothing(tmp_path: Path) -> None:
    table = pyarrow.table({"text": pyarrow.array([], "string")})
    parquet.write_table(table, tmp_path / "x.parquet")

    refused(tmp_path / "x.parquet", "DATA-EMPTY", 3)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (2**31 - 1, pyarrow.date32()),
        (2**62, pyarrow.timestamp("us")),
        (2**62, pyarrow.duration("ms")),
        (5, pyarrow.timestamp("us", "Nowhere/Never")),
    ],
)
def test_a_parquet_value_that_python_cannot_hold_is_named(
    tmp_path: Path, value: int, kind: Any
) -> None:
    width = "int32" if kind == pyarrow.date32() else "int64"
    cells = pyarrow.array([*[None] * 1500, value], width).view(kind)
    table = pyarrow.table({"text": ["a"] * 1501, "when": cells})
    parquet.write_table(table, tmp_path / "x.parquet")

    error = refused(tmp_path / "x.parquet", "DATA-PARSE", 3)

    assert error.at == "x.parquet, column `when`, row 1501"


def test_a_parquet_text_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    cells = pyarrow.array([b"a", b"caf\xe9"], "binary").view("string")
    parquet.write_table(pyarrow.table({"text": cells}), tmp_path / "x.parquet")

    error = refused(tmp_path / "x.parquet", "DATA-ENCODING", 3)

    assert error.at == "x.parquet, column `text`, row 2"
    assert "0xe9" in error.found


@pytest.mark.parametrize("is_nested", [False, True])
def test_a_parquet_bomb_of_one_text_in_many_rows_is_refused(
    tmp_path: Path, is_nested: bool
) -> None:
    text = shared("a" * 1_000_000, 20_000)
    column = pyarrow.StructArray.from_arrays([text], ["bytes"]) if is_nested else text
    table = pyarrow.table({"text": column})
    parquet.write_table(table, tmp_path / "x.parquet", compression="zstd", store_schema=False)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    error = refused(tmp_path / "x.parquet", "LIMIT-DECOMPRESS", 6)

    rows = 64_000_000 // 1_000_000 if is_nested else 1024
    became = int(error.found.split()[3])
    assert (rows - 3) * 1_000_000 <= became <= (rows + 3) * 1_010_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


def test_a_parquet_bomb_of_lists_is_refused_by_what_it_states(tmp_path: Path) -> None:
    lists = pyarrow.ListArray.from_arrays([0, 1_000_000, 2_000_000], [7] * 2_000_000)
    parquet.write_table(pyarrow.table({"target": lists}), tmp_path / "x.parquet")

    refused(tmp_path / "x.parquet", "LIMIT-DECOMPRESS", 6)


def test_a_damaged_parquet_file_is_no_data(tmp_path: Path) -> None:
    parquet.write_table(pyarrow.table({"text": ["a", "b"] * 500}), tmp_path / "x.parquet")
    content = (tmp_path / "x.parquet").read_bytes()

    refused(written(tmp_path / "a.parquet", content[:-9]), "DATA-PARSE", 3)
    refused(written(tmp_path / "b.parquet", b"text"), "DATA-PARSE", 3)
    refused(
        written(tmp_path / "c.parquet", content[:4] + b"\xff" * 40 + content[44:]), "DATA-PARSE", 3
    )


def test_a_parquet_file_of_more_rows_than_it_can_hold_is_refused(tmp_path: Path) -> None:
    table = pyarrow.table({"text": pyarrow.array(["a"]).take(pyarrow.array([0] * 3_000_000))})
    parquet.write_table(table, tmp_path / "x.parquet")

    refused(tmp_path / "x.parquet", "LIMIT-DECOMPRESS", 6)
