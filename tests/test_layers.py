"""The house: imports go down, packages are listed, files are short and say what they are."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(path for root in ("compressor", "kernels") for path in (ROOT / root).rglob("*.py"))


def listed_packages() -> list[str]:
    """The names in `packages = […]` of pyproject.toml; Python 3.10 has no tomllib."""
    text = (ROOT / "pyproject.toml").read_text()
    body = text.partition("\npackages = [")[2].partition("]")[0]
    return [line.strip(' ",') for line in body.splitlines() if line.strip()]


def test_the_packages_that_are_built_are_the_folders_on_disk() -> None:
    inits = [path.parent.relative_to(ROOT) for path in FILES if path.name == "__init__.py"]
    on_disk = {".".join(folder.parts).removeprefix("kernels.") for folder in inits}

    assert sorted(listed_packages()) == sorted(on_disk | {"compressor.recipes"})


@pytest.mark.parametrize("folder", ["kernels", "recipes", "tests", "benchmarks"])
def test_a_folder_that_is_no_package_shadows_none(folder: str) -> None:
    inits = [
        path.parent.name
        for path in (ROOT / folder).rglob("__init__.py")
        if ".venv" not in path.parts
    ]

    assert inits == (["compressor_kernels"] if folder == "kernels" else [])


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(ROOT)) for path in FILES])
def test_a_file_is_short_and_its_first_line_says_what_it_is(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()

    docstring = ast.get_docstring(ast.parse("\n".join(lines)))
    assert len(lines) <= 300
    assert lines[0].startswith('"""')
    assert docstring is not None
    assert docstring.split("\n\n")[0].endswith((".", "…"))


def test_imports_go_down_the_layers() -> None:
    script = "import sys; from importlinter.cli import lint_imports_command as c; sys.exit(c())"

    found = subprocess.run(
        [sys.executable, "-c", script, "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert found.returncode == 0, found.stdout + found.stderr


COMPUTES = ("compressor/model/load", "compressor/measure/")
"""Where torch may be imported at the top: steps import these when they compute."""


def test_the_work_of_a_step_does_not_wait_for_torch() -> None:
    """At the top of a file, only what every command needs is imported."""
    heavy = {"torch", "transformers", "huggingface_hub", "accelerate", "peft", "datasets"}
    found = {}
    for path in FILES:
        tops = ast.parse(path.read_text(encoding="utf-8")).body
        names = {
            alias.name for node in tops if isinstance(node, ast.Import) for alias in node.names
        }
        names |= {node.module or "" for node in tops if isinstance(node, ast.ImportFrom)}
        if early := {name.partition(".")[0] for name in names} & heavy:
            found[str(path.relative_to(ROOT))] = early

    assert {path for path in found if not path.startswith(COMPUTES)} == set()


def test_gates_and_steps_load_without_torch() -> None:
    script = (
        "import sys, compressor.steps, compressor.recipe.run, compressor.view.terminal;"
        "from compressor.measure import evidence, statistics;"
        "from compressor.measure.judgement import gates, verdict;"
        "sys.exit(sorted({'torch', 'transformers', 'datasets', 'pyarrow'} & set(sys.modules)))"
    )

    found = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)

    assert found.stderr.decode() == "[]\n"
