"""The steps as Python functions: the fields of the step and the run options are the arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from compressor.report import Report
from compressor.step import RunOptions, Step, parsed, run
from compressor.steps.diff import Diff
from compressor.steps.inspect import Inspect
from compressor.steps.prune import Prune
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


def _call(kind: type[Step], model: str | Path, fields: dict[str, Any]) -> Report:
    options = {name: fields.pop(name) for name in RunOptions.model_fields if name in fields}
    return run(parsed(kind, fields), str(model), parsed(RunOptions, options))
