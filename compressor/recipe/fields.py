"""From a YAML value to what a field's type asks for: by its type, and never by guessing.

A number is plain decimal text, a truth value is `true` or `false`, quotes make text. A field with a
validator in front of its type, such as a sparsity or a size, parses plain text itself.
"""

from __future__ import annotations

import math
import re
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ValidationError

from compressor.errors import UsageError, listing, printable
from compressor.recipe.yaml import Items, Node, Table, Text

Model = TypeVar("Model", bound=BaseModel)

_WHOLE: Final = re.compile(r"-?(?:0|[1-9]\d*)")
_NUMBER: Final = re.compile(r"-?(?:(?:0|[1-9]\d*)(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?")
_RATIO: Final = re.compile(r"(?:[a-z]+:)?\d+(?::\d+)+")
_LONGEST_NUMBER: Final = 40
_NULLS: Final = frozenset({"", "~", "null"})
_OUT_OF_RANGE: Final = ("greater_than", "less_than", "too_", "finite_number")
_LISTS: Final = (list, tuple, set, frozenset)
_WORDS: Final[Mapping[object, str]] = {
    BeforeValidator: "a value without quotes",
    bool: "`true` or `false`",
    int: "a whole number without quotes",
    float: "a number without quotes",
    str: "text",
    Path: "a path",
    type(None): "`null`",
}


def validated(model: type[Model], table: Table, extra: Mapping[str, object] | None = None) -> Model:
    """The model that `table` describes; `extra` are fields that are already values."""
    extra = extra or {}
    known = [name for name in model.model_fields if name not in extra]
    values = dict(extra)
    for spelled, node in table.values.items():
        key = spelled.replace("-", "_")
        if key not in known or key in values:
            shown = [name.replace("_", "-") for name in known if name not in values]
            raise unknown_key(spelled, shown, table.keys[spelled])
        field = model.model_fields[key]
        values[key] = _value(node, list(_alternatives(field.annotation, field.metadata)), key)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise _field_error(error, table) from None


