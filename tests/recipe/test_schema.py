"""The published JSON schemas: reports of every step and records of every ending fit them."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from recipe_bench import BENCHES
from recipe_steps import record, tiny_checkpoint
from tinylanguage import gpt2, save_tokenizer

from compressor.errors import CompressorError
from compressor.recipe.record import RunRecord
from compressor.recipe.run import run_recipe
from compressor.step import RunOptions
from compressor.steps import COMMANDS_ONLY, STEPS

SCHEMAS = Path(__file__).parents[2] / "docs/schema"
EVERY_STEP = """
version: 1
source: models/gpt2
steps:
  - inspect:
  - prune: {sparsity: 0.5}
  - verify: {source: source}
  - diff: {against: source}
  - bench: {against: source, data: python:topics, num-samples: 4, max-length: 16, speed: false}
  - sweep: {data: python:topics, num-samples: 4, max-length: 16, grid: 0:0.5:0.5, resolution: 0.25}
gates:
  - {metric: topics/bits-per-byte, max-drop: 1000%}
  - {metric: prune/sparsity, op: "<=", value: 1}
"""


def validator(name: str) -> Draft202012Validator:
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def run(text: str, **options: Any) -> dict[str, Any]:
    """The record of a run of this recipe, which must fit its schema."""
    Path("recipe.yaml").write_text(text)
    with suppress(CompressorError):
        run_recipe("recipe.yaml", [], RunOptions(), **options)
    data = record()
    validator("run").validate(data)
    return data


@pytest.fixture
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("_in_a_folder_of_its_own")
def test_the_report_of_every_step_fits_its_schema() -> None:
    gpt2().save_pretrained("models/gpt2")
    save_tokenizer(Path("models/gpt2"))

    data = run(EVERY_STEP)

    reports = [
        json.loads(path.read_text()) for path in sorted(Path("recipe-run").glob("*/report.json"))
    ]
    assert {report["step"]["step"] for report in reports} == set(STEPS) - COMMANDS_ONLY
    for report in reports:
        validator("report").validate(report)
    assert "topics/bits-per-byte" in data["metrics"]
    assert data["status"] in ("ok", "failed")


@pytest.mark.usefixtures("_in_a_folder_of_its_own")
@pytest.mark.parametrize(
    ("steps", "status", "code"),
    [
        ("[copy: , bench: ]", "ok", 0),
        ("[bench: {outcome: fail}]", "failed", 1),
        ("[bench: {outcome: nan}]", "failed", 1),
        ("[bench: {outcome: inconclusive}, doubt: ]", "failed", 1),
        ("[bench: , break: , look: ]", "error", 3),
        ("[bench: {data: missing.csv}]", "error", 3),
    ],
)
def test_the_record_of_every_ending_fits_its_schema(steps: str, status: str, code: int) -> None:
    tiny_checkpoint(Path("models/tiny"))
    gate = "{metric: topics/accuracy, max-drop: 5pt}"
    if "missing" in steps:
        gate = "{metric: missing/accuracy, max-drop: 5pt}"

    data = run(
        f"version: 1\nsource: models/tiny\nsteps: {steps}\ngates: [{gate}]\n", catalogue=BENCHES
    )

    assert (data["status"], data["exit_code"]) == (status, code)


def test_the_schema_of_a_record_names_what_the_record_holds() -> None:
    published = validator("run").schema
    made = RunRecord.model_json_schema(by_alias=True, mode="serialization")

    assert dict(_objects(published)) == dict(_objects(made))


def _objects(schema: Any) -> Iterator[tuple[str, set[str]]]:
    yield "", set(schema["properties"])
    for name, each in schema["$defs"].items():
        yield name, set(each["properties"])


GOOD: dict[str, Any] = {
    "schema": "compressor.report/1",
    "step": {"step": "verify"},
    "source": {"name": "tiny"},
    "status": "ok",
    "summary": {"files": 3},
    "tables": {"levels": [{"level": 1, "answer": "ok"}]},
    "notes": ["a note"],
}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("schema", "compressor.report/2"),
        ("step", {}),
        ("status", "maybe"),
        ("tables", {"levels": [3]}),
        ("notes", "a note"),
        ("more", 1),
        ("step", {"step": "bench"}),
    ],
)
def test_what_is_no_report_does_not_fit(key: str, value: object) -> None:
    validator("report").validate(GOOD)
    report = {**copy.deepcopy(GOOD), key: value}

    with pytest.raises(ValidationError):
        validator("report").validate(report)
