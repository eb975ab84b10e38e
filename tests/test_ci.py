"""The job and the script of docs/ci.md, run as they stand there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from recipe_steps import tiny_checkpoint

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/ci.md").read_text()
GATE = 'gates: [{{metric: inspect/tensors, op: "<=", value: {limit}}}]'
ENDINGS = [(1, 0), (0, 1)]
"""The limit of a gate on the number of tensors, of which there is one; and the exit code."""


def block(kind: str) -> str:
    found = re.search(rf"^```{kind}\n(.*?)^```$", PAGE, re.M | re.S)
    assert found is not None
    return found[1]


def job() -> list[str]:
    """The `run:` lines of the job, but for the installation."""
    steps = yaml.safe_load(block("yml"))["jobs"]["compress"]["steps"]
    lines = [step["run"] for step in steps if "run" in step]
    assert lines[0].startswith("pip install")
    return lines[1:]


def shell(script: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A script where `compressor` is this checkout's."""
    tools = folder / "tools"
    tools.mkdir()
    program = tools / "compressor"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m compressor "$@"\n')
    program.chmod(0o755)
    return subprocess.run(
        ["sh", "-e", "-c", script],
        cwd=folder,
        env={
            **os.environ,
            "PATH": f"{tools}:{os.environ['PATH']}",
            "PYTHONPATH": f"{ROOT}:{ROOT / 'kernels'}",
            "HF_HUB_OFFLINE": "1",
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
    )


def recipe(folder: Path, limit: int) -> None:
    tiny_checkpoint(folder / "tiny")
    gate = GATE.format(limit=limit)
    (folder / "recipe.yaml").write_text(f"version: 1\nsource: ./tiny\nsteps: [inspect: ]\n{gate}\n")


@pytest.mark.parametrize(("limit", "code"), ENDINGS)
def test_the_job_ends_as_the_gates_say(tmp_path: Path, limit: int, code: int) -> None:
    recipe(tmp_path, limit)
    page = tmp_path / "page.md"

    found = shell("\n".join(job()), tmp_path, GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(page))

    assert found.returncode == code, found.stderr
    for name in ("run.json", "junit.xml", "summary.md"):
        assert (tmp_path / "run" / name).is_file()
    assert f"exit code {code}" in page.read_text()
    assert ("::error file=recipe.yaml,line=4," in found.stderr) == (code == 1)


@pytest.mark.parametrize(("limit", "code"), ENDINGS)
def test_the_script_ends_as_the_gates_say(tmp_path: Path, limit: int, code: int) -> None:
    recipe(tmp_path, limit)

    found = shell(block("sh"), tmp_path)

    assert found.returncode == code, found.stderr
    names = sorted(path.name for path in (tmp_path / "evidence").iterdir())
    assert names == ["junit.xml", "run.json", "summary.md"]


def test_the_job_refuses_a_recipe_without_gates(tmp_path: Path) -> None:
    recipe(tmp_path, 1)
    (tmp_path / "recipe.yaml").write_text("version: 1\nsource: ./tiny\nsteps: [inspect: ]\n")

    found = shell("\n".join(job()), tmp_path)

    assert found.returncode == 2
    assert "RECIPE-GATES" in found.stderr
