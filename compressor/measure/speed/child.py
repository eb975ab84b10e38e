"""A process that times one model: started, asked, ended in any case, and its death explained."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import IO, Any, Final, final

from compressor.errors import CompressorError, InputError, ResourceError, printable
from compressor.measure.speed.settings import SpeedSettings, Subject

_KINDS: Final = {kind.__name__: kind for kind in CompressorError.__subclasses__()}
_LAST: Final = 1 << 14
"""Bytes of a child's stderr in which its last line is looked for."""


@final
class Child:
    """One model in a process of its own. It computes only between a question and its answer."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], errors: IO[bytes]) -> None:
        self.name = name
        self.pid = process.pid
        self._process, self._errors = process, errors

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """The answer; an error of the child is raised here, and so is its death."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
        except BrokenPipeError:
            raise self._death() from None
        line = self._process.stdout.readline()
        if not line.endswith(b"\n"):
            raise self._death()
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            said = answer["error"]
            kind = _KINDS.get(said["kind"], CompressorError)
            raise kind(said["id"], said["message"], **{k: said[k] for k in ("at", "found", "do")})
        return answer

    def _death(self) -> CompressorError:
        return death(self.name, self._process.wait(), self._last_line())

    def _last_line(self) -> str:
        end = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, end - _LAST))
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""


@contextmanager
def child(subject: Subject, settings: SpeedSettings) -> Iterator[tuple[Child, dict[str, Any]]]:
    """A process that has loaded the model once, and what it found; it is gone after the block.

    It runs in an empty folder, for `python -m` imports from there first, and in a session of its
    own, so that Ctrl-C reaches only us: we end it.
    """
    environment = {key: value for key, value in os.environ.items() if "TOKEN" not in key}
    environment |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    if settings.threads is not None:
        pinned = str(settings.threads)
        environment |= {"OMP_NUM_THREADS": pinned, "MKL_NUM_THREADS": pinned}
    with (
        tempfile.TemporaryDirectory(prefix="compressor-empty-") as empty,
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            [sys.executable, "-m", "compressor.measure.speed.worker"],
            env=environment,
            cwd=empty,
            # Nothing stays in a buffer, for closing one that leads to a dead process would raise.
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        ) as process,
    ):
        try:
            found = Child(subject.name, process, errors)
            yield (
                found,
                found.ask(
                    {
                        "name": subject.name,
                        "folder": str(subject.folder.resolve()),
                        "settings": asdict(settings),
                    }
                ),
            )
        finally:
            process.kill()


def death(name: str, code: int, last_line: str) -> CompressorError:
    """Why a process that was asked something is gone, as far as its exit code tells."""
    if code == -signal.SIGKILL:
        return ResourceError(
            "OOM",
            "the process that timed a model was killed, as the system does when memory runs out",
            at=name,
            found="signal SIGKILL, expected an answer",
            do="free some memory, or leave the speed out with --no-speed",
        )
    if code == -signal.SIGBUS:
        return InputError(
            "SOURCE-CHANGED",
            "the files of a model changed while it was being timed",
            at=name,
            found="signal SIGBUS: a mapped file became shorter, expected it to stay as it was",
            do="let nothing write into the model's folder, and start again",
        )
    return CompressorError(
        "INTERNAL",
        "the process that timed a model ended without an answer",
        at=name,
        found=f"exit code {code}, last line {printable(last_line, 200) or '(none)'}",
        do="leave the speed out with --no-speed, and report what it said",
    )
