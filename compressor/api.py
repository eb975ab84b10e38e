"""The steps as Python functions: the fields of the step and the run options are the arguments."""

from __future__ import annotations

import inspect as inspect_module
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_origin

from pydantic.fields import FieldInfo

from compressor.errors import UsageError, listing, printable
from compressor.report import Report
from compressor.step import MEASURING, READING, RunOptions, Step, parsed, run
from compressor.steps.bench import Bench
from compressor.steps.diff import Diff
from compressor.steps.gate import Gate
from compressor.steps.inspect import Inspect
from compressor.steps.prune import Prune
from compressor.steps.sweep import Sweep
from compressor.steps.verify import Verify


def prune(model: str | Path, **fields: Any) -> Report:
    """Zero the least important weights: `prune("org/name", sparsity="2:4", output="out")`."""
    return _call(Prune, model, fields)


def inspect(model: str | Path, **fields: Any) -> Report:
    """What is in a checkpoint, and what a prune would touch."""
    return _call(Inspect, model, fields)


def verify(folder: str | Path, **fields: Any) -> Report:
    """Whether a folder is whole, and what it claims to be."""
    return _call(Verify, folder, fields)


def diff(model: str | Path, against: str | Path, **fields: Any) -> Report:
    """Which tensors of two checkpoints differ, and by how much."""
    return _call(Diff, model, {**fields, "against": str(against)})


def bench(model: str | Path, *models: str | Path, **fields: Any) -> Report:
    """Measure models side by side, `against="dense"` first; kept in `output` if that is given."""
    return _call(Bench, model, {**fields, "models": tuple(map(str, models))})


def sweep(model: str | Path, *models: str | Path, **fields: Any) -> Report:
    """How much can be zero: `sweep("org/name", data=["pairs.csv"])`; kept in `output` if given."""
    return _call(Sweep, model, {**fields, "models": tuple(map(str, models))})


def gate(report: str | Path, **fields: Any) -> Report:
    """Judge a report of `bench`: its status is `failed` unless the verdict is ACCEPT."""
    return _call(Gate, report, fields)


def _with_fields(function: Callable[..., Report], kind: type[Step]) -> None:
    """Let `help` and completion see the fields that `**fields` stands for."""
    given = list(inspect_module.signature(function).parameters.values())[:-1]
    named = {parameter.name for parameter in given} | {"step", "limits"}
    runs: Sequence[str] = MEASURING if kind.keeps_report else READING
    if kind.makes_checkpoint:
        runs = [*RunOptions.model_fields]
    elif kind.keeps_parts:
        runs = [*runs, "resume"]
    options = {name: RunOptions.model_fields[name] for name in runs}
    fields = [
        inspect_module.Parameter(
            name,
            inspect_module.Parameter.KEYWORD_ONLY,
            default=inspect_module.Parameter.empty if field.is_required() else field.default,
        )
        for name, field in {**kind.model_fields, **options}.items()
        if name not in named
    ]
    signature = inspect_module.Signature([*given, *fields], return_annotation=Report)
    function.__signature__ = signature  # type: ignore[attr-defined]  # inspect reads it


def _call(kind: type[Step], model: str | Path, fields: dict[str, Any]) -> Report:
    known = [name for name in (*kind.model_fields, *RunOptions.model_fields) if name != "step"]
    for name in fields:
        if name not in known:
            raise _unknown(name, known)
    several = {name for name, field in kind.model_fields.items() if _is_several(field)}
    values = {name: _as_written(value, name in several) for name, value in fields.items()}
    options = {name: values.pop(name) for name in RunOptions.model_fields if name in values}
    return run(parsed(kind, values), str(model), parsed(RunOptions, options), keeps=False)


def _is_several(field: FieldInfo) -> bool:
    return get_origin(field.annotation) is tuple


def _as_written(value: object, is_one_of_several: bool) -> object:
    """As a recipe has it: a path and a number as text, one text where there may be several.

    0.1 is one tenth as it is written, though no float is.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number or isinstance(value, Path):
        value = str(value)
    return (value,) if is_one_of_several and isinstance(value, str) else value


def _unknown(name: str, known: list[str]) -> UsageError:
    near = get_close_matches(name, known, 1)
    return UsageError(
        "USAGE",
        "the function has no such argument",
        at=printable(name),
        found=f"`{printable(name)}`, expected one of: {listing(known, 40)}",
        do=f"did you mean `{near[0]}`?" if near else "remove it, or correct its spelling",
    )


for function, kind in (
    (bench, Bench),
    (diff, Diff),
    (gate, Gate),
    (inspect, Inspect),
    (prune, Prune),
    (sweep, Sweep),
    (verify, Verify),
):
    _with_fields(function, kind)
