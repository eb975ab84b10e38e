"""Recipes: complete validation before anything is loaded, `--set`, schema, and the shipped ones."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from recipe_steps import CATALOGUE, Copy, Look

from compressor.errors import CompressorError, OutputError, UsageError
from compressor.recipe import Recipe, json_schema, load
from compressor.shipped import copy, shipped
from compressor.steps import COMMANDS_ONLY, STEPS

HEAD = "version: 1\nsource: models/tiny\n"


def loaded(tmp_path: Path, text: str, *overrides: str) -> Recipe:
    path = tmp_path / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return load(str(path), overrides, CATALOGUE)


def refusal(tmp_path: Path, text: str, *overrides: str) -> UsageError:
    with pytest.raises(UsageError) as caught:
        loaded(tmp_path, text, *overrides)
    return caught.value


def test_a_recipe_is_read_into_steps(tmp_path: Path) -> None:
    recipe = loaded(
        tmp_path,
        "version: 1\n"
        "source: org/name@main\n"
        "data:\n"
        "  sts: dev.csv:text=a,score=y\n"
        "steps:\n"
        "  - look:\n"
        "  - copy: {round: 3}\n"
        "  - look: {only: [a, b], against: copy}\n",
    )

    assert recipe.source == "org/name@main"
    assert recipe.data == {"sts": "dev.csv:text=a,score=y"}
    assert list(recipe.named_steps()) == [
        ("1-look", Look()),
        ("2-copy", Copy(round=3)),
        ("3-look", Look(only=("a", "b"), against="copy")),
    ]


@pytest.mark.parametrize(
    ("text", "id", "place", "do"),
    [
        pytest.param(
            "version: 1\nsuorce: a\nsteps: [look: ]", "UNKNOWN-KEY", "2:1", "`source`", id="F05 top"
        ),
        pytest.param(
            HEAD + "steps:\n  - lok:", "UNKNOWN-KEY", "4:5", "`look`", id="F05 name of a step"
        ),
        pytest.param(
            HEAD + "steps:\n  - look: {fractoin: 1}",
            "UNKNOWN-KEY",
            "4:12",
            "`fraction`",
            id="F05 field of a step",
        ),
        pytest.param(
            HEAD + "steps:\n  - clean:", "UNKNOWN-KEY", "4:5", "compressor clean", id="clean"
        ),
        pytest.param(
            HEAD + "steps:\n  - doctor:", "UNKNOWN-KEY", "4:5", "compressor doctor", id="doctor"
        ),
        pytest.param(
            "source: a\nsteps: [look: ]", "MISSING-KEY", "1:1", "`version:`", id="no version"
        ),
        pytest.param(
            "version: 1\nsteps: [look: ]", "MISSING-KEY", "1:1", "`source:`", id="no source"
        ),
        pytest.param(HEAD, "MISSING-KEY", "1:1", "`steps:`", id="no steps"),
        pytest.param(HEAD + "steps:", "EMPTY", "3:7", "- inspect:", id="F10 empty steps"),
        pytest.param(HEAD + "steps: []", "EMPTY", "3:8", "- inspect:", id="F10 empty list"),
        pytest.param(
            "version: 2\nsource: a\nsteps: [look: ]", "TYPE", "1:10", "value", id="other version"
        ),
        pytest.param(
            'version: "1"\nsource: a\nsteps: [look: ]', "TYPE", "1:10", "value", id="quoted version"
        ),
        pytest.param(
            'version: 1\nsource: ""\nsteps: [look: ]', "RANGE", "2:9", "value", id="empty source"
        ),
        pytest.param(HEAD + "steps: {look: }", "TYPE", "3:8", "recipe cp", id="steps as mapping"),
        pytest.param(
            HEAD + "steps:\n  - look", "TYPE", "4:5", "recipe cp", id="step without colon"
        ),
        pytest.param(
            HEAD + "steps:\n  - {look: , copy: }", "TYPE", "4:5", "recipe cp", id="two names"
        ),
        pytest.param(HEAD + "steps:\n  - {}", "TYPE", "4:5", "recipe cp", id="no name"),
        pytest.param(HEAD + "steps:\n  - [look]", "TYPE", "4:5", "recipe cp", id="list as step"),
        pytest.param(
            HEAD + "steps:\n  - look: 3", "TYPE", "4:11", "recipe cp", id="value as fields"
        ),
        pytest.param(
            HEAD + "steps:\n  - look: {whole: no}", "TYPE", "4:19", "value", id="F08 in a step"
        ),
        pytest.param(HEAD + "data: x\nsteps: [look: ]", "TYPE", "3:7", "value", id="data as text"),
        pytest.param(
            HEAD + "data: {a: [b]}\nsteps: [look: ]", "TYPE", "3:11", "value", id="data as list"
        ),
        pytest.param(HEAD + "gates: []\nsteps: [look: ]", "GATES", "3:1", "remove", id="gates"),
    ],
)
def test_a_wrong_recipe_is_refused_at_its_place(
    tmp_path: Path, text: str, id: str, place: str, do: str
) -> None:
    error = refusal(tmp_path, text)

    assert (error.exit_code, error.id) == (2, f"RECIPE-{id}")
    assert error.at == f"{tmp_path}/recipe.yaml:{place}"
    assert do in error.do
    first, *middle, _ = error.lines()
    assert re.fullmatch(r"error\[[A-Z][A-Z0-9]*(-[A-Z0-9]+)*\]: [^\n]{10,160}", first)
    assert [line[:8] for line in middle] == ["  at:   ", "  found:", "  do:   "]


def test_gates_say_what_is_missing(tmp_path: Path) -> None:
    error = refusal(tmp_path, HEAD + "gates: []\nsteps: [look: ]")

    assert error.message == "gates need the step bench, which this version does not have"


@pytest.mark.parametrize(
    "against", ["source", "copy", "2-copy", "1-look", "org/name", "./copy", "package:other", "none"]
)
def test_a_model_is_the_source_an_earlier_step_or_any_other_model(
    tmp_path: Path, against: str
) -> None:
    recipe = loaded(tmp_path, HEAD + f"steps: [look: , copy: , look: {{against: {against}}}]")

    assert recipe.steps[2] == Look(against=against)


@pytest.mark.parametrize(
    ("steps", "against"),
    [
        pytest.param("{}, copy: ", "copy", id="F14 a later step"),
        pytest.param("{}, copy: ", "2-copy", id="F14 a later step by its folder"),
        pytest.param("{}", "look", id="F14 the step itself"),
        pytest.param("{}", "copy", id="F14 a step that this recipe lacks"),
        pytest.param("copy: , {}", "2-copy", id="F14 a number that is another step's"),
        pytest.param("copy: , {}", "0-copy", id="F14 a number before the first"),
        pytest.param("copy: , copy: , {}", "copy", id="F14 two steps of that name"),
    ],
)
def test_a_step_that_names_no_earlier_step_is_out_of_order(
    tmp_path: Path, steps: str, against: str
) -> None:
    here = f"look: {{against: {against}}}"

    error = refusal(tmp_path, HEAD + f"steps: [{steps.format(here)}]")

    assert (error.exit_code, error.id) == (2, "RECIPE-ORDER")
    assert error.at.startswith(f"{tmp_path}/recipe.yaml:3:")
    assert f"./{against}" in error.do


def test_only_a_field_that_takes_a_model_names_steps(tmp_path: Path) -> None:
    recipe = loaded(tmp_path, HEAD + "steps: [look: {label: copy}, copy: ]")

    assert recipe.steps[0] == Look(label="copy")


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


def test_the_schema_knows_every_step_and_field_of_the_catalogue() -> None:
    schema = json_schema()

    items = schema["properties"]["steps"]["items"]["oneOf"]
    assert schema["required"] == ["version", "source", "steps"]
    assert schema["additionalProperties"] is False
    assert {name for item in items for name in item["properties"]} == set(STEPS) - COMMANDS_ONLY
    for item in items:
        [(name, reference)] = item["properties"].items()
        fields = schema["$defs"][reference["anyOf"][0]["$ref"].removeprefix("#/$defs/")]
        assert fields["properties"].keys() == STEPS[name].model_fields.keys() - {"step"}
        assert fields["additionalProperties"] is False


def test_an_editor_may_take_a_sparsity_for_a_number() -> None:
    prune = json_schema()["$defs"]["Prune"]["properties"]

    assert prune["sparsity"]["type"] == ["number", "string"]


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


@pytest.mark.parametrize(
    ("written", "id"),
    [
        ('"0.5"', "TYPE"),
        ("true", "TYPE"),
        ("50%", "TYPE"),
        (".nan", "TYPE"),
        ("half", "TYPE"),
        ("010", "TYPE"),
        ("50", "RANGE"),
        ("1e400", "RANGE"),
        ("4:2", "RANGE"),
        ("9" * 5000, "RANGE"),
    ],
)
def test_a_sparsity_is_plain_text_in_its_range(tmp_path: Path, written: str, id: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(HEAD + f"steps:\n  - prune: {{sparsity: {written}}}\n")

    with pytest.raises(UsageError) as caught:
        load(str(path))

    assert (caught.value.id, caught.value.at) == (f"RECIPE-{id}", f"{path}:4:23")


@pytest.mark.parametrize("written", ["0.5", "1e-3", ".5", "2:4", "1:30", "vector:2:4:64"])
def test_a_sparsity_is_read_as_it_is_written(tmp_path: Path, written: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(HEAD + f"steps:\n  - prune: {{sparsity: {written}}}\n")

    [step] = load(str(path)).steps

    sparsity = step.as_dict()["sparsity"]
    assert sparsity == written if ":" in written else float(sparsity) == float(written)


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
