"""A step is data: its fields are the CLI options, the recipe keys and the Python arguments.

Asked for a model, a step returns a *job*, and the job's kind names its engine: a `TensorJob`
streams a checkpoint into a new one, a `Check` reads and reports. `run` hands the one to the other.
"""

from __future__ import annotations

import logging
import re
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias, TypeVar, final

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    PlainSerializer,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from compressor.checkpoint.hub.client import push
from compressor.checkpoint.pipeline import Observer
from compressor.checkpoint.read.limits import Limits
from compressor.checkpoint.read.reader import Checkpoint, open_checkpoint
from compressor.checkpoint.read.unpickle import converted
from compressor.checkpoint.source import Source, locate
from compressor.checkpoint.stream import TensorJob, rewrite
from compressor.checkpoint.write.disk import write_whole, writing
from compressor.checkpoint.write.target import require_free
from compressor.errors import OutputError, UsageError, printable
from compressor.report import Report
from compressor.sparsity import NM, OutOfRange, Unstructured, VectorNM, parse

log = logging.getLogger("compressor")

REPORT: Final = "report.json"


def _parse_sparsity(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return parse(value)
    except OutOfRange as error:
        raise PydanticCustomError("out_of_range", "{reason}", {"reason": str(error)}) from None


SparsityField = Annotated[
    InstanceOf[Unstructured] | InstanceOf[NM] | InstanceOf[VectorNM],
    BeforeValidator(_parse_sparsity),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["0.5", "2:4", "8:16", "vector:2:4:64"]}),
]


_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def _parse_size(value: object) -> object:
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"(\d{1,12}(?:\.\d{1,6})?) ?([KMGT]?B)?", value.strip(), re.IGNORECASE)
    if match is None:
        raise ValueError(f"expected a size such as `5GB` or `500MB`, found `{value[:40]}`")
    return int(float(match[1]) * _UNITS[(match[2] or "").upper()])


ShardSize = Annotated[
    int | None,
    BeforeValidator(_parse_size),
    Field(ge=1 << 20),
    WithJsonSchema({"type": "string", "examples": ["5GB", "500MB"]}),
]
"""A size in bytes, written `5GB` or `500MB` (powers of ten), at least 1 MiB."""


class RunOptions(BaseModel):
    """How to run, never what to compute: none of these changes a byte of an output's weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    output: Path | None = Field(
        None, description="Folder to create; by default named after what was done."
    )
    overwrite: bool = Field(False, description="Replace the output folder, in one atomic exchange.")
    resume: bool = Field(
        False, description="Go on where an interrupted run of the same step stopped."
    )
    workers: int = Field(2, ge=1, le=64, description="Threads that read and compute; default 2.")
    revision: str | None = Field(None, description="Branch, tag or commit of a hub model.")
    offline: bool = Field(False, description="Open no connection; use what the hub cache holds.")
    allow_pickle: bool = Field(
        False, description="Convert .bin/.pt weights, unpickled in a restricted child process."
    )
    dry_run: bool = Field(False, description="Say what would be done, and write nothing.")
    push_to_hub: str | None = Field(
        None, description="Upload the finished output as this hub repository."
    )
    private: bool = Field(False, description="Create that repository as a private one.")
    limits: InstanceOf[Limits] = Limits()


READING = ("workers", "revision", "offline", "allow_pickle")
"""Run options of a step that makes no checkpoint; one that makes one has all of them."""

MEASURING = ("output", "overwrite", *READING)
"""Run options of a step whose report is kept in a folder."""


@final
@dataclass(frozen=True)
class Check:
    """A job that only looks: it returns its report, and changes nothing on this disk."""

    look: Callable[[Observer], Report]
    default_name: str = ""
    """The folder that keeps the report where the user names none; empty: it is only shown."""


@final
@dataclass(frozen=True)
class Search:
    """A check of many parts: each is kept in the folder of the report, for a run that goes on."""

    look: Callable[[Observer, Path | None], Report]
    default_name: str


Job: TypeAlias = TensorJob | Check | Search


class Step(BaseModel):
    """One thing to do to a checkpoint: final, frozen, and listed in `compressor.steps`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    argument: ClassVar[str | None] = "MODEL"
    """What the command line calls the checkpoint that the step reads; None where it reads none."""

    makes_checkpoint: ClassVar[bool] = False
    """Whether the job is one that writes a folder: then the output options have a meaning."""

    keeps_report: ClassVar[bool] = False
    """Whether its report is evidence, kept in a folder: then `output` has a meaning too."""

    keeps_parts: ClassVar[bool] = False
    """Whether its report is found part by part, so that `resume` has a meaning as well."""

    finds: ClassVar[Mapping[str, str]] = {}
    """Fields that a later step of a recipe may take from the report, by keys of its summary."""

    looks_again: ClassVar[bool] = False
    """Whether a rerun of a recipe does the step again though nothing seems to have changed."""

    step: str

    def as_dict(self) -> dict[str, Any]:
        """The step as it stands in a recipe, a manifest and a report: defaults are left out."""
        return {"step": self.step, **self.model_dump(mode="json", exclude_defaults=True)}

    @abstractmethod
    def job(self, model: str, options: RunOptions) -> Job:
        """The work that this step is, on this model. Reads headers and writes nothing."""


