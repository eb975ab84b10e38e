"""A model of losing power: what a disk may hold after each step of a run that was recorded.

Bytes of a file last once the file was flushed; names last once their folder was. Of what was not
flushed, the disk may hold any part: the model tries names in order (as a journalling file system
keeps them) and out of order, and bytes lost, halved, zeroed or there. Run as a program,
`model.py FOLDER PLAN [FORGOTTEN]` prints how many states there are and which of them are torn;
calls whose kind is FORGOTTEN are left out of the record, so that a test can see the model object.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tinyruns

from compressor.checkpoint.stream import rewrite
from compressor.checkpoint.write import rename

FOLDER = -1
"""What a name stands for that is no file."""

Operation = tuple[Any, ...]
Names = dict[Path, int]


class Recorder:
    """The operations of this process inside one folder, in the order in which they happen."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: Names = {}
        self.data: list[bytes] = []
        for path in sorted(folder.rglob("*")):
            self.names[path] = FOLDER if path.is_dir() else len(self.data)
            if not path.is_dir():
                self.data.append(path.read_bytes())
        self.start = dict(self.names)
        self.first = list(self.data)
        self.log: list[Operation] = []
        self._open: dict[int, int | Path] = {}
        self._files = len(self.data)

    def install(self) -> None:
        """Listen to the calls that change a disk; each is recorded once it has happened."""
        calls = (os.open, os.write, os.fsync, os.mkdir, os.unlink, os.rmdir, os.truncate)
        opening, write, flush, mkdir, unlink, rmdir, truncate = calls
        exchange = rename._renameat2

        def opened(path: Any, flags: int, mode: int = 0o777, **more: Any) -> int:
            descriptor = opening(path, flags, mode, **more)
            if self._is_inside(path):
                self._opened(Path(path), descriptor)
            return descriptor

        def written(descriptor: int, data: bytes) -> int:
            count = write(descriptor, data)
            if descriptor in self._open:
                self.log.append(("write", self._open[descriptor], bytes(data[:count])))
            return count

        def flushed(descriptor: int) -> None:
            flush(descriptor)
            if descriptor in self._open:
                self.log.append(("flush", self._open[descriptor]))

        def noted(kind: str, call: Any) -> Any:
            def noting(path: Any, *rest: Any, **more: Any) -> None:
                call(path, *rest, **more)
                if self._is_inside(path):
                    self.log.append((kind, Path(path), *rest))
                    if kind == "unlink":
                        del self.names[Path(path)]

            return noting

        def exchanged(old: Path, new: Path, flags: int) -> None:
            exchange(old, new, flags)
            self.log.append(("rename", old, new, flags))

        os.open, os.write, os.fsync = opened, written, flushed
        os.mkdir, os.unlink = noted("mkdir", mkdir), noted("unlink", unlink)
        os.rmdir, os.truncate = noted("rmdir", rmdir), noted("truncate", truncate)
        rename._renameat2 = exchanged

    def _is_inside(self, path: Any) -> bool:
        return not isinstance(path, int) and Path(path).is_relative_to(self.folder)

    def _opened(self, path: Path, descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            self._open[descriptor] = path
            return
        if path not in self.names:
            self.names[path] = self._files
            self._files += 1
            self.log.append(("create", path, self.names[path]))
        self._open[descriptor] = self.names[path]


def states(
    start: Names, first: list[bytes], log: list[Operation]
) -> Iterator[tuple[int, dict[Path, bytes | None]]]:
    """What the disk may hold after each number of operations; None for a folder."""
    for cut in range(len(log) + 1):
        done = log[:cut]
        files = [*contents(first, done)]
        for kept in durable(done):
            names = after(start, [done[index] for index in kept])
            for version in range(4):
                yield (
                    cut,
                    {
                        path: None if file == FOLDER else files[file][version]
                        for path, file in names.items()
                    },
                )


def contents(first: list[bytes], done: list[Operation]) -> Iterator[tuple[bytes, ...]]:
    """For each file: what was flushed, the same and half of the rest, with zeros, and all of it."""
    files = [(data, data) for data in first]
    for kind, what, *rest in done:
        if kind == "create":
            files.append((b"", b""))
        elif kind == "write":
            files[what] = (files[what][0], files[what][1] + rest[0])
        elif kind == "flush" and isinstance(what, int):
            files[what] = (files[what][1], files[what][1])
    for safe, whole in files:
        rest = whole[len(safe) :]
        yield safe, safe + rest[: len(rest) // 2], safe + bytes(len(rest)), whole


def durable(done: list[Operation]) -> set[tuple[int, ...]]:
    """Which operations on names a disk may hold: those that were flushed, and some others."""
    flushes = [index for index, (kind, *_) in enumerate(done) if kind == "flush"]
    named = [i for i, (kind, *_) in enumerate(done) if kind not in {"write", "flush", "truncate"}]
    last = flushes[-1] if flushes else -1
    in_order = {
        tuple(index for index in named if index < end) for end in range(last + 1, len(done) + 1)
    }
    safe = {
        index
        for index in named
        if any(done[flush][1] == done[index][1].parent for flush in flushes if flush > index)
    }
    loose = [index for index in named if index not in safe]
    any_order = {tuple(sorted(safe)), tuple(named)}
    any_order |= {tuple(sorted({*safe, one})) for one in loose}
    any_order |= {tuple(index for index in named if index != one) for one in loose}
    return in_order | any_order


def after(start: Names, operations: list[Operation]) -> Names:
    """The names after these operations; one whose folder was lost is lost with it."""
    names = dict(start)
    for kind, path, *rest in operations:
        if kind == "mkdir":
            names[path] = FOLDER
        elif kind == "create":
            names[path] = rest[0]
        elif kind in {"unlink", "rmdir"}:
            names.pop(path, None)
        elif kind == "rename":
            other, flags = rest
            moved = {moved_to(each, path, other, flags): file for each, file in names.items()}
            names = moved if path in names else names
    return names


def moved_to(path: Path, old: Path, new: Path, flags: int) -> Path:
    if path.is_relative_to(old):
        return new / path.relative_to(old)
    if flags == rename.EXCHANGE and path.is_relative_to(new):
        return old / path.relative_to(new)
    return path


def lay_out(folder: Path, tree: dict[Path, bytes | None]) -> None:
    """Make a state real: its own folder, then everything whose folder is there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path, data in sorted(tree.items()):
        if not path.parent.is_dir():
            continue
        if data is None:
            path.mkdir()
        else:
            path.write_bytes(data)


def main(folder: Path, plan: str, forgotten: str = "") -> dict[str, Any]:
    """All states of one plan: `new`, `overwrite` or `resume`."""
    source = tinyruns.tiny_checkpoint(folder / "source", shards=2, rows=4)
    known = {}
    for name, how in (("old", "copy"), ("new", "halve")):
        rewrite(tinyruns.job(source, how), folder / name)
        known[name] = tinyruns.determined(folder / name)
    trial = folder / "trial"
    trial.mkdir()
    if plan == "overwrite":
        shutil.copytree(folder / "old", trial / "out")
    if plan == "resume":
        with contextlib.suppress(KeyboardInterrupt):
            rewrite(tinyruns.job(source), trial / "out", observe=tinyruns.stop_after(1))
    listening = Recorder(trial)
    job = tinyruns.job(source)
    before = {name: getattr(os, name) for name in ("mkdir", "rmdir", "unlink", "open", "write")}
    listening.install()
    rewrite(job, trial / "out", overwrite=plan == "overwrite", resume=plan == "resume")
    for name, call in before.items():
        setattr(os, name, call)

    log = [operation for operation in listening.log if not is_like(operation, forgotten)]
    allowed = {"old" if plan == "overwrite" else "absent", "new"}
    seen: dict[str, int] = {}
    torn = []
    done: dict[int, str] = {}
    for cut, tree in states(listening.start, listening.first, log):
        visible = {p: d for p, d in tree.items() if p.is_relative_to(trial / "out")}
        key = hash(frozenset(visible.items()))
        if key not in done:
            lay_out(trial, visible)
            done[key] = tinyruns.state(trial / "out", **known)
        state = done[key]
        seen[state] = seen.get(state, 0) + 1
        if state not in allowed or (cut == len(log) and state != "new"):
            torn.append(f"after {cut} of {len(log)}: {state}")
    return {"states": sum(seen.values()), "whole": sorted(allowed & set(seen)), "torn": torn}


def is_like(operation: Operation, forgotten: str) -> bool:
    """Whether an operation is what the record leaves out: the flushes of files, or of folders."""
    kind, what, *_ = operation
    return kind == "flush" and forgotten == ("file" if isinstance(what, int) else "folder")


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), *sys.argv[2:])))
