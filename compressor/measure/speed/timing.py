"""One turn of one model: the median time of each thing that it does, at each batch size."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

import torch
from torch.utils.benchmark import Timer

from compressor.errors import InputError
from compressor.measure.language.greedy import greedy, kept
from compressor.measure.language.tokens import places
from compressor.measure.loaded import Loaded
from compressor.measure.speed.rows import Sample
from compressor.measure.speed.settings import SpeedSettings
from compressor.model.forward import made_up_inputs
from compressor.model.load import first_line

LENGTH: Final = 128
"""Tokens of a text unless the user or the model says otherwise."""

WARM_UPS: Final = 2
LEAST_SECONDS: Final = 0.2

Inputs = Mapping[str, Any]


def prompt_and_new(model: Loaded, settings: SpeedSettings) -> tuple[int, int]:
    """Tokens of the text, and those generated after it, within the places that the model has."""
    wanted = LENGTH if settings.length is None else settings.length
    most = places(model)
    if model.kind != "causal-lm":
        return int(min(wanted, most)), 0
    new = max(1, int(min(settings.new_tokens, most / 2)))
    return max(1, int(min(wanted, most - new))), new


def inputs_for(model: Loaded, batch: int, length: int, seed: int) -> Inputs:
    """Made-up inputs that the model takes, on its device."""
    refusals = []
    for made in made_up_inputs(model.model, batch, length, seed):
        inputs = {name: value.to(model.device) for name, value in made.items()}
        try:
            model.model(**inputs)
        except torch.cuda.OutOfMemoryError:
            raise
        except Exception as error:  # what a model lacks, it says in any kind of error
            refusals.append(first_line(error))
        else:
            return inputs
    raise InputError(
        "BENCH-SPEED",
        "no input could be made up for this model, so that its speed cannot be measured",
        at=model.name,
        found=f"{refusals[0] if refusals else 'an unknown main input'}; expected a forward pass",
        do="leave the speed out with --no-speed",
    )


def samples(model: Loaded, settings: SpeedSettings, notes: list[str]) -> Iterator[Sample]:
    """The times of one turn; what cannot be timed is left out, and `notes` says why."""
    length, new = prompt_and_new(model, settings)
    for batch in settings.batch_sizes:
        inputs = inputs_for(model, batch, length, settings.seed)
        if model.kind != "causal-lm":
            yield from _latency("forward", batch, batch, "items/s", _forward_seconds(model, inputs))
        else:
            seconds = _forward_seconds(model, inputs)
            yield from _latency("prefill", batch, batch * length, "tokens/s", seconds)
            yield from _decode(model, inputs, batch, new, notes)
        if model.device.startswith("cuda"):
            yield from _cuda_graph(model, inputs, batch, notes)


def _latency(what: str, batch: int, count: int, unit: str, seconds: float) -> Iterator[Sample]:
    yield Sample(what, batch, "ms", seconds * 1e3)
    yield Sample(what, batch, unit, count / seconds)


def _forward_seconds(model: Loaded, inputs: Inputs) -> float:
    return _seconds(lambda: model.model(**inputs))


def _seconds(call: Callable[[], Any]) -> float:
    for _ in range(WARM_UPS):
        call()
    return float(_timer(call).blocked_autorange(min_run_time=LEAST_SECONDS).median)


def _timer(call: Callable[[], Any]) -> Timer:
    # By itself, a Timer runs on one thread.
    return Timer("call()", globals={"call": call}, num_threads=torch.get_num_threads())


def _decode(
    model: Loaded, inputs: Inputs, batch: int, new: int, notes: list[str]
) -> Iterator[Sample]:
    """Greedy steps with a filled key-value cache, each of one token of each text."""
    times: list[float] = []
    while len(times) < WARM_UPS + 1 or sum(times[WARM_UPS:]) < LEAST_SECONDS:
        output = model.model(**inputs, use_cache=True)
        if not kept(output):
            notes.append(f"{model.name}: no decode times, for it has no key-value cache")
            return

        def steps(output: Any = output) -> None:
            # The first token comes of what was read; each after it, of a step.
            for _ in islice(greedy(model, inputs["input_ids"], output), new + 1):
                pass

        times.append(float(_timer(steps).timeit(1).median))
    seconds = statistics.median(times[WARM_UPS:]) / new
    yield Sample("decode", batch, "ms/token", seconds * 1e3)
    yield Sample("decode", batch, "tokens/s", batch / seconds)


def _cuda_graph(model: Loaded, inputs: Inputs, batch: int, notes: list[str]) -> Iterator[Sample]:
    """The forward recorded once and replayed: its time without that of launching kernels."""
    try:
        side = torch.cuda.Stream(model.device)  # type: ignore[no-untyped-call]  # as torch has it
        side.wait_stream(torch.cuda.current_stream(model.device))
        with torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                model.model(**inputs)
        torch.cuda.current_stream(model.device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            model.model(**inputs)
    except RuntimeError as error:
        notes.append(f"{model.name}: no CUDA graph at batch {batch}: {first_line(error)}")
        return
    yield Sample("forward, CUDA graph", batch, "ms", _seconds(graph.replay) * 1e3)
