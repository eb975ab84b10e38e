"""What every format gives: rows of named cells, one after another, each with its place."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, final


class Row(NamedTuple):
    """One item as it is stored."""

    place: str
    """Where an error finds it: `line 7`, `row 7` (the first is 1), or the name of a file."""
    cells: Mapping[str, Any]


@final
@dataclass(frozen=True)
class Opened:
    """A data set whose rows can be read once, from the start."""

    rows: Generator[Row, None, None]
    at: str
    """What an error calls the data."""
    is_typed: bool = True
    """Whether a number is stored as one; in a CSV all is text, and an empty cell is none."""
    total: int | None = None
    """How many rows there are, where that is known before they are read."""
    folder: Path | None = None
    """Where images lie that rows name by path."""
    notes: tuple[str, ...] = ()


def left_out(files: int, suffixes: Sequence[str]) -> tuple[str, ...]:
    """The note that files of a folder or zip are no items."""
    return (f"left out: files not called {', '.join(suffixes)}: {files}",) if files else ()
