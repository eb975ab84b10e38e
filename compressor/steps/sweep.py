"""`compressor sweep`: how much of a model can be zero before a score drops by more than is allowed.

Every point is a prune: the same plan, the same exact counts, the same refusals, made in memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, final

from pydantic import (
    BeforeValidator,
    Field,
    InstanceOf,
    PlainSerializer,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from compressor.checkpoint.pipeline import Observer
from compressor.checkpoint.read.reader import Checkpoint
from compressor.checkpoint.source import Source
from compressor.checkpoint.stream import TensorJob
from compressor.checkpoint.write.disk import write_whole, writing
from compressor.data.spec import Spec, parse_spec
from compressor.errors import UsageError
from compressor.measure.search import Grid, parse_grid
from compressor.report import Report
from compressor.sparsity import NM, OutOfRange, Unstructured, VectorNM
from compressor.sparsity import parse as parse_sparsity
from compressor.step import DataStep, RunOptions, Search, opened
from compressor.steps.bench import distinct_names
from compressor.steps.prune import Patterns, Prune
from compressor.steps.recommended import RECIPE_FILE, recommended
from compressor.steps.rewrites import Method, Scope
from compressor.tolerance import DropField, parse

if TYPE_CHECKING:
    from compressor.measure.points import Place


def _parse_grid(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return parse_grid(value)
    except ValueError as error:
        raise PydanticCustomError("out_of_range", "{reason}", {"reason": str(error)}) from None


def _parse_share(value: object) -> object:
    if not isinstance(value, str):
        return value
    found = parse_sparsity(value)
    if not isinstance(found, Unstructured) or found.fraction == 0:
        raise OutOfRange(f"expected a fraction above 0 such as `0.05`, found `{found}`")
    return found


def _parse_pattern(value: object) -> object:
    if not isinstance(value, str):
        return value
    found = parse_sparsity(value)
    if isinstance(found, Unstructured):
        raise ValueError(f"expected N:M such as `2:4`, found `{found}`; fractions are the grid's")
    return found


GridField = Annotated[
    InstanceOf[Grid],
    BeforeValidator(_parse_grid),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["0:0.9:0.1"]}),
]
ShareField = Annotated[
    InstanceOf[Unstructured] | None,
    BeforeValidator(_parse_share),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["0.05"]}),
]
PatternField = Annotated[
    InstanceOf[NM] | InstanceOf[VectorNM],
    BeforeValidator(_parse_pattern),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["2:4", "8:16"]}),
]


@final
class Sweep(DataStep):
    """Find how much of a model can be zero before a score drops by more than is allowed."""

    keeps_report: ClassVar[bool] = True
    keeps_parts: ClassVar[bool] = True
    finds: ClassVar[Mapping[str, str]] = {"sparsity": "recommended"}

    step: Literal["sweep"] = "sweep"
    models: tuple[str, ...] = Field(
        (),
        description="More models, swept on the same items and drawn beside the first.",
        json_schema_extra={"model": True, "argument": True},
    )
    grid: GridField = Field(
        parse_grid("0:0.9:0.1"),
        description="Fractions of zeros to try, as START:STOP:STEP; default 0:0.9:0.1.",
        json_schema_extra={"metavar": "START:STOP:STEP"},
    )
    drop: DropField = Field(
        parse("1pt"),
        description="What the score may lose: 1pt, or 1% of the dense score; default 1pt.",
        json_schema_extra={"metavar": "1pt|1%"},
    )
    resolution: ShareField = Field(
        None,
        description="How closely the sparsity is found, by halving; default half a step.",
        json_schema_extra={"metavar": "FRACTION"},
    )
    method: tuple[Method, ...] = Field(
        ("magnitude",), min_length=1, description="What decides; each has a curve of its own."
    )
    scope: tuple[Scope, ...] = Field(
        ("global",),
        min_length=1,
        description="Weights that compete with each other; each has a curve of its own.",
    )
    patterns: tuple[PatternField, ...] = Field(
        (),
        description="N:M patterns to draw beside the curves: 2:4,4:8,8:16,1:4.",
        json_schema_extra={"metavar": "N:M,…"},
    )
    metric: str | None = Field(
        None, description="The metric that decides; default the first headline of the data."
    )
    random: bool = Field(True, description="Draw chance as the control; default on.")
    only: Patterns = Field(
        (),
        description="Touch only this tensor, even if dense by default: a glob, or re: and an "
        "expression for the whole name. Can be repeated.",
    )
    skip: Patterns = Field(
        (), description="Leave this tensor dense, named in the same way. Can be repeated."
    )

    @field_validator("patterns", mode="before")
    @classmethod
    def _several_in_one(cls, value: object) -> object:
        """`2:4,4:8` is two patterns."""
        listed = [value] if isinstance(value, str) else value
        if not isinstance(listed, list | tuple):
            return value
        return tuple(
            part
            for each in listed
            for part in (each.split(",") if isinstance(each, str) else (each,))
        )

    @model_validator(mode="after")
    def _resolution_is_finer_than_the_grid(self) -> Sweep:
        if self.resolution is not None and self.resolution.fraction >= self.grid.step:
            raise PydanticCustomError(
                "SWEEP-RESOLUTION",
                "a resolution of {resolution} is not finer than the step of the grid {grid}; "
                "give a smaller one, or leave it out for half a step",
                {"resolution": str(self.resolution), "grid": str(self.grid)},
            )
        return self

    def job(self, model: str, options: RunOptions) -> Search:
        """Every model is found and its headers read before anything is computed."""
        if not self.data:
            raise UsageError(
                "SWEEP-NOTHING",
                "there is nothing to ask the model in its states",
                at="--data",
                found="no data; expected at least one data set",
                do="give --data SPEC, for example --data pairs.csv:text=a,text2=b,score=y",
            )
        specs = [parse_spec(text) for text in self.data]
        found = [opened(each, options) for each in (model, *self.models)]
        models = dict(zip(distinct_names([source for source, _ in found]), found, strict=True))
        first = next(iter(models))

        def look(observe: Observer, folder: Path | None) -> Report:
            report = self._look(models, specs, options, observe, folder)
            if folder is not None and report.summary["recommended"] is not None:
                text = recommended(self, model, specs, report.summary, first)
                write_whole(folder / RECIPE_FILE, text.encode())
            elif folder is not None:
                with writing(folder):
                    (folder / RECIPE_FILE).unlink(missing_ok=True)
            return report

        return Search(look, f"{first}-sweep")

    def _look(
        self,
        models: Mapping[str, tuple[Source, Checkpoint]],
        specs: Sequence[Spec],
        options: RunOptions,
        observe: Observer,
        folder: Path | None,
    ) -> Report:
        from compressor.measure.points import Curve
        from compressor.measure.sweep import Request, Subject, sweep

        curves = [Curve(method, scope) for method in self.method for scope in self.scope]
        if self.random and "random" not in self.method:
            curves.append(Curve("random", self.scope[0]))

        def subject(name: str, checkpoint: Checkpoint) -> Subject:
            def prune(place: Place) -> TensorJob:
                here = options.model_copy(update={"revision": None})
                return self._prune(place).job(str(checkpoint.folder), here)

            return Subject(name, checkpoint, prune)

        measured = sweep(
            [subject(name, checkpoint) for name, (_, checkpoint) in models.items()],
            Request(
                data=specs,
                count=self.num_samples,
                max_length=self.max_length,
                batch_size=self.batch_size,
                seed=self.seed,
                device=self.device,
                dtype=self.dtype,
                offline=options.offline,
                workers=options.workers,
                curves=curves,
                grid=self.grid.points,
                resolution=self.grid.step / 2
                if self.resolution is None
                else self.resolution.fraction,
                patterns=self.patterns,
                drop=self.drop,
                metric=self.metric,
                folder=folder,
                goes_on=options.resume,
            ),
            observe,
        )
        name, (source, _) = next(iter(models.items()))
        notes = dict.fromkeys(note for each, _ in models.values() for note in each.notes)
        return Report(
            step=self.as_dict(),
            source={"name": name, "id": source.id, "revision": source.revision},
            summary=measured.summary,
            tables=measured.tables,
            notes=[*notes, *measured.notes],
        )

    def _prune(self, place: Place) -> Prune:
        """The prune that a point is; a pattern has no scope."""
        is_fraction = isinstance(place.sparsity, Unstructured)
        fields: dict[str, Any] = {
            "sparsity": place.sparsity,
            "method": place.curve.method,
            "scope": place.curve.scope if is_fraction else None,
            "only": self.only,
            "skip": self.skip,
            "seed": self.seed,
        }
        return Prune.model_validate(fields)
