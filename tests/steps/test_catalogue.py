"""Laws of every step, walked from the catalogue: a new step is tested by being listed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command import command
from pydantic import TypeAdapter, ValidationError

from compressor.errors import UsageError
from compressor.recipe.model import load
from compressor.step import Step, parsed
from compressor.steps import COMMANDS_ONLY, STEPS, AnyStep

EXAMPLES: dict[str, list[dict[str, Any]]] = {
    "prune": [
        {"sparsity": "0.5"},
        {"sparsity": "2:4", "method": "random", "seed": 3},
        {"sparsity": "vector:2:4:64", "only": ("a.*", "re:b"), "skip": ("c",)},
        {"sparsity": "0.123456789012345678", "scope": "row", "max_shard_size": "5GB"},
        {"sparsity": "1e-7", "min_coverage": 0.25, "allow_nonfinite": True},
    ],
    "diff": [{"against": "other"}, {"against": "org/name@main", "all": True}],
    "inspect": [{}, {"tensors": True, "advise": True, "scan": False}],
}
"""Fields that a step accepts; a step without fields that are required needs none."""

CASES = [(name, fields) for name in STEPS for fields in EXAMPLES.get(name, [{}])]


@pytest.mark.parametrize("name", STEPS)
def test_every_step_says_what_it_does(name: str) -> None:
    kind = STEPS[name]

    assert kind.__doc__ is not None
    assert kind.__doc__.split("\n")[0].endswith(".")
    for field, info in kind.model_fields.items():
        if field != "step":
            assert info.description, f"{name}.{field} has no description"
            assert info.description.endswith(".")


@pytest.mark.parametrize(("name", "fields"), CASES)
def test_a_step_reads_back_from_what_it_writes(name: str, fields: dict[str, Any]) -> None:
    step = parsed(STEPS[name], fields)

    written = json.loads(json.dumps(step.as_dict(), allow_nan=False))

    assert TypeAdapter(AnyStep).validate_python(written) == step
    assert written["step"] == name
    assert set(written) == {"step", *fields}


@pytest.mark.parametrize("name", STEPS)
def test_a_step_is_frozen_and_refuses_what_it_does_not_know(name: str) -> None:
    fields = EXAMPLES.get(name, [{}])[0]
    step = parsed(STEPS[name], fields)

    with pytest.raises(ValidationError):
        step.step = "other"
    with pytest.raises(UsageError):
        parsed(STEPS[name], {**fields, "sparcity": 1})


def test_the_schema_describes_every_step() -> None:
    schema = TypeAdapter(AnyStep).json_schema()

    assert set(schema["discriminator"]["mapping"]) == set(STEPS)
    for name, kind in STEPS.items():
        described = schema["$defs"][kind.__name__]
        assert set(described["properties"]) == set(kind.model_fields), name
        assert described["additionalProperties"] is False


@pytest.mark.parametrize("name", STEPS)
def test_every_step_is_a_command(name: str) -> None:
    assert command(name, "--help").code == 0


@pytest.mark.parametrize("name", [name for name in STEPS if name not in COMMANDS_ONLY])
def test_every_step_about_a_model_is_one_of_a_recipe(name: str, tmp_path: Path) -> None:
    fields = EXAMPLES.get(name, [{}])[0]
    recipe = tmp_path / "recipe.yaml"
    body = ", ".join(f"{key}: {value}" for key, value in fields.items())
    recipe.write_text(f"version: 1\nsource: model\nsteps:\n  - {name}: {{{body}}}\n")

    found: list[Step] = list(load(str(recipe), []).steps)

    assert found == [parsed(STEPS[name], fields)]


@pytest.mark.parametrize("name", sorted(COMMANDS_ONLY))
def test_a_step_about_a_machine_is_none_of_a_recipe(name: str, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"version: 1\nsource: model\nsteps:\n  - {name}:\n")

    with pytest.raises(UsageError):
        load(str(recipe), [])
