"""One atomic rename: a folder takes a free name, or changes places with the one that has it."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path

NO_REPLACE = 1
EXCHANGE = 2
_AT_FDCWD = -100
_UNSUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}


def into_place(folder: Path, target: Path, *, last: str, exchange: bool) -> None:
    """Give `folder` the name `target`; with `exchange` the old folder takes the temporary name.

    Where the file system has no such rename (`renameat2` of Linux ≥ 3.15), a new target is claimed by
    `mkdir` and filled file by file, `last` last, so that a folder without it is incomplete; an
    exchange is refused. `FileExistsError` says that somebody else took the name.
    """
    if target.is_dir() and not any(target.iterdir()):
        target.rmdir()
        exchange = False
    try:
        _renameat2(folder, target, EXCHANGE if exchange else NO_REPLACE)
    except OSError as error:
        if error.errno not in _UNSUPPORTED or exchange:
            raise
        _file_by_file(folder, target, last)


def _renameat2(old: Path, new: Path, flags: int) -> None:
    if not sys.platform.startswith("linux"):
        raise OSError(errno.ENOSYS, "no renameat2 on this system")
    library = ctypes.CDLL(None, use_errno=True)
    if library.renameat2(_AT_FDCWD, os.fsencode(old), _AT_FDCWD, os.fsencode(new), flags) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(new))


def _file_by_file(folder: Path, target: Path, last: str) -> None:
    target.mkdir()
    for path in sorted(folder.iterdir(), key=lambda path: (path.name == last, path.name)):
        path.rename(target / path.name)
    folder.rmdir()
