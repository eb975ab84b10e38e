"""The command line: one command per step, its options read off the step's fields.

Results go to stdout, everything else to stderr. An error is shown once, here, in the five lines of
`CompressorError`; the exit codes are those of docs/errors.md.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from compressor.recipe import shipped
from compressor.checkpoint.limits import Limits
from compressor.ending import ends
from compressor.errors import UsageError, printable
from compressor.recipe.model import json_schema, load
from compressor.recipe.run import run_recipe
from compressor.step import RunOptions, Step, parsed, run
from compressor.steps import STEPS
from compressor.view.terminal import Terminal

OUTPUT_ONLY = {"output", "overwrite", "resume", "dry_run", "push_to_hub", "private"}
"""Run options that mean something only where a step makes a checkpoint."""

MODEL_HELP = "A folder, a hub id (org/name or org/name@revision), or package:NAME."

METAVARS = {"only": "PATTERN", "skip": "PATTERN", "output": "FOLDER", "push_to_hub": "REPO"}

EXIT_CODES = (
    "Exit codes: 0 ok · 1 measured, and the answer is no · 2 usage or recipe · 3 bad input · "
    "4 refused by policy · 5 output · 6 resources · 7 network · 70 bug · 130, 143 stopped by a signal"
)

app = typer.Typer(
    name="compressor",
    help="Make any Hugging Face checkpoint smaller and faster, and know honestly what it cost.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={
        "help_option_names": ["-h", "--help"],
        "token_normalize_func": lambda token: token.replace("_", "-"),
    },
)
recipes = typer.Typer(help="List, copy, check and describe recipes.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No notes, no bars: only the result.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
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
    """The function behind a command: its parameters are the fields of the step and the run options."""
    runs = {
        name: info
        for name, info in RunOptions.model_fields.items()
        if name != "limits" and (kind.makes_checkpoint or name not in OUTPUT_ONLY)
    }
    steps = {name: info for name, info in kind.model_fields.items() if name != "step"}

    def call(**given: Any) -> None:
        shown = Terminal(json=given.pop("json"), quiet=given.pop("quiet"), debug=given.pop("debug"))
        limits, model = _limits(given.pop("limit")), given.pop("model", None) or ""
        values = {name: tuple(v) if isinstance(v, list) else v for name, v in given.items()}
        options = {name: values.pop(name) for name in runs}
        step = parsed(kind, _given(values), flag)
        with shown.progress() as observe:
            chosen = parsed(RunOptions, {**_given(options), "limits": limits}, flag)
            report = run(step, model, chosen, observe)
        shown.show(report)
        raise typer.Exit(report.exit_code)

    call.__doc__ = kind.__doc__
    parameters = [
        *_arguments(kind),
        *(_parameter(name, info, None) for name, info in steps.items() if not _is_argument(info)),
        *(_parameter(name, info, "Run options") for name, info in runs.items()),
        *_common(),
    ]
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # typer reads it
    call.__annotations__ = {each.name: each.annotation for each in parameters}
    return call


def _arguments(kind: type[Step]) -> Iterator[inspect.Parameter]:
    if kind.argument is not None:
        is_optional = kind.argument.startswith("[")
        info = typer.Argument(metavar=kind.argument.strip("[]"), help=MODEL_HELP, show_default=False)
        default = None if is_optional else inspect.Parameter.empty
        yield _keyword("model", Annotated[str | None if is_optional else str, info], default)
    for name, field in kind.model_fields.items():
        if _is_argument(field):
            argument = typer.Argument(metavar=name.upper(), help=field.description)
            yield _keyword(name, Annotated[str, argument])


def _is_argument(field: FieldInfo) -> bool:
    extra = field.json_schema_extra
    return isinstance(extra, dict) and "argument" in extra


def _parameter(name: str, field: FieldInfo, panel: str | None) -> inspect.Parameter:
    """An option; text is parsed by the step itself, so that every caller gets the same message."""
    help_text = (field.description or "").replace("[", "\\[")
    kind: Any = field.annotation
    if kind in (bool, bool | None):
        names = f"{flag(name)}/--no-{flag(name)[2:]}" if kind == (bool | None) else flag(name)
        info = typer.Option(names, help=help_text, show_default=False, rich_help_panel=panel)
        return _keyword(name, Annotated[bool | None, info], None)
    metavar = _metavar(name, kind)
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


def _common() -> Iterator[inspect.Parameter]:
    yield _keyword("limit", Limit, None)
    for name, kind in (("json", Json), ("quiet", Quiet), ("debug", Debug)):
        yield _keyword(name, kind, False)


def _keyword(name: str, kind: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind
    )


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


for name, kind in STEPS.items():
    app.command(name)(command(kind))


@app.command("run")
def run_command(
    recipe: Annotated[str, typer.Argument(help="A recipe file, or the name of a shipped recipe.")],
    set: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Replace a value: prune.sparsity=2:4."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FOLDER", help="Folder of the run.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Do every step again.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on after an interrupted run.")] = False,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Threads that read.")] = 2,
    offline: Annotated[bool, typer.Option("--offline", help="Open no connection.")] = False,
    allow_pickle: Annotated[
        bool, typer.Option("--allow-pickle", help="Convert pickled weights in a child process.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Validate and show the plan.")] = False,
    json_: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Run a recipe: its steps in order, each into its own folder; done steps are not done again."""
    shown = Terminal(json=json_, quiet=quiet, debug=debug)
    options = RunOptions(
        output=output,
        overwrite=overwrite,
        resume=resume,
        workers=workers,
        offline=offline,
        allow_pickle=allow_pickle,
        dry_run=dry_run,
    )
    with shown.progress() as observe:
        outcome = run_recipe(
            recipe, set or [], options, on_report=shown.show_step, observe=observe
        )
    shown.show_run(outcome.reports, outcome.folder, outcome.checkpoint)
    raise typer.Exit(outcome.exit_code)


