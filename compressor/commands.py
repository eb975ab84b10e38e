"""One command per step: its arguments and options are read off the fields of the step."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from compressor.checkpoint.read.limits import Limits
from compressor.errors import UsageError, printable
from compressor.step import MEASURING, READING, DataStep, RunOptions, Step, parsed, run
from compressor.view.terminal import Terminal

RUN_OPTIONS: Mapping[str, Sequence[str]] = {"clean": ("dry_run",), "doctor": (), "gate": ()}
"""Run options of the steps that read no model."""

MODEL_HELP = "A folder, a hub id (org/name or org/name@revision), or package:NAME."
ARGUMENT_HELP = {
    "clean": "The folder to look into; default the working directory.",
    "gate": "A report.json, or the folder that holds it.",
}

METAVARS = {
    "batch_size": "ITEMS",
    "data": "SPEC",
    "max_drop": "1%|1pt",
    "max_length": "TOKENS",
    "metric": "DATA/METRIC",
    "num_samples": "ITEMS",
    "only": "PATTERN",
    "output": "FOLDER",
    "push_to_hub": "REPO",
    "skip": "PATTERN",
    "stride": "TOKENS",
    "tasks": "NAME",
}

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No notes, no bars: only the result.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
COMMON = {"json": Json, "quiet": Quiet, "debug": Debug}
Limit = Annotated[
    list[str] | None,
    typer.Option(
        "--limit",
        metavar="NAME=NUMBER",
        help="Raise a limit on input files: " + ", ".join(f.name for f in fields(Limits)) + ".",
        rich_help_panel="Run options",
    ),
]


def flag(name: str) -> str:
    """How the command line spells a field: `--max-shard-size`."""
    return "--" + name.replace("_", "-")


def command(kind: type[Step]) -> Callable[..., None]:
    """The function behind a command: its parameters are the step's fields and the run options."""
    runs = _run_options(kind)

    def call(**given: Any) -> None:
        shown = Terminal(json=given.pop("json"), quiet=given.pop("quiet"), debug=given.pop("debug"))
        limits, model = _limits(given.pop("limit", None)), given.pop("model", None) or ""
        options = _given({name: given.pop(name) for name in runs})
        step = parsed(kind, _given(given), flag)
        chosen = parsed(RunOptions, {**options, "limits": limits}, flag)
        with shown.progress() as observe:
            report = run(step, model, chosen, observe)
        shown.show(report)
        raise typer.Exit(report.exit_code)

    call.__doc__ = kind.__doc__
    parameters = [
        *_arguments(kind),
        *(
            _parameter(name, info, panel)
            for panel, names in _panels(kind).items()
            for name, info in names.items()
        ),
        *(_parameter(name, info, "Run options") for name, info in runs.items()),
        *([_keyword("limit", Limit, None)] if _reads_model(kind) else []),
        *(_keyword(name, each, False) for name, each in COMMON.items()),
    ]
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # typer reads it
    call.__annotations__ = {each.name: each.annotation for each in parameters}
    return call


def _reads_model(kind: type[Step]) -> bool:
    return _name(kind) not in RUN_OPTIONS


def _name(kind: type[Step]) -> str:
    return str(kind.model_fields["step"].default)


def _run_options(kind: type[Step]) -> dict[str, FieldInfo]:
    if kind.makes_checkpoint:
        names: Sequence[str] = [name for name in RunOptions.model_fields if name != "limits"]
    else:
        names = RUN_OPTIONS.get(_name(kind), MEASURING if kind.keeps_report else READING)
        names = [*names, "resume"] if kind.keeps_parts else names
    return {name: RunOptions.model_fields[name] for name in names}


def _arguments(kind: type[Step]) -> Iterator[inspect.Parameter]:
    if kind.argument is not None:
        is_optional = kind.argument.startswith("[")
        said = ARGUMENT_HELP.get(_name(kind), MODEL_HELP)
        info = typer.Argument(metavar=kind.argument.strip("[]"), help=said, show_default=False)
        default = None if is_optional else inspect.Parameter.empty
        yield _keyword("model", Annotated[str | None if is_optional else str, info], default)
    for name, field in kind.model_fields.items():
        if _is_argument(field):
            argument = typer.Argument(
                metavar=name.upper().removesuffix("S"), help=field.description, show_default=False
            )
            if get_origin(field.annotation) is tuple:
                yield _keyword(name, Annotated[list[str] | None, argument], None)
            else:
                yield _keyword(name, Annotated[str, argument])


def _panels(kind: type[Step]) -> dict[str | None, dict[str, FieldInfo]]:
    """The step's own options, then those that every step that reads data has."""
    shared = DataStep.model_fields if issubclass(kind, DataStep) else {}
    named = {
        name: field
        for name, field in kind.model_fields.items()
        if name != "step" and not _is_argument(field)
    }
    return {
        None: {name: field for name, field in named.items() if name not in shared},
        "Data options": {name: field for name, field in named.items() if name in shared},
    }


def _is_argument(field: FieldInfo) -> bool:
    extra = field.json_schema_extra
    return isinstance(extra, dict) and "argument" in extra


def _parameter(name: str, field: FieldInfo, panel: str | None) -> inspect.Parameter:
    """An option; text is parsed by the step itself, so that every caller gets the same message."""
    help_text = (field.description or "").replace("[", "\\[")
    kind: Any = field.annotation
    if kind in (bool, bool | None):
        is_switch = field.default is not False
        names = f"{flag(name)}/--no-{flag(name)[2:]}" if is_switch else flag(name)
        info = typer.Option(names, help=help_text, show_default=False, rich_help_panel=panel)
        return _keyword(name, Annotated[bool | None, info], None)
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    metavar = str(extra.get("metavar") or _metavar(name, kind))
    info = typer.Option(
        flag(name),
        *(["-o"] if name == "output" else []),
        metavar=metavar,
        help=help_text,
        show_default=False,
        rich_help_panel=panel,
    )
    if get_origin(kind) is tuple:
        return _keyword(name, Annotated[list[str] | None, info], None)
    default = inspect.Parameter.empty if field.is_required() else None
    return _keyword(name, Annotated[str if field.is_required() else str | None, info], default)


def _metavar(name: str, kind: Any) -> str:
    choices = [
        choice
        for part in (kind, *get_args(kind))
        if get_origin(part) is Literal
        for choice in get_args(part)
    ]
    return "|".join(map(str, choices)) or METAVARS.get(name, name.upper().split("_")[-1])


def _keyword(name: str, kind: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)


def _given(values: dict[str, Any]) -> dict[str, Any]:
    """What the user gave; what was left out takes the step's own default."""
    return {name: value for name, value in values.items() if value is not None}


def _limits(given: list[str] | None) -> Limits:
    known = {field.name: field for field in fields(Limits)}
    changed: dict[str, int | bool] = {}
    for text in given or []:
        name, _, number = text.partition("=")
        name = name.replace("-", "_")
        if name not in known or not number.isdecimal() or len(number) > 18:
            raise UsageError(
                "USAGE",
                "a limit is given as NAME=NUMBER",
                at="--limit",
                found=f"`{printable(text)}`, expected one of {', '.join(known)}",
                do="for example --limit header=100000000",
            )
        changed[name] = bool(int(number)) if name == "allow_sparse" else int(number)
    return replace(Limits(), **changed)  # type: ignore[arg-type]  # names were checked above
