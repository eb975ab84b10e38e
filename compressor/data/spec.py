"""A data set as a user names it: `LOCATION[:key=value,…]`, parsed into one frozen value.

A comma inside a value is written `\\,`; a colon inside a location that would start the keys, `\\:`.
"""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import PurePath
from typing import Any, Final, Literal, TypeAlias, final, get_args

from compressor.errors import UsageError, listing, printable

Role: TypeAlias = Literal[
    "text",
    "text2",
    "score",
    "label",
    "image",
    "query",
    "choices",
    "gold",
    "contexts",
    "continuation",
    "good",
    "bad",
    "target",
    "time",
]
"""What a column is to a task."""

Unit: TypeAlias = Literal["line", "paragraph", "document"]
"""What one row of a text file is."""

ROLES: Final[tuple[Role, ...]] = get_args(Role)
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "by": get_args(Unit),
    "header": ("yes", "no"),
    "nulls": ("error", "drop"),
}
_KEYS: Final = (*ROLES, "name", "split", "config", "encoding", "weight", *_CHOICES)
_NOT_OF_FILES: Final = ("punycode", "idna", "unicode-escape", "raw-unicode-escape")
"""Encodings of names and of source code, which no file of text is in."""
_KEY_STARTS: Final = re.compile(r"(?<!\\)((?:\\\\)*):(?=[^\s:=,/\\]+=)")
_IN_A_VALUE: Final = r"[\\,]"
_SUFFIXES: Final = re.compile(
    r"(?:\.(?:txt|md|jsonl|ndjson|json|csv|tsv|parquet|npz|idx|zip))?(?:\.gz)?$", re.IGNORECASE
)


@final
@dataclass(frozen=True)
class Spec:
    """Where data lies, and what the user says about it; None: found by looking."""

    location: str
    """A path, a hub data set (`org/name`, `org/name@revision`, `hub:name`), or `python:topics`."""
    name: str
    """What metrics call it: `sts` of `sts/spearman`."""
    columns: Mapping[Role, str]
    """The column for a role; several columns of `target` are joined by `+`."""
    split: str | None = None
    config: str | None = None
    by: Unit | None = None
    encoding: str | None = None
    header: bool | None = None
    nulls: Literal["error", "drop"] = "error"
    """What becomes of a row with an empty cell in a column that is used."""
    weight: float | None = None

    def __str__(self) -> str:
        text = _escaped(self.location, r"\\|:(?=[^\s:=,/\\]+=)")
        keys = [f"{key}={_escaped(value, _IN_A_VALUE)}" for key, value in self._given()]
        return f"{text}:{','.join(keys)}" if keys else text

    def _given(self) -> Iterator[tuple[str, str]]:
        if self.name != default_name(self.location):
            yield "name", self.name
        yield from self.columns.items()
        optional = {
            "split": self.split,
            "config": self.config,
            "by": self.by,
            "encoding": self.encoding,
            "weight": self.weight,
        }
        yield from ((key, str(value)) for key, value in optional.items() if value is not None)
        if self.header is not None:
            yield "header", "yes" if self.header else "no"
        if self.nulls != "error":
            yield "nulls", self.nulls


def parse_spec(text: str, name: str | None = None) -> Spec:
    """The data set that `text` names, called by its key `name`, else `name`, else its file."""
    start = _KEY_STARTS.search(text)
    location = _unescaped(text if start is None else text[: start.end() - 1])
    if not location or "\0" in location:
        raise _refused(text, "no location, expected a path, a hub data set or `python:topics`")
    keys = {} if start is None else _keys(text, text[start.end() :])
    given: dict[str, Any] = {
        key: keys[key] for key in ("split", "config", "by", "encoding", "nulls") if key in keys
    }
    if "header" in keys:
        given["header"] = keys["header"] == "yes"
    if "weight" in keys:
        given["weight"] = _weight(text, keys["weight"])
    if "encoding" in keys:
        _require_encoding(text, keys["encoding"])
    found = keys.get("name", name if name is not None else default_name(location))
    if "/" in found:
        raise _refused(text, f"the name `{printable(found)}`, expected one without `/`")
    return Spec(
        location=location,
        name=found,
        columns={role: keys[role] for role in ROLES if role in keys},
        **given,
    )


def default_name(location: str) -> str:
    """The last part of a path or id, less what says the format: `dev` of `sts/dev.csv.gz`."""
    last = location.removeprefix("python:").removeprefix("hub:")
    path = PurePath(last).name.strip("./") if "\0" not in last else ""
    return _SUFFIXES.sub("", path, count=1) or "data"


def _keys(text: str, given: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in _split(given):
        key, equals, value = part.partition("=")
        key = key.strip()
        if not equals or not value:
            raise _refused(text, f"`{printable(part)}`, expected key=value")
        if key not in _KEYS:
            near = get_close_matches(key, _KEYS, 1)
            do = f"did you mean `{near[0]}`?" if near else "remove it, or correct its spelling"
            known = listing(_KEYS, len(_KEYS))
            raise _refused(text, f"the key `{printable(key)}`, expected one of: {known}", do)
        if key in found:
            raise _refused(text, f"the key `{key}` twice, expected it once")
        value = _unescaped(value)
        if key in _CHOICES and value not in _CHOICES[key]:
            wanted = listing(_CHOICES[key])
            raise _refused(text, f"{key}=`{printable(value)}`, expected one of: {wanted}")
        found[key] = value
    return found


def _split(given: str) -> list[str]:
    """The parts between commas that no backslash precedes."""
    parts = [""]
    for piece in re.findall(r"\\?.", given, re.DOTALL):
        if piece == ",":
            parts.append("")
        else:
            parts[-1] += piece
    return parts


def _weight(text: str, value: str) -> float:
    try:
        weight = float(value)
    except ValueError:
        weight = math.nan
    if not (math.isfinite(weight) and weight > 0):
        raise _refused(text, f"weight=`{printable(value)}`, expected a number above 0")
    return weight


def _require_encoding(text: str, encoding: str) -> None:
    try:
        " ".encode(encoding)
        is_known = codecs.lookup(encoding).name.replace("_", "-") not in _NOT_OF_FILES
    except (LookupError, ValueError):
        is_known = False
    if not is_known:
        found = f"encoding=`{printable(encoding)}`, expected one of text that Python knows"
        raise _refused(text, found, "write, for example, encoding=latin-1")


def _refused(text: str, found: str, do: str = "write it as LOCATION:key=value,…") -> UsageError:
    return UsageError(
        "DATA-SPEC", "this does not name a data set", at=printable(text), found=found, do=do
    )


def _escaped(text: str, special: str) -> str:
    return re.sub(special, lambda match: "\\" + match[0], text)


def _unescaped(text: str) -> str:
    return re.sub(r"\\([\\,:])", r"\1", text)
