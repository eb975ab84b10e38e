"""The steps as functions: the same bytes as the command line, and the same messages."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import badinputs as bad
import pytest
from command import command

import compressor
from compressor.errors import CompressorError, UsageError


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    bad.write_model(Path("model"))


def files(folder: str) -> dict[str, bytes]:
    """Every file but the manifest, which holds the clock."""
    names = (path for path in Path(folder).iterdir() if path.name != "compressor.json")
    return {path.name: path.read_bytes() for path in names}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"sparsity": "2:4"}, "--sparsity 2:4"),
        ({"sparsity": 0.1, "scope": "row"}, "--sparsity 0.1 --scope row"),
        ({"sparsity": 0, "skip": ["*.q_proj"]}, "--sparsity 0 --skip *.q_proj"),
        (
            {"sparsity": "0.5", "method": "random", "seed": 7, "min_coverage": 0.5},
            "--sparsity 0.5 --method random --seed 7 --min-coverage 0.5",
        ),
    ],
)
def test_a_call_and_a_command_write_the_same_bytes(fields: dict[str, Any], words: str) -> None:
    report = compressor.prune("model", **fields, output="called")
    found = command("prune", "model", *words.split(), "--output", "commanded")

    assert found.code == 0
    assert report.output == Path("called")
    assert files("called") == files("commanded")


def test_a_model_and_an_output_may_be_paths() -> None:
    report = compressor.prune(Path("model"), sparsity="0.5", output=Path("out"), workers=1)

    assert report.name == "prune"
    assert compressor.inspect(Path("out")).summary["sparsity"] == 0.5
    assert compressor.diff(Path("out"), Path("model")).summary["zeros_gained"] == 512


def test_one_pattern_is_as_good_as_a_list_of_one() -> None:
    one = compressor.prune("model", sparsity=0.5, skip="*.q_proj", output="one")
    several = compressor.prune("model", sparsity=0.5, skip=["*.q_proj"], output="several")

    assert one.step["skip"] == several.step["skip"] == ["*.q_proj"]
    assert files("one") == files("several")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("sparcity", "did you mean `sparsity`?"),
        ("out", "did you mean `output`?"),
        ("step", "remove it, or correct its spelling"),
        ("\x1b[31m", "remove it, or correct its spelling"),
    ],
)
def test_an_unknown_field_is_a_usage_error_with_a_hint(name: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        compressor.prune("model", **{"sparsity": "0.5", name: "x"})

    assert caught.value.do == hint
    assert all(line.isprintable() for line in caught.value.lines())


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"sparsity": "half"},
        {"sparsity": float("nan")},
        {"sparsity": 1.5},
        {"sparsity": True},
        {"sparsity": None},
        {"sparsity": "0.5", "workers": 0},
        {"sparsity": "0.5", "min_coverage": float("inf")},
        {"sparsity": "0.5", "only": ["re:("]},
        {"sparsity": "0.5", "limits": 3},
    ],
)
def test_a_value_that_cannot_be_used_is_a_usage_error(fields: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        compressor.prune("model", **fields, output="out")

    assert not Path("out").exists()


def test_names_load_on_first_use_and_no_others_exist() -> None:
    for name in compressor.__all__:
        if name != "load":
            assert callable(getattr(compressor, name))
    assert compressor.CompressorError is CompressorError
    with pytest.raises(AttributeError, match="no attribute `shrink`"):
        _ = compressor.shrink


def test_help_knows_the_arguments_of_a_function() -> None:
    signature = inspect.signature(compressor.prune)

    assert list(signature.parameters)[:2] == ["model", "sparsity"]
    assert signature.parameters["scope"].default is None
    assert "output" in signature.parameters
    assert "output" not in inspect.signature(compressor.verify).parameters
    bench = inspect.signature(compressor.bench).parameters
    assert list(bench)[:2] == ["model", "models"]
    assert bench["models"].kind is inspect.Parameter.VAR_POSITIONAL
    assert {"against", "data", "tasks", "speed", "output", "overwrite"} <= set(bench)
    assert "resume" not in bench
    assert "output" not in inspect.signature(compressor.gate).parameters
    assert {"prune", "load", "__version__"} <= set(dir(compressor))
