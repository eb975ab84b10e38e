"""The steps as Python functions: the fields of the step and the run options are the arguments."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Any

from compressor.errors import UsageError, listing, printable
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
    known = [name for name in (*kind.model_fields, *RunOptions.model_fields) if name != "step"]
    for name in fields:
        if name not in known:
            raise _unknown(name, known)
    values = {name: _as_written(value) for name, value in fields.items()}
    options = {name: values.pop(name) for name in RunOptions.model_fields if name in values}
    return run(parsed(kind, values), str(model), parsed(RunOptions, options))


def _as_written(value: object) -> object:
    """A number as its text: 0.1 is one tenth as it is written, though no float is."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if is_number else value


def _unknown(name: str, known: list[str]) -> UsageError:
    near = get_close_matches(name, known, 1)
    return UsageError(
        "USAGE",
        "the function has no such argument",
        at=printable(name),
        found=f"`{printable(name)}`, expected one of: {listing(known, 40)}",
        do=f"did you mean `{near[0]}`?" if near else "remove it, or correct its spelling",
    )