def unknown_key(key: str, known: Iterable[str], at: str) -> UsageError:
    """The error for a key that nothing reads."""
    known = sorted(known)
    nearest = closest(key, known)
    return UsageError(
        "RECIPE-UNKNOWN-KEY",
        "the recipe has a key that nothing reads",
        at=at,
        found=f"`{printable(key)}`, expected one of: {listing(known, 20)}",
        do=f"did you mean `{nearest}`?" if nearest else "remove it, or correct its spelling",
    )


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that at most two typing errors turn into `word`."""
    near = [other for other in known if abs(len(other) - len(word)) <= 2]
    ranked = sorted((edits(word, other), other) for other in near)
    return ranked[0][1] if ranked and ranked[0][0] <= min(2, len(word) - 1) else None


def edits(word: str, other: str) -> int:
    """How many letters to insert, delete, replace or swap with a neighbour (Damerau, 1964)."""
    rows = [list(range(len(other) + 1))]
    for i, letter in enumerate(word, 1):
        row = [i]
        for j, wanted in enumerate(other, 1):
            above = rows[i - 1]
            cost = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and word[i - 2] == wanted:
                cost = min(cost, rows[i - 2][j - 2] + 1)
            row.append(cost)
        rows.append(row)
    return rows[-1][-1]


def _value(node: Node, kinds: Sequence[Any], name: str) -> object:
    """The value that a node is, where one of these types is expected."""
    if isinstance(node, Text):
        return _from_text(node, kinds, name)
    for kind in kinds:
        origin, arguments = get_origin(kind) or kind, get_args(kind)
        if isinstance(node, Items):
            if origin in _LISTS:
                below = list(_alternatives(arguments[0]))
                return [_value(item, below, name) for item in node.items]
        elif origin is dict:
            below = list(_alternatives(arguments[1]))
            return {key: _value(item, below, key) for key, item in node.values.items()}
    raise _wrong_type(node, kinds, name)


def _alternatives(wanted: Any, metadata: Sequence[Any] = ()) -> Iterator[Any]:
    """The types that a field allows; `BeforeValidator` stands for one that parses text itself."""
    origin, arguments = get_origin(wanted), get_args(wanted)
    if any(isinstance(each, BeforeValidator) for each in metadata):
        yield BeforeValidator
        if type(None) in arguments:
            yield type(None)
    elif origin is Annotated:
        yield from _alternatives(arguments[0], arguments[1:])
    elif origin in (Union, types.UnionType):
        for each in arguments:
            yield from _alternatives(each)
    else:
        yield wanted


def _from_text(node: Text, kinds: Sequence[Any], name: str) -> object:
    literals = [value for kind in kinds if get_origin(kind) is Literal for value in get_args(kind)]
    takes_number = not {int, float, BeforeValidator}.isdisjoint(kinds)
    text = node.text
    if node.is_plain:
        if takes_number and _is_beyond_numbers(text):
            raise _out_of_range(node, name, "a number that a computer can hold")
        if text in _NULLS:
            if type(None) in kinds:
                return None
            raise _wrong_type(node, kinds, name)
        if bool in kinds and text in ("true", "false"):
            return text == "true"
        if int in kinds and _WHOLE.fullmatch(text):
            return int(text)
        if float in kinds and _NUMBER.fullmatch(text):
            return float(text)
    for value in literals:
        if text == str(value) and (node.is_plain or isinstance(value, str)):
            return value
    if (BeforeValidator in kinds and node.is_plain) or str in kinds or Path in kinds:
        return text
    raise _wrong_type(node, kinds, name)


def _is_beyond_numbers(text: str) -> bool:
    if len(text) > _LONGEST_NUMBER:
        return text.lstrip("+-.")[:1].isdigit()
    return bool(_NUMBER.fullmatch(text)) and not math.isfinite(float(text))


def _seen(node: Node) -> str:
    if isinstance(node, Items):
        return "a list"
    if isinstance(node, Table):
        return "a mapping"
    if not node.is_plain:
        return f"`{printable(node.text)}` in quotes"
    return f"`{printable(node.text)}`" if node.text else "nothing"


def _expected(kinds: Sequence[Any]) -> str:
    words = []
    for kind in kinds:
        if get_origin(kind) is Literal:
            words.append("one of: " + listing(get_args(kind)))
        elif get_origin(kind) in _LISTS:
            words.append("a list")
        else:
            words.append(_WORDS.get(kind, "a mapping"))
    return " or ".join(dict.fromkeys(words))


def _wrong_type(node: Node, kinds: Sequence[Any], name: str) -> UsageError:
    return UsageError(
        "RECIPE-TYPE",
        f"`{printable(name, 40)}` has a value of the wrong type",
        at=node.at,
        found=f"{_seen(node)}, expected {_expected(kinds)}",
        do="correct the value",
    )


def _out_of_range(node: Node, name: str, expected: str) -> UsageError:
    return UsageError(
        "RECIPE-RANGE",
        f"`{printable(name, 40)}` has a value out of range",
        at=node.at,
        found=f"{_seen(node)}, expected {expected}",
        do="correct the value",
    )


def _field_error(error: ValidationError, table: Table) -> UsageError:
    """The first thing that pydantic found, at its place in the recipe."""
    first = error.errors(include_url=False)[0]
    node: Node = table
    name = ""
    for part in first["loc"]:
        if isinstance(node, Table):
            spelled = {key.replace("-", "_"): key for key in node.values}
            if part in spelled:
                node, name = node.values[spelled[str(part)]], spelled[str(part)]
        elif isinstance(node, Items) and isinstance(part, int):
            node = node.items[part]
    if first["type"] == "missing":
        return UsageError(
            "RECIPE-MISSING-KEY",
            "the recipe lacks a key that is required",
            at=node.at,
            found=f"no `{first['loc'][-1]}`, expected one",
            do=f"add `{first['loc'][-1]}:` and its value",
        )
    is_number = isinstance(node, Text) and (
        _NUMBER.fullmatch(node.text) or _RATIO.fullmatch(node.text)
    )
    is_range = any(word in first["type"] for word in _OUT_OF_RANGE) or (
        first["type"] in ("value_error", "out_of_range") and is_number
    )
    if "error" in first.get("ctx", {}):
        # A validator of ours raised it, and says itself what it saw.
        found = str(first["ctx"]["error"])
    elif first["type"] == "out_of_range" or not name:
        found = first["msg"]
    else:
        found = f"{_seen(node)}: {first['msg'].replace('Input should be', 'expected')}"
    what = "out of range" if is_range else "that does not fit"
    message = f"`{printable(name, 40)}` has a value {what}"
    return UsageError(
        "RECIPE-RANGE" if is_range else "RECIPE-TYPE",
        message if name else "the fields of a step do not fit together",
        at=node.at,
        found=printable(found, 300),
        do="correct the value",
    )
