"""The command line: the commands of the steps, of recipes, and how it all starts and ends.

Results go to stdout, everything else to stderr. An error is shown once, here, in the five lines of
`CompressorError`; the exit codes are those of docs/errors.md.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from compressor.checkpoint.blocks import keep_freed_memory
from compressor.commands import Debug, Json, Quiet, command
from compressor.ending import ends
from compressor.errors import printable
from compressor.step import RunOptions
from compressor.steps import STEPS
from compressor.view.terminal import Terminal, speak_any_encoding

ALIASES = {"output-dir": "output"}
"""What other tools call an option; accepted, not shown."""


def spelled(token: str) -> str:
    """An option or command as we spell it: with dashes, by our name."""
    name = token.replace("_", "-")
    return ALIASES.get(name, name)


EXIT_CODES = (
    "Exit codes: 0 ok · 1 measured, and the answer is no · 2 usage or recipe · 3 bad input · "
    "4 refused by policy · 5 output · 6 resources · 7 network · 70 bug · 129, 130, 143 "
    "stopped by a signal · 141 stdout was closed"
)

app = typer.Typer(
    name="compressor",
    help="Make any Hugging Face checkpoint smaller and faster, and know honestly what it cost.",
    epilog=EXIT_CODES,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={
        "help_option_names": ["-h", "--help"],
        "token_normalize_func": spelled,
    },
)
recipes = typer.Typer(help="List, copy, check and describe recipes.")

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
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on after an interrupted run.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Threads that read.")] = 2,
    offline: Annotated[bool, typer.Option("--offline", help="Open no connection.")] = False,
    allow_pickle: Annotated[
        bool, typer.Option("--allow-pickle", help="Convert pickled weights in a child process.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Validate and show the plan.")] = False,
    require_gates: Annotated[
        bool, typer.Option("--require-gates", help="Refuse a recipe that has no gates.")
    ] = False,
    json_: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Run a recipe: its steps in order, each into its own folder; done steps are not done again."""
    # Recipes take a quarter of the start-up, and --help needs none of them: so in each command.
    from compressor.recipe.run import run_recipe

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
            recipe,
            set or [],
            options,
            on_report=shown.show_step,
            observe=observe,
            require_gates=require_gates,
        )
    if dry_run:
        shown.show(outcome.reports[0])
        return
    shown.show_run(
        outcome.reports,
        outcome.folder,
        outcome.checkpoint,
        outcome.unchanged,
        [gate.model_dump() for gate in outcome.gates],
        None if outcome.verdict is None else outcome.verdict.model_dump(),
    )
    raise typer.Exit(outcome.exit_code)


@app.command("report")
def report_command(
    reports: Annotated[
        list[Path],
        typer.Argument(
            metavar="REPORT", help="A report.json, the folder that holds it, or that of a run."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="The HTML; default report.html."),
    ] = None,
    debug: Debug = False,
) -> None:
    """Draw reports as one HTML file that needs nothing else, each picture beside it as PNG."""
    from compressor.reporting import report

    print(report(reports, output))


@recipes.command("ls")
def recipe_ls(json_: Json = False) -> None:
    """List the recipes that come with the package, each with its claim."""
    from compressor.recipe import shipped

    rows = [{"recipe": name, "claim": claim} for name, claim in shipped.shipped()]
    Terminal(json=json_).rows(rows)


@recipes.command("cp")
def recipe_cp(
    name: Annotated[str, typer.Argument(help="A recipe of `compressor recipe ls`.")],
    dest: Annotated[Path | None, typer.Argument(help="Where to; default ./NAME.yaml.")] = None,
) -> None:
    """Copy a shipped recipe, to read and to change; an existing file is never overwritten."""
    from compressor.recipe import shipped

    print(shipped.copy(name, dest))


@recipes.command("validate")
def recipe_validate(
    file: Annotated[str, typer.Argument(help="A recipe file, or the name of a shipped recipe.")],
    set: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Replace a value first.")
    ] = None,
) -> None:
    """Check a recipe completely, without loading anything: exit 0, or 2 with the place."""
    from compressor.recipe.model import load

    recipe = load(file, set or [])
    steps = ", ".join(name for name, _ in recipe.named_steps())
    print(f"{printable(file, 300)}: valid, {len(recipe.steps)} steps: {steps}")


@recipes.command("schema")
def recipe_schema() -> None:
    """Print the JSON Schema of recipes, for editors."""
    from compressor.recipe.model import json_schema

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


def prepare() -> None:
    """What only a process of our own may do to itself."""
    speak_any_encoding()
    keep_freed_memory()


def ended(arguments: Sequence[str]) -> int:
    """The exit code of a command line; whatever goes wrong was said on stderr."""
    is_bare = list(arguments) in ([], ["recipe"])
    words = [*arguments, "--help"] if is_bare else list(arguments)
    is_json, is_debug = "--json" in words, "--debug" in words
    return ends(lambda: _called(words), is_json=is_json, is_debug=is_debug)


def _called(words: list[str]) -> int:
    """Not `app()`: its own handlers turn a closed pipe into 1, and Ctrl-C into 130 unsaid."""
    try:
        with typer.main.get_command(app).make_context("compressor", words) as context:
            context.command.invoke(context)
    except typer.Exit as end:
        return end.exit_code
    return 0
