"""Running a recipe: folders, what each step reads, exit codes, and where a run may go."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest
from recipe_steps import CATALOGUE, DONE, done, record, tiny_checkpoint, written

from compressor.errors import CompressorError, InputError, OutputError, UsageError
from compressor.recipe.run import run_recipe
from compressor.report import Report
from compressor.step import RunOptions


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tiny_checkpoint(Path("models/tiny"))
    DONE.clear()


def test_each_step_has_its_folder_and_reads_the_last_checkpoint() -> None:
    recipe = written("look:", "copy:", "look:", "copy: {round: 2}")

    outcome = done(recipe)

    run = Path("recipe-run")
    assert sorted(path.name for path in run.iterdir()) == [
        "1-look",
        "2-copy",
        "3-look",
        "4-copy",
        "junit.xml",
        "run.json",
        "summary.md",
    ]
    assert [path.name for path in Path(run, "1-look").iterdir()] == ["report.json"]
    assert Path(run, "2-copy", "compressor.json").is_file()
    assert [report.source["name"] for report in outcome.reports] == [
        "tiny",
        "tiny",
        "2-copy",
        "2-copy",
    ]
    assert (outcome.exit_code, outcome.folder) == (0, run)
    assert outcome.checkpoint == run / "4-copy"


def test_a_result_is_the_same_weights_in_a_whole_checkpoint() -> None:
    outcome = done(written("copy:"))

    assert outcome.checkpoint is not None
    copied = (outcome.checkpoint / "model.safetensors").read_bytes()
    assert copied == Path("models/tiny/model.safetensors").read_bytes()


def test_a_report_in_a_step_folder_is_the_report_that_was_told() -> None:
    told: list[tuple[str, Report]] = []

    run_recipe(
        written("look:", "copy:"),
        [],
        RunOptions(),
        on_report=lambda name, report: told.append((name, report)),
        catalogue=CATALOGUE,
    )

    assert [name for name, _ in told] == ["1-look", "2-copy"]
    for name, report in told:
        assert Path("recipe-run", name, "report.json").read_text() == report.to_json()


def test_a_named_step_is_handed_over_and_reported_by_its_name(tmp_path: Path) -> None:
    recipe = written("copy:", "look: {against: source}", "look: {against: copy}")

    _, source, copy = done(recipe).reports

    assert source.summary["against"] == ["config.json", "model.safetensors"]
    assert copy.summary["against"] == [
        "README.md",
        "compressor.json",
        "config.json",
        "model.safetensors",
        "report.json",
    ]
    assert source.step == {"step": "look", "against": "source"}
    assert copy.step == {"step": "look", "against": "copy"}
    assert str(tmp_path) not in Path("recipe-run/3-look/report.json").read_text()


def test_the_name_of_a_check_is_the_checkpoint_that_it_saw() -> None:
    _, _, last = done(written("look:", "copy:", "look: {against: 1-look}")).reports

    assert last.summary["against"] == ["config.json", "model.safetensors"]


def test_the_run_folder_can_be_named() -> None:
    outcome = done(written("look:"), output=Path("elsewhere/run"))

    assert outcome.folder == Path("elsewhere/run")
    assert Path("elsewhere/run/1-look/report.json").is_file()


def test_a_check_whose_answer_is_no_stops_nothing_and_gives_1() -> None:
    outcome = done(written("doubt:", "look:"))

    assert DONE == ["doubt", "look"]
    assert outcome.exit_code == 1
    assert record()["exit_code"] == 1
    assert [step["status"] for step in record()["steps"]] == ["failed", "ok"]


def test_an_error_ends_the_run_and_outranks_an_answer() -> None:
    with pytest.raises(InputError, match="CKPT-BROKEN") as caught:
        done(written("doubt:", "break:", "look:"))

    assert DONE == ["doubt"]
    assert caught.value.exit_code == 3
    assert caught.value.output == "output recipe-run/2-break was not created"
    data = record()
    assert data["exit_code"] == 3
    assert [(step["name"], step["status"], step["exit_code"]) for step in data["steps"]] == [
        ("1-doubt", "failed", 1),
        ("2-break", "error", 3),
    ]
    assert data["steps"][1]["error"]["id"] == "CKPT-BROKEN"


def test_a_dry_run_shows_the_plan_and_touches_nothing() -> None:
    outcome = done(written("look: {whole: 3}", "copy:", source="models/missing"), dry_run=True)

    assert DONE == []
    assert not Path("recipe-run").exists()
    [report] = outcome.reports
    assert report.tables["plan"] == [
        {"step": "1-look", "fields": {"whole": 3}, "folder": "recipe-run/1-look"},
        {"step": "2-copy", "fields": {}, "folder": "recipe-run/2-copy"},
    ]


def test_a_wrong_recipe_is_refused_before_its_source_is_looked_for() -> None:
    with pytest.raises(UsageError, match="RECIPE-UNKNOWN-KEY"):
        done(written("look:", "lok:", source="./missing"))

    assert not Path("recipe-run").exists()


@pytest.mark.parametrize(
    ("output", "id"),
    [
        ("models/tiny", "OUT-IS-SOURCE"),
        ("models/tiny/run", "OUT-IS-SOURCE"),
        ("models", "OUT-IS-SOURCE"),
        ("file", "OUT-NOT-DIR"),
        ("full", "OUT-EXISTS"),
        ("link", "OUT-SYMLINK"),
        (".", "OUT-UNWRITABLE"),
        ("/dev/null/run", "OUT-UNWRITABLE"),
    ],
)
def test_a_run_goes_only_into_a_folder_of_its_own(output: str, id: str) -> None:
    Path("file").touch()
    Path("full").mkdir()
    Path("full/mine").touch()
    Path("link").symlink_to("full")
    before = sorted(Path().rglob("*"))

    with pytest.raises(OutputError, match=id):
        done(written("look:"), output=Path(output))

    assert DONE == []
    assert sorted(path for path in Path().rglob("*") if path.name != "recipe.yaml") == before


def test_overwrite_spares_a_folder_that_no_run_left() -> None:
    Path("full").mkdir()
    Path("full/mine").touch()

    with pytest.raises(OutputError, match="OUT-FOREIGN"):
        done(written("look:"), output=Path("full"), overwrite=True)

    with pytest.raises(OutputError, match="OUT-EXISTS"):
        done(written("look:"), output=done(written("copy:")).checkpoint, overwrite=True)


def test_a_second_run_of_the_same_folder_is_refused_while_the_first_is_at_work() -> None:
    recipe = written("look:")
    done(recipe)
    descriptor = os.open("recipe-run", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)

    with pytest.raises(OutputError, match="OUT-BUSY"):
        done(recipe)

    os.close(descriptor)
    assert done(recipe).exit_code == 0


def test_a_revision_belongs_to_a_source_on_the_hub() -> None:
    with pytest.raises(CompressorError, match="SOURCE-REVISION"):
        done(written("look:"), revision="main")


def test_the_source_is_never_changed() -> None:
    before = {path: path.read_bytes() for path in Path("models/tiny").iterdir()}

    done(written("look:", "copy:", "look: {against: source}"))

    assert {path: path.read_bytes() for path in Path("models/tiny").iterdir()} == before


def test_a_step_of_an_earlier_run_is_not_replaced_by_what_is_made_of_it() -> None:
    recipe = written("copy:")
    done(recipe)
    before = record()

    with pytest.raises(OutputError, match="OUT-IS-SOURCE"):
        done(recipe, "source=recipe-run/1-copy", "copy.round=2")

    assert record() == before
