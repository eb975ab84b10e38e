"""Folders of images as rows, and an image in whatever way it is stored as an array of bytes."""

from __future__ import annotations

import io
import warnings
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from compressor.data.files import open_regular, unparsable
from compressor.data.rows import Opened, Row, left_out
from compressor.errors import InputError, RefusedError, ResourceError, printable

SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
_FORMATS: Final = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")
_SHAPES: Final = ((2,), (3, 1), (3, 3))
"""Dimensions, and channels where they are three."""
_BROKEN: Final = (OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError)
"""What Pillow's decoders raise on damaged bytes."""


def open_folder(folder: Path, files: Sequence[Path]) -> Opened:
    """The images of `folder/class/…` with their class as `label`; without one, directly in it."""
    found = [path for path in files if path.suffix.lower() in SUFFIXES]

    def rows() -> Generator[Row, None, None]:
        for path in found:
            parts = path.relative_to(folder).parts
            label = {"label": parts[0]} if len(parts) > 1 else {}
            yield Row("/".join(parts), {"image": path, **label})

    notes = left_out(len(files) - len(found), SUFFIXES)
    return Opened(rows(), at=folder.name, total=len(found), notes=notes)


def decode(cell: object, at: str, folder: Path | None) -> NDArray[np.uint8]:
    """`(height, width)` of a grey image, `(height, width, 3)` of any other, 8 bits a channel."""
    from PIL import Image

    if isinstance(cell, Image.Image):
        return _pixels(cell, at)
    if isinstance(cell, np.ndarray):
        return _checked(cell, at)
    if isinstance(cell, Mapping):
        cell = cell.get("bytes") or cell.get("path")
    if isinstance(cell, str):
        cell = _inside(cell, at, folder)
    if isinstance(cell, Path):
        with open_regular(cell) as file:
            return _read(file, at)
    if isinstance(cell, bytes):
        return _read(io.BytesIO(cell), at)
    if isinstance(cell, list):
        return _checked(_nested(cell, at), at)
    raise _no_image(at, f"{type(cell).__name__}")


def _read(stream: Any, at: str) -> NDArray[np.uint8]:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(fp=stream, formats=_FORMATS) as image:
                return _pixels(image, at)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ResourceError(
            "LIMIT-DECOMPRESS",
            "the image grows beyond any use when it is decompressed",
            at=at,
            found=printable(error, 200),
            do="make the image smaller, or leave it out",
        ) from error
    except _BROKEN as error:
        raise _unreadable(at, error) from error


def _pixels(image: Any, at: str) -> NDArray[np.uint8]:
    """Of an image of several frames, the first."""
    if image.mode.startswith(("I", "F")):
        raise _no_image(at, f"more than 8 bits in a channel (mode {image.mode})")
    is_grey = image.mode in ("1", "L", "LA")
    return np.asarray(image.convert("L" if is_grey else "RGB"), dtype=np.uint8)


def _checked(array: NDArray[Any], at: str) -> NDArray[np.uint8]:
    shape = (array.ndim,) if array.ndim == 2 else (array.ndim, array.shape[-1])[: array.ndim]
    if array.dtype != np.uint8 or shape not in _SHAPES or not array.size:
        raise _no_image(at, f"an array {array.shape} of {array.dtype}")
    return np.ascontiguousarray(array[:, :, 0] if shape == (3, 1) else array)


def _nested(cell: list[Any], at: str) -> NDArray[Any]:
    try:
        found = np.asarray(cell)
        is_bytes = found.dtype.kind in "iu" and found.min(initial=0) >= 0
    except ValueError as error:
        raise _no_image(at, "lists of unlike lengths") from error
    if not is_bytes or found.max(initial=0) > 255:
        raise _no_image(at, f"lists of {found.dtype}")
    return found.astype(np.uint8)


def _inside(name: str, at: str, folder: Path | None) -> Path:
    """The file that a row names, which has to lie in the folder of the table."""
    if folder is None:
        raise _no_image(at, f"the path `{printable(name)}`")
    try:
        path = (folder / name).resolve()
        is_inside = path.is_relative_to(folder.resolve())
    except (OSError, ValueError) as error:
        raise _unreadable(at, error) from error
    if not is_inside:
        raise RefusedError(
            "PATH-ESCAPE",
            "an image would be read from outside the folder of the data",
            at=at,
            found=f"`{printable(name)}`, expected a file in the same folder",
            do="copy the image into the folder if you trust it, then run again",
        )
    return path


def _unreadable(at: str, error: Exception) -> InputError:
    return unparsable(at, f"{printable(error, 200)}; expected an image that Pillow reads")


def _no_image(at: str, found: str) -> InputError:
    return InputError(
        "DATA-TYPE",
        "a value of the image column is no image",
        at=at,
        found=f"{found}, expected 8-bit grey (h, w) or colour (h, w, 3), or an image file",
        do="convert the images, or name another column, for example image=img",
    )
