"""Which files of a folder an output keeps, and why it leaves out each of the others."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final

from compressor.checkpoint.read.folder import Folder
from compressor.checkpoint.read.pickles import is_pickle
from compressor.checkpoint.read.weight_set import ADAPTER_STEM, leftovers
from compressor.errors import listing

ROOT_BYTES: Final = 256_000_000
"""The largest companion beside the model: a tokenizer may be that long."""

INNER_BYTES: Final = 64_000_000
"""The largest companion in a sub-folder."""

_KEPT: Final = re.compile(
    r".+\.(?:json|txt|model|jinja|py|tiktoken|bpe|spm|vocab|yaml)"
    r"|(?:LICEN[CS]E|NOTICE|COPYING|USE_POLICY).*",
    re.IGNORECASE,
)
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._ +()-]{0,200}")
_REWRITTEN: Final = {
    "README.md": "replaced by our model card",
    "compressor.json": "the manifest of an earlier step, written anew",
    "report.json": "the report of an earlier step, written anew",
}
_WEIGHTS: Final = re.compile(
    r".+\.(?:safetensors|gguf|h5|msgpack|onnx|onnx_data|ot|tflite|mlmodel)"
)


def take_inventory(folder: Folder, used: Collection[str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Names to copy, and names to leave out with a reason each; `used` are weights and indexes."""
    kept: list[str] = []
    left_out = dict(folder.closed)
    for name, size in folder.sizes.items():
        if name in used:
            continue
        reason = _reason(name, size)
        if reason is None:
            kept.append(name)
        else:
            left_out[name] = reason
    left_out |= {name: "no regular file: never read" for name in folder.others if name not in used}
    return tuple(sorted(kept)), dict(sorted(left_out.items()))


def weight_notes(left_out: Mapping[str, str]) -> tuple[str, ...]:
    """One note for each reason why weights are left out."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in left_out.items():
        if is_pickle(name) or _WEIGHTS.fullmatch(name):
            by_reason.setdefault(reason, []).append(name)
    return tuple(f"not copied: {listing(names)} ({why})" for why, names in by_reason.items())


def _reason(name: str, size: int) -> str | None:
    folder, _, base = name.rpartition("/")
    if not folder and base in _REWRITTEN:
        return _REWRITTEN[base]
    if is_pickle(base):
        return "pickle: never copied"
    if leftovers([base]):
        return "left behind by an interrupted write"
    if _WEIGHTS.fullmatch(base):
        return _why_unused(base)
    if ".index." in base and base.endswith(".json"):
        return "the index of weights that are not copied"
    if _KEPT.fullmatch(base) is None:
        return "no file that a model is loaded from"
    if not all(_NAME.fullmatch(part) for part in name.split("/")):
        return "an unusual name"
    if size > (INNER_BYTES if folder else ROOT_BYTES):
        return f"too large for a companion: {size} bytes"
    return None


def _why_unused(base: str) -> str:
    if not base.endswith(".safetensors"):
        return "weights in another format"
    if base.startswith("consolidated"):
        return "the same weights in another layout"
    if base.startswith(ADAPTER_STEM):
        return "an adapter, which is not merged"
    return "other weights than the model's own"
