"""The command that makes a report again is one that the command line understands."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from compressor.report import Report
from compressor.view.html.command import command_line


def line(step: dict[str, Any], **source: Any) -> str:
    given = {"name": "model", "id": None, "revision": None, **source}
    return command_line(Report(step, given))


@pytest.mark.parametrize(
    ("step", "source", "said"),
    [
        ({"step": "prune", "sparsity": "2:4"}, {}, "compressor prune model --sparsity 2:4"),
        (
            {"step": "prune", "sparsity": "0.5", "skip": ["a", "b c"], "allow_nonfinite": True},
            {"id": "org/model", "revision": "4f2a"},
            "compressor prune org/model@4f2a --sparsity 0.5 --skip a --skip 'b c' "
            "--allow-nonfinite",
        ),
        ({"step": "bench", "speed": False}, {}, "compressor bench model --no-speed"),
        ({"step": "diff", "against": "dense"}, {}, "compressor diff model dense"),
        ({"step": "clean"}, {"name": "here"}, "compressor clean here"),
        (
            {"step": "run", "recipe": "a.yaml", "set": ["source=x"]},
            {},
            "compressor run a.yaml --set source=x",
        ),
    ],
)
def test_a_step_is_a_command(step: dict[str, Any], source: dict[str, Any], said: str) -> None:
    assert line(step, **source) == said


def test_a_bench_of_several_names_them_in_their_order() -> None:
    models = [{"model": "d", "role": "dense"}, {"model": "a", "role": "candidate"}]
    step = {"step": "bench", "models": ["b"], "against": "d"}

    said = command_line(Report(step, {"name": "b", "id": None}, tables={"models": models}))

    assert said == "compressor bench a b --against d"


def test_a_hostile_name_is_one_word() -> None:
    words = shlex.split(line({"step": "prune", "sparsity": "0.5"}, name="a; rm -rf $(x)\x1b"))

    assert words == ["compressor", "prune", "a; rm -rf $(x)\\x1b", "--sparsity", "0.5"]
