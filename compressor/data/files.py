"""Bytes and lines of a data file, within limits: regular files only, no bomb, no endless line."""

from __future__ import annotations

import codecs
import gzip
import io
import os
import stat
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, Final, Literal, TypeAlias, final

from compressor.errors import InputError, RefusedError, ResourceError, printable

MAX_LINE: Final = 64_000_000
"""Characters of one line."""
MAX_RATIO: Final = 200
"""Bytes that one compressed byte may become; the first `_FREE` bytes are not judged."""
_FREE: Final = 4_000_000
_CHUNK: Final = 1 << 20
_STEP: Final = 1 << 13
_NO_FILES: Final = b"PK\x05\x06" + bytes(18)
_DAMAGED: Final = (EOFError, zlib.error, zipfile.BadZipFile, gzip.BadGzipFile, NotImplementedError)


def kind_of(path: Path) -> Literal["file", "folder"] | None:
    """What lies there; None: nothing. Pipes, sockets and devices are refused."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return None
    if stat.S_ISDIR(mode):
        return "folder"
    if stat.S_ISREG(mode):
        return "file"
    raise RefusedError(
        "NOT-REGULAR",
        "the data are neither a file nor a folder",
        at=path,
        found="a pipe, socket or device, expected a regular file",
        do="copy the data into a file, then name that",
    )


def open_regular(path: Path) -> BinaryIO:
    """The file, open for reading; never waits for the other end of a pipe."""
    kind = kind_of(path)
    try:
        if kind != "folder":
            return os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
        reason = "a folder"
    except (OSError, ValueError) as error:
        reason = str(error.strerror) if isinstance(error, OSError) else "no possible name"
    raise not_found(path, f"{reason}, expected a file that can be read")


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The file, open for reading; what fails while it is read is said as what fails at opening."""
    with open_regular(path) as raw:
        try:
            yield raw
        except OSError as error:
            found = f"{error.strerror or printable(error)}, expected a file that can be read"
            raise not_found(path, found) from error


def not_found(at: object, found: str, do: str = "correct the path") -> InputError:
    """The error for data that are not where they are said to be."""
    return InputError("DATA-NOT-FOUND", "there are no such data", at=at, found=found, do=do)


def unparsable(
    at: object, found: str, do: str = "correct the file, or fetch it again"
) -> InputError:
    """The error for a file, or a row of it, that is not of its format."""
    return InputError("DATA-PARSE", "the data cannot be parsed", at=at, found=found, do=do)


def require_ratio(packed: int, unpacked: int, at: object) -> None:
    """Refuse what grows like a decompression bomb."""
    if unpacked > max(_FREE, MAX_RATIO * packed):
        raise ResourceError(
            "LIMIT-DECOMPRESS",
            "the data grow beyond any use when they are decompressed",
            at=at,
            found=f"{packed} bytes became {unpacked} or more, expected at most {MAX_RATIO} times",
            do="decompress the file yourself if you trust it",
        )


@final
class Unpacked:
    """A stream of decompressed bytes whose damage and growth are errors of ours."""

    def __init__(
        self, stream: IO[bytes] | gzip.GzipFile, at: str, packed: Callable[[], int]
    ) -> None:
        self._stream = stream
        self._at = at
        self._packed = packed
        self._unpacked = 0

    def read(self, size: int) -> bytes:
        """At most `size` more bytes; none at the end."""
        try:
            data = self._stream.read(size)
        except _DAMAGED as error:
            raise unparsable(self._at, f"damaged compression: {printable(error)}") from error
        self._unpacked += len(data)
        require_ratio(self._packed(), self._unpacked, self._at)
        return data


