"""`{from: sweep}`: a value that an earlier step finds, checked before anything runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

import pytest
from jsonschema import Draft202012Validator
from recipe_steps import CATALOGUE, DONE, record, tiny_checkpoint, written

from compressor.errors import CompressorError, UsageError
from compressor.recipe.model import json_schema, load
from compressor.recipe.run import Outcome, run_recipe
from compressor.report import Report
from compressor.step import Check, RunOptions, SparsityField, Step
from compressor.steps import STEPS


class Sweep(Step):
    """Finds the sparsity that it is told."""

    finds: ClassVar[Mapping[str, str]] = {"sparsity": "recommended"}
    step: Literal["sweep"] = "sweep"
    found: str | None = "0.25"

    def job(self, model: str, options: RunOptions) -> Check:
        DONE.append("sweep")
        summary = {"recommended": self.found, "sentence": "what can go"}
        return Check(lambda observe: Report(self.as_dict(), {"name": "tiny"}, summary))


class Use(Step):
    """Says which sparsity it was given."""

    step: Literal["use"] = "use"
    sparsity: SparsityField

    def job(self, model: str, options: RunOptions) -> Check:
        DONE.append(f"use {self.sparsity.fraction}")
        summary = {"sparsity": str(self.sparsity)}
        return Check(lambda observe: Report(self.as_dict(), {"name": "tiny"}, summary))


FINDING: dict[str, type[Step]] = {**CATALOGUE, "sweep": Sweep, "use": Use}


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tiny_checkpoint(Path("models/tiny"))
    DONE.clear()


def done(*steps: str, **options: bool) -> Outcome:
    DONE.clear()
    return run_recipe(written(*steps), [], RunOptions(**options), catalogue=FINDING)  # type: ignore[arg-type]  # only flags


@pytest.mark.parametrize("name", ["sweep", "1-sweep"])
def test_a_step_takes_what_an_earlier_one_found(name: str) -> None:
    outcome = done("sweep:", f"use: {{sparsity: {{from: {name}}}}}")

    assert DONE == ["sweep", "use 1/4"]
    assert outcome.reports[1].step == {"step": "use", "sparsity": "0.25"}
    assert record()["steps"][1]["step"] == {"step": "use", "sparsity": "0.25"}


def test_a_rerun_does_again_only_what_takes_another_value() -> None:
    done("sweep:", "use: {sparsity: {from: sweep}}")

    done("sweep:", "use: {sparsity: {from: sweep}}")
    same = list(DONE)
    done("sweep: {found: 0.5}", "use: {sparsity: {from: sweep}}")

    assert same == []
    assert DONE == ["sweep", "use 1/2"]


def test_a_dry_run_shows_the_reference() -> None:
    outcome = done("sweep:", "use: {sparsity: {from: sweep}}", dry_run=True)

    fields = [row["fields"] for row in outcome.reports[0].tables["plan"]]
    assert fields == [{}, {"sparsity": "{from: sweep}"}]
    assert DONE == []


def test_where_nothing_was_found_the_run_ends_and_says_so() -> None:
    with pytest.raises(CompressorError) as error:
        done("sweep: {found: null}", "use: {sparsity: {from: sweep}}")

    assert (error.value.id, error.value.exit_code) == ("NOTHING-FOUND", 1)
    assert DONE == ["sweep"]
    assert record()["exit_code"] == 1


@pytest.mark.parametrize(
    ("steps", "id", "column"),
    [
        (["use: {sparsity: {from: sweep}}"], "RECIPE-ORDER", 28),
        (["use: {sparsity: {from: sweep}}", "sweep:"], "RECIPE-ORDER", 28),
        (["sweep:", "sweep:", "use: {sparsity: {from: sweep}}"], "RECIPE-ORDER", 28),
        (["look:", "use: {sparsity: {from: look}}"], "RECIPE-ORDER", 28),
        (["sweep:", "use: {sparsity: {from: 2-sweep}}"], "RECIPE-ORDER", 28),
        (["sweep:", "use: {sparsity: {of: sweep}}"], "RECIPE-TYPE", 21),
        (["sweep:", "use: {sparsity: {from: sweep, key: upper}}"], "RECIPE-TYPE", 21),
        (["sweep:", "use: {sparsity: {}}"], "RECIPE-TYPE", 21),
        (["sweep:", "look: {fraction: {from: sweep}}"], "RECIPE-TYPE", 22),
    ],
)
def test_a_reference_to_nothing_is_refused_before_anything_runs(
    steps: list[str], id: str, column: int
) -> None:
    with pytest.raises(UsageError) as error:
        done(*steps)

    assert error.value.id == id
    assert error.value.at.endswith(f":{column}")
    assert DONE == []


def test_a_value_may_be_set_in_the_place_of_a_reference() -> None:
    recipe = load(
        written("sweep:", "use: {sparsity: {from: sweep}}"), ["use.sparsity=2:4"], FINDING
    )

    assert recipe.steps[1].as_dict()["sparsity"] == "2:4"


def test_the_schema_takes_a_value_or_a_reference() -> None:
    validator = Draft202012Validator(json_schema(STEPS))

    def is_valid(sparsity: object) -> bool:
        steps = [{"sweep": {"data": ["a"]}}, {"prune": {"sparsity": sparsity}}]
        recipe = {"version": 1, "source": "model", "steps": steps}
        return validator.is_valid(json.loads(json.dumps(recipe)))

    assert all(map(is_valid, [0.5, "2:4", {"from": "sweep"}, {"from": "1-sweep"}]))
    assert not any(map(is_valid, [{"from": "prune"}, {"of": "sweep"}, {}]))
