"""What README and docs show is true: recipes validate, commands and options exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from command import command

from compressor.recipe.model import load

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(kind: str) -> list[str]:
    fences = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
    found = [fence for page in PAGES for fence in fences.findall(page.read_text())]
    return [text for name, text in found if name == kind]


@pytest.mark.parametrize("text", blocks("yaml"))
def test_a_recipe_in_the_docs_is_valid(text: str, tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(text.replace("4f2a…", "0" * 40))

    assert load(str(file)).steps


def shown_commands() -> list[str]:
    lines = [line.partition("#")[0] for block in blocks("") for line in block.splitlines()]
    return [line for line in lines if line.strip().startswith("compressor ")]


@pytest.mark.parametrize("line", shown_commands())
def test_a_command_in_the_docs_exists_with_its_options(line: str) -> None:
    words = line.split()[1:]

    found = command(words[0], "--help")

    assert found.code == 0
    for option in (word for word in words if word.startswith("--")):
        assert option in found.out


def test_there_is_something_to_check() -> None:
    assert blocks("yaml")
    assert len(shown_commands()) > 5
