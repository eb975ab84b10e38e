"""Weight files of raw bits: written and read here by the format's own rules, with no other code."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Bits: TypeAlias = npt.NDArray[Any]
Stored: TypeAlias = tuple[str, Bits]
"""A dtype, and unsigned integers of its width."""

WORDS = {"BF16": "<u2", "F16": "<u2", "F32": "<u4", "F64": "<u8", "I64": "<u8", "BOOL": "<u1"}
FLOATS = {"F16": np.float16, "F32": np.float32, "F64": np.float64}


def encode(values: npt.ArrayLike, dtype: str) -> Stored:
    """Numbers in a dtype; to BF16 by dropping bits, which keeps their order."""
    array = np.asarray(values)
    if dtype == "BF16":
        return dtype, (array.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    return dtype, array.astype(FLOATS[dtype]).view(WORDS[dtype])


def decode(stored: Stored) -> npt.NDArray[np.float64]:
    """The numbers, exactly."""
    dtype, bits = stored
    if dtype == "BF16":
        return (bits.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    return bits.view(FLOATS[dtype]).astype(np.float64)


def write(
    folder: Path,
    *shards: Mapping[str, Stored],
    config: Mapping[str, object] = {"model_type": "llama"},  # read only
) -> Path:
    """A checkpoint folder with these weight files, and an index if there are many."""
    folder.mkdir(parents=True, exist_ok=True)
    names = ["model.safetensors"]
    if len(shards) > 1:
        count = len(shards)
        names = [f"model-{place + 1:05}-of-{count:05}.safetensors" for place in range(count)]
        owners = {name: file for file, shard in zip(names, shards, strict=True) for name in shard}
        index = {"metadata": {}, "weight_map": owners}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    for name, shard in zip(names, shards, strict=True):
        (folder / name).write_bytes(framed(shard))
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def framed(tensors: Mapping[str, Stored]) -> bytes:
    """A weight file: length, header, data; tensors in the order given."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, (dtype, bits) in tensors.items():
        raw = bits.astype(WORDS[dtype]).tobytes()
        offsets = [len(data), len(data) + len(raw)]
        header[name] = {"dtype": dtype, "shape": list(bits.shape), "data_offsets": offsets}
        data += raw
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def read(folder: Path) -> dict[str, Stored]:
    """Every tensor of a folder, in canonical order: weight files by name, then by offset."""
    found: dict[str, Stored] = {}
    for path in sorted(folder.glob("*.safetensors")):
        content = path.read_bytes()
        start = 8 + int.from_bytes(content[:8], "little")
        header = json.loads(content[8:start])
        header.pop("__metadata__", None)
        for name in sorted(header, key=lambda name: header[name]["data_offsets"]):
            entry = header[name]
            first, last = entry["data_offsets"]
            bits = np.frombuffer(content[start + first : start + last], WORDS[entry["dtype"]])
            found[name] = entry["dtype"], bits.reshape(entry["shape"])
    return found


def zeros(tensors: Sequence[Stored]) -> int:
    """How many numbers are zero, of either sign."""
    return sum(int(np.count_nonzero(decode(stored) == 0)) for stored in tensors)
