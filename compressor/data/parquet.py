"""Parquet as rows: what a few bytes of a file stand for is counted before it is laid out."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

from compressor.data.files import open_regular, require_ratio, unparsable
from compressor.data.rows import Opened, Row
from compressor.errors import InputError, printable

_BATCH: Final = 1024
"""Rows that are read at once, as long as they fit into `_BATCH_BYTES`."""
_BATCH_BYTES: Final = 1 << 26


def open_parquet(path: Path) -> Opened:
    """The rows of a Parquet file, a batch at a time."""
    import pyarrow  # type: ignore[import-untyped]  # it ships no types
    from pyarrow.parquet import ParquetFile  # type: ignore[import-untyped]

    broken = (pyarrow.ArrowException, OSError)
    with open_regular(path) as file:
        size = file.seek(0, 2)
    # A file of no bytes is empty as one of no rows is; pyarrow would call it damaged.
    if not size:
        return Opened(_none(), at=path.name)
    try:
        with ParquetFile(path) as parquet:
            total = parquet.metadata.num_rows
            require_ratio(size, _stated(parquet.metadata), path.name)
            count = max(1, min(_BATCH, _BATCH_BYTES // _row_bytes(parquet.metadata)))
            columns = [parquet.schema.column(place) for place in range(len(parquet.schema))]
            texts = [each.path for each in columns if _is_text(each) and not _is_inside(each)]
    except broken as error:
        raise unparsable(path.name, printable(error, 200)) from error

    def rows() -> Generator[Row, None, None]:
        number = unpacked = 0
        # A text that many rows share is held once until its copies are counted.
        with ParquetFile(path, read_dictionary=texts) as parquet:
            try:
                for batch in parquet.iter_batches(count):
                    unpacked += sum(map(_laid_out, batch.columns))
                    require_ratio(size, unpacked, path.name)
                    names = batch.schema.names
                    values = [
                        _cells(column, f"{path.name}, column `{printable(name)}`", number)
                        for name, column in zip(names, batch.columns, strict=True)
                    ]
                    for cells in zip(*values, strict=True):
                        number += 1
                        yield Row(f"row {number}", dict(zip(names, cells, strict=True)))
            except broken as error:
                place = f"{path.name}, after row {number}"
                raise unparsable(place, printable(error, 200)) from error

    return Opened(rows(), at=path.name, total=total, folder=path.parent)


def _none() -> Generator[Row, None, None]:
    yield from ()


def _is_text(column: Any) -> bool:
    """Whether a column holds text or bytes, each as long as it likes."""
    return bool(column.physical_type == "BYTE_ARRAY")


def _is_inside(column: Any) -> bool:
    """Whether a column is a part of lists or structs, which pyarrow reads with no dictionary."""
    return bool(column.path != column.name)


def _row_bytes(metadata: Any) -> int:
    """Bytes that one row may become, 1 at least, where the reader lays its values out."""
    groups = [metadata.row_group(place) for place in range(metadata.num_row_groups)]
    found = 1
    for place in range(metadata.num_columns):
        column = metadata.schema.column(place)
        if column.physical_type == "FIXED_LEN_BYTE_ARRAY":
            found += column.length
        elif _is_text(column) and _is_inside(column):
            chunks = [group.column(place) for group in groups]
            # Without a dictionary the pages hold every value, and they are counted already.
            shared = [each.total_uncompressed_size for each in chunks if each.has_dictionary_page]
            found += max(shared, default=0)
    return found


def _stated(metadata: Any) -> int:
    """Bytes that the file says it grows to: its pages, and 4 for a value of the longest column."""
    groups = [metadata.row_group(place) for place in range(metadata.num_row_groups)]
    values = [
        sum(group.column(place).num_values for group in groups)
        for place in range(metadata.num_columns)
    ]
    pages = sum(group.total_byte_size for group in groups)
    return int(max(pages, 4 * max(values, default=0), 4 * metadata.num_rows))


def _laid_out(array: Any) -> int:
    """Bytes of the values of an array, a text that is held once counted in each of its rows."""
    import pyarrow
    from pyarrow import compute, types

    if isinstance(array, pyarrow.ExtensionArray):
        return _laid_out(array.storage)
    if isinstance(array, pyarrow.DictionaryArray):
        lengths = compute.binary_length(array.dictionary)
        return int(compute.sum(lengths.take(array.indices)).as_py() or 0)
    if types.is_struct(array.type):
        return sum(map(_laid_out, array.flatten()))
    if types.is_map(array.type):
        return _laid_out(array.keys) + _laid_out(array.items)
    if types.is_nested(array.type):
        return _laid_out(array.flatten())
    return int(array.nbytes)


def _cells(column: Any, at: str, before: int) -> list[Any]:
    """The values as Python's own; where one is none, its row is named."""
    import pyarrow

    # A time zone that is unknown is a `KeyError`.
    unlike = (OverflowError, ValueError, KeyError)
    if isinstance(column, pyarrow.DictionaryArray):
        # Its copies are counted by now, and a plain array is converted faster.
        column = column.dictionary_decode()
    try:
        return list(column.to_pylist())
    except unlike:
        cells: list[Any] = []
        for row, cell in enumerate(column, start=before + 1):
            try:
                cells.append(cell.as_py())
            except UnicodeDecodeError as error:
                raise InputError(
                    "DATA-ENCODING",
                    "a cell is not text, though its column says so",
                    at=f"{at}, row {row}",
                    found=f"byte 0x{error.object[error.start]:02x}, expected UTF-8",
                    do="save the column as UTF-8, or as bytes",
                ) from error
            except unlike as error:
                found = f"{printable(error, 200)}; expected a value that Python can hold"
                raise unparsable(f"{at}, row {row}", found) from error
        return cells
