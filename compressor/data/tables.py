"""Tables as rows: JSON lines, CSV and TSV; read in pieces, never whole."""

from __future__ import annotations

import csv
import re
from collections.abc import Generator, Iterator
from itertools import chain
from pathlib import Path
from typing import Final

from compressor.checkpoint.read.strict_json import DuplicateKey, MalformedJson, parse_object
from compressor.data.files import MAX_LINE, lines, reading, unparsable
from compressor.data.rows import Opened, Row
from compressor.errors import ResourceError, printable

_DEPTH: Final = 64
_NUMBER: Final = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")


def open_jsonl(path: Path, encoding: str | None) -> Opened:
    """One JSON object in each line that is not blank."""

    def rows() -> Generator[Row, None, None]:
        with reading(path) as stream:
            for number, line in enumerate(lines(stream, path.name, encoding), start=1):
                if not line.strip():
                    continue
                place = f"line {number}"
                try:
                    yield Row(place, parse_object(line.encode(), _DEPTH, is_strict=True))
                except MalformedJson as error:
                    key = f", `{printable(error.key)}`" if isinstance(error, DuplicateKey) else ""
                    found = f"{printable(error, 200)}{key}; expected one JSON object"
                    do = "correct the line: one object on each, not a list over many"
                    raise unparsable(f"{path.name}, {place}", found, do) from error

    return Opened(rows(), at=path.name, folder=path.parent)


def open_csv(path: Path, encoding: str | None, has_header: bool | None) -> Opened:
    """Rows of cells that commas separate; tabs, and no quotes, in a `.tsv`.

    A first row with a number in it is no header: the columns are then called 1, 2, 3. The row after
    a header is row 1.
    """

    def rows() -> Generator[Row, None, None]:
        records = _records(path, encoding)
        first = next(records, None)
        if first is None:
            return
        if has_header or (has_header is None and not any(map(is_number, first))):
            columns = _header(first, path.name)
        else:
            columns = [str(place) for place in range(1, len(first) + 1)]
            records = chain([first], records)
        for number, record in enumerate(records, start=1):
            if len(record) != len(columns):
                found = f"{len(record)} cells, expected {len(columns)}"
                raise unparsable(f"{path.name}, row {number}", found)
            yield Row(f"row {number}", dict(zip(columns, record, strict=True)))

    return Opened(rows(), at=path.name, is_typed=False, folder=path.parent)


def is_number(cell: str) -> bool:
    """Whether a cell of text is written as a number."""
    return _NUMBER.fullmatch(cell) is not None


def _records(path: Path, encoding: str | None) -> Iterator[list[str]]:
    """The rows of a CSV that are not blank; a line end inside of quotes is LF."""
    csv.field_size_limit(MAX_LINE)
    is_tabbed = ".tsv" in path.suffixes[-2:]
    number = 0
    with reading(path) as stream:
        ended = (line + "\n" for line in lines(stream, path.name, encoding))
        reader = (
            csv.reader(ended, delimiter="\t", quoting=csv.QUOTE_NONE, strict=True)
            if is_tabbed
            else csv.reader(ended, strict=True)
        )
        try:
            for record in reader:
                number = reader.line_num
                if record:
                    yield record
        except csv.Error as error:
            at = f"{path.name}, line {number + 1}"
            if "field limit" in str(error):
                raise ResourceError(
                    "LIMIT-LINE",
                    "one cell is longer than any item can be",
                    at=at,
                    found=f"more than {MAX_LINE} characters; a quote may be missing",
                    do="close the quote, or split the cell",
                ) from error
            raise unparsable(at, f"{error}, expected cells between commas") from error


def _header(names: list[str], at: str) -> list[str]:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        found = f"two columns called `{printable(twice[0])}`, expected a name for each"
        raise unparsable(f"{at}, line 1", found, "rename one, or add the key header=no")
    return names
