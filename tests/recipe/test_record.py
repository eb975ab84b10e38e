"""`run.json`, and by it: a rerun does again what changed, and nothing else."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from recipe_steps import DONE, done, record, tiny_checkpoint, written

from compressor.errors import InputError, OutputError


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tiny_checkpoint(Path("models/tiny"))
    DONE.clear()


def test_run_json_says_what_ran_where_and_when() -> None:
    done(written("look:", "copy: {round: 2}"), "copy.round=3")

    data = record()
    assert data["schema"] == "compressor.run/1"
    assert (data["recipe"], data["source"]) == ("recipe.yaml", "models/tiny")
    assert data["overrides"] == ["copy.round=3"]
    assert data["tool"].startswith("compressor ")
    assert data["versions"].keys() >= {"python", "numpy", "safetensors", "torch", "transformers"}
    assert data["host"]["name"] == os.uname().nodename
    assert datetime.fromisoformat(data["started"]) <= datetime.fromisoformat(data["finished"])
    look, copy = data["steps"]
    assert (look["name"], look["path"], look["step"]) == ("1-look", "1-look", {"step": "look"})
    assert copy["step"] == {"step": "copy", "round": 3}
    assert (look["is_checkpoint"], copy["is_checkpoint"]) == (False, True)
    assert all(step["seconds"] >= 0 and not step["skipped"] for step in data["steps"])


def test_a_rerun_does_nothing_twice_and_says_the_same(caplog: pytest.LogCaptureFixture) -> None:
    recipe = written("look:", "copy:", "doubt:", "look: {against: source}")
    first = done(recipe)
    caplog.set_level("INFO", "compressor")

    second = done(recipe)

    assert DONE == []
    assert second == replace(first, unchanged=frozenset({0, 1, 2, 3}))
    assert [step["skipped"] for step in record()["steps"]] == [True] * 4
    assert [line for line in caplog.messages if line.endswith("unchanged, skipped")] == [
        f"{name}: unchanged, skipped" for name in ("1-look", "2-copy", "3-doubt", "4-look")
    ]


def test_a_changed_source_does_every_step_again() -> None:
    recipe = written("look:", "copy:", "look:")
    done(recipe)

    tiny_checkpoint(Path("models/tiny"), seed=1)
    outcome = done(recipe)

    assert DONE == ["look", "copy", "look"]
    assert outcome.checkpoint is not None
    copied = (outcome.checkpoint / "model.safetensors").read_bytes()
    assert copied == Path("models/tiny/model.safetensors").read_bytes()


def test_another_source_of_the_same_run_does_every_step_again() -> None:
    tiny_checkpoint(Path("models/other"), seed=1)
    recipe = written("look:", "copy:")
    done(recipe)

    done(recipe, "source=models/other")

    assert DONE == ["look", "copy"]


@pytest.mark.parametrize(
    ("override", "again"),
    [
        ("3-look.whole=5", ["look"]),
        ("copy.round=5", ["copy", "look"]),
        ("1-look.whole=5", ["look"]),
    ],
)
def test_a_changed_step_is_done_again_with_those_that_read_it(
    override: str, again: list[str]
) -> None:
    recipe = written("look:", "copy:", "look:")
    done(recipe)

    done(recipe, override)

    assert again == DONE


def test_a_change_of_another_model_does_the_step_again_that_names_it() -> None:
    tiny_checkpoint(Path("models/other"), seed=1)
    recipe = written("copy:", "look: {against: models/other}")
    done(recipe)

    tiny_checkpoint(Path("models/other"), seed=2)
    done(recipe)

    assert DONE == ["look"]


@pytest.mark.parametrize("damage", ["deleted", "edited", "emptied"])
def test_a_step_whose_folder_is_not_as_it_was_is_done_again(damage: str) -> None:
    recipe = written("look:", "copy:", "look:")
    done(recipe)
    weights = Path("recipe-run/2-copy/model.safetensors")
    match damage:
        case "deleted":
            weights.unlink()
        case "edited":
            data = bytearray(weights.read_bytes())
            data[-1] ^= 1
            weights.write_bytes(data)
            os.utime(weights, ns=(0, 0))
        case "emptied":
            weights.write_bytes(b"")

    done(recipe)

    assert DONE[0] == "copy"
    assert weights.read_bytes() == Path("models/tiny/model.safetensors").read_bytes()


def test_a_file_that_somebody_put_into_a_result_is_not_deleted_with_it() -> None:
    recipe = written("look:", "copy:")
    done(recipe)
    added = Path("recipe-run/2-copy/notes.txt")
    added.touch()

    with pytest.raises(OutputError) as error:
        done(recipe)

    assert error.value.id == "OUT-FOREIGN"
    assert added.exists()


def test_a_step_that_broke_is_tried_again_and_the_steps_before_it_are_not() -> None:
    with pytest.raises(InputError):
        done(written("look:", "break:"))

    done(written("look:", "copy:"))

    assert DONE == ["copy"]


def test_overwrite_does_every_step_again() -> None:
    recipe = written("look:", "copy:")
    done(recipe)

    done(recipe, overwrite=True)

    assert DONE == ["look", "copy"]


def test_a_run_that_was_cut_off_in_a_record_starts_over() -> None:
    recipe = written("look:", "copy:")
    done(recipe)
    path = Path("recipe-run/run.json")
    data = record()
    data["steps"] = [*data["steps"][:1], {**data["steps"][1], "status": "running"}]
    path.write_text(json.dumps(data))

    done(recipe)

    assert DONE == ["copy"]


def test_a_record_from_before_there_were_gates_is_one_all_the_same() -> None:
    recipe = written("look:", "copy:")
    done(recipe)
    data = record()
    for name in ("status", "seconds", "metrics", "gates", "verdict", "errors", "artifacts"):
        del data[name]
    Path("recipe-run/run.json").write_text(json.dumps(data))

    done(recipe)

    assert DONE == []
    assert record()["status"] == "ok"
