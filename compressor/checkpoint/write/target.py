"""Where an output may be written: what is refused before any work is done."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import Any, Final

from compressor.checkpoint.digest import digest_file
from compressor.checkpoint.hub.cache import hub_cache, hub_home
from compressor.checkpoint.write.temporary import MANIFEST
from compressor.errors import OutputError, listing

EDITABLE_BYTES: Final = 64_000_000
"""Files up to this size are compared with their digest before a folder is replaced."""


def check_target(target: Path, source: Path, *, overwrite: bool) -> None:
    """Refuse a target that exists, is the source, lies in a hub cache, or cannot be a folder."""
    real, real_source = _real(target), _real(source)
    if not target.name or target.name in {".", ".."}:
        problem = ("OUT-UNWRITABLE", "the output needs a name of its own", "no folder name")
    elif target.is_symlink():
        problem = ("OUT-SYMLINK", "the output is a symbolic link", "a link")
    elif real == real_source or real in real_source.parents or real_source in real.parents:
        problem = ("OUT-IS-SOURCE", "the output would overlap the source", "one inside the other")
    elif _is_in_cache(real):
        problem = ("OUT-IN-CACHE", "the output lies inside a hub cache", "a folder of the cache")
    elif target.exists() and not target.is_dir():
        problem = ("OUT-NOT-DIR", "the output exists and is not a folder", "a file")
    elif os.path.ismount(target):
        problem = ("OUT-UNWRITABLE", "a mount point cannot be renamed over", "a mount point")
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
    elif strange := foreign(target):
        problem = ("OUT-FOREIGN", "only a folder that compressor wrote is replaced", strange)
    else:
        return
    id, message, found = problem
    do = "choose another folder with -o"
    raise OutputError(id, message, at=target, found=f"{found}, expected a new folder", do=do)


def require_free(target: Path, *, overwrite: bool) -> None:
    """Refuse a folder for a report that is a file, a link, or holds something already."""
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise OutputError(
            "OUT-NOT-DIR",
            "the output exists and is not a folder",
            at=target,
            found="a file or a link, expected a folder or nothing",
            do="choose another folder with -o",
        )
    if target.is_dir() and any(target.iterdir()) and not overwrite:
        raise OutputError(
            "OUT-EXISTS",
            "the output folder already exists",
            at=target,
            found="a folder with files in it, expected none",
            do="choose another folder with -o, or replace its report with --overwrite",
        )


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _is_in_cache(real: Path) -> bool:
    return any(part.startswith("models--") for part in real.parts) or any(
        real.is_relative_to(_real(cache)) for cache in (hub_home(), hub_cache())
    )


def foreign(folder: Path) -> str:
    """What shows that this folder is not as we wrote it, and that replacing it loses work."""
    try:
        listed = json.loads((folder / MANIFEST).read_bytes())["files"]
        paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
        files = {name: path for name, path in paths.items() if not path.is_dir()}
        added = sorted(files.keys() - {MANIFEST, *listed})
        edited = sorted(name for name, path in files.items() if _is_edited(path, listed.get(name)))
    except FileNotFoundError:
        return "no manifest"
    except (ValueError, KeyError, TypeError, AttributeError):
        return "a manifest that cannot be read"
    if added:
        return f"files that are not ours ({listing(added)})"
    return f"files that were changed since ({listing(edited)})" if edited else ""


def _is_edited(path: Path, entry: dict[str, Any] | None) -> bool:
    """Whether a file that somebody may edit by hand is not as the manifest has it."""
    if entry is None or path.suffix == ".safetensors" or entry["size"] > EDITABLE_BYTES:
        return False
    return bool(digest_file(path) != entry["digest"])


def set_aside(folder: Path, target: Path) -> Path | None:
    """The new name of an exchanged folder that holds more than we wrote; None where it does not."""
    if not foreign(folder):
        return None
    kept = target.with_name(f"{target.name}.replaced-{uuid.uuid4().hex[:12]}")
    folder.rename(kept)
    return kept
