"""Texts as rows: a line, a paragraph or a document each; of a file, a folder or a zip."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from compressor.data.files import lines, member, members, not_found, reading
from compressor.data.rows import Opened, Row, left_out
from compressor.data.spec import Unit

SUFFIXES: Final = (".txt", ".md")
TOPICS: Final = "python:topics"
_PYTHON: Final = f"Python {sys.version_info.major}.{sys.version_info.minor}"
_PROSE: Final = 40
"""Characters that a paragraph of prose has at least."""


def open_text(path: Path, by: Unit, encoding: str | None) -> Opened:
    """The rows of one text file, in the column `text`."""
    return Opened(_file(path, by, encoding), at=path.name)


def open_folder(folder: Path, files: Sequence[Path], by: Unit, encoding: str | None) -> Opened:
    """The rows of the text files of a folder; the sub-folder of each is its `label`."""
    found = [path for path in files if path.suffix.lower() in SUFFIXES]
    names = [path.relative_to(folder).as_posix() for path in found]
    has_labels = _has_labels(names)

    def rows() -> Generator[Row, None, None]:
        for path, name in zip(found, names, strict=True):
            for row in _file(path, by, encoding):
                yield _placed(row, name, has_labels)

    return Opened(rows(), at=folder.name, notes=left_out(len(files) - len(found), SUFFIXES))


def open_zip(path: Path, by: Unit, encoding: str | None) -> Opened:
    """The rows of the text files in a zip, read where they are; nothing is unpacked to disk."""

    with members(path) as (_, infos):
        files = len(infos)
        names = [info.filename for info in infos if info.filename.lower().endswith(SUFFIXES)]
    if files and not names:
        found = f"{files} files in the zip and none ends in {' or '.join(SUFFIXES)}"
        raise not_found(path.name, found, "unpack it, and name what is inside")
    has_labels = _has_labels(names)

    def rows() -> Generator[Row, None, None]:
        with members(path) as (archive, infos):
            for info in infos:
                if info.filename not in names:
                    continue
                with member(archive, info) as stream:
                    read = lines(stream, f"{path.name}/{info.filename}", encoding)
                    for row in _units(read, by):
                        yield _placed(row, info.filename, has_labels)

    return Opened(rows(), at=path.name, notes=left_out(files - len(names), SUFFIXES))


def open_topics() -> Opened:
    """Prose that every Python carries: the help texts, a paragraph each, `label` is its topic."""
    from pydoc_data.topics import topics

    def rows() -> Generator[Row, None, None]:
        for topic in sorted(topics):
            for paragraph in topics[topic].split("\n\n"):
                words = " ".join(paragraph.split())
                # Code and grammar are set in by more than the text is.
                is_code = paragraph.startswith("    ") or "::=" in words or "***" in words
                if len(words) >= _PROSE and not is_code:
                    yield Row(f"topic {topic}", {"text": words, "label": topic})

    return Opened(rows(), at=TOPICS, notes=(f"help texts of {_PYTHON}",))


def _file(path: Path, by: Unit, encoding: str | None) -> Generator[Row, None, None]:
    with reading(path) as stream:
        yield from _units(lines(stream, path.name, encoding), by)


def _units(read: Iterator[str], by: Unit) -> Iterator[Row]:
    if by == "document":
        text = "\n".join(read)
        if text.strip():
            yield Row("document", {"text": text})
        return
    held: list[str] = []
    start = 0
    for number, line in enumerate(read, start=1):
        if not line.strip():
            if held:
                yield Row(f"line {start}", {"text": "\n".join(held)})
            held = []
        elif by == "line":
            yield Row(f"line {number}", {"text": line})
        else:
            start = start if held else number
            held.append(line)
    if held:
        yield Row(f"line {start}", {"text": "\n".join(held)})


def _has_labels(names: list[str]) -> bool:
    """Whether the files stand in more than one folder, which then says of what class they are."""
    return len({PurePosixPath(name).parent for name in names}) > 1


def _placed(row: Row, name: str, has_label: bool) -> Row:
    label = {"label": PurePosixPath(name).parent.name} if has_label else {}
    return Row(f"{name}, {row.place}", {**row.cells, **label})
