"""Temporary folders beside an output: named, claimed by one run, removed when nobody holds them.

A run holds a folder by a lock on the manifest in it, which is empty until the commit. A lock goes
with its process, so that whatever nobody locks is dead. It is a hint: some file systems ignore
locks, and it is the rename (`rename`) that protects an output.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import stat
import uuid
from pathlib import Path

MANIFEST = "compressor.json"
JOURNAL = "journal.jsonl"
_START_BYTES = 200
_NAME = re.compile(r"\.(?P<target>.+)\.tmp-[0-9a-f]{12}", re.DOTALL)


def new_folder(target: Path) -> Path:
    """A new sibling of `target`, closed to others."""
    folder = target.with_name(f".{target.name}.tmp-{uuid.uuid4().hex[:12]}")
    folder.mkdir(0o700)
    return folder


def claim(folder: Path) -> int:
    """The locked descriptor of the folder's manifest; `BlockingIOError` where a run holds it."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(folder / MANIFEST, flags, 0o666)
    try:
        _lock(descriptor, fcntl.LOCK_EX)
    except BlockingIOError:
        os.close(descriptor)
        raise
    return descriptor


def leftovers(parent: Path, target: str | None = None) -> list[tuple[Path, bool]]:
    """Our temporary folders in `parent`, of all outputs or one, each with whether a run holds it.

    Ours is what has such a name, belongs to this user, and holds what a run marks it with, or
    nothing at all.
    """
    found = []
    for path in sorted(parent.iterdir()):
        match = _NAME.fullmatch(path.name)
        if match is None or target not in (None, match["target"]):
            continue
        with contextlib.suppress(FileNotFoundError):
            status = path.lstat()
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
                continue
            names = {inner.name for inner in path.iterdir()}
            if MANIFEST in names and _is_marked(path, names):
                found.append((path, _is_held(path)))
            elif not names:
                found.append((path, False))
    return found


def remove(folder: Path) -> None:
    """Delete a temporary folder; what marks it as ours goes last, lest an interruption hide it."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != MANIFEST:
            path.unlink()
    (folder / MANIFEST).unlink(missing_ok=True)
    folder.rmdir()


def remove_dead(folder: Path) -> bool:
    """Delete a temporary folder unless a run holds it, by now or meanwhile."""
    try:
        descriptor = claim(folder)
    except BlockingIOError:
        return False
    try:
        remove(folder)
    finally:
        os.close(descriptor)
    return True


def _is_marked(folder: Path, names: set[str]) -> bool:
    """Whether a run left this: a journal, a manifest that is still empty, or one of ours."""
    path = folder / MANIFEST
    if not stat.S_ISREG(path.lstat().st_mode):
        return False
    with path.open("rb") as file:
        start = file.read(_START_BYTES)
    return JOURNAL in names or not start or b'"tool": "compressor ' in start


def _is_held(folder: Path) -> bool:
    descriptor = os.open(folder / MANIFEST, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _lock(descriptor, fcntl.LOCK_SH)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _lock(descriptor: int, kind: int) -> None:
    """Lock at once or fail with `BlockingIOError`; file systems without locks let everybody in."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return
