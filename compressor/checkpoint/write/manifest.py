"""`compressor.json`: what an output was made from, how, and the digest of every file in it.

`tree` covers what the inputs determine; `run` (clock, host, versions) is left out of it and differs
between equal runs. `self` covers the whole manifest but itself.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib.metadata import version
from typing import Any

from compressor.checkpoint.digest import ALGORITHM, digest_of
from compressor.checkpoint.source import Source

SCHEMA = 1


def tool() -> str:
    """`compressor 0.1.0`: name and version, as they stand in every manifest."""
    return f"compressor {version('compressor')}"


def build_manifest(
    source: Source,
    source_files: Mapping[str, Mapping[str, Any]],
    step: Mapping[str, Any],
    files: Mapping[str, Mapping[str, Any]],
    tensors: Mapping[str, Any],
    key: str,
    seconds: float,
) -> bytes:
    """The manifest as bytes: canonical order, one line per entry, `self` last."""
    determined = {
        "schema": SCHEMA,
        "tool": tool(),
        "hash": ALGORITHM,
        "source": {
            **({"id": source.id} if source.id else {}),
            **({"revision": source.revision} if source.revision else {}),
            "files": dict(sorted(source_files.items())),
        },
        "step": dict(step),
        "files": dict(sorted(files.items())),
        "tensors": dict(tensors),
        "key": key,
    }
    content = {**determined, "tree": digest_of(determined), "run": _this_run(seconds)}
    content["self"] = digest_of(content)
    return json.dumps(content, indent=1, allow_nan=False).encode() + b"\n"


def self_digest(manifest: Mapping[str, Any]) -> str:
    """What `self` must be for this manifest."""
    return digest_of({key: value for key, value in manifest.items() if key != "self"})


def tree_digest(manifest: Mapping[str, Any]) -> str:
    """What `tree` must be for this manifest."""
    left_out = {"self", "tree", "run"}
    return digest_of({key: value for key, value in manifest.items() if key not in left_out})


def names_digest(tensors: Mapping[str, tuple[str, tuple[int, ...]]]) -> dict[str, Any]:
    """How many tensors there are, and one digest over their names, dtypes and shapes."""
    listed = {name: [dtype, list(shape)] for name, (dtype, shape) in tensors.items()}
    return {"count": len(listed), "digest": digest_of(listed)}


def _this_run(seconds: float) -> dict[str, Any]:
    packages = ("blake3", "numpy", "safetensors")
    return {
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "seconds": round(seconds, 3),
        "host": {
            "machine": platform.machine(),
            "system": platform.system(),
            "versions": {
                "python": platform.python_version(),
                **{package: version(package) for package in packages},
            },
        },
    }
