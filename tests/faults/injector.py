"""Every system call of a small run, made to fail or to end the process, one after the other.

Run as a program, `injector.py FOLDER PLAN MODE…` prints how many points there were by system call,
and every promise that was broken. Calls are counted by an audit hook and, where Python audits none,
by a wrapper; nothing of the engine itself is replaced.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import tinyruns

from compressor.checkpoint.stream import rewrite
from compressor.checkpoint.write import temporary

AUDITED = {
    "open": "open",
    "os.mkdir": "mkdir",
    "os.remove": "unlink",
    "os.rename": "rename",
    "os.rmdir": "rmdir",
    "os.chmod": "chmod",
    "os.truncate": "truncate",
    "fcntl.flock": "flock",
    "ctypes.dlsym": "renameat2",
}
MODES = {"exit": 0, "ENOSPC": errno.ENOSPC, "EIO": errno.EIO, "EROFS": errno.EROFS}
"""`EROFS` stays once it has come, as a disk does that the system has mounted read-only."""

KILLED = 137


class Fault:
    """What happens at one call of a run; before it, and mostly after it, calls are only counted."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.at: int | None = None
        self.mode = ""

    def __call__(self, name: str) -> None:
        self.seen[name] += 1
        number = self.seen.total()
        if self.at is None or number < self.at or (number > self.at and self.mode != "EROFS"):
            return
        if self.mode == "exit":
            os._exit(KILLED)
        raise OSError(MODES[self.mode], os.strerror(MODES[self.mode]))


def forked(action: Callable[[], int]) -> int:
    """The exit code of an action in a process of its own."""
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            os._exit(action())
        os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(folder: Path, plan: str, modes: list[str]) -> dict[str, Any]:
    """All trials of one plan: `new`, `overwrite` or `resume`."""
    source = tinyruns.tiny_checkpoint(folder / "source", shards=2)
    known = {}
    for name, how in (("old", "copy"), ("new", "halve")):
        rewrite(tinyruns.job(source, how), folder / name)
        known[name] = tinyruns.determined(folder / name)
    start = folder / "start"
    start.mkdir()
    if plan == "overwrite":
        shutil.copytree(folder / "old", start / "out")
    if plan == "resume":
        with contextlib.suppress(KeyboardInterrupt):
            rewrite(tinyruns.job(source), start / "out", observe=tinyruns.stop_after(1))
    fault = install(folder)

    def run(out: Path, number: int | None = None, mode: str = "") -> int:
        job = tinyruns.job(source)
        fault.seen.clear()
        fault.at, fault.mode = number, mode
        return tinyruns.attempt(
            lambda: rewrite(job, out, overwrite=plan == "overwrite", resume=plan == "resume")
        )

    count = folder / "count"
    shutil.copytree(start, count)
    run(count / "out")
    points = Counter(fault.seen)
    broken = []
    for mode in modes:
        for number in range(1, points.total() + 1):
            trial = folder / "trial"
            shutil.copytree(start, trial)
            code = forked(partial(run, trial / "out", number, mode))
            wrong = judged(source, trial, plan, mode, code, known)
            broken += [f"{mode} at call {number}: {what}" for what in wrong]
            shutil.rmtree(trial)
    return {"points": points, "broken": broken}


def judged(
    source: Path, trial: Path, plan: str, mode: str, code: int, known: dict[str, tinyruns.Tree]
) -> list[str]:
    """Which promises a trial broke."""
    out, wrong = trial / "out", []
    state = tinyruns.state(out, **known)
    before = "old" if plan == "overwrite" else "absent"
    if state not in {before, "new"}:
        wrong.append(f"the output is {state}")
    if code == 0 and state != "new":
        wrong.append(f"success, but the output is {state}")
    if code not in {0, 3, 5, 6, KILLED}:
        wrong.append(f"exit code {code}")
    if mode in {"EIO", "ENOSPC"} and code != 0 and state != "new":
        left = [path for path in trial.iterdir() if path != out]
        wrong += [f"{path.name} cannot be resumed" for path in left if not is_resumable(path)]
    if state != "new" and mode == "exit":
        rewrite(tinyruns.job(source), out, overwrite=plan == "overwrite", resume=True)
        if (state := tinyruns.state(out, **known)) != "new":
            wrong.append(f"after --resume the output is {state}")
    for path, _ in temporary.leftovers(trial):
        temporary.remove_dead(path)
    if left := sorted(path.name for path in trial.iterdir() if path != out):
        wrong.append(f"after clean there is {left}")
    return wrong


def is_resumable(folder: Path) -> bool:
    """Whether the journal of an interrupted run holds a shard."""
    journal = folder / "journal.jsonl"
    return journal.is_file() and len(journal.read_bytes().splitlines()) > 1


def install(folder: Path) -> Fault:
    """Count the calls of this process that concern a folder; none of them waits for the disk."""
    fault = Fault()
    write = os.write

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "ctypes.dlsym" and arguments[1] != "renameat2":
            return
        if event == "open" and not str(arguments[0]).startswith(str(folder)):
            return
        if event in AUDITED:
            fault(AUDITED[event])

    def writing(descriptor: int, data: bytes) -> int:
        fault("write")
        return write(descriptor, data)

    os.write = writing
    os.fsync = lambda descriptor: fault("fsync")
    sys.addaudithook(audit)
    return fault


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])))
