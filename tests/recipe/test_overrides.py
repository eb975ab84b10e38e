"""`--set key=value`: one value is replaced, and checked as if it stood in the file."""

from __future__ import annotations

from pathlib import Path

import pytest
from recipe_steps import CATALOGUE, Copy, Look

from compressor.errors import UsageError
from compressor.recipe.model import Recipe, load

HEAD = "version: 1\nsource: models/tiny\n"


def loaded(tmp_path: Path, text: str, *overrides: str) -> Recipe:
    path = tmp_path / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return load(str(path), overrides, CATALOGUE)


def refusal(tmp_path: Path, text: str, *overrides: str) -> UsageError:
    with pytest.raises(UsageError) as caught:
        loaded(tmp_path, text, *overrides)
    return caught.value


FULL = (
    "version: 1\nsource: a\ndata: {sts: b}\n"
    "steps:\n  - look:\n  - copy: {round: 2}\n  - look: {whole: 3}\n"
)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("source=org/name@v=1", {"source": "org/name@v=1"}),
        ("data.sts=other.csv:text=a", {"data": {"sts": "other.csv:text=a"}}),
        ("copy.round=7", {"copy": Copy(round=7)}),
        ("2-copy.round=7", {"copy": Copy(round=7)}),
        ("steps.1.copy.round=7", {"copy": Copy(round=7)}),
        ("steps.0.look.fraction=0.25", {"first": Look(fraction=0.25)}),
        ("1-look.is_fast=true", {"first": Look(is_fast=True)}),
    ],
)
def test_set_replaces_one_value(tmp_path: Path, override: str, expected: dict[str, object]) -> None:
    unchanged = loaded(tmp_path, FULL)

    recipe = loaded(tmp_path, FULL, override)

    assert recipe.source == expected.get("source", unchanged.source)
    assert recipe.data == expected.get("data", unchanged.data)
    assert recipe.steps == (
        expected.get("first", Look()),
        expected.get("copy", Copy(round=2)),
        Look(whole=3),
    )


def test_the_last_set_of_a_key_wins(tmp_path: Path) -> None:
    recipe = loaded(tmp_path, FULL, "copy.round=7", "copy.round=8")

    assert recipe.steps[1] == Copy(round=8)


def test_a_source_that_the_file_lacks_can_be_set(tmp_path: Path) -> None:
    assert loaded(tmp_path, "version: 1\nsteps: [look: ]", "source=a").source == "a"


@pytest.mark.parametrize(
    ("override", "do"),
    [
        ("suorce=a", "`source`"),
        ("copy.ruond=7", "`copy.round`"),
        ("data.other=b", "--set"),
        ("look.whole=1", "`1-look.whole`"),
        ("steps.0.copy.round=7", "`steps.1.copy.round`"),
        ("steps.9.copy.round=7", "`steps.1.copy.round`"),
        ("copy.step=look", "--set"),
        ("steps=x", "--set"),
        ("version=1", "--set"),
        ("source", "`source`"),
        ("=", "--set"),
        ("", "--set"),
    ],
)
def test_set_refuses_what_is_not_in_the_recipe(tmp_path: Path, override: str, do: str) -> None:
    error = refusal(tmp_path, FULL, override)

    assert (error.exit_code, error.id) == (2, "RECIPE-SET")
    assert error.at == f"--set {override}"
    assert do in error.do


def test_a_value_that_is_set_is_checked_like_one_of_the_file(tmp_path: Path) -> None:
    error = refusal(tmp_path, FULL, "copy.round=half")

    assert (error.id, error.at) == ("RECIPE-TYPE", "--set copy.round=half")


def test_a_set_does_not_hide_what_is_wrong_elsewhere(tmp_path: Path) -> None:
    error = refusal(tmp_path, HEAD + "steps: [3, {copy: [1]}, look: ]", "look.whole=1")

    assert (error.id, error.at) == ("RECIPE-TYPE", f"{tmp_path}/recipe.yaml:3:9")
