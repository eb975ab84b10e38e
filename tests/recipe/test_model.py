"""Recipes: complete validation before anything is loaded, order, and the schema for editors."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from recipe_steps import CATALOGUE, Copy, Look

from compressor.errors import UsageError
from compressor.recipe.model import Recipe, json_schema, load
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
        pytest.param(
            HEAD + "gates: []\nsteps: [look: ]", "GATES", "3:8", "remove", id="F29 empty gates"
        ),
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


def test_the_schema_knows_every_step_and_field_of_the_catalogue() -> None:
    schema = json_schema()

    items = schema["properties"]["steps"]["items"]["oneOf"]
    assert schema["required"] == ["version", "source", "steps"]
    assert schema["additionalProperties"] is False
    assert {name for item in items for name in item["properties"]} == set(STEPS) - COMMANDS_ONLY
    for item in items:
        [(name, reference)] = item["properties"].items()
        fields = schema["$defs"][reference["anyOf"][0]["$ref"].removeprefix("#/$defs/")]
        known = STEPS[name].model_fields.keys() - {"step"}
        assert fields["properties"].keys() == known | {each.replace("_", "-") for each in known}
        assert fields["additionalProperties"] is False


def test_an_editor_may_take_a_sparsity_for_a_number() -> None:
    prune = json_schema()["$defs"]["Prune"]["properties"]

    assert ["number", "string"] in [each.get("type") for each in prune["sparsity"]["anyOf"]]


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
