"""The safetensors header, parsed strictly: what it may say, and what it says about each tensor.

Beyond the safetensors library we refuse: a header that does not start with `{` or that says a
thing twice, fields that the format does not define, an entry or `__metadata__` that is not an
object, empty tensors of impossible size, bytes that no BOOL has, names that are no names
(`check_name`), and whatever exceeds the `Limits`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, BinaryIO, Final, NoReturn, final

from compressor.checkpoint.read.limits import Limits
from compressor.checkpoint.read.sniff import HEAD_BYTES, not_safetensors
from compressor.checkpoint.read.strict_json import (
    DuplicateKey,
    MalformedJson,
    parse_object,
    skeleton,
)
from compressor.errors import InputError, ResourceError, printable

DTYPE_BITS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "F4": 4,
        "F6_E2M3": 6,
        "F6_E3M2": 6,
        "BOOL": 8,
        "U8": 8,
        "I8": 8,
        "F8_E5M2": 8,
        "F8_E4M3": 8,
        "F8_E5M2FNUZ": 8,
        "F8_E4M3FNUZ": 8,
        "F8_E8M0": 8,
        "I16": 16,
        "U16": 16,
        "F16": 16,
        "BF16": 16,
        "I32": 32,
        "U32": 32,
        "F32": 32,
        "F64": 64,
        "I64": 64,
        "U64": 64,
        "C64": 64,
    }
)

FORMAT_HEADER_BYTES: Final = 100_000_000
"""The format's own limit: a longer header is not safetensors."""

PREFIX_BYTES: Final = 8
_FIELDS: Final = {"dtype", "shape", "data_offsets"}
_MAX_BITS: Final = 1 << 63
_FETCH: Final = "fetch the file again"
_REPAIR: Final = "ask its provider for a file that the safetensors library wrote"


@final
@dataclass(frozen=True)
class TensorInfo:
    """One stored tensor: its name, dtype, shape, and bytes `[start, stop)` of its file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int

    @property
    def count(self) -> int:
        """How many elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """How many bytes on disk."""
        return self.stop - self.start


@final
@dataclass(frozen=True)
class Header:
    """A parsed header: `raw` is the length prefix and the JSON, as they stand in the file."""

    raw: bytes
    metadata: Mapping[str, str]
    tensors: tuple[TensorInfo, ...]
    """In the order of their bytes in the file."""


def read_header(file: BinaryIO | int, size: int, name: str, limits: Limits) -> Header:
    """The header of an open file of `size` bytes; `name` is what messages call it."""
    head = _read(file, HEAD_BYTES)
    return parse_header(_read(file, header_length(head, size, name, limits)), size, name, limits)


def header_length(head: bytes, file_size: int, name: str, limits: Limits) -> int:
    """From the first bytes of a file: how many `parse_header` needs, its length prefix included.

    Eight bytes are enough; with `HEAD_BYTES` of them, another format is called by its name.
    """
    if file_size == 0:
        _fail("CKPT-EMPTY", "a weight file is empty", name, "0 bytes, expected a header", _FETCH)
    if file_size < PREFIX_BYTES:
        found = f"{file_size} bytes, expected at least {PREFIX_BYTES}"
        _fail("CKPT-TRUNCATED", "a weight file ends inside its header", name, found, _FETCH)
    length = int.from_bytes(head[:PREFIX_BYTES], "little")
    most = min(file_size - PREFIX_BYTES, FORMAT_HEADER_BYTES)
    if not 0 < length <= most:
        found = f"a header of {length} bytes in a file of {file_size}, expected 1 to {most}"
        if (other := not_safetensors(head, name)) is not None:
            raise other
        _fail("CKPT-HEADER", "the header's length is impossible", name, found, _FETCH)
    if length > limits.header:
        _exceed("LIMIT-HEADER", "a header is too long", name, f"{length} bytes", limits.header)
    return PREFIX_BYTES + length


