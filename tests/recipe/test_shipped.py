"""The shipped recipes: each valid, found by name, and copied without overwriting."""

from __future__ import annotations

from pathlib import Path

import pytest
from recipe_steps import CATALOGUE

from compressor.errors import CompressorError, OutputError, UsageError
from compressor.recipe.model import load
from compressor.recipe.shipped import copy, shipped

HEAD = "version: 1\nsource: models/tiny\n"


@pytest.mark.parametrize(("name", "claim"), shipped())
def test_every_shipped_recipe_is_valid_and_begins_with_its_claim(name: str, claim: str) -> None:
    recipe = load(name)

    assert recipe.steps
    assert len(claim) > 20
    assert ":" not in claim.split()[0]


def test_the_shipped_recipe_takes_another_source_and_sparsity() -> None:
    recipe = load("quickstart", ["source=org/name", "prune.sparsity=2:4"])

    assert recipe.source == "org/name"
    assert [step.as_dict().get("sparsity") for step in recipe.steps if step.step == "prune"] == [
        "2:4"
    ]


def test_a_path_wins_over_a_shipped_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "quickstart").write_text(HEAD + "steps: [look: ]")
    monkeypatch.chdir(tmp_path)

    assert load("quickstart", (), CATALOGUE).source == "models/tiny"


def test_a_name_that_is_not_shipped_is_refused_with_the_nearest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(UsageError) as caught:
        load("quikstart")

    assert (caught.value.id, caught.value.at) == ("RECIPE-UNREADABLE", "quikstart")
    assert "`quickstart`" in caught.value.do


@pytest.mark.parametrize(
    "name", ["missing.yaml", "folder/missing", "nul\0.yaml", "n" * 5000 + ".yaml"]
)
def test_a_file_that_is_missing_is_unreadable(name: str) -> None:
    with pytest.raises(UsageError, match="RECIPE-UNREADABLE"):
        load(name)


def test_a_shipped_recipe_is_copied_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    made = [copy("quickstart"), copy("quickstart", Path("own.yaml"))]
    (tmp_path / "folder").mkdir()
    made.append(copy("quickstart", Path("folder")))

    assert made == [Path("quickstart.yaml"), Path("own.yaml"), Path("folder/quickstart.yaml")]
    assert len({path.read_bytes() for path in made}) == 1
    assert load("own.yaml") == load("quickstart")


def test_a_copy_never_overwrites(tmp_path: Path) -> None:
    taken = tmp_path / "taken.yaml"
    taken.write_text("mine")

    with pytest.raises(OutputError, match="OUT-EXISTS"):
        copy("quickstart", taken)

    assert taken.read_text() == "mine"


def test_a_copy_into_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CompressorError, match="OUT-UNWRITABLE"):
        copy("quickstart", tmp_path / "missing" / "own.yaml")
