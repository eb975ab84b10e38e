"""A row of text is a line, a paragraph or a document, from a file, a folder or a zip."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from datafiles import loaded, refused, written
from hypothesis import given
from hypothesis import strategies as st

from compressor.data.dataset import load
from compressor.data.spec import Unit, parse_spec
from compressor.data.text import open_text

TEXT = " one \n\ntwo\nthree\n \n\n  four"
EXPECTED: dict[Unit, list[str]] = {
    "line": [" one ", "two", "three", "  four"],
    "paragraph": [" one ", "two\nthree", "  four"],
    "document": [TEXT],
}


@pytest.mark.parametrize("by", EXPECTED)
def test_a_file_gives_its_units(tmp_path: Path, by: Unit) -> None:
    path = written(tmp_path / "x.txt", TEXT)

    assert loaded(path, f"by={by}").values["text"] == EXPECTED[by]
    assert loaded(path, by_default=by).values["text"] == EXPECTED[by]
    assert loaded(path, "by=line", by_default=by).values["text"] == EXPECTED["line"]


def test_each_unit_stands_where_it_starts(tmp_path: Path) -> None:
    path = written(tmp_path / "x.txt", TEXT)

    lines = [row.place for row in open_text(path, "line", None).rows]
    paragraphs = [row.place for row in open_text(path, "paragraph", None).rows]

    assert lines == ["line 1", "line 3", "line 4", "line 7"]
    assert paragraphs == ["line 1", "line 3", "line 7"]


@given(st.lists(st.lists(st.text("ab c", min_size=1).filter(str.strip), min_size=1), min_size=1))
def test_paragraphs_are_what_blank_lines_part(
    tmp_path_factory: pytest.TempPathFactory, paragraphs: list[list[str]]
) -> None:
    texts = ["\n".join(lines) for lines in paragraphs]
    path = written(tmp_path_factory.mktemp("x") / "x.txt", "\n \n\n".join(texts))

    assert loaded(path, "by=paragraph").values["text"] == texts


def make_zip(path: Path, texts: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in texts.items():
            archive.writestr(name, text)
    return path


def test_a_folder_and_a_zip_give_the_same_documents(tmp_path: Path) -> None:
    texts = {"x/pos/b.txt": "good\n\nfilm", "x/neg/a.txt": "bad", "x/README": "no item"}
    for name, text in texts.items():
        written(tmp_path / name, text)
    folder = loaded(tmp_path / "x")
    zipped = loaded(make_zip(tmp_path / "x.zip", texts))

    assert folder.values == zipped.values
    assert folder.digest == zipped.digest
    assert folder.values == {"text": ["bad", "good\n\nfilm"], "label": ["neg", "pos"]}
    assert any(note.endswith(": 1") for note in folder.notes)
    assert folder.notes == zipped.notes


def test_files_of_one_folder_have_no_label(tmp_path: Path) -> None:
    written(tmp_path / "x" / "b.txt", "two\n")
    written(tmp_path / "x" / "a.md", "one")
    written(tmp_path / "x" / "empty.txt", "\n")

    found = loaded(tmp_path / "x", by_default="line")

    assert found.values == {"text": ["one", "two"]}
    assert loaded(tmp_path / "x", "by=line").count == 2


def test_a_split_of_a_folder_is_a_folder_in_it(tmp_path: Path) -> None:
    written(tmp_path / "x" / "test" / "a.txt", "one")
    written(tmp_path / "x" / "train" / "a.txt", "two")
    written(tmp_path / "a.txt", "three")

    assert loaded(tmp_path / "x", "split=train").values["text"] == ["two"]
    refused(tmp_path / "x", "DATA-NOT-FOUND", 3, "split=dev")
    refused(tmp_path / "x", "DATA-NOT-FOUND", 3, "split=..")


def test_a_zip_or_folder_without_text_is_said_to_hold_none(tmp_path: Path) -> None:
    written(tmp_path / "x" / "a.bin", "one")

    refused(tmp_path / "x", "DATA-NOT-FOUND", 3)
    refused(make_zip(tmp_path / "x.zip", {"a.bin": "one"}), "DATA-NOT-FOUND", 3)
    refused(make_zip(tmp_path / "y.zip", {}), "DATA-EMPTY", 3)


def test_an_error_names_the_file_inside(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/a.txt", b"one\n\xff")

    assert refused(path, "DATA-ENCODING", 3).at == "x.zip/x/a.txt, line 2"


def test_a_name_that_says_nothing_is_read_as_text(tmp_path: Path) -> None:
    path = written(tmp_path / "wiki_00", "one\ntwo")

    assert loaded(path).values["text"] == ["one", "two"]


def test_every_python_carries_prose() -> None:
    found = load(parse_spec("python:topics"))

    texts, labels = found.values["text"], found.values["label"]
    assert found.count == len(texts) == len(labels) > 500
    assert len(set(labels)) > 50
    assert min(map(len, texts)) >= 40
    assert all(text == " ".join(text.split()) for text in texts)
    assert load(parse_spec("python:topics")).digest == found.digest
