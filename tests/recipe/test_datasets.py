"""Data of a recipe: named once, checked before anything runs, measured again when they change."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from recipe_bench import BENCHES
from recipe_steps import DONE, record, tiny_checkpoint

from compressor.errors import CompressorError, InputError, UsageError
from compressor.recipe.run import Outcome, run_recipe
from compressor.step import RunOptions

HEAD = "version: 1\nsource: models/tiny\n"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tiny_checkpoint(Path("models/tiny"))
    Path("dev.csv").write_text("a,b,y\nx,y,1\n")
    Path("other.csv").write_text("a,b,y\nx,y,2\n")
    DONE.clear()


def done(text: str, *overrides: str) -> Outcome:
    Path("recipe.yaml").write_text(HEAD + text)
    DONE.clear()
    return run_recipe("recipe.yaml", overrides, RunOptions(), catalogue=BENCHES)


def refusal(text: str, *overrides: str) -> CompressorError:
    with pytest.raises(CompressorError) as caught:
        done(text, *overrides)
    return caught.value


NAMED = "data: {sts: 'dev.csv:text=a,score=y'}\nsteps: [copy: , bench: {data: [sts]}]\n"


def test_a_name_of_the_recipe_becomes_a_spec_of_this_name() -> None:
    outcome = done(NAMED)

    assert outcome.reports[1].summary["data"] == ["dev.csv:name=sts,text=a,score=y"]


def test_what_is_no_name_is_a_spec() -> None:
    outcome = done("data: {}\nsteps: [bench: {data: ['dev.csv:text=a', 'python:topics']}]\n")

    assert outcome.reports[0].summary["data"] == ["dev.csv:text=a", "python:topics"]


def test_one_data_set_and_one_model_need_no_brackets() -> None:
    outcome = done(NAMED.replace("[sts]", "sts, models: source"))

    assert outcome.reports[1].summary["data"] == ["dev.csv:name=sts,text=a,score=y"]
    assert outcome.reports[1].summary["models"] == ["models/tiny"]


def test_the_report_says_the_name_and_not_the_place() -> None:
    outcome = done(NAMED)

    assert outcome.reports[1].step == {"step": "bench", "data": ["sts"]}
    assert record()["steps"][1]["step"] == {"step": "bench", "data": ["sts"]}


def test_models_of_a_list_are_names_of_steps_too() -> None:
    outcome = done("steps: [copy: , bench: {models: [source, 1-copy], against: source}]\n")

    assert outcome.reports[1].summary["models"] == ["models/tiny", "recipe-run/1-copy"]


def test_a_model_of_a_list_that_is_no_earlier_step_is_refused_at_its_place() -> None:
    error = refusal("steps: [bench: {models: [source, copy]}, copy: ]\n")

    assert (error.id, error.at) == ("RECIPE-ORDER", "recipe.yaml:3:34")


def test_set_replaces_a_data_set_and_measures_again() -> None:
    done(NAMED)

    outcome = done(NAMED, "data.sts=other.csv")

    assert DONE == ["bench of other.csv:name=sts"]
    assert outcome.unchanged == {0}


def test_a_rerun_measures_again_only_where_the_data_changed() -> None:
    done(NAMED)
    done(NAMED)
    unchanged = list(DONE)

    os.utime("dev.csv", ns=(1, 1))
    done(NAMED)

    assert unchanged == []
    assert DONE == ["bench of dev.csv:name=sts,text=a,score=y"]


def test_a_folder_of_data_is_known_by_what_it_holds() -> None:
    Path("texts").mkdir()
    Path("texts/a.txt").write_text("a\n")
    steps = "steps: [bench: {data: [./texts]}]\n"
    done(steps)
    done(steps)
    unchanged = list(DONE)

    Path("texts/b.txt").write_text("b\n")
    done(steps)

    assert (unchanged, DONE) == ([], ["bench of ./texts"])


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("data: {sts: 'dev.csv:txet=a'}\nsteps: [copy: ]\n", "3:13"),
        ("data: {'a/b': dev.csv}\nsteps: [copy: ]\n", "3:15"),
        ("steps: [copy: , bench: {data: ['dev.csv:txet=a']}]\n", "3:32"),
    ],
)
def test_a_wrong_spec_is_refused_at_its_place(text: str, place: str) -> None:
    error = refusal(text)

    assert isinstance(error, UsageError)
    assert (error.id, error.at) == ("DATA-SPEC", f"recipe.yaml:{place}")
    assert not Path("recipe-run").exists()


def test_a_wrong_spec_of_set_is_refused_at_set() -> None:
    error = refusal(NAMED, "data.sts=dev.csv:txet=a")

    assert (error.id, error.at) == ("DATA-SPEC", "--set data.sts=dev.csv:txet=a")


def test_data_that_do_not_exist_end_the_run_before_its_first_step() -> None:
    error = refusal(NAMED.replace("dev.csv", "missing.csv"))

    assert isinstance(error, InputError)
    assert (error.id, error.at) == ("DATA-NOT-FOUND", "`sts` of the step bench")
    assert DONE == []
    data: dict[str, Any] = record()
    assert (data["exit_code"], data["status"], data["steps"]) == (3, "error", [])
    assert [each["id"] for each in data["errors"]] == ["DATA-NOT-FOUND"]
    assert 'errors="1"' in Path("recipe-run/junit.xml").read_text()
    assert "DATA-NOT-FOUND" in Path("recipe-run/summary.md").read_text()


def test_a_name_near_one_of_the_recipe_is_told() -> None:
    error = refusal(NAMED.replace("[sts]", "[stss]"))

    assert (error.id, error.do) == ("DATA-NOT-FOUND", "did you mean `sts` of the recipe?")


def test_data_on_the_hub_are_not_looked_for_on_this_disk() -> None:
    outcome = done("steps: [bench: {data: ['org/name']}]\n")

    assert outcome.exit_code == 0
