"""Small runs of the tensor engine, and an oracle for what they leave that shares no code with it.

Run as a program, it is one run with the command line's own ending: `tinyruns.py SOURCE OUTPUT …`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from blake3 import blake3
from safetensors.numpy import load_file, save_file

from compressor.checkpoint.blocks import Bits, Extent, Grid, Reader
from compressor.checkpoint.pipeline import Observer, Rewrite
from compressor.checkpoint.read.reader import open_checkpoint
from compressor.checkpoint.source import Source
from compressor.checkpoint.stream import TensorJob, rewrite
from compressor.ending import ends
from compressor.report import Report

SHAPE = (48, 32)
INDEX = "model.safetensors.index.json"

Tree = Mapping[str, str]


def tiny_checkpoint(folder: Path, *, shards: int = 3, seed: int = 0, rows: int = 48) -> Path:
    """A checkpoint of two F32 matrices, an F16 vector and an integer scalar per shard."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    weight_map = {}
    for number in range(1, shards + 1):
        name = (
            "model.safetensors" if shards == 1 else f"model-{number:05}-of-{shards:05}.safetensors"
        )
        tensors = {
            f"layer.{number}.down.weight": random.normal(size=(rows, 32)).astype(np.float32),
            f"layer.{number}.norm.weight": random.normal(size=8).astype(np.float16),
            f"layer.{number}.step": np.array(number, np.int64),
            f"layer.{number}.up.weight": random.normal(size=(rows, 32)).astype(np.float32),
        }
        save_file(tensors, folder / name, {"format": "pt"})
        weight_map.update(dict.fromkeys(tensors, name))
    if shards > 1:
        (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    (folder / "config.json").write_text(json.dumps({"model_type": "tiny", "seed": seed}))
    (folder / "tokenizer.json").write_text('{"version": "1.0"}')
    return folder


def halved(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """What the job `halve` makes of a matrix: every other weight is zero."""
    changed = array.copy()
    changed.reshape(-1)[::2] = 0
    return changed


def job(source: Path, how: str = "halve", **settings: Any) -> TensorJob:
    """A job that halves the matrices, or copies everything."""
    checkpoint = open_checkpoint(source)
    matrices = {
        (shard.name, tensor.name): _prepare
        for shard in checkpoint.shards()
        for tensor in shard.header.tensors
        if len(tensor.shape) == 2
    }
    step = {"step": how}
    return TensorJob(
        source=Source(source, source.name),
        checkpoint=checkpoint,
        step=step,
        default_name="out",
        rewrites=matrices if how == "halve" else {},
        plan=Report(step, {"name": source.name}),
        report=lambda outcomes: Report(
            step, {"name": source.name}, {"zeros": sum(each.zeros_after for each in outcomes)}
        ),
        **settings,
    )


def _prepare(reader: Reader) -> Rewrite:
    def apply(bits: Bits, extent: Extent, before: int, out: Bits) -> None:
        out[...] = bits
        out[:, ::2] = 0

    return Rewrite(apply, Grid(row=SHAPE[1]))


def stop_after(shards: int, tensors: int = 4) -> Observer:
    """An observer that interrupts the run at the first block after so many whole shards."""
    blocks = iter(range(shards * tensors))

    def observe(progress: object) -> None:
        if next(blocks, None) is None:
            raise KeyboardInterrupt

    return observe


def tree(folder: Path) -> Tree:
    """Digest of every file in a folder, by name."""
    return {
        path.relative_to(folder).as_posix(): blake3(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if not path.is_dir()
    }


def determined(folder: Path) -> Tree:
    """`tree`, with the manifest reduced to what its inputs determine: without `run` and `self`."""
    manifest = json.loads((folder / "compressor.json").read_bytes())
    left = {key: value for key, value in manifest.items() if key not in {"run", "self"}}
    return {**tree(folder), "compressor.json": json.dumps(left)}


def state(out: Path, **known: Tree) -> str:
    """`absent`, the name of the known output that lies there whole, or what is wrong with it."""
    if not os.path.lexists(out):
        return "absent"
    try:
        manifest = json.loads((out / "compressor.json").read_bytes())
    except (OSError, ValueError) as error:
        return f"torn: {error}"
    content = {key: value for key, value in manifest.items() if key != "self"}
    if blake3(_canonical(content)).hexdigest() != manifest["self"]:
        return "torn: the manifest contradicts itself"
    found = tree(out)
    found.pop("compressor.json")
    listed = {name: entry["digest"] for name, entry in manifest["files"].items()}
    if found != listed:
        return f"torn: {sorted(set(found.items()) ^ set(listed.items()))}"
    for name, version in known.items():
        if determined(out) == version:
            return name
    return "torn: neither the old nor the new output"


def _canonical(data: object) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()


def tensors_of(folder: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Every tensor of a folder, as the safetensors library reads it."""
    found: dict[str, np.ndarray[Any, Any]] = {}
    for path in sorted(folder.glob("*.safetensors")):
        found.update(load_file(path))
    return found


def leftovers(parent: Path, *kept: Path) -> list[str]:
    """What lies in a folder besides what is meant to."""
    return sorted(path.name for path in parent.iterdir() if path not in kept)


def held() -> tuple[set[str], set[str]]:
    """The files that this process has open, and the threads of the engine."""
    files = set()
    for number in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            files.add(str(number.readlink()))
    names = {thread.name for thread in threading.enumerate()}
    return files, {name for name in names if name.startswith("compressor")}


def start(*arguments: object, **settings: Any) -> subprocess.Popen[str]:
    """This file as a process of its own."""
    command = [sys.executable, str(Path(__file__)), *map(str, arguments)]
    root = Path(__file__).parents[1]
    paths = [str(root), str(root / "kernels"), str(root / "tests")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "OPENBLAS_NUM_THREADS": "1",
        **settings.pop("env", {}),
    }
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=environment, **{**pipes, **settings})


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """The exit code of a process, and what it said on stderr."""
    _, said = process.communicate(timeout=120)
    return process.returncode, said


def attempt(action: Callable[[], object]) -> int:
    """The exit code that an action would end a command with."""

    def call() -> int:
        action()
        return 0

    return ends(call, is_json=True, is_debug=False)


def main(arguments: Iterable[str]) -> int:
    """One run, as the command line would end it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("source", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--how", default="halve")
    parser.add_argument("--overwrite", action="store_true")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--slow", type=float, default=0)
    given = parser.parse_args(list(arguments))

    def run() -> None:
        print("started", flush=True)
        rewrite(
            job(given.source, given.how),
            given.output,
            overwrite=given.overwrite,
            resume=given.resume,
            workers=given.workers,
            observe=lambda progress: time.sleep(given.slow),
        )

    return attempt(run)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
