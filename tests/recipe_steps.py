"""Steps for tests of recipes: one looks, one says no, one breaks, one copies; how to run them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator
from safetensors.numpy import save_file

from compressor.checkpoint.source import locate
from compressor.checkpoint.stream import TensorJob
from compressor.errors import InputError
from compressor.recipe.run import Outcome, run_recipe
from compressor.report import Report
from compressor.step import Check, RunOptions, Step, opened

DONE: list[str] = []
"""Which steps did their work, in order; a test clears it."""


def _half(value: object) -> object:
    if value == "half":
        return 50
    if isinstance(value, str):
        raise ValueError(f"expected `half`, found `{value}`")
    return value


class Look(Step):
    """Says what it sees; has a field of every kind that a recipe may hold."""

    step: Literal["look"] = "look"
    whole: int = Field(default=1, ge=0, le=1000)
    fraction: float = Field(default=0.5, ge=0, lt=1)
    is_fast: bool = False
    label: str = "none"
    method: Literal["magnitude", "random"] = "magnitude"
    only: tuple[str, ...] = ()
    limit: int | None = None
    weights: dict[str, float] = Field(default={})
    parsed: Annotated[
        int | None,
        BeforeValidator(_half),
        PlainSerializer(str, return_type=str),
        WithJsonSchema({"type": "string", "examples": ["0.5"]}),
    ] = None
    against: str | None = Field(default=None, json_schema_extra={"model": True})

    def job(self, model: str, options: RunOptions) -> Check:
        return Check(lambda observe: _report(self, model, self.against))


class Doubt(Step):
    """A check whose answer is no."""

    step: Literal["doubt"] = "doubt"

    def job(self, model: str, options: RunOptions) -> Check:
        return Check(lambda observe: _report(self, model, None, status="failed"))


class Break(Step):
    """A step that finds its input malformed."""

    step: Literal["break"] = "break"

    def job(self, model: str, options: RunOptions) -> Check:
        raise InputError("CKPT-BROKEN", "this checkpoint is broken", at=model, do="repair it")


class Copy(Step):
    """A tensor step that changes nothing."""

    step: Literal["copy"] = "copy"
    round: int = 1

    def job(self, model: str, options: RunOptions) -> TensorJob:
        source, checkpoint = opened(model, options)
        plan = _report(self, model, None)
        return TensorJob(
            source=source,
            checkpoint=checkpoint,
            step=self.as_dict(),
            default_name="copy",
            rewrites={},
            plan=plan,
            report=lambda outcomes: plan,
        )


class Required(Step):
    """A step with a field that has no default, and two that must agree."""

    step: Literal["required"] = "required"
    sparsity: float
    upper: float = 1.0

    @model_validator(mode="after")
    def _in_order(self) -> Required:
        if self.sparsity > self.upper:
            raise ValueError(f"expected sparsity <= upper, found {self.sparsity} > {self.upper}")
        return self

    def job(self, model: str, options: RunOptions) -> Check:
        return Check(lambda observe: _report(self, model, None))


CATALOGUE: dict[str, type[Step]] = {
    "look": Look,
    "doubt": Doubt,
    "break": Break,
    "copy": Copy,
    "required": Required,
}


def _report(
    step: Step, model: str, against: str | None, status: Literal["ok", "failed"] = "ok"
) -> Report:
    DONE.append(step.step)
    return Report(
        step=step.as_dict(),
        source={"name": locate(model).name},
        summary={
            "files": _names(locate(model).folder),
            "against": _names(locate(against).folder) if against is not None else None,
        },
        status=status,
    )


def _names(folder: Path) -> Sequence[Any]:
    return sorted(path.name for path in folder.iterdir())


def tiny_checkpoint(folder: Path, seed: int = 0) -> Path:
    """A checkpoint of one weight file and a config."""
    folder.mkdir(parents=True, exist_ok=True)
    weight = np.random.default_rng(seed).standard_normal((8, 8)).astype(np.float32)
    save_file({"layer.weight": weight}, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text('{"model_type": "tiny"}')
    return folder


def written(*steps: str, source: str = "models/tiny") -> str:
    """A recipe file in the working directory."""
    lines = "".join(f"  - {step}\n" for step in steps)
    Path("recipe.yaml").write_text(f"version: 1\nsource: {source}\nsteps:\n{lines}")
    return "recipe.yaml"


def done(recipe: str, *overrides: str, **options: Any) -> Outcome:
    """Run it with the steps of this file; `DONE` is what this run did."""
    DONE.clear()
    return run_recipe(recipe, overrides, RunOptions(**options), catalogue=CATALOGUE)


def record(folder: str = "recipe-run") -> dict[str, Any]:
    """What stands in `run.json`."""
    data = json.loads(Path(folder, "run.json").read_text())
    assert isinstance(data, dict)
    return data
