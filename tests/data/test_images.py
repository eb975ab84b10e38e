"""Images come as 8-bit arrays from folders, tables and arrays; bad ones name their row."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from datafiles import loaded, refused, written
from numpy.typing import NDArray
from PIL import Image
from pyarrow import parquet

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4)
COLOUR = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)


def encoded(array: NDArray[np.uint8], format: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, format)
    return stream.getvalue()


DATA = struct.pack(">I", 40) + b"IDAT" + zlib.compress(bytes(40))


def png(width: int, height: int) -> bytes:
    """A PNG that claims this size, and ends too early."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + head
        + struct.pack(">I", zlib.crc32(head))
        + DATA
    )


def test_a_folder_of_classes_gives_images_and_their_class(tmp_path: Path) -> None:
    written(tmp_path / "x" / "dog" / "b.png", encoded(COLOUR))
    written(tmp_path / "x" / "cat" / "a.png", encoded(GREY))
    written(tmp_path / "x" / "cat" / "notes.txt", "no image")

    found = loaded(tmp_path / "x")

    assert found.values["label"] == ["cat", "dog"]
    assert np.array_equal(found.values["image"][0], GREY)
    assert np.array_equal(found.values["image"][1], COLOUR)
    assert any(note.endswith(": 1") for note in found.notes)


def test_a_split_of_an_image_folder_keeps_its_classes(tmp_path: Path) -> None:
    written(tmp_path / "x" / "train" / "cat" / "a.png", encoded(GREY))
    written(tmp_path / "x" / "test" / "dog" / "a.png", encoded(GREY))

    assert loaded(tmp_path / "x", "split=test").values["label"] == ["dog"]


def test_every_mode_becomes_grey_or_colour(tmp_path: Path) -> None:
    picture = Image.fromarray(COLOUR)
    for mode in ("1", "L", "LA", "P", "RGBA", "CMYK"):
        picture.convert(mode).save(tmp_path / f"{mode}.{'jpg' if mode == 'CMYK' else 'png'}")

    found = loaded(tmp_path)

    shapes = [image.shape for image in found.values["image"]]
    assert shapes == [(3, 4), (3, 4, 3), (3, 4), (3, 4), (3, 4, 3), (3, 4, 3)]
    assert {image.dtype for image in found.values["image"]} == {np.dtype(np.uint8)}


def test_images_of_a_table_are_bytes_or_names_beside_it(tmp_path: Path) -> None:
    data = [encoded(GREY), encoded(COLOUR)]
    cells = [{"bytes": each, "path": None} for each in data]
    parquet.write_table(pyarrow.table({"img": cells, "label": [1, 0]}), tmp_path / "a.parquet")
    parquet.write_table(pyarrow.table({"image": data, "label": [1, 0]}), tmp_path / "b.parquet")
    written(tmp_path / "x" / "one.png", data[0])
    written(tmp_path / "two.png", data[1])
    written(tmp_path / "c.csv", "file_name,label\nx/one.png,1\ntwo.png,0\n")

    found = [loaded(tmp_path / name) for name in ("a.parquet", "b.parquet", "c.csv")]

    assert {each.digest for each in found} == {found[0].digest}
    assert np.array_equal(found[0].values["image"][1], COLOUR)
    assert found[0].values["label"] == [1, 0]


@pytest.mark.parametrize("name", ["../secret.png", "/etc/hostname.png", "link.png"])
def test_a_table_names_no_image_outside_of_its_folder(tmp_path: Path, name: str) -> None:
    secret = written(tmp_path / "secret.png", encoded(GREY))
    path = written(tmp_path / "x" / "a.csv", f"file_name,label\n{name},1\n")
    (tmp_path / "x" / "link.png").symlink_to(secret)

    refused(path, "PATH-ESCAPE", 4)


@pytest.mark.parametrize(
    "content", [b"", b"no image", encoded(GREY)[:-30], encoded(COLOUR, "JPEG")[:30], png(300, 400)]
)
def test_an_image_that_cannot_be_read_is_named(tmp_path: Path, content: bytes) -> None:
    written(tmp_path / "x" / "cat" / "a.png", encoded(GREY))
    written(tmp_path / "x" / "cat" / "b.png", content)

    assert refused(tmp_path / "x", "DATA-PARSE", 3).at == "x, cat/b.png"


@pytest.mark.parametrize("side", [10_000, 50_000])
def test_an_image_bomb_is_refused(tmp_path: Path, side: int) -> None:
    written(tmp_path / "x" / "a.png", png(side, side))

    assert refused(tmp_path / "x", "LIMIT-DECOMPRESS", 6).at == "x, a.png"


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "file_name,label\nb.png,1\n")

    assert "b.png" in refused(path, "DATA-NOT-FOUND", 3).at


def test_sixteen_bits_are_not_cut_to_eight(tmp_path: Path) -> None:
    Image.fromarray(np.full((3, 4), 40_000, np.uint16)).save(tmp_path / "a.png")

    refused(tmp_path, "DATA-TYPE", 3)


@pytest.mark.parametrize("shape", [(2, 3, 4, 3), (2, 3, 4, 1), (2, 3, 4)])
def test_arrays_of_bytes_are_images(tmp_path: Path, shape: tuple[int, ...]) -> None:
    images = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    np.savez(tmp_path / "a.npz", images=images, labels=np.arange(2))

    found = loaded(tmp_path / "a.npz").values["image"]

    assert np.array_equal(np.stack(found), images.squeeze())


@pytest.mark.parametrize(
    "images", [np.zeros((2, 3, 4, 2), np.uint8), np.zeros((2, 3, 4)), np.zeros((2, 3), np.uint8)]
)
def test_other_arrays_are_no_images(tmp_path: Path, images: NDArray[np.generic]) -> None:
    np.savez(tmp_path / "a.npz", a=images)

    assert refused(tmp_path / "a.npz", "DATA-TYPE", 3, "image=a").at == "a.npz, row 1"


def test_lists_of_bytes_are_images_and_other_lists_are_none(tmp_path: Path) -> None:
    good = written(tmp_path / "a.jsonl", '{"image": [[0, 255], [1, 2]], "label": 1}\n')

    assert loaded(good, "image=image").values["image"][0].tolist() == [[0, 255], [1, 2]]
    for bad in ("[[0, 256]]", "[[0, -1]]", "[[0, 0.5]]", "[[0], [1, 2]]", '[["a"]]', "7"):
        path = written(tmp_path / "b.jsonl", f'{{"image": {bad}}}\n')
        assert refused(path, "DATA-TYPE", 3, "image=image").at == "b.jsonl, line 1"
