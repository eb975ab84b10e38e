"""An output folder that appears whole or not at all: temporary sibling, fsync, journal, one rename.

The protocol is docs/reliability.md, "Commit". Only this module and `shards` write to output paths.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, final

from compressor.checkpoint import rename
from compressor.checkpoint.digest import digest_file, new_hasher
from compressor.errors import CompressorError, OutputError, ResourceError, printable

MANIFEST = "compressor.json"
JOURNAL = "journal.jsonl"
LOCK = "lock"
STALE_AFTER_DAYS = 7

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


@contextlib.contextmanager
def writing(target: Path) -> Iterator[None]:
    """Turn an `OSError` of a write into the error that a user can act on."""
    try:
        yield
    except OSError as error:
        raise output_error(error, target) from error


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


@final
class Output:
    """A folder in the making. Leaving the `with` block without `commit` leaves no output."""

    def __init__(
        self, target: Path, source: Path, *, run_key: str, overwrite: bool, resume: bool, need: int
    ) -> None:
        """Claim a temporary sibling of `target` for about `need` bytes; nothing is visible yet."""
        self.target = target
        self.records: list[dict[str, Any]] = []
        self.files: dict[str, dict[str, Any]] = {}
        self.is_committed = False
        with writing(target):
            check_target(target, source, overwrite=overwrite)
            self._replaces = target.is_dir()
            self._made = [folder for folder in target.parents if not folder.exists()]
            target.parent.mkdir(parents=True, exist_ok=True)
            found = _resumable(target, run_key) if resume else None
            if found is None and (free := free_bytes(target)) < 1.1 * need:
                raise ResourceError(
                    "DISK-FULL",
                    "the output would not fit on its disk",
                    at=target,
                    found=f"{human_bytes(free)} free, expected {human_bytes(1.1 * need)}",
                    do="free space or choose another folder with -o",
                )
            self.folder = found or target.with_name(f".{target.name}.tmp-{uuid.uuid4().hex[:12]}")
            if found is None:
                self.folder.mkdir(0o700)
            self._lock = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if found is None:
                self.record({"run_key": run_key})
            else:
                self._trust_what_can_be_proven()

    def __enter__(self) -> Output:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._lock)
        if self.is_committed:
            return
        is_worth_keeping = len(self.records) > 1 and not (
            isinstance(error, CompressorError) and not isinstance(error, ResourceError)
        )
        if isinstance(error, CompressorError):
            state = "is unchanged" if self._replaces else "was not created"
            error.output = f"output {printable(self.target, 300)} {state}"
        if not is_worth_keeping:
            shutil.rmtree(self.folder, ignore_errors=True)
            for folder in self._made:
                with contextlib.suppress(OSError):
                    folder.rmdir()

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
            self.write(MANIFEST, manifest)
            umask = os.umask(0)
            os.umask(umask)
            for folder in [self.folder, *(path for path in self.folder.rglob("*") if path.is_dir())]:
                folder.chmod(0o777 & ~umask)
                sync_folder(folder)
            for name in (JOURNAL, LOCK):
                (self.folder / name).unlink()
            sync_folder(self.folder)
            try:
                rename.into_place(self.folder, self.target, last=MANIFEST, exchange=self._replaces)
            except FileExistsError as error:
                raise OutputError(
                    "OUT-BUSY",
                    "another run created this output first",
                    at=self.target,
                    found="a folder that was not there at the start",
                    do="compare it with what you wanted, or choose another folder with -o",
                ) from error
            self.is_committed = True
            sync_folder(self.target.parent)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _trust_what_can_be_proven(self) -> None:
        """Resume: keep recorded shards whose bytes still have their digest; delete the rest."""
        lines = (self.folder / JOURNAL).read_bytes().split(b"\n")
        entries = [json.loads(line) for line in lines[:-1]]
        kept = entries[:1]
        for entry in entries[1:]:
            path = self.folder / entry["name"]
            if not path.is_file() or digest_file(path) != entry["digest"]:
                break
            kept.append(entry)
            self.files[entry["name"]] = {"digest": entry["digest"], "size": entry["size"]}
        (self.folder / JOURNAL).unlink()
        for path in sorted(self.folder.rglob("*"), reverse=True):
            name = path.relative_to(self.folder).as_posix()
            if path.is_file() and name not in self.files and name != LOCK:
                path.unlink()
        for entry in kept:
            self.record(entry)


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


def leftovers(folder: Path, name: str = "*") -> list[tuple[Path, bool]]:
    """Temporary folders of interrupted runs in `folder`, each with whether a run still holds it."""
    found = []
    for path in sorted(folder.glob(f".{name}.tmp-*")):
        if path.is_dir() and not path.is_symlink() and (path / LOCK).is_file():
            descriptor = os.open(path / LOCK, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                found.append((path, False))
            except BlockingIOError:
                found.append((path, True))
            finally:
                os.close(descriptor)
    return found


def _resumable(target: Path, run_key: str) -> Path | None:
    """The interrupted run with this key, if there is one; a running one refuses the output."""
    for path, is_held in leftovers(target.parent, _glob_escape(target.name)):
        journal = path / JOURNAL
        first = journal.read_bytes().split(b"\n", 1)[0] if journal.is_file() else b""
        if json.loads(first or b"{}").get("run_key") != run_key:
            continue
        if is_held:
            raise busy(target)
        return path
    return None


def _glob_escape(name: str) -> str:
    return "".join(f"[{character}]" if character in "*?[" else character for character in name)


def busy(target: Path) -> OutputError:
    """Another run is at work on this output."""
    return OutputError(
        "OUT-BUSY",
        "another run is writing this output",
        at=target,
        found="a temporary folder whose lock is held",
        do="wait for it, or choose another folder with -o",
    )


def is_stale(path: Path) -> bool:
    """Whether an interrupted run was left longer ago than anybody resumes."""
    return time.time() - path.stat().st_mtime > STALE_AFTER_DAYS * 86_400
