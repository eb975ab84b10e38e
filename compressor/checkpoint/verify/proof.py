"""A manifest read back: that not one bit of it changed, and what it says of the other files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard, final

from compressor.checkpoint.digest import ALGORITHM
from compressor.checkpoint.read.limits import Limits
from compressor.checkpoint.read.strict_json import MalformedJson, parse_object
from compressor.checkpoint.write.manifest import SCHEMA, self_digest, tree_digest
from compressor.checkpoint.write.temporary import MANIFEST
from compressor.errors import InputError, printable


@final
@dataclass(frozen=True)
class Proof:
    """What a manifest promises: digest and size of each file, and how it was made."""

    files: Mapping[str, Mapping[str, Any]]
    source_files: Mapping[str, Mapping[str, Any]]
    tensors: Mapping[str, Any]
    allows_nonfinite: bool


def read_back(raw: bytes, limits: Limits) -> Proof:
    """The promises of a manifest whose every byte is the one that was written."""
    try:
        content = parse_object(raw, limits.depth, is_strict=True)
    except MalformedJson as error:
        raise _broken(f"{error}, expected a JSON object") from error
    for key, expected in (("schema", SCHEMA), ("hash", ALGORITHM)):
        if content.get(key) != expected:
            raise _broken(f"{key} `{printable(content.get(key))}`, expected `{expected}`")
    for key, digest in (("self", self_digest), ("tree", tree_digest)):
        if content.get(key) != digest(content):
            raise _broken(f"other content than its own `{key}` digest says")
    # JSON has more than one spelling of the same content: `\u00e9` is `\u00E9`, one bit apart.
    if json.dumps(content, indent=1, allow_nan=False).encode() + b"\n" != raw:
        raise _broken("another spelling than this tool writes, of the same content")
    files, source, step = content.get("files"), content.get("source"), content.get("step")
    tensors = content.get("tensors")
    source_files = source.get("files") if isinstance(source, dict) else None
    if (
        not _lists_files(files)
        or not _lists_files(source_files)
        or not isinstance(step, dict)
        or not isinstance(tensors, dict)
    ):
        raise _broken("no `files`, `source`, `step` or `tensors` as this tool writes them")
    return Proof(files, source_files, tensors, step.get("allow_nonfinite") is True)


def _lists_files(value: object) -> TypeGuard[dict[str, dict[str, Any]]]:
    return isinstance(value, dict) and all(
        isinstance(entry, dict)
        and isinstance(entry.get("digest"), str)
        and type(entry.get("size")) is int
        for entry in value.values()
    )


def _broken(found: str) -> InputError:
    return InputError(
        "VERIFY-MANIFEST",
        "the manifest is not as it was written",
        at=MANIFEST,
        found=found,
        do="restore the folder from a copy, or make the output again",
    )
