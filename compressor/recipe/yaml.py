"""Recipe YAML, read safely: every scalar stays text, and every value knows where it stands.

Only the parser's events are read and nothing is constructed, so no tag can name a Python object,
`2:4` stays `2:4`, and a limit ends the reading at the event that passes it.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn, TypeAlias, final

import yaml

from compressor.errors import UsageError, printable

MAX_BYTES: Final = 1 << 20
MAX_DEPTH: Final = 32
MAX_NODES: Final = 20_000

# libyaml reads 20 000 nodes in 0.02 s where the parser in Python needs 0.4 s.
_LOADER: Final = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
_LEVELS: Final = f"at most {MAX_DEPTH} levels"
_NOT_TEXT: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@final
@dataclass(frozen=True)
class Text:
    """A scalar as it was written. `at` is `recipe.yaml:12:5`; plain means without quotes."""

    at: str
    text: str
    is_plain: bool = True


@final
@dataclass(frozen=True)
class Items:
    """A list."""

    at: str
    items: tuple[Node, ...]


@final
@dataclass(frozen=True)
class Table:
    """A mapping. `keys` holds the place of each key."""

    at: str
    values: dict[str, Node]
    keys: dict[str, str]


Node: TypeAlias = Text | Items | Table


def read(path: Path) -> str:
    """The text of a regular file of at most 1 MiB; whatever else lies there is refused unread."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        _unreadable(path, str(error.strerror if isinstance(error, OSError) else error))
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            is_folder = stat.S_ISDIR(status.st_mode)
            _unreadable(path, "a folder" if is_folder else "a pipe, socket or device")
        if status.st_size > MAX_BYTES:
            _unreadable(path, f"{status.st_size} bytes")
        data = os.read(descriptor, MAX_BYTES)
    finally:
        os.close(descriptor)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        _unreadable(path, f"a byte that is not UTF-8, at offset {error.start}")


def parse(text: str, file: str) -> Table:
    """The mapping that a recipe is; `file` is what places are named after."""
    if match := _NOT_TEXT.search(text):
        line = text.count("\n", 0, match.start()) + 1
        column = match.start() - text.rfind("\n", 0, match.start())
        at = f"{file}:{line}:{column}"
        _refuse("PARSE", "the recipe holds a control character", at, ascii(match[0]), "text")
    return _Parser(text, file).document()


