"""Arrays as rows: NPZ archives and IDX files, whose sizes are proven before they are read."""

from __future__ import annotations

import ast
import math
import re
import struct
import sys
import zipfile
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from compressor.data.files import Stream, kind_of, member, members, not_found, reading, unparsable
from compressor.data.rows import Opened, Row
from compressor.errors import InputError, RefusedError, listing, printable

_IDX_TYPES: Final = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_IDX_NAME: Final = re.compile(r"idx\d?(-ubyte)?(\.gz)?$|\.idx(\.gz)?$", re.IGNORECASE)
_NPY_STARTS: Final = {b"\x93NUMPY\x01\x00": "<H", b"\x93NUMPY\x02\x00": "<I"}
"""The first bytes of an array by their version, and how the length of the header stands."""
_NPY_HEADER: Final = 512
"""Bytes of a header: NumPy's own has 118, and Python's parser fails at nothing so short."""
_PLAIN_TYPE: Final = re.compile(r"[<>|=]?([?biufcSUMmO]\d{0,9}|[Mm]8\[\d{0,9}[A-Za-z]{1,2}\])")
_MAX_ITEM: Final = 1 << 28
"""Bytes of one item of an IDX file."""


def is_idx(name: str) -> bool:
    """Whether a file's name says that it is IDX: `t10k-images-idx3-ubyte.gz`, `x.idx`."""
    return _IDX_NAME.search(name) is not None


def open_npz(path: Path, split: str | None) -> Opened:
    """One column for each array, by its first axis; `split=test` takes `x_test` as `x`."""
    with members(path) as (archive, infos):
        arrays = {
            info.filename.removesuffix(".npy"): _npy(archive, info)
            for info in infos
            if _of_split(info.filename.removesuffix(".npy"), split)
        }
    if not arrays and infos:
        known = listing(info.filename.removesuffix(".npy") for info in infos)
        found = f"arrays {known}, expected some whose names end in _{printable(split)}"
        raise not_found(path.name, found, "correct the split")
    if split is not None:
        arrays = {name.removesuffix(f"_{split}"): array for name, array in arrays.items()}
    lengths = {name: len(array) for name, array in arrays.items() if array.ndim}
    if len(set(lengths.values())) > 1 or len(lengths) < len(arrays):
        sizes = listing(f"{name} {array.shape}" for name, array in arrays.items())
        raise InputError(
            "DATA-COLUMN",
            "the arrays of the archive are not columns of one table",
            at=path.name,
            found=f"{sizes}; expected the same number of items in each",
            do="take those of one split with split=test, where their names end in _test",
        )
    total = next(iter(lengths.values()), 0)

    def rows() -> Generator[Row, None, None]:
        for place in range(total):
            yield Row(
                f"row {place + 1}",
                {name: _plain(array[place]) for name, array in arrays.items()},
            )

    return Opened(rows(), at=path.name, total=total)


def open_idx(path: Path, labels: str | None) -> Opened:
    """The items of an IDX file, with the labels of the file beside it or of the one named."""
    beside = _labels_of(path, labels)
    column = "label" if labels is None else labels
    with reading(path) as stream:
        total = _idx_header(stream, path.name)[1][0]

    def rows() -> Generator[Row, None, None]:
        with ExitStack() as stack:
            items = _idx_items(stack.enter_context(reading(path)), path.name, total)
            if beside is None:
                for place, item in enumerate(items, start=1):
                    yield Row(f"row {place}", {"image": item})
                return
            marks = _idx_items(stack.enter_context(reading(beside)), beside.name, total)
            for place, (item, mark) in enumerate(zip(items, marks, strict=True), start=1):
                yield Row(f"row {place}", {"image": item, column: _plain(mark)})

    return Opened(rows(), at=path.name, total=total)