@recipes.command("ls")
def recipe_ls(json_: Json = False) -> None:
    """List the recipes that come with the package, each with its claim."""
    rows = [{"recipe": name, "claim": claim} for name, claim in shipped.shipped()]
    Terminal(json=json_).rows(rows)


@recipes.command("cp")
def recipe_cp(
    name: Annotated[str, typer.Argument(help="A recipe of `compressor recipe ls`.")],
    dest: Annotated[Path | None, typer.Argument(help="Where to; default ./NAME.yaml.")] = None,
) -> None:
    """Copy a shipped recipe, to read and to change; an existing file is never overwritten."""
    print(shipped.copy(name, dest))


@recipes.command("validate")
def recipe_validate(
    file: Annotated[str, typer.Argument(help="A recipe file, or the name of a shipped recipe.")],
    set: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Replace a value first.")
    ] = None,
) -> None:
    """Check a recipe completely, without loading anything: exit 0, or 2 with the place."""
    recipe = load(file, set or [])
    steps = ", ".join(name for name, _ in recipe.named_steps())
    print(f"{printable(file, 300)}: valid, {len(recipe.steps)} steps: {steps}")


@recipes.command("schema")
def recipe_schema() -> None:
    """Print the JSON Schema of recipes, for editors."""
    print(json.dumps(json_schema(), indent=2))


app.add_typer(recipes, name="recipe")


@app.callback(invoke_without_command=True)
def root(
    is_version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Make any Hugging Face checkpoint smaller and faster, and know honestly what it cost."""
    if is_version:
        print(version("compressor"))
        raise typer.Exit


def main() -> None:
    """Entry point: run the command, say its error once, exit with its code."""
    arguments = sys.argv[1:]

    def call() -> int:
        return int(app(arguments, standalone_mode=False) or 0)

    sys.exit(ends(call, is_json="--json" in arguments, is_debug="--debug" in arguments))