def parse_header(raw: bytes, file_size: int, name: str, limits: Limits) -> Header:
    """A header from the first bytes of a file; bytes that follow it are not looked at."""
    length = header_length(raw[:HEAD_BYTES], file_size, name, limits)
    if len(raw) < length:
        found = f"{len(raw)} bytes of a header of {length}"
        _fail("CKPT-TRUNCATED", "a weight file ends inside its header", name, found, _FETCH)
    text = raw[PREFIX_BYTES:length]
    if text[:1] != b"{":
        found = f"byte {text[:1]!r}, expected `{{`"
        _fail("CKPT-HEADER", "the header does not start with a brace", name, found, _REPAIR)
    entries = _parse_text(text, name, limits)
    metadata = _metadata(entries.pop("__metadata__", {}), name)
    if len(entries) > limits.tensors:
        found = f"{len(entries)} tensors"
        _exceed("LIMIT-TENSORS", "a header lists too many tensors", name, found, limits.tensors)
    tensors = [_tensor(key, entry, length, name, limits) for key, entry in entries.items()]
    tensors.sort(key=lambda tensor: (tensor.start, tensor.stop, tensor.name))
    _require_contiguous(tensors, length, file_size, name)
    return Header(raw[:length], MappingProxyType(metadata), tuple(tensors))


def check_name(tensor: str, shard: str, limits: Limits) -> None:
    """Refuse a tensor name that is not one.

    Refused: the empty name; more than `limits.name` bytes; control, format (bidi), unassigned and
    surrogate characters, line ends and spaces other than the plain one; a leading slash or
    backslash; a part that is `..`; the `[/` that closes rich markup. Dots, plain spaces, inner
    slashes, `[0]` and letters of any language are harmless.
    """
    if (
        not tensor
        or tensor[0] in "/\\"
        or "[/" in tensor
        or (".." in tensor and ".." in tensor.replace("\\", "/").split("/"))
        or not tensor.isprintable()
        or len(tensor.encode("utf-8", "surrogatepass")) > limits.name
    ):
        found = f"`{printable(tensor)}`, expected 1 to {limits.name} bytes of plain text"
        _fail("CKPT-NAME", "a tensor has a name that is not safe to use", shard, found, _REPAIR)


def check_bool(block: bytes | bytearray | memoryview, tensor: str) -> None:
    """Refuse bytes of a BOOL tensor other than 0 and 1, which readers understand differently."""
    if strange := bytes(block).translate(None, b"\0\1"):
        found = f"{len(strange)} other bytes, the first {strange[0]}; expected 0 or 1"
        _fail("CKPT-VALUE", "a boolean tensor holds other values", tensor, found, _REPAIR)


def _read(file: BinaryIO | int, count: int) -> bytes:
    if isinstance(file, int):
        return os.pread(file, count, 0)
    file.seek(0)
    return file.read(count)


def _parse_text(text: bytes, name: str, limits: Limits) -> dict[str, Any]:
    structure = skeleton(text)
    # Every tensor is an object, and so are the whole header and its metadata.
    if (objects := structure.count(b"{") - 2) > limits.tensors:
        found = f"at least {objects} tensors"
        _exceed("LIMIT-TENSORS", "a header lists too many tensors", name, found, limits.tensors)
    # Without its numbers, a shape of nine dimensions is a bracket and eight commas.
    if b"[" + b"," * limits.rank in structure:
        found = "a shape with more"
        _exceed("LIMIT-RANK", "a tensor has too many dimensions", name, found, limits.rank)
    try:
        return parse_object(text, limits.depth, is_strict=True)
    except DuplicateKey as error:
        found = f"`{printable(error.key)}` twice, expected unique names"
        _fail("CKPT-DUPLICATE", "a header says the same thing twice", name, found, _REPAIR)
    except MalformedJson as error:
        found = f"{error}, expected a JSON object"
        _fail("CKPT-HEADER", "a header is not valid JSON", name, found, _REPAIR)