class DataStep(Step):
    """A step that reads data: these fields mean the same in every one of them."""

    data: tuple[str, ...] = Field(
        (),
        description="Data: a path, hub data set or recipe name, then :column=name,… as needed.",
        json_schema_extra={"data": True},
    )
    num_samples: int | None = Field(
        None, ge=1, description="Items of each data set, drawn by the seed; default all."
    )
    max_length: int | None = Field(
        None, ge=2, description="Tokens of an item; default what the model allows, at most 512."
    )
    batch_size: int = Field(32, ge=1, le=65536, description="Items in a batch; default 32.")
    seed: int = Field(0, ge=0, lt=2**63, description="Seed of every draw; default 0.")
    device: str = Field(
        "auto", description="cpu, cuda, cuda:1, mps; default a GPU where there is one."
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16", "float64"] = Field(
        "auto", description="Compute in this dtype; default the one the weights are stored in."
    )


def opened(model: str, options: RunOptions) -> tuple[Source, Checkpoint]:
    """A model as the user named it, found and its headers read."""
    source = locate(model, revision=options.revision, offline=options.offline)
    folder = converted(source.folder) if options.allow_pickle else source.folder
    if folder != source.folder:
        note = "the weights were converted from pickled files, read with weights_only"
        source = replace(source, notes=(*source.notes, note))
    return source, open_checkpoint(folder, options.limits, options.allow_pickle)


def run(
    step: Step,
    model: str,
    options: RunOptions,
    observe: Observer = lambda progress: None,
    *,
    keeps: bool = True,
) -> Report:
    """Do the step: its job goes to the engine of its kind, which tells `observe` how far it is.

    `keeps`: evidence goes into a folder of its own where no output is named.
    """
    job = step.job(model, options)
    output = options.output
    if output is None and job.default_name and (keeps or isinstance(job, TensorJob)):
        output = _working_folder() / job.default_name
    if isinstance(job, Check | Search):
        goes_on = isinstance(job, Search) and options.resume
        if output is not None:
            require_free(output, overwrite=options.overwrite or goes_on)
        found = job.look(observe) if isinstance(job, Check) else job.look(observe, output)
        return found if output is None else kept(found, output)
    assert output is not None, "a tensor job has a name for its output"
    report = rewrite(
        job,
        output,
        overwrite=options.overwrite,
        resume=options.resume,
        workers=options.workers,
        dry_run=options.dry_run,
        observe=observe,
    )
    if options.push_to_hub is not None and report.output is not None:
        log.info("pushed to %s", push(report.output, options.push_to_hub, options.private))
    return report


def kept(report: Report, folder: Path) -> Report:
    """The report, written into `folder` in one piece, where it says that it lies."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / REPORT, report.to_json().encode())
    return replace(report, kept=folder / REPORT)


def _working_folder() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise OutputError(
            "OUT-UNWRITABLE",
            "the working directory is gone",
            at="the working directory",
            found="a folder that was deleted, expected one to write into",
            do="go to another folder, or name one with -o",
        ) from None


Parsed = TypeVar("Parsed", bound=BaseModel)


def parsed(
    kind: type[Parsed], fields: Mapping[str, object], flag: Callable[[str], str] = str
) -> Parsed:
    """A step or options from what a caller gave; `flag` is how the caller spells a field."""
    try:
        return kind.model_validate(dict(fields))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        reason = str(first["msg"]).removeprefix("Value error, ")
        reason = reason.replace("Input should be", "expected")
        if not first["loc"]:
            raise UsageError(
                first["type"],
                "these options do not go together",
                at=" ".join(flag(name) for name in fields),
                found=printable(reason, 300),
                do="leave one of them out",
            ) from None
        name = str(first["loc"][0])
        given = "" if ", found `" in reason else f", found `{printable(first.get('input'))}`"
        is_range = first["type"].startswith(("greater", "less", "finite", "out_of_range"))
        raise UsageError(
            "RANGE" if is_range else "USAGE",
            f"{flag(name)} has a value that cannot be used"
            if name in kind.model_fields
            else f"{flag(name)} is not an option here",
            at=flag(name),
            found=printable(reason, 200) + given,
            do="correct the value, or see --help",
        ) from None