def _npy(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[Any]:
    """One array; one that is not as long as its header says is not allocated."""
    with member(archive, info) as stream:
        data = stream.read(info.file_size)
    start, dtype, shape, order = _npy_header(data, info.filename)
    found = f"{len(data) - start} bytes, expected {printable(shape)} of {dtype}"
    if math.prod(shape) * dtype.itemsize != len(data) - start or dtype.itemsize == 0:
        raise unparsable(info.filename, found)
    flat: NDArray[Any] = np.frombuffer(data, dtype, offset=start)
    if dtype.kind == "U" and flat.view(f"{dtype.str[0]}u4").max(initial=0) > sys.maxunicode:
        raise unparsable(info.filename, "a number that is no character, expected text")
    if dtype.kind in "Mm":
        # As numbers, times would pass for a series: NumPy gives those in nanoseconds as int.
        flat = flat.astype(str)
    try:
        return flat.reshape(shape, order=order)
    except (ValueError, OverflowError) as error:
        raise unparsable(info.filename, f"{found}, which no array has") from error


def _npy_header(
    data: bytes, at: str
) -> tuple[int, np.dtype[Any], tuple[int, ...], Literal["C", "F"]]:
    """Where the values start, their type, the shape and the order.

    NumPy's own reader raises seven kinds of errors on a hostile header, and crashes on some.
    """
    length = _NPY_STARTS.get(data[:8], "")
    start = 8 + struct.calcsize(length)
    if not length or len(data) < start:
        raise unparsable(at, f"a start of 0x{data[:8].hex()}, expected a NumPy array")
    size = struct.unpack(length, data[8:start])[0]
    text = data[start : start + min(size, _NPY_HEADER + 1)].decode("latin-1")
    try:
        header = ast.literal_eval(text.strip()) if len(text) == size <= _NPY_HEADER else None
    except (ValueError, TypeError, SyntaxError) as error:
        raise unparsable(at, f"{printable(error)}, expected a header of NumPy") from error
    match header:
        case {"descr": str(name), "fortran_order": bool(is_fortran), "shape": tuple(shape)}:
            dtype = _dtype(name, at)
        case _:
            raise unparsable(at, f"the header `{printable(text)}`, expected one plain array")
    if any(type(each) is not int or each < 0 for each in shape) or 0 in shape[1:]:
        raise unparsable(at, f"the shape {printable(shape)}, expected items that hold values")
    return start + size, dtype, shape, "F" if is_fortran else "C"


def _dtype(name: str, at: str) -> np.dtype[Any]:
    """The type of a name such as `<f8`: of numbers, text or times, and of nothing inside."""
    try:
        dtype = np.dtype(name) if _PLAIN_TYPE.fullmatch(name) else None
    except (TypeError, ValueError) as error:
        raise unparsable(at, f"{printable(error)}, expected a type of NumPy") from error
    if dtype is None:
        raise unparsable(at, f"the type `{printable(name)}`, expected numbers or text")
    if dtype.hasobject:
        raise RefusedError(
            "PICKLE-REFUSED",
            "the array holds Python objects, which only unpickling could read",
            at=at,
            found=f"dtype {dtype}, expected numbers or text of fixed width",
            do="save the array with a plain dtype",
        )
    return dtype


def _of_split(name: str, split: str | None) -> bool:
    return split is None or name.endswith(f"_{split}")


def _plain(value: Any) -> Any:
    """A number or text of an array as Python's own."""
    return value.item() if isinstance(value, np.generic) else value


def _labels_of(path: Path, named: str | None) -> Path | None:
    """The labels file that is named, as it is or as a neighbour, or the one that lies beside."""
    if named is not None:
        tried = [path.parent / named, Path(named).expanduser()]
        found = [each for each in tried if kind_of(each) == "file"]
        if not found:
            raise not_found(named, f"no such file beside {path.name}, expected the labels")
        return found[0]
    stem = path.name.removesuffix(".gz").replace("images", "labels").replace("idx3", "idx1")
    beside = [path.with_name(stem + suffix) for suffix in (".gz", "")]
    found = [each for each in beside if each.name != path.name and kind_of(each) == "file"]
    return found[0] if found and stem != path.name.removesuffix(".gz") else None


def _idx_header(stream: Stream, at: str) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """The type of the items, and the shape: how many, then that of one."""
    start = _exactly(stream, 4, at)
    if start[:2] != b"\0\0" or start[2] not in _IDX_TYPES or not 1 <= start[3] <= 4:
        found = f"a start of 0x{start.hex()}, expected 0x0000, a type and 1 to 4 dimensions"
        raise unparsable(at, found)
    shape = struct.unpack(f">{start[3]}I", _exactly(stream, 4 * start[3], at))
    dtype = np.dtype(_IDX_TYPES[start[2]])
    if math.prod(shape[1:]) * dtype.itemsize > _MAX_ITEM:
        raise unparsable(at, f"items of shape {shape[1:]}, expected at most {_MAX_ITEM} bytes")
    return dtype, shape


def _idx_items(stream: Stream, at: str, total: int) -> Iterator[Any]:
    """The items one by one; their number and the file's length are what they are said to be."""
    dtype, shape = _idx_header(stream, at)
    if shape[0] != total:
        raise unparsable(at, f"{shape[0]} labels, expected one for each of {total} items")
    size = math.prod(shape[1:]) * dtype.itemsize
    for _ in range(total):
        flat = np.frombuffer(_exactly(stream, size, at), dtype)
        yield flat.reshape(shape[1:]).astype(dtype.newbyteorder("=")) if shape[1:] else flat[0]
    if stream.read(1):
        raise unparsable(at, f"bytes after the last of {total} items, expected the end")


def _exactly(stream: Stream, size: int, at: str) -> bytes:
    data = bytearray()
    while len(data) < size and (more := stream.read(size - len(data))):
        data += more
    if len(data) < size:
        raise unparsable(at, f"the file ends {size - len(data)} bytes too early")
    return bytes(data)
