"""An output folder that appears whole or not at all: temporary sibling, fsync, journal, one rename.

The protocol is docs/reliability.md, "Commit". Only this module and `shards` write to output paths.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, final

from compressor.checkpoint.digest import digest_file, new_hasher
from compressor.checkpoint.write import rename, temporary
from compressor.checkpoint.write.disk import (
    require_space,
    sync_folder,
    write_all,
    writing,
)
from compressor.checkpoint.write.target import check_target, set_aside
from compressor.checkpoint.write.temporary import JOURNAL, MANIFEST
from compressor.errors import CompressorError, InputError, OutputError, ResourceError, printable

log = logging.getLogger("compressor")


@final
class Output:
    """A folder in the making. Leaving the `with` block without `commit` leaves no output."""

    def __init__(
        self,
        target: Path,
        source: Path,
        *,
        run_key: str,
        overwrite: bool,
        resume: bool,
        need: int,
        stamp: str = "",
    ) -> None:
        """Claim a temporary sibling of `target` for about `need` bytes; nothing is visible yet.

        A resumed run has the same `run_key`; that its `stamp` differs says that the source changed.
        """
        self.target = target
        self.records: list[dict[str, Any]] = []
        self.files: dict[str, dict[str, Any]] = {}
        self.is_committed = False
        with writing(target):
            check_target(target, source, overwrite=overwrite)
            self._old = _identity(target) if overwrite else None
            self._made = [folder for folder in target.parents if not folder.exists()]
            with contextlib.ExitStack() as undo:
                undo.callback(self._remove_parents)
                target.parent.mkdir(parents=True, exist_ok=True)
                found = _interrupted(target, run_key, is_wanted=resume)
                if found is None:
                    self.folder = temporary.new_folder(target)
                    undo.callback(self._discard)
                    require_space(self.folder, need)
                else:
                    self.folder = found
                self._lock = _claimed(self.folder, target)
                undo.callback(os.close, self._lock)
                if found is None:
                    self._require_exchange()
                    self.record({"run_key": run_key, "stamp": stamp})
                else:
                    self._trust_what_can_be_proven(stamp)
                undo.pop_all()

    def __enter__(self) -> Output:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if isinstance(error, CompressorError):
                error.output = f"output {printable(self.target, 300)} {self._became()}"
            is_final = isinstance(error, CompressorError) and not isinstance(error, ResourceError)
            is_resumable = len(self.records) > 1 and (self.folder / JOURNAL).is_file()
            if not self.is_committed and (is_final or not is_resumable):
                self._discard()
        finally:
            os.close(self._lock)

    def create(self, name: str) -> int:
        """A new file of the output, as a descriptor for reading back and writing."""
        path = self.folder / name
        with writing(self.target):
            path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            return os.open(path, flags, 0o666)

    def write(self, name: str, data: bytes) -> None:
        """One small file, whole: written, flushed to disk, and listed for the manifest."""
        descriptor = self.create(name)
        try:
            with writing(self.target):
                write_all(descriptor, data)
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self.files[name] = {"digest": new_hasher(data).hexdigest(), "size": len(data)}

    def record(self, entry: Mapping[str, Any]) -> None:
        """Append to the journal, durably: what it holds survives a kill and is resumed from."""
        line = json.dumps(entry, allow_nan=False).encode() + b"\n"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        with writing(self.target):
            descriptor = os.open(self.folder / JOURNAL, flags, 0o600)
            try:
                write_all(descriptor, line)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        self.records.append(dict(entry))

    def commit(self, manifest: bytes) -> None:
        """Write the manifest last, then let the folder appear under its name in one rename."""
        with writing(self.target):
            os.ftruncate(self._lock, 0)
            os.lseek(self._lock, 0, os.SEEK_SET)
            write_all(self._lock, manifest)
            os.fsync(self._lock)
            for inner in filter(Path.is_dir, self.folder.rglob("*")):
                sync_folder(inner)
            self.folder.chmod(_mode_of_a_new_folder(self.folder))
            (self.folder / JOURNAL).unlink()
            sync_folder(self.folder)
            self._take_the_name()
            self.is_committed = True
            for made in (self.target, *self._made):
                sync_folder(made.parent)
        if self._old is None or _identity(self.folder) != self._old:
            return
        if (kept := set_aside(self.folder, self.target)) is not None:
            log.warning("the old folder was changed meanwhile: it is kept as %s", printable(kept))
        else:
            self._discard()

    def _take_the_name(self) -> None:
        there = _identity(self.target)
        try:
            if self._old is not None and there not in (self._old, None):
                raise FileExistsError
            is_exchange = self._old is not None and there is not None
            rename.into_place(self.folder, self.target, last=MANIFEST, exchange=is_exchange)
        except FileExistsError as error:
            raise OutputError(
                "OUT-BUSY",
                "another run created this output first",
                at=self.target,
                found="a folder that was not there at the start",
                do="compare it with what you wanted, or choose another folder with -o",
            ) from error

    def _trust_what_can_be_proven(self, stamp: str) -> None:
        """Resume: keep recorded shards whose bytes still have their digest; delete the rest."""
        lines = _journal(self.folder)
        if not lines:
            raise busy(self.target)
        if lines[0]["stamp"] != stamp:
            raise InputError(
                "SOURCE-CHANGED",
                "the source changed since the run that is to be resumed",
                at=self.target,
                found="other times of modification than that run noted, expected the same",
                do="run again without --resume",
            )
        self.records = lines[:1]
        for entry in lines[1:]:
            path = self.folder / entry["name"]
            if not path.is_file() or digest_file(path) != entry["digest"]:
                break
            self.records.append(entry)
            self.files[entry["name"]] = {"digest": entry["digest"], "size": entry["size"]}
        kept = (self.folder / JOURNAL).read_bytes().split(b"\n")[: len(self.records)]
        os.truncate(self.folder / JOURNAL, sum(len(line) + 1 for line in kept))
        keep = {self.folder / name for name in (*self.files, MANIFEST, JOURNAL)}
        for path in sorted(set(self.folder.rglob("*")) - keep, reverse=True):
            if not path.is_dir():
                path.unlink()
            elif not any(path.iterdir()):
                path.rmdir()

    def _require_exchange(self) -> None:
        if self._old is not None and not rename.can_exchange(self.folder):
            raise OutputError(
                "OUT-UNWRITABLE",
                "this file system cannot exchange two folders in one step",
                at=self.target,
                found="no renameat2 with RENAME_EXCHANGE, which --overwrite needs",
                do="write to a new folder with -o",
            )

    def _became(self) -> str:
        if self.is_committed:
            return "was replaced" if self._old is not None else "was created"
        return "is unchanged" if self._old is not None else "was not created"

    def _discard(self) -> None:
        """Remove the temporary folder, and the parents that were made for it."""
        try:
            temporary.remove(self.folder)
        except FileNotFoundError:
            pass
        except OSError as error:
            log.warning("could not remove %s: %s", printable(self.folder), error.strerror)
        if not self.is_committed:
            self._remove_parents()

    def _remove_parents(self) -> None:
        for folder in self._made:
            with contextlib.suppress(OSError):
                folder.rmdir()


def busy(target: Path) -> OutputError:
    """The error for an output that another run holds."""
    return OutputError(
        "OUT-BUSY",
        "another run is writing this output",
        at=target,
        found="a temporary folder whose lock is held",
        do="wait for it, or choose another folder with -o",
    )


def _interrupted(target: Path, run_key: str, *, is_wanted: bool) -> Path | None:
    """The interrupted run with this key to go on with; a run at work refuses the output."""
    found = None
    for path, is_held in temporary.leftovers(target.parent, target.name):
        if is_held:
            raise busy(target)
        if is_wanted and _journal(path)[:1] and _journal(path)[0]["run_key"] == run_key:
            found = path
        else:
            log.warning("an interrupted run left %s; compressor clean removes it", path)
    return found


def _claimed(folder: Path, target: Path) -> int:
    try:
        return temporary.claim(folder)
    except BlockingIOError as error:
        raise busy(target) from error


def _journal(folder: Path) -> list[dict[str, Any]]:
    """The entries up to the first line that is torn; none where the first one is."""
    path = folder / JOURNAL
    entries: list[dict[str, Any]] = []
    lines = path.read_bytes().split(b"\n")[:-1] if path.is_file() else []
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            break
        expected = {"name", "digest", "size"} if entries else {"run_key", "stamp"}
        if not isinstance(entry, dict) or not expected <= entry.keys():
            break
        entries.append(entry)
    return entries


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells one folder from another that has taken its name."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _mode_of_a_new_folder(parent: Path) -> int:
    """Permissions under this process's umask, found without changing it for other threads."""
    probe = parent / "mode"
    probe.mkdir()
    mode = stat.S_IMODE(probe.stat().st_mode)
    probe.rmdir()
    return mode
