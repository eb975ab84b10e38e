"""JSON lines and CSV give what their reference readers give, or name the row."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import pandas
import pytest
from datafiles import loaded, refused, written
from hypothesis import given, settings
from hypothesis import strategies as st

from compressor.data.rows import Opened, Row
from compressor.data.tables import open_csv, open_jsonl

# A carriage return inside of quotes becomes a line feed, and NUL is no text: tested elsewhere.
WORDS = st.text(st.characters(exclude_characters="\0\r", exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)


def cells(opened: Opened) -> list[dict[str, Any]]:
    return [dict(row.cells) for row in opened.rows]


def saved(name: str, content: bytes) -> Path:
    """A new file for each example that hypothesis tries."""
    return written(Path(tempfile.mkdtemp()) / name, content)


@settings(max_examples=60)
@given(st.lists(st.dictionaries(WORDS, JSON, max_size=4), max_size=6))
def test_json_lines_give_what_json_gives(rows: list[dict[str, Any]]) -> None:
    text = "\n\n".join(json.dumps(row, ensure_ascii=False, allow_nan=True) for row in rows)
    # Infinity is no JSON, though Python's writer knows it.
    text = text.replace("Infinity", "0.0")

    found = cells(open_jsonl(saved("x.jsonl", text.encode()), None))

    assert found == [json.loads(line) for line in text.split("\n") if line.strip()]


@settings(max_examples=60)
@given(
    st.lists(st.lists(WORDS, min_size=3, max_size=3), min_size=1, max_size=6),
    st.sampled_from((csv.QUOTE_ALL, csv.QUOTE_MINIMAL)),
)
def test_csv_gives_what_csv_and_pandas_give(table: list[list[str]], quoting: Any) -> None:
    out = io.StringIO(newline="")
    csv.writer(out, quoting=quoting, lineterminator="\n").writerows([["a", "b", "c"], *table])
    path = saved("x.csv", out.getvalue().encode())

    found = [list(row.values()) for row in cells(open_csv(path, None, True))]

    frame = pandas.read_csv(
        io.StringIO(out.getvalue()), dtype=str, keep_default_na=False, engine="python"
    )
    assert found == list(csv.reader(io.StringIO(out.getvalue(), newline="")))[1:] == table
    assert found == frame.to_numpy().tolist() or any(
        "\ufeff" in cell for row in table for cell in row
    )


@pytest.mark.parametrize(
    ("first", "columns"),
    [
        ("text,label", ["text", "label"]),
        ("one,4.75", ["1", "2"]),
        ("one,-.5e3", ["1", "2"]),
        ("one, 4 ", ["1", "2"]),
        ("one,2nd", ["one", "2nd"]),
        ("one,nan", ["one", "nan"]),
    ],
)
def test_a_number_in_the_first_row_means_that_it_is_no_header(
    tmp_path: Path, first: str, columns: list[str]
) -> None:
    path = written(tmp_path / "x.csv", f"{first}\ntwo,5\n")

    found = cells(open_csv(path, None, None))

    assert list(found[0]) == columns
    assert len(found) == (1 if columns[0] != "1" else 2)


def test_a_header_can_be_stated(tmp_path: Path) -> None:
    path = written(tmp_path / "x.csv", "2019,2020\none,two\n")

    assert cells(open_csv(path, None, True)) == [{"2019": "one", "2020": "two"}]
    assert cells(open_csv(path, None, False))[1] == {"1": "one", "2": "two"}


def test_a_tsv_has_tabs_and_its_quotes_are_text(tmp_path: Path) -> None:
    path = written(tmp_path / "x.tsv", 'text\tlabel\n"so\tb, c\n')

    assert cells(open_csv(path, None, None)) == [{"text": '"so', "label": "b, c"}]


def test_blank_lines_are_no_rows_and_a_quoted_line_end_is_text(tmp_path: Path) -> None:
    path = written(tmp_path / "x.csv", 'text,label\r\n\r\n"a\r\nb",c\r\n\r\n')

    assert list(open_csv(path, None, None).rows) == [Row("row 1", {"text": "a\nb", "label": "c"})]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"text": "a", "text": "b"}', "names a key twice, `text`"),
        ('{"text": "a"', "delimiter"),
        ('{"text": "a"}, {"text": "b"}', "Extra data"),
        ("[1, 2]", "a list"),
        ('"text"', "a str"),
        ('{"text": NaN}', "`NaN` is not JSON"),
        ('{"text": ' + "1" * 5000 + "}", "beyond what can be parsed"),
        ('{"text": ' + "[" * 3000 + "]" * 3000 + "}", "deeper than 64"),
    ],
)
def test_a_line_that_is_no_object_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = written(tmp_path / "x.jsonl", f'{{"text": "a"}}\n\n{line}\n')

    error = refused(path, "DATA-PARSE", 3)

    assert error.at == "x.jsonl, line 3"
    assert said in error.found


@pytest.mark.parametrize(
    ("content", "at"),
    [
        ("text,label\na,b\nc\n", "x.csv, row 2"),
        ("text,label\na,b\nc,d,e\n", "x.csv, row 2"),
        ('text,label\na,b\n"c"d,e\n', "x.csv, line 3"),
        ('text,label\na,b\n"c,e\n', "x.csv, line 3"),
        ("text,text\na,b\n", "x.csv, line 1"),
    ],
)
def test_a_row_that_is_none_is_named(tmp_path: Path, content: str, at: str) -> None:
    error = refused(written(tmp_path / "x.csv", content), "DATA-PARSE", 3)

    assert error.at == at


def test_a_cell_over_the_limit_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "x.csv", b'text\na\n"' + (b"b" * 999_999 + b"\n") * 65)

    error = refused(path, "LIMIT-LINE", 6)

    assert error.at == "x.csv, line 3"


def test_a_cell_of_a_megabyte_is_read(tmp_path: Path) -> None:
    path = written(tmp_path / "x.csv", "text,label\n" + "a" * 1_000_000 + ",b\n")

    assert len(loaded(path).values["text"][0]) == 1_000_000


@pytest.mark.parametrize("name", ["x.txt", "x.jsonl", "x.csv", "x.tsv", "x.parquet", "x.txt.gz"])
def test_an_empty_file_holds_nothing(tmp_path: Path, name: str) -> None:
    refused(written(tmp_path / name, b""), "DATA-EMPTY", 3)


@pytest.mark.parametrize("content", ["\n\n  \n", "\ufeff", "\r\r"])
@pytest.mark.parametrize("name", ["x.txt", "x.jsonl"])
def test_blank_lines_hold_nothing(tmp_path: Path, name: str, content: str) -> None:
    refused(written(tmp_path / name, content), "DATA-EMPTY", 3)


def test_a_header_alone_holds_nothing(tmp_path: Path) -> None:
    refused(written(tmp_path / "x.csv", "text,label\n"), "DATA-EMPTY", 3)
