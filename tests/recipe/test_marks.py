"""Fields that name a model or data: found by their mark, read and replaced in one shape."""

from __future__ import annotations

import pytest
from recipe_bench import Bench
from recipe_steps import Look

from compressor.recipe.marks import Mark, marked, named, renamed
from compressor.step import Step


@pytest.mark.parametrize(
    ("step", "mark", "fields", "names"),
    [
        (Look(), "model", ["against"], []),
        (Look(against="a"), "model", ["against"], ["a"]),
        (Look(label="a"), "data", [], []),
        (Bench(against="a", models=("b", "c")), "model", ["against", "models"], ["a", "b", "c"]),
        (Bench(data=("x", "y")), "data", ["data"], ["x", "y"]),
        (Bench(data=()), "data", ["data"], []),
    ],
)
def test_a_mark_finds_fields_and_what_they_name(
    step: Step, mark: Mark, fields: list[str], names: list[str]
) -> None:
    assert marked(step, mark) == marked(type(step), mark) == fields
    assert named(step, mark) == names


def test_names_are_replaced_and_nothing_else() -> None:
    step = Bench(against="a", models=("b",), data=("x",))

    assert renamed(step, "model", str.upper) == Bench(against="A", models=("B",), data=("x",))
    assert renamed(step, "data", str.upper) == Bench(against="a", models=("b",), data=("X",))
    assert renamed(Look(), "model", str.upper) == Look()
