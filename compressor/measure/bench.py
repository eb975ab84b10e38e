"""One comparison: models, data and a setting in; the tables and the verdict of a report out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, final

import torch

from compressor.checkpoint.pipeline import Observer, Progress
from compressor.checkpoint.read.reader import Checkpoint
from compressor.data.dataset import load
from compressor.data.spec import Spec
from compressor.measure import accuracy, tables
from compressor.measure.judgement import verdict
from compressor.measure.kinds import kind_of
from compressor.measure.loaded import Kind
from compressor.measure.opening import Setting, require_one_kind, resolve_device, resolve_dtype
from compressor.measure.speed.measure import Speed, SpeedSettings, measure_speed, processor
from compressor.measure.speed.measure import Subject as SpeedSubject
from compressor.measure.tasks.plan import Asking, Planned, planned, unit_for
from compressor.tolerance import Drop

BATCH_SIZES = (1, 8, 32)
"""Of a speed measurement: alone, a few, a full batch."""


@final
@dataclass(frozen=True)
class Request:
    """What is to be measured, and how; the same for every model."""

    data: Sequence[Spec]
    tasks: Sequence[str]
    asking: Asking
    count: int | None
    max_length: int | None
    batch_size: int
    seed: int
    device: str
    dtype: str
    offline: bool
    speed: bool
    rounds: int
    max_drop: Drop


@final
@dataclass(frozen=True)
class Measured:
    """The parts of a report that a comparison fills."""

    summary: Mapping[str, Any]
    tables: Mapping[str, Sequence[Mapping[str, Any]]]
    notes: Sequence[str]


def bench(
    models: Mapping[str, Checkpoint], request: Request, observe: Observer, *, has_dense: bool
) -> Measured:
    """Measure `models` side by side; the first of them is the dense one if there is one."""
    kind = require_one_kind({name: kind_of(each) for name, each in models.items()})
    first = next(iter(models))
    dense = first if has_dense else None
    setting = Setting(
        device=resolve_device(request.device),
        dtype=resolve_dtype(request.dtype, models[first]),
        batch_size=request.batch_size,
        max_length=request.max_length,
        threads=torch.get_num_threads(),
    )
    plan = _plan(kind, request)
    found = accuracy.ask(
        [accuracy.Subject(name, each) for name, each in models.items()],
        plan,
        setting,
        observe,
        has_dense=has_dense,
    )
    listed = tables.pairs(found, dense)
    filled: dict[str, Sequence[Mapping[str, Any]]] = {
        "models": [_model_row(name, each, dense) for name, each in models.items()],
        "data": [data_row(each) for each in plan],
        "metrics": tables.metric_rows(listed, dense, request.seed),
        "distances": tables.distance_rows(found, request.seed),
        "layers": tables.layer_rows(found),
        "preparations": tables.preparation_rows(found),
        "items": tables.item_rows(found, setting),
    }
    notes = [f"{row['data']}: {row['warning']}" for row in _warnings(filled["preparations"])]
    speed = _speed(models, kind, setting, request, observe) if request.speed else None
    if speed is not None:
        filled["speed"] = speed.rows
        filled["models"] = [
            # What is stored goes before what is loaded, where a tied weight counts once.
            {**row, **speed.facts[row["model"]], **row}
            for row in filled["models"]
        ]
        notes += speed.notes
    strange = list(tables.anomalies(found))
    judged = verdict.of_bench(filled, request.max_drop, strange)
    summary = {
        "verdict": None if judged is None else judged.word,
        "sentence": "" if judged is None else judged.sentence,
        "speed": "" if speed is None else speed.sentence,
        "kind": kind,
        "dense": dense,
        "models": len(models),
        "max_drop": str(request.max_drop),
        "anomalies": strange,
        **environment(setting),
        **({} if speed is None else {"load_before": speed.environment["load_average_before"]}),
    }
    return Measured(summary, filled, notes)


def _plan(kind: Kind, request: Request) -> list[Planned]:
    datasets = [
        load(
            spec,
            by_default=unit_for(kind),
            count=request.count,
            seed=request.seed,
            offline=request.offline,
        )
        for spec in request.data
    ]
    return planned(kind, datasets, request.tasks, request.asking)


def _speed(
    models: Mapping[str, Checkpoint],
    kind: Kind,
    setting: Setting,
    request: Request,
    observe: Observer,
) -> Speed:
    def told(done: int, total: int, name: str) -> None:
        observe(Progress(done, total, f"speed of {name}", unit="items"))

    return measure_speed(
        [SpeedSubject(name, each.folder, kind) for name, each in models.items()],
        SpeedSettings(
            device=setting.device,
            dtype=setting.dtype,
            batch_sizes=BATCH_SIZES,
            rounds=request.rounds,
            threads=setting.threads,
            length=request.max_length,
            seed=request.seed,
        ),
        told,
    )


def _model_row(name: str, checkpoint: Checkpoint, dense: str | None) -> dict[str, Any]:
    role = "alone" if dense is None else "dense" if name == dense else "candidate"
    tensors = [tensor for each in checkpoint.components for _, tensor in each.tensors()]
    return {
        "model": name,
        "role": role,
        "bytes": sum(shard.size for shard in checkpoint.shards()),
        "parameters": sum(tensor.count for tensor in tensors),
    }


def data_row(each: Planned) -> dict[str, Any]:
    """A task and its data, as a row of a report."""
    return {
        "data": each.task.data,
        "task": each.task.kind,
        "items": each.task.count,
        "columns": each.columns,
        "digest": each.digest,
        "notes": "; ".join(each.notes),
    }


def _warnings(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows that warn, each warning once: it holds for every model."""
    return list({(row["data"], row["warning"]): row for row in rows if row["warning"]}.values())


def environment(setting: Setting) -> dict[str, Any]:
    """On what it was measured."""
    is_cuda = setting.device.startswith("cuda")
    return {
        "device": torch.cuda.get_device_name(setting.device) if is_cuda else setting.device,
        "dtype": setting.dtype,
        "threads": setting.threads,
        "cores": os.cpu_count(),
        "processor": processor(),
        "torch": torch.__version__,
        "transformers": version("transformers"),
        "compressor": version("compressor"),
    }
