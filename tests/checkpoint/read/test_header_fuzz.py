"""Headers that a few mutations have spoiled: the safetensors library is the judge of ours."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, deserialize

from compressor.checkpoint.read.header import Header, parse_header
from compressor.checkpoint.read.limits import Limits
from compressor.errors import CompressorError

BEYOND_SAFETENSORS = {
    "CKPT-HEADER",
    "CKPT-DUPLICATE",
    "CKPT-METADATA",
    "CKPT-SHAPE",
    "CKPT-NAME",
    "LIMIT-RANK",
}
"""What only we refuse: A15, A16, A18, A20, A21, A23 and A24 of the catalogue."""


DTYPES = st.sampled_from(["F32", "BF16", "U8", "BOOL", "F4", "F6_E2M3", "F8_E8M0", "C64", "F33"])
NUMBERS = st.sampled_from(["0", "1", "2", "3", "4", "-0", "-1", "1.0", "1e0", "true", '"1"', "01"])
LARGE = st.sampled_from([str(2**31), str(2**62), str(2**63), str(2**64), "9" * 30, "null", "NaN"])
NAMES = st.sampled_from(
    ["a", "b", "w.0", "", "..", "\\n", "\\ud800", "\\u0061", "é", "__metadata__"]
)
SHAPES = st.lists(NUMBERS | LARGE, max_size=10).map(lambda items: f"[{','.join(items)}]")
METADATA = st.sampled_from(
    ["{}", "null", '{"a":"b"}', '{"a":"b","a":"c"}', '{"a":1}', '{"a":"\\ud800"}', '[["a","b"]]']
)
ENDS = st.sampled_from([b"", b" ", b"\n\t\r ", b"\0", b"{}", b"\x0c", b"\xff", "\u00a0".encode()])
SIZES = {"F32": 4, "BF16": 2, "U8": 1, "BOOL": 1, "C64": 8}


Fields: TypeAlias = list[tuple[str, str]]


@st.composite
def sound(draw: st.DrawFn) -> tuple[list[tuple[str, Fields]], int]:
    """The entries of a sound header, as pieces of JSON, and how many bytes of data they need."""
    entries: list[tuple[str, Fields]] = []
    place = 0
    for number in range(draw(st.integers(0, 8))):
        dtype = draw(st.sampled_from(sorted(SIZES)))
        shape = draw(st.lists(st.integers(0, 3), max_size=4))
        stop = place + SIZES[dtype] * math.prod(shape)
        offsets = f"[{place},{stop}]"
        pairs = [("dtype", f'"{dtype}"'), ("shape", str(shape)), ("data_offsets", offsets)]
        entries.append((f"t{number}", pairs))
        place = stop
    return entries, place


@st.composite
def changed(draw: st.DrawFn, name: str, fields: Fields, size: int) -> tuple[str, Fields]:
    """An entry with another name, another or one more or one less field, or another place."""
    kind = draw(st.sampled_from(["name", "value", "value", "more", "less", "place"]))
    if kind == "name":
        return draw(NAMES), fields
    if kind == "more":
        return name, [*fields, draw(st.sampled_from([("x", "1"), *fields]))]
    if kind == "less":
        return name, fields[1:]
    if kind == "place":
        start, stop = (draw(st.integers(0, size + 2)) for _ in range(2))
        shape, offsets = f"[{abs(stop - start)}]", f"[{start},{stop}]"
        return name, [("dtype", '"U8"'), ("shape", shape), ("data_offsets", offsets)]
    key = draw(st.sampled_from(["dtype", "shape", "data_offsets"]))
    value = draw(SHAPES | DTYPES.map('"{}"'.format) | NUMBERS)
    return name, [(one, value if one == key else old) for one, old in fields]


def as_object(fields: Fields) -> str:
    return "{" + ",".join(f'"{key}":{value}' for key, value in fields) + "}"


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A sound file of a few tensors in which a few things were changed, or none."""
    entries, size = draw(sound())
    for _ in range(draw(st.integers(0, 2)) if entries else 0):
        place = draw(st.integers(0, len(entries) - 1))
        entries[place] = draw(changed(*entries[place], size))
    parts = [f'"{name}":{as_object(fields)}' for name, fields in entries]
    if draw(st.booleans()):
        parts.insert(draw(st.integers(0, len(parts))), f'"__metadata__":{draw(METADATA)}')
    text, data = ("{" + ",".join(parts) + "}").encode(), bytes(size)
    if draw(st.integers(0, 4)) == 0:
        text = draw(ENDS) + text + draw(ENDS)
        data = bytes(max(0, size + draw(st.integers(-1, 1))))
    length = max(0, len(text) + draw(st.sampled_from([0] * 8 + [1, -1, 2**40])))
    return length.to_bytes(8, "little") + text + data


def read_by_the_library(content: bytes) -> dict[str, Any] | None:
    try:
        return dict(deserialize(content))
    except SafetensorError:
        return None


def read_by_us(content: bytes) -> Header | CompressorError:
    try:
        return parse_header(content, len(content), "x.safetensors", Limits())
    except CompressorError as error:
        return error


@settings(max_examples=1000, deadline=None)
@given(mutated())
def test_what_is_accepted_is_read_as_the_safetensors_library_reads_it(content: bytes) -> None:
    theirs = read_by_the_library(content)
    ours = read_by_us(content)

    if isinstance(ours, CompressorError):
        assert theirs is None or ours.id in BEYOND_SAFETENSORS, ours.lines()
        assert all(line.isprintable() for line in ours.lines())
        return
    assert theirs is not None
    assert {one.name: (one.dtype, list(one.shape)) for one in ours.tensors} == {
        name: (found["dtype"], found["shape"]) for name, found in theirs.items()
    }
    assert all(
        content[one.start : one.stop] == bytes(theirs[one.name]["data"]) for one in ours.tensors
    )


@settings(max_examples=500, deadline=None)
@given(mutated(), st.data())
def test_a_changed_byte_is_never_accepted_against_the_safetensors_library(
    content: bytes, data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(content) - 1))
    changed = content[:place] + bytes([data.draw(st.integers(0, 255))]) + content[place + 1 :]

    ours = read_by_us(changed)

    assert isinstance(ours, CompressorError) or read_by_the_library(changed) is not None
