"""The files of an untrusted folder: only regular ones are read, and none from outside of it.

One kind of link is followed: of a hub cache's snapshot, into the blobs of the same repository.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NoReturn, final

from compressor.errors import InputError, RefusedError, printable

DEPTH: Final = 2
"""How many levels of sub-folders are looked into."""

SKIPPED: Final = frozenset(
    {"onnx", "openvino", ".git", ".cache", "original", "coreml", "gguf", "__pycache__"}
)
"""Sub-folders with other forms of the model, or none."""

_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


@final
class Folder:
    """A folder as it was listed once, or `only` one of its files; names have `/` between parts."""

    def __init__(self, path: Path, only: str | None = None) -> None:
        resolved = path.resolve()
        self.path = path
        self.name = resolved.name or "/"
        self._blobs = _blobs(resolved)
        self._sizes: dict[str, int] = {}
        self._others: list[str] = []
        self._names: dict[str, list[str]] = {}
        self._closed: dict[str, str] = {}
        self._list("", 0, only)

    @property
    def sizes(self) -> Mapping[str, int]:
        """Bytes of each regular file, by name."""
        return self._sizes

    @property
    def others(self) -> tuple[str, ...]:
        """Links, devices, sockets and FIFOs, which are never read."""
        return tuple(self._others)

    @property
    def closed(self) -> Mapping[str, str]:
        """Sub-folders that were not looked into, each with its reason."""
        return self._closed

    def names(self, prefix: str) -> list[str]:
        """What lies directly under `prefix`, but for folders: names without the prefix, sorted."""
        return self._names[prefix]

    def prefixes(self) -> list[str]:
        """The sub-folders that were looked into: `unet/`."""
        return [prefix for prefix in self._names if prefix]

    @contextmanager
    def open(self, name: str) -> Iterator[tuple[int, os.stat_result]]:
        """A descriptor of a regular file, and what the system says about it."""
        try:
            descriptor = self._descriptor(name)
        except OSError as error:
            self._refuse(name, error)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise not_regular(name, status.st_mode)
            yield descriptor, status
        except OSError as error:
            raise unreadable(name, error) from error
        finally:
            os.close(descriptor)

    def read(self, name: str, most: int) -> bytes:
        """The bytes of a file; one byte more than `most` where it is longer."""
        with self.open(name) as (descriptor, _):
            return os.pread(descriptor, most + 1, 0)

    def _list(self, prefix: str, depth: int, only: str | None = None) -> None:
        try:
            entries = sorted(os.scandir(self.path / prefix), key=lambda entry: entry.name)
        except OSError as error:
            raise unreadable(prefix or self.name, error) from error
        if only is not None:
            entries = [entry for entry in entries if entry.name == only]
        self._names[prefix] = [entry.name for entry in entries if not _is_folder(entry)]
        for entry in entries:
            name = prefix + entry.name
            if _is_folder(entry):
                if entry.name in SKIPPED:
                    self._closed[f"{name}/"] = "another form of the model, or no part of it"
                elif depth == DEPTH:
                    self._closed[f"{name}/"] = f"deeper than {DEPTH} levels of sub-folders"
                else:
                    self._list(f"{name}/", depth + 1)
            elif entry.is_file(follow_symlinks=False):
                self._sizes[name] = entry.stat(follow_symlinks=False).st_size
            elif (blob := self._blob(name)) is not None:
                self._sizes[name] = blob.stat().st_size
            else:
                self._others.append(name)

    def _blob(self, name: str) -> Path | None:
        """The regular file of the same hub repository that a link leads to."""
        path = self.path / name
        if self._blobs is None or not path.is_symlink():
            return None
        target = path.resolve()
        return target if target.parent == self._blobs and target.is_file() else None

    def _descriptor(self, name: str) -> int:
        if (blob := self._blob(name)) is not None:
            return os.open(blob, _FLAGS)
        *parents, last = name.split("/")
        directory = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
        try:
            for parent in parents:
                inner = os.open(parent, _FLAGS | os.O_DIRECTORY, dir_fd=directory)
                os.close(directory)
                directory = inner
            return os.open(last, _FLAGS, dir_fd=directory)
        finally:
            os.close(directory)

    def _refuse(self, name: str, error: OSError) -> NoReturn:
        if error.errno in (errno.EACCES, errno.EPERM):
            raise unreadable(name, error) from error
        if error.errno == errno.ENXIO:
            raise not_regular(name, stat.S_IFSOCK) from error
        path = self.path / name
        if not path.is_symlink():
            raise InputError(
                "SOURCE-CHANGED",
                "a file went away while the folder was being read",
                at=name,
                found=f"{error.strerror}, expected the file that was listed",
                do="make sure that nothing writes to the source, then run again",
            ) from error
        try:
            mode = path.stat().st_mode
        except OSError:
            raise InputError(
                "CKPT-MISSING-SHARD",
                "a file of the checkpoint is a link that leads nowhere",
                at=name,
                found=f"a link to `{printable(path.readlink())}`, expected a file",
                do="fetch the file again",
            ) from error
        if not stat.S_ISREG(mode):
            raise not_regular(name, mode) from error
        raise path_escape(name, f"a link to `{printable(path.readlink())}`") from error


def path_escape(at: str, found: str) -> RefusedError:
    """The error for a name or a link that leads out of the folder."""
    return RefusedError(
        "PATH-ESCAPE",
        "a file of the checkpoint would be read from outside its folder",
        at=at,
        found=f"{found}, expected the name of a file in the same folder",
        do="copy the file into the folder if you trust it, then run again",
    )


def not_regular(name: str, mode: int) -> RefusedError:
    """The error for a device, a FIFO, a socket or a folder in the place of a file."""
    kinds = {
        stat.S_IFIFO: "a FIFO",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a block device",
        stat.S_IFSOCK: "a socket",
        stat.S_IFDIR: "a folder",
    }
    return RefusedError(
        "NOT-REGULAR",
        "a file of the checkpoint is no regular file",
        at=name,
        found=f"{kinds[stat.S_IFMT(mode)]}, expected a regular file",
        do="replace it with the file that belongs there",
    )


def unreadable(name: str, error: OSError) -> InputError:
    """The error for a file or folder that this user may not read, or that the disk cannot give."""
    return InputError(
        "CKPT-PERMISSION",
        "a file of the checkpoint cannot be read by this user",
        at=name,
        found=f"{error.strerror}, expected a readable file",
        do="give this user read permission on it",
    )


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False)


def _blobs(folder: Path) -> Path | None:
    """Where the files of a hub repository lie, if the folder is in one of its snapshots."""
    for snapshot in (folder, *folder.parents):
        repository = snapshot.parent.parent
        if snapshot.parent.name == "snapshots" and repository.name.startswith("models--"):
            return repository / "blobs"
    return None
