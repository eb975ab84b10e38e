"""The command line: exit codes, the shape of messages, JSON, help, and names of options."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import badinputs as bad
import pytest
from command import Ended, command

from compressor.errors import CompressorError
from compressor.step import RunOptions
from compressor.steps import STEPS

FIRST = re.compile(r"error\[([A-Z][A-Z0-9]*(?:-[A-Z0-9]+)*)\]: [^\n]{10,160}")
COMMANDS = [[name] for name in STEPS] + [
    ["run"],
    ["recipe"],
    *(["recipe", name] for name in ("ls", "cp", "validate", "schema")),
]
RECIPE = "version: 1\nsource: model\nsteps:\n  - prune: {sparsity: 0.5}\n"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "400")
    bad.write_model(Path("model"))


def spoiled(make: Callable[[Path], object]) -> None:
    make(Path("model"))


Case = tuple[str, Callable[[], object], int, str]

FAILURES: list[Case] = [
    ("", lambda: None, 2, "USAGE"),
    ("nonsense", lambda: None, 2, "USAGE"),
    ("prune", lambda: None, 2, "USAGE"),
    ("prune model", lambda: None, 2, "USAGE"),
    ("prune model --sparcity 0.5", lambda: None, 2, "USAGE"),
    ("prune model --sparsity", lambda: None, 2, "USAGE"),
    ("prune model other --sparsity 0.5", lambda: None, 2, "USAGE"),
    ("prune model --sparsity half", lambda: None, 2, "USAGE"),
    ("prune model --sparsity 0.5 --method best", lambda: None, 2, "USAGE"),
    ("prune model --sparsity 0.5 --only re:(", lambda: None, 2, "USAGE"),
    ("prune model --sparsity 0.5 --max-shard-size big", lambda: None, 2, "USAGE"),
    ("prune model --sparsity 0.5 --limit header", lambda: None, 2, "USAGE"),
    ("prune model --sparsity 0.5 --limit \x1b[31m=1", lambda: None, 2, "USAGE"),
    ("prune model --sparsity 0.5 --min-coverage nan", lambda: None, 2, "RANGE"),
    ("prune model --sparsity 0.5 --min-coverage 2", lambda: None, 2, "RANGE"),
    ("prune model --sparsity 0.5 --workers 0", lambda: None, 2, "RANGE"),
    ("prune model --sparsity 0.5 --seed -1", lambda: None, 2, "RANGE"),
    ("prune model --sparsity 2:4 --scope row", lambda: None, 2, "PRUNE-SCOPE"),
    ("prune model --sparsity 0.5 --only nothing", lambda: None, 2, "RECIPE-NO-MATCH"),
    (f"prune model --sparsity 3:5 --only {bad.WEIGHT}", lambda: None, 2, "NM-INDIVISIBLE"),
    ("prune model --sparsity 3:5", lambda: None, 3, "PRUNE-NOTHING"),
    ("prune model --sparsity 0.5 --min-coverage 1", lambda: None, 1, "COVERAGE"),
    ("prune model --sparsity 0.5 -o model", lambda: None, 5, "OUT-IS-SOURCE"),
    ("prune ./nothing --sparsity 0.5", lambda: None, 3, "CKPT-NOT-FOUND"),
    ("prune a/b/c --sparsity 0.5", lambda: None, 2, "SOURCE-ID"),
    ("prune org/name --sparsity 0.5 --offline", lambda: None, 7, "OFFLINE-MISS"),
    ("inspect model", lambda: spoiled(bad.cut(-1000)), 3, "CKPT-TRUNCATED"),
    ("inspect model", lambda: spoiled(bad.remove("config.json")), 3, ""),
    ("inspect model --limit header=10", lambda: None, 6, "LIMIT-HEADER"),
    ("diff model ./nothing", lambda: None, 3, "CKPT-NOT-FOUND"),
    ("clean nothing", lambda: None, 3, "CLEAN-NO-FOLDER"),
    ("run nothing.yaml", lambda: None, 2, "RECIPE-UNREADABLE"),
    ("recipe validate nothing.yaml", lambda: None, 2, "RECIPE-UNREADABLE"),
    ("recipe nonsense", lambda: None, 2, "USAGE"),
]


def failed(line: str, spoil: Callable[[], object], *more: str) -> Ended:
    spoil()
    return command(*(line.split(" ") if line else ["--nonsense"]), *more)


@pytest.mark.parametrize(("line", "spoil", "code", "id"), FAILURES, ids=[c[0] for c in FAILURES])
def test_an_error_is_five_lines_and_one_exit_code(
    line: str, spoil: Callable[[], object], code: int, id: str
) -> None:
    found = failed(line, spoil)

    lines = found.err.splitlines()
    start = next(place for place, text in enumerate(lines) if text.startswith("error["))
    first, *rest = lines[start:]
    match = FIRST.fullmatch(first)
    assert match is not None
    assert (found.code, match[1]) == (code, id or match[1])
    labels = [text.split()[0] for text in rest]
    assert labels[:-1] == ["at:", "found:", "do:"]
    assert rest[-1] == "  nothing was written"
    assert "Traceback" not in found.err
    assert 'File "' not in found.err
    assert all(text.isprintable() for text in lines)
    assert len(lines) <= 25
    assert found.out == ""
    assert [path.name for path in Path().iterdir()] == ["model"]


@pytest.mark.parametrize(("line", "spoil", "code", "id"), FAILURES[2::7])
def test_an_error_in_json_is_one_line_on_stderr(
    line: str, spoil: Callable[[], object], code: int, id: str
) -> None:
    found = failed(line, spoil, "--json")

    assert found.out == ""
    (only,) = found.err.splitlines()
    content = json.loads(only)
    assert list(content) == ["message_type", "code", "id", "message", "at", "found", "do", "output"]
    assert (content["code"], content["id"]) == (found.code, id or content["id"])
    assert content["code"] == code


@pytest.mark.parametrize(
    "value",
    [
        *("nan", "inf", "1e999", "1e9999", "-0.1", "1", "1.0", "1.5", "2:2", "4:2", "0:4", "1:65"),
        *("vector:2:4", "vector:2:4:0", "50%", "true", "", "9" * 1000, "1" * 1000 + ":2"),
        "0." + "1" * 1000,
    ],
)
def test_a_sparsity_out_of_range_is_a_usage_error(value: str) -> None:
    found = command("prune", "model", "--sparsity", value)

    assert found.code == 2
    assert "--sparsity has a value that cannot be used" in found.err
    assert len(found.err) < 700


@pytest.mark.parametrize("value", ["nan", "1e999", "-0.1", "1", "1.5", "2:2", "1:65", "9" * 1000])
def test_a_number_out_of_range_is_told_from_what_is_no_number(value: str) -> None:
    assert "error[RANGE]" in command("prune", "model", "--sparsity", value).err
    assert "error[USAGE]" in command("prune", "model", "--sparsity", f"x{value}").err


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_shows_every_field_and_no_markup(words: list[str]) -> None:
    found = command(*words, "--help")

    text = " ".join(re.sub("[│╭╮╰╯─]", " ", found.out).split())
    assert (found.code, found.err) == (0, "")
    assert "Usage: compressor" in text
    assert not re.search(r"\[/?(bold|dim|red|glob|cyan)\b|\\\[", text)
    if words[0] in STEPS:
        kind = STEPS[words[0]]
        assert " ".join((kind.__doc__ or "").split()) in text
        for name, field in kind.model_fields.items():
            if name != "step":
                assert name.replace("_", "-") in text.lower()
                assert " ".join((field.description or "").split()) in text


def test_help_lists_every_exit_code() -> None:
    text = command("--help").out
    codes = text[text.index("Exit codes") :]

    kinds = [kind.exit_code for kind in [CompressorError, *CompressorError.__subclasses__()]]
    for code in {0, *kinds, 129, 130, 141, 143}:
        assert re.search(rf"\b{code}\b", codes)


def test_options_of_the_output_are_where_an_output_is_made() -> None:
    prune, inspect, clean = (command(name, "--help").out for name in ("prune", "inspect", "clean"))

    shown = ["--" + name.replace("_", "-") for name in RunOptions.model_fields if name != "limits"]
    assert [name for name in shown if name not in prune] == []
    assert "--output" not in inspect
    assert "--dry-run" in clean
    assert "--workers" not in clean


def test_the_help_of_a_bench_sorts_its_options_into_panels() -> None:
    text = command("bench", "--help").out
    titles = ("Arguments", "Options", "Data options", "Run options")

    places = [text.index(f"─ {title} ─") for title in titles]
    own, data, runs = (
        set(re.findall(r"--[a-z][a-z-]+", text[start:end]))
        for start, end in zip(places[1:], [*places[2:], len(text)], strict=True)
    )
    assert places == sorted(places)
    assert {"--against", "--tasks", "--no-speed", "--rounds", "--stride", "--max-drop"} <= own
    assert {"--data", "--num-samples", "--max-length", "--batch-size", "--seed"} <= data
    assert {"--device", "--dtype"} <= data
    assert {"--output", "--overwrite", "--workers", "--offline"} <= runs
    assert not own & data
    assert "--resume" not in text
    assert "More models, measured on the same items." in text[: places[1]]


@pytest.mark.parametrize("words", [[], ["recipe"]])
def test_no_words_show_the_help(words: list[str]) -> None:
    assert command(*words).out == command(*words, "--help").out


def test_the_version_is_printed() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", command("--version").out)


def test_the_last_line_of_a_prune_is_the_path_of_the_output() -> None:
    found = command("prune", "model", "--sparsity", "2:4")

    assert found.code == 0
    assert Path(found.out.splitlines()[-1]) == Path.cwd() / "model-2of4"
    assert Path("model-2of4/model.safetensors").is_file()


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ("--sparsity 0.50", "model-sparsity-0.5"),
        ("--sparsity vector:2:4:8", "model-vector-2of4x8"),
        ("--sparsity 1:4 --method random", "model-1of4-random"),
    ],
)
def test_an_output_is_named_after_what_was_done(fields: str, name: str) -> None:
    command("prune", "model", *fields.split())

    assert sorted(path.name for path in Path().iterdir()) == sorted(["model", name])


@pytest.mark.parametrize("spelling", ["-o", "--output", "--output-dir", "--output_dir"])
def test_underscores_and_other_names_of_the_output_are_accepted(spelling: str) -> None:
    found = command(
        *("prune", "model", "--sparsity", "0.5", spelling, "out"),
        *("--max_shard_size", "5MB", "--allow_nonfinite", "--min_coverage", "0.1"),
    )

    assert found.code == 0
    assert Path("out/compressor.json").is_file()


@pytest.mark.parametrize(
    "line",
    [
        *("prune model --sparsity 0.5", "prune model --sparsity 0.5 --dry-run"),
        *("inspect model --tensors --advise", "diff model model --all", "clean", "recipe ls"),
        *("run recipe.yaml", "run recipe.yaml --dry-run"),
    ],
)
def test_json_is_one_document_and_nothing_else(line: str) -> None:
    Path("recipe.yaml").write_text(RECIPE)

    found = command(*line.split(), "--json")

    assert found.code == 0
    assert found.out.count("\n") == 1
    assert found.json is not None


def test_a_dry_run_shows_the_plan_and_writes_nothing() -> None:
    found = command("prune", "model", "--sparsity", "0.5", "--dry-run")

    assert found.code == 0
    assert "would zero 512 of 1,024" in found.out
    assert [path.name for path in Path().iterdir()] == ["model"]


def test_quiet_says_nothing_but_the_result() -> None:
    found = command("prune", "model", "--sparsity", "0.5", "--quiet")

    assert (found.code, found.err) == (0, "")
    assert found.out.splitlines()[-1].endswith("model-sparsity-0.5")


def test_hostile_names_are_shown_as_they_are() -> None:
    Path("[red]a\\").mkdir()
    bad.write_model(Path("[red]a\\"))

    found = command("inspect", "./[red]a\\")

    assert found.code == 0
    assert "[red]a\\" in found.out
    assert "[/bold]" not in found.out
