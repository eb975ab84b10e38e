"""Which column is what to a task: as the user names it, else by its name, else by its values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, final

import numpy as np

from compressor.data.images import SUFFIXES
from compressor.data.rows import Row
from compressor.data.spec import Role
from compressor.data.tables import is_number
from compressor.errors import InputError, listing, printable

Looks: TypeAlias = Literal["text", "number", "whole", "image", "vector", "other"]

_NAMES: Final[Mapping[Role, tuple[str, ...]]] = {
    "text": (
        *("text", "sentence", "sentence1", "text1", "premise", "question", "question1", "content"),
        *("body", "document", "passage", "review", "utterance", "tweet", "query"),
    ),
    "text2": ("text2", "sentence2", "hypothesis", "question2"),
    "score": ("score", "similarity", "similarity_score", "relatedness_score", "y"),
    "label": (
        *("label", "labels", "category", "intent", "class", "target", "sentiment", "topic"),
        *("fine_label", "coarse_label", "label_text", "y"),
    ),
    "image": ("image", "images", "img", "pixels", "file_name", "x"),
    "query": ("query", "question", "context"),
    "choices": ("choices", "options", "endings"),
    "gold": ("gold", "answer", "label"),
    "contexts": ("context_options", "contexts"),
    "continuation": ("continuation",),
    "good": ("sentence_good", "good"),
    "bad": ("sentence_bad", "bad"),
    "time": ("date", "time", "timestamp", "datetime"),
}
"""Names that a column has for a role, the likeliest first; dashes and capitals do not count."""

_FAMILIES: Final[Sequence[tuple[tuple[Role, ...], tuple[Role, ...]]]] = (
    (("good", "bad"), ()),
    (("contexts", "continuation", "gold"), ()),
    (("query", "choices", "gold"), ()),
    (("text", "text2", "score"), ()),
    (("image",), ("label",)),
    (("text",), ("text2", "label")),
)
"""Roles that make a task together, then those that may join; the first that is there counts."""


@final
@dataclass(frozen=True)
class Taken:
    """The columns that are used, and how they were found."""

    columns: Mapping[Role, tuple[str, ...]]
    """One column for a role; several for `target`."""
    notes: tuple[str, ...]


def take(named: Mapping[Role, str], rows: Sequence[Row], at: str, *, is_typed: bool) -> Taken:
    """The columns for the roles, by what the user named and what the first rows hold."""
    columns = list(dict.fromkeys(column for row in rows for column in row.cells))
    looks = {
        column: _looks([row.cells.get(column) for row in rows], is_typed) for column in columns
    }
    chosen = {role: _named(role, column, columns, at) for role, column in named.items()}
    guessed = _by_name(chosen, columns, looks)
    if not chosen and not guessed:
        guessed = _by_values(rows, looks)
    if "target" in chosen and "time" not in chosen:
        guessed |= _time(looks)
    if not chosen and not guessed:
        raise InputError(
            "DATA-COLUMN",
            "no column can be taken for text, an image or a series of numbers",
            at=at,
            found=f"columns {listing(columns)}; expected names such as text, label, image",
            do="name them, for example --data FILE:text=body,label=intent",
        )
    said = [
        f"{role}={printable('+'.join(found))}"
        for role, found in guessed.items()
        if found != (role,)
    ]
    notes = (f"columns found by looking: {', '.join(said)}",) if said else ()
    return Taken({**chosen, **guessed}, notes)


def _named(role: Role, column: str, columns: Sequence[str], at: str) -> tuple[str, ...]:
    names = (column,) if column in columns or role != "target" else tuple(column.split("+"))
    for name in names:
        if name not in columns:
            near = get_close_matches(name, columns, 1)
            do = f"did you mean `{printable(near[0])}`?" if near else "correct the column"
            raise InputError(
                "DATA-COLUMN",
                f"there is no column for {role} of this name",
                at=at,
                found=f"`{printable(name)}`, expected one of: {listing(columns)}",
                do=do,
            )
    return names


def _by_name(
    chosen: Mapping[Role, tuple[str, ...]], columns: Sequence[str], looks: Mapping[str, Looks]
) -> dict[Role, tuple[str, ...]]:
    """What names tell, beside the roles that are chosen already."""
    if "target" in chosen:
        return {}
    for needed, more in _FAMILIES:
        if not set(chosen) <= {*needed, *more}:
            continue
        found: dict[Role, tuple[str, ...]] = {}
        taken = {column for names in chosen.values() for column in names}
        # Who names one of those that may join has said which of them do.
        wanted = needed if set(chosen) & set(more) else (*needed, *more)
        for role in wanted:
            if role not in chosen and (column := _called(role, columns, taken, looks)) is not None:
                found[role] = (column,)
                taken.add(column)
        if set(needed) <= {*found, *chosen}:
            return found
    return {}


def _called(
    role: Role, columns: Sequence[str], taken: Iterable[str], looks: Mapping[str, Looks]
) -> str | None:
    plain = {_plain(column): column for column in reversed(columns) if column not in taken}
    names = [plain[name] for name in _NAMES[role] if name in plain]
    # What is called `label` of a pair of sentences is their score where it is a number.
    if role == "score":
        names += [plain["label"]] if "label" in plain and looks[plain["label"]] == "number" else []
    return next((column for column in names if looks[column] in _FITTING[role]), None)


def _by_values(rows: Sequence[Row], looks: Mapping[str, Looks]) -> dict[Role, tuple[str, ...]]:
    """What the values tell where no name does."""
    texts = [column for column, look in looks.items() if look == "text"]
    numbers = [column for column, look in looks.items() if look in ("number", "whole", "vector")]
    pictures = [column for column, look in looks.items() if look == "image"]
    time = _time(looks)
    if pictures:
        return {"image": (pictures[0],)}
    if numbers and (not texts or len(texts) == len(time) == 1):
        return {"target": tuple(numbers), **time}
    if len(texts) == 2 and len(numbers) == 1:
        return {"text": (texts[0],), "text2": (texts[1],), "score": (numbers[0],)}
    if len(texts) == 2 and not numbers:
        kinds = {str(row.cells.get(texts[1])) for row in rows}
        second: Role = "label" if 2 * len(kinds) <= len(rows) else "text2"
        return {"text": (texts[0],), second: (texts[1],)}
    if len(texts) == 1:
        is_label = len(numbers) == 1 and looks[numbers[0]] == "whole"
        return {"text": (texts[0],), **({"label": (numbers[0],)} if is_label else {})}
    return {}


def _time(looks: Mapping[str, Looks]) -> dict[Role, tuple[str, ...]]:
    known = [column for column in looks if _plain(column) in _NAMES["time"]]
    return {"time": (known[0],)} if known and looks[known[0]] == "text" else {}


_FITTING: Final[Mapping[Role, tuple[Looks, ...]]] = {
    "text": ("text",),
    "text2": ("text",),
    "score": ("number", "whole"),
    "label": ("text", "whole"),
    "image": ("image",),
    "query": ("text",),
    "choices": ("other",),
    "gold": ("whole",),
    "contexts": ("other",),
    "continuation": ("text",),
    "good": ("text",),
    "bad": ("text",),
}
"""How the values of a column look that its name alone gives to a role."""


def _plain(column: str) -> str:
    return column.strip().lower().replace("-", "_").replace(" ", "_")


def _looks(cells: Iterable[Any], is_typed: bool) -> Looks:
    """What the cells of a column have in common; empty ones do not count."""
    found = {_look(cell, is_typed) for cell in cells if not _is_empty(cell)}
    if found == {"number", "whole"}:
        return "number"
    return found.pop() if len(found) == 1 else "other" if "other" in found else "text"


def _is_empty(cell: Any) -> bool:
    return cell is None or (isinstance(cell, str) and not cell)


def _look(cell: Any, is_typed: bool) -> Looks:
    if isinstance(cell, str):
        if is_typed or not is_number(cell):
            return "image" if cell.lower().endswith(SUFFIXES) and len(cell) < 256 else "text"
        return "whole" if cell.strip().lstrip("+-").isdigit() else "number"
    if isinstance(cell, bool | int):
        return "whole"
    if isinstance(cell, float):
        return "whole" if math.isfinite(cell) and cell.is_integer() else "number"
    if isinstance(cell, Path | bytes):
        return "image"
    if isinstance(cell, Mapping):
        return "image" if {"bytes", "path"} & set(cell) else "other"
    if isinstance(cell, np.ndarray):
        return "image" if cell.dtype == np.uint8 and cell.ndim > 1 else "vector"
    is_picture = type(cell).__module__.startswith("PIL.")
    return "image" if is_picture else "other"
