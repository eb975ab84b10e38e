"""One atomic rename: a folder takes a free name, or changes places with the one that has it."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import sys
from pathlib import Path

from compressor.checkpoint.write.disk import sync_folder

NO_REPLACE = 1
EXCHANGE = 2
_AT_FDCWD = -100
_UNSUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}


def into_place(folder: Path, target: Path, *, last: str, exchange: bool) -> None:
    """Give `folder` the name `target`; with `exchange` the old folder takes the temporary name.

    Without it, `target` is free or an empty folder; `FileExistsError` says that it is neither.
    Where the file system has no such rename (`renameat2` of Linux ≥ 3.15), a new target is claimed
    by `mkdir` and filled file by file, `last` last, so that a folder without it is incomplete.
    """
    if exchange:
        _renameat2(folder, target, EXCHANGE)
        return
    with contextlib.suppress(OSError):
        target.rmdir()
    try:
        _renameat2(folder, target, NO_REPLACE)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        _file_by_file(folder, target, last)


def can_exchange(folder: Path) -> bool:
    """Whether two folders inside this one can change places; tried, because no call says so."""
    pair = (folder / "one", folder / "other")
    for path in pair:
        path.mkdir()
    try:
        _renameat2(*pair, EXCHANGE)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        return False
    else:
        return True
    finally:
        for path in pair:
            path.rmdir()


def _renameat2(old: Path, new: Path, flags: int) -> None:
    if not sys.platform.startswith("linux"):
        raise OSError(errno.ENOSYS, "no renameat2 on this system")
    library = ctypes.CDLL(None, use_errno=True)
    if library.renameat2(_AT_FDCWD, os.fsencode(old), _AT_FDCWD, os.fsencode(new), flags) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(new))


def _file_by_file(folder: Path, target: Path, last: str) -> None:
    target.mkdir()
    try:
        for path in folder.iterdir():
            if path.name != last:
                path.rename(target / path.name)
        sync_folder(target)
        (folder / last).rename(target / last)
        sync_folder(target)
    except BaseException:
        for path in target.iterdir():
            path.rename(folder / path.name)
        target.rmdir()
        raise
    target.chmod(folder.stat().st_mode & 0o7777)
    folder.rmdir()
