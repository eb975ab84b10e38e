"""NPZ and IDX against bytes laid down by hand: right ones are read, wrong ones never allocated."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datafiles import loaded, refused, written

PIXELS = bytes(range(24))


def idx(code: int, shape: tuple[int, ...], data: bytes) -> bytes:
    return bytes((0, 0, code, len(shape))) + struct.pack(f">{len(shape)}I", *shape) + data


def npy(header: str, data: bytes, version: bytes = b"\x01\x00") -> bytes:
    text = header.encode() + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H", len(text)) + text + data


def npz(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return path


def header(descr: object, shape: tuple[int, ...], fortran: bool = False) -> str:
    return repr({"descr": descr, "fortran_order": fortran, "shape": shape})


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_images_find_the_labels_beside_them(tmp_path: Path, suffix: str) -> None:
    images, labels = idx(8, (2, 3, 4), PIXELS), idx(8, (2,), b"\x07\x09")
    pack = gzip.compress if suffix else bytes
    path = written(tmp_path / f"t-images-idx3-ubyte{suffix}", pack(images))
    written(tmp_path / f"t-labels-idx1-ubyte{suffix}", pack(labels))

    found = loaded(path)

    expected = np.frombuffer(PIXELS, np.uint8).reshape(2, 3, 4)
    assert np.array_equal(np.stack(found.values["image"]), expected)
    assert found.values["label"] == [7, 9]
    assert found.total == 2


def test_idx_labels_can_be_named(tmp_path: Path) -> None:
    path = written(tmp_path / "a.idx", idx(8, (2, 3, 4), PIXELS))
    written(tmp_path / "b.idx", idx(12, (2,), struct.pack(">2i", -1, 70000)))

    assert loaded(path, "label=b.idx").values["label"] == [-1, 70000]
    assert loaded(path, f"label={tmp_path / 'b.idx'}").roles["label"] == str(tmp_path / "b.idx")
    assert "label" not in loaded(path).values
    refused(path, "DATA-NOT-FOUND", 3, "label=c.idx")


@pytest.mark.parametrize(
    ("code", "dtype"), [(9, ">i1"), (11, ">i2"), (12, ">i4"), (13, ">f4"), (14, ">f8")]
)
def test_idx_numbers_of_every_type_are_a_series(tmp_path: Path, code: int, dtype: str) -> None:
    numbers = np.array([[1, -2], [3, 4], [5, 6]], dtype)
    path = written(tmp_path / "a.idx", idx(code, (3, 2), numbers.tobytes()))

    target = loaded(path, "target=image").values["target"]

    assert isinstance(target, np.ndarray)
    assert target.dtype == np.float64
    assert target.tolist() == numbers.tolist()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00",
        b"\x00\x01" + idx(8, (2, 3, 4), PIXELS)[2:],
        b"\x00\x00\x07\x01" + b"\x00\x00\x00\x01\x00",
        b"\x00\x00\x08\x00",
        idx(8, (2, 3, 4), PIXELS)[:10],
        idx(8, (2, 3, 4), PIXELS[:-1]),
        idx(8, (2, 3, 4), PIXELS + b"\x00"),
        idx(8, (2, 2**31, 2**31), PIXELS),
    ],
)
def test_an_idx_file_that_is_none_is_no_data(tmp_path: Path, content: bytes) -> None:
    refused(written(tmp_path / "a.idx", content), "DATA-PARSE", 3)


def test_labels_of_another_number_are_no_labels(tmp_path: Path) -> None:
    path = written(tmp_path / "images.idx", idx(8, (2, 3, 4), PIXELS))
    written(tmp_path / "labels.idx", idx(8, (3,), b"\x01\x02\x03"))

    assert "3 labels" in refused(path, "DATA-PARSE", 3).found


def test_an_idx_file_of_no_items_holds_nothing(tmp_path: Path) -> None:
    refused(written(tmp_path / "a.idx", idx(8, (0, 3, 4), b"")), "DATA-EMPTY", 3)


def test_an_npz_laid_down_by_hand_is_read(tmp_path: Path) -> None:
    path = npz(
        tmp_path / "a.npz",
        {
            "x": npy(header("|u1", (2, 3, 4)), PIXELS),
            "y": npy(header(">i2", (2,)), b"\x00\x05\x00\x06"),
        },
    )

    found = loaded(path)

    expected = np.frombuffer(PIXELS, np.uint8).reshape(2, 3, 4)
    assert np.array_equal(np.stack(found.values["image"]), expected)
    assert found.values["label"] == [5, 6]


def test_an_npz_of_numpy_is_read_with_its_text_and_order(tmp_path: Path) -> None:
    wide = np.asfortranarray(np.arange(6.0).reshape(3, 2))
    np.savez_compressed(tmp_path / "a.npz", text=np.array(["a", "b", "c"]), wide=wide)

    assert loaded(tmp_path / "a.npz").values["text"] == ["a", "b", "c"]
    assert np.array_equal(loaded(tmp_path / "a.npz", "target=wide").values["target"], wide)


def test_a_split_of_an_npz_is_a_part_of_its_names(tmp_path: Path) -> None:
    arrays: dict[str, Any] = {
        "x_train": np.zeros((3, 2, 2), np.uint8),
        "y_train": np.arange(3),
        "x_test": np.ones((2, 2, 2), np.uint8),
        "y_test": np.arange(2),
    }
    np.savez(tmp_path / "a.npz", **arrays)

    assert loaded(tmp_path / "a.npz", "split=test").values["label"] == [0, 1]
    assert "x_train (3, 2, 2)" in refused(tmp_path / "a.npz", "DATA-COLUMN", 3).found
    refused(tmp_path / "a.npz", "DATA-NOT-FOUND", 3, "split=dev")


def test_an_array_of_objects_is_a_pickle_and_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.array([{"a": 1}, None], dtype=object))

    refused(tmp_path / "a.npz", "PICKLE-REFUSED", 4)


@pytest.mark.parametrize("name", ["a.pkl", "a.pt", "a.pickle.gz", "a.joblib"])
def test_a_pickle_is_refused_by_its_name(tmp_path: Path, name: str) -> None:
    refused(written(tmp_path / name, b"\x80\x04N."), "PICKLE-REFUSED", 4)


@pytest.mark.parametrize(
    "member",
    [
        b"",
        b"\x80\x04N.",
        npy(header("|u1", (2, 3, 4)), PIXELS)[:40],
        npy(header("|u1", (2, 3, 4)), PIXELS[:-1]),
        npy(header("|u1", (2**40, 3, 4)), PIXELS),
        npy(header("|u1", (-1, 3, 4)), PIXELS),
        npy(header("|V0", (2**40,)), b""),
        npy(header("|u1", (-4, -6)), PIXELS),
        npy(header("|u1", (True,)), PIXELS[:1]),
        npy(header("|u1", (3, 0)), b""),
        npy(header("|u1", (0, 2**62, 2**62)), b""),
        npy(header("|u1", (2**70,)), PIXELS),
        npy(header("|u1", (0,) + (1,) * 70), b""),
        npy(header(("<f8", (3,)), (1,)), PIXELS),
        npy(header([("a", "<f8"), ("b", "<f8")], (1,)), PIXELS[:16]),
        npy(header("f8,f8", (1,)), PIXELS[:16]),
        npy(header("<U3", (2,)), b"\xff" * 24),
        npy(header("<U999999999", (1,)), PIXELS),
        npy(header("<M8[xx]", (3,)), PIXELS),
        npy("-" * 8000 + "1", PIXELS),
        npy("(" * 300, PIXELS),
        npy("{[]: 1}", PIXELS),
        npy("{'descr': (", PIXELS),
        npy("__import__('os').getcwd()", PIXELS),
        npy(header("|u1", (2, 3, 4)), PIXELS, b"\x09\x00"),
    ],
)
def test_an_npz_member_that_is_no_array_is_no_data(tmp_path: Path, member: bytes) -> None:
    refused(npz(tmp_path / "a.npz", {"x": member}), "DATA-PARSE", 3)


@pytest.mark.parametrize("unit", ["D", "ns"])
def test_times_of_an_npz_are_text_and_no_series(tmp_path: Path, unit: str) -> None:
    days = np.array(["2024-02-28", "2024-02-29", "NaT"], f"<M8[{unit}]")
    np.savez(tmp_path / "a.npz", date=days, load=np.array([1.0, 2.0, 3.0]))
    np.savez(tmp_path / "b.npz", load=np.stack([days, days], axis=1))

    found = loaded(tmp_path / "a.npz", "target=load").values["time"]

    assert [time[:10] for time in found] == ["2024-02-28", "2024-02-29", "NaT"]
    refused(tmp_path / "a.npz", "DATA-TYPE", 3, "target=date")
    refused(tmp_path / "b.npz", "DATA-TYPE", 3, "target=load")


@pytest.mark.parametrize("name", ["a.npz", "a.zip"])
def test_an_archive_of_nothing_holds_nothing(tmp_path: Path, name: str) -> None:
    refused(written(tmp_path / name, b""), "DATA-EMPTY", 3)
    zipfile.ZipFile(tmp_path / name, "w").close()
    refused(tmp_path / name, "DATA-EMPTY", 3)


def test_an_npz_bomb_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(20_000_000, np.uint8))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", buffer.getvalue())

    refused(path, "LIMIT-DECOMPRESS", 6)
