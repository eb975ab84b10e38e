"""Speed of several models: a fresh process for each, taking turns, so that noise hits all alike."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias, final

from compressor.measure.speed.child import Child, child
from compressor.measure.speed.rows import Sample, SpeedRow, Turn, speed_rows
from compressor.measure.speed.sentence import speed_sentence, spoken_of
from compressor.measure.speed.settings import SpeedSettings, Subject

__all__ = ["Speed", "SpeedSettings", "Subject", "measure_speed", "processor"]

SpeedObserver: TypeAlias = Callable[[int, int, str], None]
"""Told how many turns are done, of how many, and whose turn it is."""


@final
@dataclass(frozen=True)
class Speed:
    """What was measured, of which models, and on what."""

    rows: Sequence[SpeedRow]
    facts: Mapping[str, Mapping[str, Any]]
    """By model: parameters, nonzero_parameters, flops, bytes_on_disk, load_s, peak_memory."""
    environment: Mapping[str, Any]
    notes: Sequence[str]
    sentence: str
    turns: Sequence[str]
    """The models in the order in which they were timed."""


def measure_speed(
    subjects: Sequence[Subject],
    settings: SpeedSettings,
    observe: SpeedObserver = lambda done, total, name: None,
) -> Speed:
    """Time every model in turn; the first one is what the others are compared with."""
    before = os.getloadavg()[0]
    total = len(subjects) * (settings.rounds + 1)
    turns: dict[str, list[Turn]] = {each.name: [] for each in subjects}
    peaks: dict[str, int] = {}
    order: list[str] = []
    notes: dict[str, None] = {}
    with ExitStack() as stack:
        children: list[Child] = []
        answers: dict[str, dict[str, Any]] = {}
        for done, subject in enumerate(subjects):
            observe(done, total, subject.name)
            one, answers[subject.name] = stack.enter_context(child(subject, settings))
            children.append(one)
        for number in range(settings.rounds):
            start = number % len(children)
            for one in children[start:] + children[:start]:
                observe(len(children) + len(order), total, one.name)
                order.append(one.name)
                said = one.ask({"round": number})
                turns[one.name].append([Sample(**each) for each in said["samples"]])
                peaks[one.name] = said["peak_memory"]
                notes |= dict.fromkeys(said["notes"])
    observe(total, total, subjects[-1].name)
    rows = speed_rows(turns)
    facts = {
        name: {
            **{key: value for key, value in answer["facts"].items() if key != "device"},
            "load_s": statistics.median(turn[0].value for turn in turns[name]),
            "peak_memory": peaks[name],
        }
        for name, answer in answers.items()
    }
    first = answers[subjects[0].name]
    return Speed(
        rows=rows,
        facts=facts,
        environment=_environment(first, before),
        notes=[_inputs(first), *notes],
        sentence=" ".join(_sentences(rows, {n: a["facts"] for n, a in answers.items()})),
        turns=order,
    )


def _sentences(rows: Sequence[SpeedRow], facts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    dense = next(iter(facts))
    return [
        speed_sentence(name, facts[name], dense, facts[dense], row)
        for name in facts
        if (row := spoken_of(rows, name)) is not None
    ]


def _inputs(answer: Mapping[str, Any]) -> str:
    shapes = ", ".join(
        f"{name} {'×'.join(map(str, shape))}" for name, shape in answer["inputs"].items()
    )
    decoded = f", then {answer['new_tokens']} new tokens" if answer["new_tokens"] else ""
    return f"speed: made-up inputs, at batch 1 {shapes}{decoded}"


def _environment(answer: Mapping[str, Any], load_before: float) -> dict[str, Any]:
    """What the numbers are true for."""
    return {
        "device": answer["device"],
        "torch": version("torch"),
        "transformers": version("transformers"),
        "threads": answer["threads"],
        "cores": os.cpu_count(),
        "load_average_before": round(load_before, 2),
        "processor": processor(),
    }


def processor() -> str:
    """The processor's name where the system tells it, else its architecture."""
    listed = Path("/proc/cpuinfo")
    lines = listed.read_text().splitlines() if listed.exists() else []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