@final
class _Stepwise:
    """A file that gives little at once, so that what was read is hardly more than was unpacked.

    Python 3.12 asks for 128 KiB: a bomb could grow to 26 MB, 10 s of blank lines, on these alone.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.seek = stream.seek

    def read(self, size: int) -> bytes:
        """At most `size` more bytes, and at most `_STEP`."""
        return self._stream.read(min(size, _STEP))


Stream: TypeAlias = BinaryIO | Unpacked


@contextmanager
def reading(path: Path) -> Iterator[Stream]:
    """The bytes of a file; of what is inside it where its name ends in `.gz`."""
    with _opened(path) as raw:
        if path.suffix.lower() != ".gz":
            yield raw
            return
        with gzip.GzipFile(fileobj=_Stepwise(raw)) as inner:
            yield Unpacked(inner, path.name, raw.tell)


@contextmanager
def members(path: Path) -> Iterator[tuple[zipfile.ZipFile, list[zipfile.ZipInfo]]]:
    """The files in a zip, sorted by name; the sizes that it states are within the limits."""
    with _opened(path) as raw:
        size = os.fstat(raw.fileno()).st_size
        try:
            # A file of no bytes is empty as an archive of no files is.
            archive = zipfile.ZipFile(raw if size else io.BytesIO(_NO_FILES))
        except (*_DAMAGED, OSError, ValueError) as error:
            raise unparsable(path.name, f"{printable(error)}, expected a zip archive") from error
        with archive:
            infos = sorted(archive.infolist(), key=lambda info: info.filename)
            for info in infos:
                require_ratio(info.compress_size, info.file_size, f"{path.name}/{info.filename}")
            require_ratio(size, sum(info.file_size for info in infos), path.name)
            yield archive, [info for info in infos if not info.is_dir()]


@contextmanager
def member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[Unpacked]:
    """The bytes of one file in a zip."""
    try:
        stream = archive.open(name=info)
    except (*_DAMAGED, RuntimeError) as error:
        raise unparsable(info.filename, f"{printable(error)}, expected a readable file") from error
    with stream:
        yield Unpacked(stream, info.filename, lambda: info.compress_size)


def lines(stream: Stream, at: str, encoding: str | None) -> Generator[str, None, None]:
    """The lines of a text without their ends, which are LF, CR LF or CR and nothing else.

    UTF-8 unless named otherwise; its mark at the start is left out. U+2028 stays in its line.
    """
    parts: list[str] = []
    held = number = 0
    for text in _decoded(stream, at, encoding):
        *whole, rest = text.split("\n")
        for line in whole:
            number += 1
            _require_short(held + len(line), at, number)
            yield "".join((*parts, line))
            parts, held = [], 0
        parts.append(rest)
        held += len(rest)
        _require_short(held, at, number + 1)
    if held:
        yield "".join(parts)


def _decoded(stream: Stream, at: str, encoding: str | None) -> Iterator[str]:
    """Text in pieces, with every end of a line as LF."""
    name = codecs.lookup(encoding or "utf-8").name
    inner = codecs.getincrementaldecoder("utf-8-sig" if name == "utf-8" else name)()
    decoder = io.IncrementalNewlineDecoder(inner, translate=True)
    number = 1
    is_last = False
    while not is_last:
        data = stream.read(_CHUNK)
        is_last = not data
        try:
            text = _piece(decoder, data, is_last, at, number, name)
        except UnicodeError as error:
            # UTF-16 and UTF-32 without their mark; the names of each order need none.
            found = f"{printable(error)}, expected {name}"
            raise _not_text(at, number, found, f"{name}-le") from error
        if (place := text.find("\0")) >= 0:
            number += text.count("\n", 0, place)
            raise _not_text(at, number, "a NUL byte, expected text", "utf-16")
        number += text.count("\n")
        yield text


def _piece(
    decoder: io.IncrementalNewlineDecoder,
    data: bytes,
    is_last: bool,
    at: str,
    number: int,
    name: str,
) -> str:
    """The text of some bytes, whose first line has this number."""
    try:
        return decoder.decode(data, final=is_last)
    except UnicodeDecodeError as error:
        good = error.start - (len(error.object) - len(data))
        number += decoder.decode(data[: max(0, good)]).count("\n")
        raise _not_text(
            at,
            number,
            f"byte 0x{error.object[error.start]:02x}, expected {name}",
            "utf-16" if error.object[:2] in _UTF16 else "latin-1",
        ) from error


_UTF16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def _not_text(at: str, number: int, found: str, likely: str) -> InputError:
    return InputError(
        "DATA-ENCODING",
        "the file is not text in the encoding that it is read in",
        at=f"{at}, line {number}",
        found=found,
        do=f"name its encoding, for example encoding={likely}, or save it as UTF-8",
    )


def _require_short(length: int, at: str, number: int) -> None:
    if length > MAX_LINE:
        raise ResourceError(
            "LIMIT-LINE",
            "one line is longer than any item can be",
            at=f"{at}, line {number}",
            found=f"{length} characters or more, expected at most {MAX_LINE}",
            do="split the line into several",
        )
