"""Bytes and names made durable, and what it means to the user when a disk refuses them."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from compressor.errors import CompressorError, OutputError, ResourceError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def output_error(error: OSError, target: Path) -> CompressorError:
    """What an operating system's refusal to write means for the user."""
    if error.errno in _FULL:
        return ResourceError(
            "DISK-FULL",
            "the output does not fit on its disk",
            at=target,
            found=f"{error.strerror}; {human_bytes(free_bytes(target))} are free",
            do="free space or choose another folder with -o, then repeat with --resume",
        )
    return OutputError(
        "OUT-UNWRITABLE",
        "the output folder cannot be written",
        at=target,
        found=f"{error.strerror or error}, expected a folder that can be created",
        do="choose another folder with -o",
    )


@contextlib.contextmanager
def writing(target: Path) -> Iterator[None]:
    """Turn an `OSError` of a write into the error that a user can act on."""
    try:
        yield
    except OSError as error:
        raise output_error(error, target) from error


def free_bytes(target: Path) -> int:
    """Free bytes on the disk of the nearest folder that exists."""
    for folder in [target, *target.parents]:
        with contextlib.suppress(OSError):
            return shutil.disk_usage(folder).free
    return 0


def human_bytes(count: float) -> str:
    """`1.2 GB`, in powers of ten."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write every byte, however many calls it takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def sync_folder(folder: Path) -> None:
    """Make the entries of a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def require_space(target: Path, need: int) -> None:
    """Refuse what would not fit, with a tenth to spare."""
    if (free := free_bytes(target)) < 1.1 * need:
        raise ResourceError(
            "DISK-FULL",
            "the output would not fit on its disk",
            at=target,
            found=f"{human_bytes(free)} free, expected {human_bytes(1.1 * need)}",
            do="free space or choose another folder with -o",
        )


def write_whole(path: Path, data: bytes) -> None:
    """A file that holds all of `data`, or what it held before: temporary file, fsync, rename."""
    temporary = path.with_name(f".{path.name}.tmp")
    with writing(path):
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, 0o666)
        try:
            write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(path)
        sync_folder(path.parent)