def _metadata(value: object, name: str) -> dict[str, str]:
    if not isinstance(value, dict) or not all(
        isinstance(text, str) and _is_encodable(key) and _is_encodable(text)
        for key, text in value.items()
    ):
        found = f"`{printable(value)}`, expected texts only"
        message = "the header's __metadata__ is not a map from text to text"
        _fail("CKPT-METADATA", message, name, found, _REPAIR)
    return value


def _is_encodable(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _tensor(key: str, entry: Any, data: int, name: str, limits: Limits) -> TensorInfo:
    def fail(id: str, message: str, found: str) -> NoReturn:
        _fail(id, message, f"{name}: {printable(key)}", found, _REPAIR)

    check_name(key, name, limits)
    if not isinstance(entry, dict) or entry.keys() != _FIELDS:
        found = f"`{printable(entry)}`, expected dtype, shape and data_offsets"
        fail("CKPT-HEADER", "a tensor's entry has other fields than the format", found)
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPE_BITS:
        found = f"`{printable(dtype)}`, expected one of {', '.join(DTYPE_BITS)}"
        fail("CKPT-DTYPE", "a tensor has an unknown dtype", found)
    if not _are_counts(offsets) or len(offsets) != 2 or not offsets[0] <= offsets[1] < _MAX_BITS:
        found = f"`{printable(offsets)}`, expected a start and a later end, in bytes"
        fail("CKPT-OFFSET", "a tensor's place in the file is not a range", found)
    if not _are_counts(shape):
        found = f"`{printable(shape)}`, expected whole numbers"
        fail("CKPT-SHAPE", "a tensor's shape is not a list of sizes", found)
    bits = math.prod(size for size in shape if size) * DTYPE_BITS[dtype]
    if bits >= _MAX_BITS:
        found = f"shape {printable(shape)} of {dtype}, expected less than 2^63 bits"
        if 0 in shape:
            fail("CKPT-SHAPE", "an empty tensor has an impossible size", found)
        fail("CKPT-OVERFLOW", "a tensor's size overflows", found)
    start, stop = offsets
    if (0 if 0 in shape else bits) != (stop - start) * 8:
        found = f"shape {printable(shape)} of {dtype} over {stop - start} bytes"
        fail("CKPT-SHAPE", "a tensor's shape and its bytes disagree", found)
    return TensorInfo(key, dtype, tuple(shape), data + start, data + stop)


def _are_counts(value: object) -> bool:
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def _require_contiguous(tensors: list[TensorInfo], data: int, size: int, name: str) -> None:
    end, last = data, "the header"
    for tensor in tensors:
        if tensor.start != end:
            pair = f"`{printable(last)}` and `{printable(tensor.name)}`"
            if tensor.start < end:
                found = f"{pair} share {end - tensor.start} bytes, expected none"
                _fail("CKPT-OVERLAP", "two tensors share bytes of the file", name, found, _REPAIR)
            found = f"{tensor.start - end} bytes between {pair}, expected none"
            _fail("CKPT-HOLE", "bytes of the file belong to no tensor", name, found, _REPAIR)
        end, last = tensor.stop, tensor.name
    if size < end:
        found = f"{size} bytes, the header needs {end}"
        _fail(
            "CKPT-TRUNCATED", "a weight file is shorter than its header says", name, found, _FETCH
        )
    if size > end:
        found = f"{size} bytes, the header accounts for {end}"
        _fail("CKPT-TRAILING", "a weight file is longer than its header says", name, found, _FETCH)


def _fail(id: str, message: str, at: str, found: str, do: str) -> NoReturn:
    raise InputError(id, message, at=at, found=found, do=do)


def _exceed(id: str, message: str, at: str, found: str, limit: int) -> NoReturn:
    do = "make sure that the file is what it claims to be, then raise the limit"
    raise ResourceError(id, message, at=at, found=f"{found}, the limit is {limit}", do=do)
