"""Cells as the values that a role promises; where one is not, its row is named."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from compressor.data.images import decode
from compressor.data.rows import Opened
from compressor.data.spec import Role
from compressor.data.tables import is_number
from compressor.errors import InputError, printable

_MAX_INTEGER: Final = 2**63
_WHOLE: Final = re.compile(r"-?(0|[1-9][0-9]{0,17})")


def values(
    role: Role, cells: Sequence[Any], places: Sequence[str], opened: Opened
) -> Sequence[Any]:
    """The values of a role for the cells of its column."""
    wheres = [f"{opened.at}, {place}" for place in places]
    pairs = list(zip(cells, wheres, strict=True))
    if role == "score":
        return [number(cell, at, opened.is_typed) for cell, at in pairs]
    if role == "image":
        return [decode(cell, at, opened.folder) for cell, at in pairs]
    if role == "label":
        return _labels(pairs, opened.is_typed)
    if role == "gold":
        return [_gold(cell, at, opened.is_typed) for cell, at in pairs]
    if role in ("choices", "contexts"):
        return [_list(cell, at) for cell, at in pairs]
    if role == "time":
        return [str(cell) for cell in cells]
    return [text(cell, at) for cell, at in pairs]


def series(
    columns: Sequence[Sequence[Any]], places: Sequence[str], opened: Opened
) -> NDArray[np.float64]:
    """Numbers `(time, channels)`: the columns side by side, each of numbers or of vectors."""
    found = []
    for cells in columns:
        rows = [
            _vector(cell, f"{opened.at}, {place}", opened.is_typed)
            for cell, place in zip(cells, places, strict=True)
        ]
        width = len(rows[0])
        if not width:
            raise _wrong(f"{opened.at}, {places[0]}", "no numbers", "at least one")
        for row, place in zip(rows, places, strict=True):
            if len(row) != width:
                raise _wrong(f"{opened.at}, {place}", f"{len(row)} numbers", f"{width} as in row 1")
        found.append(np.asarray(rows, dtype=np.float64))
    return np.concatenate(found, axis=1)


def require_gold(
    gold: Sequence[int],
    choices: Sequence[Sequence[str]] | None,
    places: Sequence[str],
    opened: Opened,
) -> None:
    """Refuse the index of a choice that there is not."""
    for right, given, place in zip(gold, choices or (), places, strict=choices is not None):
        if right >= len(given):
            raise _wrong(
                f"{opened.at}, {place}", str(right), f"the index of one of {len(given)} choices"
            )


def number(cell: Any, at: str, is_typed: bool) -> float:
    """A finite number; text is one only in a format that has nothing else."""
    if not is_typed and isinstance(cell, str) and is_number(cell):
        cell = float(cell)
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        raise _wrong(at, _shown(cell), "a number")
    if isinstance(cell, int) and not -_MAX_INTEGER <= cell < _MAX_INTEGER:
        raise _wrong(at, f"{printable(cell, 40)}", "a number below 2^63")
    if not math.isfinite(cell):
        raise _wrong(at, f"{cell}", "a finite number")
    return float(cell)


def text(cell: Any, at: str) -> str:
    """Text that can be encoded."""
    if not isinstance(cell, str):
        raise _wrong(at, _shown(cell), "text")
    try:
        cell.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            "DATA-ENCODING",
            "the text holds half of a character, which no encoding has",
            at=at,
            found=f"a lone surrogate U+{ord(cell[error.start]):04X} at character {error.start}",
            do="correct the text: write the pair, or leave it out",
        ) from error
    return cell


def _labels(pairs: Sequence[tuple[Any, str]], is_typed: bool) -> Sequence[str | int]:
    """All of them text, or all of them whole numbers."""
    if not is_typed and all(_WHOLE.fullmatch(cell) for cell, _ in pairs):
        return [int(cell) for cell, _ in pairs]
    if isinstance(pairs[0][0], str):
        return [text(cell, at) for cell, at in pairs]
    return [_whole(cell, at) for cell, at in pairs]


def _whole(cell: Any, at: str) -> int:
    if isinstance(cell, float) and math.isfinite(cell) and cell.is_integer():
        cell = int(cell)
    if not isinstance(cell, int):
        raise _wrong(at, _shown(cell), "a whole number or text, the same kind in every row")
    if not -_MAX_INTEGER <= cell < _MAX_INTEGER:
        raise _wrong(at, printable(cell, 40), "a number below 2^63")
    return int(cell)


def _gold(cell: Any, at: str, is_typed: bool) -> int:
    if not is_typed and isinstance(cell, str) and _WHOLE.fullmatch(cell):
        cell = int(cell)
    found = _whole(cell, at)
    if found < 0:
        raise _wrong(at, str(found), "the index of the right choice, from 0")
    return found


def _list(cell: Any, at: str) -> list[str]:
    if not isinstance(cell, list) or len(cell) < 2:
        raise _wrong(at, _shown(cell), "a list of at least two texts")
    return [text(each, at) for each in cell]


def _vector(cell: Any, at: str, is_typed: bool) -> list[float]:
    if isinstance(cell, np.ndarray):
        cell = cell.tolist()
    return [number(each, at, is_typed) for each in (cell if isinstance(cell, list) else [cell])]


def _shown(cell: Any) -> str:
    kind = "nothing" if cell is None else type(cell).__name__
    return f"`{printable(cell, 60)}` ({kind})" if not isinstance(cell, Path) else kind


def _wrong(at: str, found: str, expected: str) -> InputError:
    return InputError(
        "DATA-TYPE",
        "a value is not of the kind that its column needs",
        at=at,
        found=f"{found}, expected {expected}",
        do="correct the row, or name another column",
    )
