"""Where an output may be written: what is refused before any work is done."""

from __future__ import annotations

import json
import os
from pathlib import Path

from compressor.checkpoint.temporary import MANIFEST
from compressor.errors import OutputError, listing


def check_target(target: Path, source: Path, *, overwrite: bool) -> None:
    """Refuse a target that exists, is the source, lies in a hub cache, or cannot be a folder."""
    real, real_source = _real(target), _real(source)
    cache = [os.environ[name] for name in ("HF_HUB_CACHE", "HF_HOME") if os.environ.get(name)]
    in_cache = any(part.startswith("models--") for part in real.parts) or any(
        real.is_relative_to(_real(Path(folder))) for folder in cache
    )
    if not target.name or target.name in {".", ".."}:
        problem = ("OUT-UNWRITABLE", "the output needs a name of its own", "no folder name")
    elif target.is_symlink():
        problem = ("OUT-SYMLINK", "the output is a symbolic link", "a link")
    elif real == real_source or real in real_source.parents or real_source in real.parents:
        problem = ("OUT-IS-SOURCE", "the output would overlap the source", "one inside the other")
    elif in_cache:
        problem = ("OUT-IN-CACHE", "the output lies inside a hub cache", "a folder of the cache")
    elif target.exists() and not target.is_dir():
        problem = ("OUT-NOT-DIR", "the output exists and is not a folder", "a file")
    elif not target.is_dir() or not any(target.iterdir()):
        return
    elif not overwrite:
        raise OutputError(
            "OUT-EXISTS",
            "the output folder already exists",
            at=target,
            found="a folder with files in it, expected none",
            do="choose another folder with -o, or replace this one with --overwrite",
        )
    elif not (target / MANIFEST).is_file():
        problem = ("OUT-FOREIGN", "only a folder that compressor wrote is replaced", "no manifest")
    elif os.path.ismount(target):
        problem = ("OUT-UNWRITABLE", "a mount point cannot be exchanged", "a mount point")
    else:
        return
    id, message, found = problem
    do = "choose another folder with -o"
    raise OutputError(id, message, at=target, found=f"{found}, expected a new folder", do=do)


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))
