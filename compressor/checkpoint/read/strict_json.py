"""JSON whose nesting is known before it is parsed, so that parsing it cannot exhaust the stack."""

from __future__ import annotations

import codecs
import json
from typing import Any, Final, final

_STRUCTURE: Final = b'[]{},"'
_REST: Final = bytes(byte for byte in range(256) if byte not in _STRUCTURE)
_SAME_BRACKETS: Final = bytes.maketrans(b"{}", b"[]")
_MARKS: Final = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class MalformedJson(ValueError):
    """Not the JSON that was asked for; its text says why, in half a sentence."""


@final
class DuplicateKey(MalformedJson):
    """An object names the same key twice, so that readers disagree about its value."""

    def __init__(self, key: str) -> None:
        super().__init__("it names a key twice")
        self.key = key


def skeleton(text: bytes) -> bytes:
    """Only the brackets and commas outside of strings; found without building an object."""
    unescaped = text.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in text else text
    # Two quotes side by side change nothing about what lies inside a string: most go at once.
    quoted = unescaped.translate(None, _REST).replace(b'""', b"")
    return b"".join(quoted.split(b'"')[::2])


def is_deeper(structure: bytes, limit: int) -> bool:
    """Whether a skeleton nests more than `limit` levels; each pass removes the innermost one."""
    brackets = structure.translate(_SAME_BRACKETS, b",")
    for removed in range(limit):
        outer = brackets.replace(b"[]", b"")
        if len(outer) == len(brackets):
            return removed + brackets.count(b"[") > limit
        brackets = outer
    return b"[" in brackets


def parse_object(text: bytes, depth: int, *, is_strict: bool) -> dict[str, Any]:
    """A JSON object in UTF-8 without a mark; strictly: with unique keys and finite numbers."""
    if text.startswith(_MARKS):
        raise MalformedJson("it starts with a byte order mark")
    if is_deeper(skeleton(text), depth):
        raise MalformedJson(f"it is nested deeper than {depth} levels")
    hooks: dict[str, Any] = (
        {"object_pairs_hook": _unique, "parse_constant": _refuse_constant} if is_strict else {}
    )
    try:
        value = json.loads(text.decode("utf-8"), parse_int=_integer, **hooks)
    except UnicodeDecodeError as error:
        raise MalformedJson(f"it is not UTF-8 at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise MalformedJson(
            f"{error.msg} at line {error.lineno} column {error.colno}".replace("\n", " ")
        ) from error
    except MalformedJson:
        raise
    except (ValueError, RecursionError) as error:
        raise MalformedJson("it holds a number or a nesting beyond what can be parsed") from error
    if not isinstance(value, dict):
        raise MalformedJson(f"it is a {type(value).__name__}")
    return value


def _integer(text: str) -> int | float:
    """`-0` is a float to the safetensors library, as it is to serde; here as well."""
    return -0.0 if text == "-0" else int(text)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise DuplicateKey(key)
            seen.add(key)
    return found


def _refuse_constant(text: str) -> float:
    raise MalformedJson(f"`{text}` is not JSON")
