"""A child process that calls our functions with a hub environment of its own, and tells what came.

`huggingface_hub` reads its environment once, at import: a test that wants another endpoint, cache
or offline switch needs another process. One child answers many calls, a JSON line each.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Outcome:
    """What a call gave: its value, or its error as JSON, and how many connections it opened."""

    value: Any
    error: dict[str, Any]
    connects: int


class Child:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.answers: list[str] = []

    def call(self, function: str, *arguments: object, **named: object) -> Outcome:
        """Call `module.function` below `compressor.checkpoint` in the child."""
        return self._ask({"function": function, "arguments": arguments, "named": named})

    def set(self, constant: str, value: object) -> None:
        """Set a constant of one of the modules, for as long as the child lives."""
        self._ask({"constant": constant, "value": value})

    def _ask(self, request: dict[str, object]) -> Outcome:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, self.close()
        self.answers.append(answer)
        return Outcome(**json.loads(answer))

    def limit_file_size(self, size: int) -> None:
        """Let the child's files grow to `size` bytes and no further, as on a full disk."""
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (size, size))

    def close(self) -> str:
        """End the child; gives what it wrote to stderr."""
        return self._process.communicate(timeout=60)[1]


@contextlib.contextmanager
def child(home: Path, endpoint: str, **environment: str) -> Iterator[Child]:
    """A child whose hub is `endpoint` and whose cache lies in `home`."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    process = subprocess.Popen(
        [sys.executable, __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=home,
        env={
            **kept,
            "HF_HOME": str(home),
            "HF_ENDPOINT": endpoint,
            "HF_HUB_DISABLE_XET": "1",
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "kernels")]),
            **environment,
        },
    )
    started = Child(process)
    try:
        yield started
    finally:
        if process.poll() is None:
            started.close()


def _described(value: Any) -> Any:
    """A value as JSON: a checkpoint is its tensors, everything unknown its text."""
    from compressor.checkpoint.read.reader import Checkpoint

    if isinstance(value, Checkpoint):
        return [
            [component.prefix, shard.name, shard.size, tensor.name, tensor.dtype, tensor.shape]
            for component in value.components
            for shard, tensor in component.tensors()
        ]
    if isinstance(value, tuple):
        return [_described(item) for item in value]
    return value if isinstance(value, str | int | None) else str(value)


def _done(request: dict[str, Any]) -> Any:
    module, _, name = (request.get("function") or request["constant"]).rpartition(".")
    names = vars(importlib.import_module(f"compressor.checkpoint.{module}"))
    if "constant" in request:
        names[name] = request["value"]
        return None
    arguments = request["arguments"]
    if name == "remote_checkpoint":
        arguments.append(importlib.import_module("compressor.checkpoint.read.limits").Limits())
    return names[name](*arguments, **request["named"])


def _answer_calls() -> None:
    from compressor.errors import CompressorError

    connects = 0

    def watch(event: str, _arguments: object) -> None:
        nonlocal connects
        connects += event in ("socket.connect", "socket.getaddrinfo")

    sys.addaudithook(watch)
    for line in sys.stdin:
        request = json.loads(line)
        before, value, error = connects, None, {}
        try:
            value = _described(_done(request))
        except CompressorError as raised:
            error = {"kind": type(raised).__name__, **raised.as_json()}
        answer = {"value": value, "error": error, "connects": connects - before}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    _answer_calls()