@final
class _Parser:
    """Events into nodes; the depth of its recursion is bounded by `MAX_DEPTH`."""

    def __init__(self, text: str, file: str) -> None:
        self._events: Iterator[yaml.Event] = iter(yaml.parse(text, Loader=_LOADER))
        self._file = file
        self._nodes = 0

    def document(self) -> Table:
        """The one document of the stream, which is a mapping."""
        self._next()
        start = self._next()
        root = self._node(self._next(), 1) if isinstance(start, yaml.DocumentStartEvent) else None
        if root is None or root == Text(root.at, ""):
            raise UsageError(
                "RECIPE-EMPTY",
                "the recipe is empty",
                at=self._at(start),
                found="no content, expected the keys `version`, `source` and `steps`",
                do="start from a shipped one: compressor recipe cp quickstart",
            )
        if not isinstance(root, Table):
            found = "a list" if isinstance(root, Items) else f"`{printable(root.text)}`"
            _refuse("PARSE", "a recipe is a mapping", root.at, found, "`version: 1`")
        self._next()
        if not isinstance(after := self._next(), yaml.StreamEndEvent):
            at = self._at(after)
            _refuse("PARSE", "a file holds one recipe", at, "a second document", "one")
        return root

    def _next(self) -> yaml.Event:
        try:
            event = next(self._events)
        except yaml.YAMLError as error:
            raise self._parse_error(error) from error
        if isinstance(event, yaml.AliasEvent) or (
            isinstance(event, yaml.NodeEvent) and event.anchor is not None
        ):
            mark = "*" if isinstance(event, yaml.AliasEvent) else "&"
            at, found = self._at(event), f"`{mark}{printable(event.anchor)}`"
            _refuse("ALIAS", "a recipe has no anchors and no aliases", at, found, "the value")
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag:
            found = f"`{printable(event.tag.replace('tag:yaml.org,2002:', '!!'))}`"
            _refuse("TAG", "a recipe has no tags", self._at(event), found, "a plain value")
        return event

    def _parse_error(self, error: yaml.YAMLError) -> UsageError:
        mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
        problem = str(error.problem if isinstance(error, yaml.MarkedYAMLError) else error)
        at = f"{self._file}:{mark.line + 1}:{mark.column + 1}" if mark else self._file
        # libyaml looks ahead of the events, and has a limit of its own.
        if "nesting depth" in problem:
            _refuse("LIMIT", "the recipe is nested too deeply", at, "more", _LEVELS)
        return UsageError(
            "RECIPE-PARSE",
            "the recipe is not well-formed YAML",
            at=at,
            found=f"{printable(problem.removeprefix('found '))}, expected YAML",
            do="correct the line, or compare it with: compressor recipe cp quickstart",
        )

    def _node(self, event: yaml.Event, depth: int) -> Node:
        if isinstance(event, yaml.ScalarEvent):
            return self._text(event)
        at = self._at(event)
        self._count(at)
        if depth > MAX_DEPTH:
            _refuse("LIMIT", "the recipe is nested too deeply", at, "more", _LEVELS)
        if isinstance(event, yaml.MappingStartEvent):
            return self._table(at, depth)
        items = []
        while not isinstance(item := self._next(), yaml.SequenceEndEvent):
            items.append(self._node(item, depth + 1))
        return Items(at, tuple(items))

    def _text(self, event: yaml.ScalarEvent) -> Text:
        at = self._at(event)
        self._count(at)
        if _NOT_TEXT.search(event.value):
            found = f"`{printable(event.value)}`"
            _refuse("PARSE", "a value holds a control character", at, found, "text")
        return Text(at, event.value, is_plain=event.implicit[0])

    def _count(self, at: str) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            _refuse("LIMIT", "the recipe has too many values", at, "more", f"at most {MAX_NODES}")

    def _table(self, at: str, depth: int) -> Table:
        table = Table(at, {}, {})
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            place = self._at(event)
            if not isinstance(event, yaml.ScalarEvent):
                _refuse("PARSE", "a key is one word", place, "a list or a mapping", "a name")
            key = self._text(event)
            if not key.text.isascii():
                found = f"`{printable(ascii(key.text)[1:-1])}`"
                message = "a key holds characters outside ASCII"
                _refuse("UNKNOWN-KEY", message, place, found, "a key in plain ASCII letters")
            if key.text == "<<" and key.is_plain:
                _refuse("ALIAS", "a recipe has no merge keys", place, "`<<`", "the keys")
            if key.text in table.keys:
                found = f"`{printable(key.text)}` here and at {printable(table.keys[key.text])}"
                _refuse("DUPLICATE", "a key stands twice", place, found, "it once")
            table.keys[key.text] = place
            table.values[key.text] = self._node(self._next(), depth + 1)
        return table

    def _at(self, event: yaml.Event) -> str:
        mark: Any = event.start_mark
        return f"{self._file}:{mark.line + 1}:{mark.column + 1}"


def _refuse(id: str, message: str, at: str, found: str, expected: str) -> NoReturn:
    raise UsageError(
        f"RECIPE-{id}",
        message,
        at=at,
        found=f"{found}, expected {expected}",
        do="correct this place of the recipe",
    )


def _unreadable(path: Path, found: str) -> NoReturn:
    raise UsageError(
        "RECIPE-UNREADABLE",
        "the recipe cannot be read",
        at=path,
        found=f"{printable(found)}, expected a readable YAML file of at most 1 MiB",
        do="check the path, or see what is shipped: compressor recipe ls",
    )
