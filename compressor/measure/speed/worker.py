"""The child process that times one model: `python -m compressor.measure.speed.worker`.

A line of JSON on stdin is a task, and a line on stdout its answer: the first gives the model and
the settings, each further one asks for a turn. It ends where stdin does. Between two turns it holds
no model, and what loading again takes is part of the turn.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from compressor.checkpoint.read.reader import Checkpoint, open_checkpoint
from compressor.errors import CompressorError
from compressor.measure.loaded import Loaded
from compressor.measure.opening import Setting, opened
from compressor.measure.speed.facts import facts_of, peak_memory
from compressor.measure.speed.rows import Sample
from compressor.measure.speed.settings import SpeedSettings
from compressor.measure.speed.timing import inputs_for, prompt_and_new, samples
from compressor.model.load import quiet


@contextmanager
def _loaded(
    name: str, checkpoint: Checkpoint, settings: SpeedSettings
) -> Iterator[tuple[Loaded, float]]:
    """The model and the seconds it took to come; its memory is given back after the block."""
    setting = Setting(settings.device, settings.dtype, 1, None, torch.get_num_threads())
    begun = time.perf_counter()
    with opened(name, checkpoint, setting, lambda items: None) as model:
        if settings.device.startswith("cuda"):
            torch.cuda.synchronize(settings.device)
        yield model, time.perf_counter() - begun
    del model
    gc.collect()
    if settings.device.startswith("cuda"):
        torch.cuda.empty_cache()


def _serve(answer: Callable[[dict[str, Any]], None]) -> None:
    task = json.loads(sys.stdin.readline())
    settings = SpeedSettings(**task["settings"])
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    checkpoint, name = open_checkpoint(Path(task["folder"])), task["name"]
    with _loaded(name, checkpoint, settings) as (model, _):
        length, new = prompt_and_new(model, settings)
        inputs = inputs_for(model, 1, length, settings.seed)
        facts = facts_of(model, checkpoint, inputs)
        shapes = {name: list(value.shape) for name, value in inputs.items()}
        del model, inputs
    is_cuda = settings.device.startswith("cuda")
    answer(
        {
            "facts": facts,
            "inputs": shapes,
            "new_tokens": new,
            "threads": torch.get_num_threads(),
            "device": torch.cuda.get_device_name(settings.device) if is_cuda else settings.device,
        }
    )
    for _ in sys.stdin:
        notes: list[str] = []
        with _loaded(name, checkpoint, settings) as (model, seconds):
            found = [Sample("load", None, "s", seconds), *samples(model, settings, notes)]
            del model
        peak = peak_memory(settings.device)
        answer({"samples": [asdict(each) for each in found], "notes": notes, "peak_memory": peak})


def main() -> None:
    """Answer on what was stdout; whatever else prints there goes to stderr."""
    descriptor = os.dup(1)
    os.dup2(2, 1)

    def answer(said: dict[str, Any]) -> None:
        os.write(descriptor, json.dumps(said, allow_nan=False).encode() + b"\n")

    try:
        with quiet():
            _serve(answer)
    except CompressorError as error:
        answer({"error": {"kind": type(error).__name__, **error.as_json()}})


if __name__ == "__main__":
    main()
