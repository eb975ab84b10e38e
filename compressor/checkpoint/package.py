"""The checkpoint folder that an installed Python package carries, found without importing it."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from compressor.errors import InputError, UsageError, listing, printable

DEPTH: Final = 2
"""How many levels below the package, or below the named sub-folder, a checkpoint may lie."""

_HARMLESS: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_SUB_FOLDER: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")
_CARD_BYTES: Final = 65536


def packaged_folder(package: str, sub: str = "") -> Path:
    """The one folder in the package that holds `config.json` beside safetensors weights."""
    where = f"package:{package}" + (f"/{sub}" if sub else "")
    roots = _folders_in(_roots(package), sub, where)
    found = [(root, folder) for root in roots for folder in _checkpoints(root, DEPTH)]
    if not found:
        raise InputError(
            "CKPT-NO-WEIGHTS",
            "the package carries no checkpoint",
            at=where,
            found="no folder with config.json beside *.safetensors, expected one",
            do="name a folder or a hub id instead",
        )
    if len(found) > 1:
        names = [folder.relative_to(root).as_posix() for root, folder in found]
        raise UsageError(
            "PACKAGE-AMBIGUOUS",
            "the package carries more than one checkpoint",
            at=where,
            found=f"{listing(names)}, expected one",
            do=f"name one of them, for example {where}/{printable(names[0])}",
        )
    return found[0][1]


def name_of(folder: Path, package: str) -> str:
    """What to call the checkpoint: its card's title, its config's word for it, or the package.

    The title comes first because `_name_or_path` is what a fine-tuned model was trained from.
    """
    for candidate in (_card_title(folder), _config_name(folder)):
        if candidate is not None and _HARMLESS.fullmatch(candidate):
            return candidate
    return package


def _roots(package: str) -> list[Path]:
    """The package's own folders; `find_spec` on a top-level name runs none of its code."""
    try:
        spec = importlib.util.find_spec(package)
    except ValueError:  # a module that is loaded and has no spec: `__main__`
        spec = None
    if spec is None:
        raise UsageError(
            "PACKAGE-MISSING",
            "no Python package of this name is installed",
            at=f"package:{package}",
            found=f"`{package}` is not importable here, expected an installed package",
            do="check the name, or install the distribution that carries it",
        )
    return [Path(root) for root in spec.submodule_search_locations or ()]


def _folders_in(roots: list[Path], sub: str, where: str) -> list[Path]:
    """The sub-folder in each of the package's folders that has it."""
    parts = sub.split("/") if sub else []
    if not all(_SUB_FOLDER.fullmatch(part) for part in parts):
        raise UsageError(
            "SOURCE-ID",
            "this is not a folder inside a package",
            at=where,
            found=f"`{printable(sub)}`, expected plain folder names with `/` between them",
            do="write it as package:NAME/folder",
        )
    folders = [folder for root in roots if (folder := root.joinpath(*parts)).is_dir()]
    if parts and not folders:
        raise InputError(
            "CKPT-NOT-FOUND",
            "the package has no such folder",
            at=where,
            found=f"nothing called `{printable(sub)}`, expected a folder of the package",
            do="leave the folder out, and the package is searched",
        )
    return folders


def _checkpoints(folder: Path, depth: int) -> Iterator[Path]:
    """Folders that hold a checkpoint; what lies inside such a folder belongs to it."""
    if (folder / "config.json").is_file() and any(folder.glob("*.safetensors")):
        yield folder
    elif depth:
        for inner in sorted(folder.iterdir()):
            if inner.is_dir() and not inner.is_symlink():
                yield from _checkpoints(inner, depth - 1)


def _card_title(folder: Path) -> str | None:
    """The first heading of the model card, below its front matter."""
    card = folder / "README.md"
    if not card.is_file():
        return None
    with card.open(encoding="utf-8", errors="replace") as file:
        text = file.read(_CARD_BYTES)
    if text.startswith("---\n"):
        text = text[4:].partition("\n---\n")[2]
    heading = re.search(r"^# +(\S.*?) *$", text, re.MULTILINE)
    return heading[1] if heading else None


def _config_name(folder: Path) -> str | None:
    """The last part of `_name_or_path`; to refuse a malformed config is the reader's task."""
    try:
        config = json.loads((folder / "config.json").read_bytes())
    except (ValueError, RecursionError):
        return None
    name = config.get("_name_or_path") if isinstance(config, dict) else None
    return name.rpartition("/")[2] if isinstance(name, str) else None
