"""The recipes that come with the package: listed with their claim, copied, and found by name."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from compressor.checkpoint.write.disk import writing
from compressor.errors import OutputError, UsageError, listing, printable
from compressor.recipe.fields import closest
from compressor.recipe.yaml import read


def shipped() -> list[tuple[str, str]]:
    """Each shipped recipe's name and its claim, which is the first line of the file."""
    return [(name, _claim(file)) for name, file in sorted(_folder().items())]


def copy(name: str, dest: Path | None = None) -> Path:
    """Copy a shipped recipe to `dest`, a file or a folder, and say where it is now."""
    content = _shipped(name).read_bytes()
    target = dest or Path(f"{name}.yaml")
    if target.is_dir():
        target = target / f"{name}.yaml"
    try:
        with writing(target), target.open("xb") as file:
            file.write(content)
    except OutputError as error:
        if isinstance(error.__cause__, FileExistsError):
            raise OutputError(
                "OUT-EXISTS",
                "the file already exists, and a copy never overwrites",
                at=target,
                found="a file, expected none",
                do=f"name another: compressor recipe cp {name} other.yaml",
            ) from None
        raise
    return target


def find(name: str) -> tuple[str, str]:
    """The text of the recipe `name`, and what its places are named after; a path wins."""
    folder = _folder()
    is_like_shipped = name in folder or closest(name, folder) is not None
    if not is_like_shipped or Path(name).exists():
        return read(Path(name)), name
    return read(_shipped(name)), f"{name}.yaml"


def _shipped(name: str) -> Path:
    folder = _folder()
    if name in folder:
        return folder[name]
    nearest = closest(name, folder)
    raise UsageError(
        "RECIPE-UNREADABLE",
        "this is neither a recipe file nor a shipped recipe",
        at=name,
        found=f"`{printable(name)}`, expected a path or one of: {listing(folder, 20)}",
        do=f"did you mean `{nearest}`?" if nearest else "see what is there: compressor recipe ls",
    )


def _folder() -> dict[str, Path]:
    """The shipped files by name: package data, or the repository's folder when run from it."""
    try:
        entries = [Path(str(entry)) for entry in files("compressor.recipes").iterdir()]
    except ModuleNotFoundError:
        entries = list((Path(__file__).parents[2] / "recipes").iterdir())
    return {entry.stem: entry for entry in entries if entry.suffix == ".yaml"}


def _claim(file: Path) -> str:
    return read(file).partition("\n")[0].removeprefix("#").strip()
