"""The strict header: where each tensor lies, what a name may be, and every limit."""

from __future__ import annotations

import tracemalloc
from io import BytesIO
from pathlib import Path

import pytest
from badinputs import entry, frame, llama, save
from safetensors import safe_open

from compressor.checkpoint.read.header import (
    Header,
    check_bool,
    check_name,
    header_length,
    parse_header,
    read_header,
)
from compressor.checkpoint.read.limits import Limits
from compressor.errors import InputError, ResourceError

LIMITS = Limits()
RAISED = Limits(header=100_000_000)


def parse(content: bytes, limits: Limits = LIMITS) -> Header:
    return parse_header(content, len(content), "x.safetensors", limits)


def test_every_tensor_is_where_the_safetensors_library_finds_it(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save(path, llama())
    content = path.read_bytes()

    with path.open("rb") as file:
        header = read_header(file, len(content), path.name, LIMITS)

    with safe_open(path, "numpy") as reader:
        assert {tensor.name for tensor in header.tensors} == set(reader.keys())
        assert header.metadata == reader.metadata()
        for tensor in header.tensors:
            array = reader.get_tensor(tensor.name)
            assert tensor.shape == array.shape
            assert tensor.count == array.size
            assert content[tensor.start : tensor.stop] == array.tobytes()
    assert header.raw == content[: header.tensors[0].start]


def test_a_descriptor_and_a_file_and_its_first_bytes_give_the_same_header(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save(path, llama())
    content = path.read_bytes()

    length = header_length(content[:8], len(content), path.name, LIMITS)
    by_range = parse_header(content[:length], len(content), path.name, LIMITS)

    with path.open("rb") as file:
        assert read_header(file.fileno(), len(content), path.name, LIMITS) == by_range
        assert read_header(file, len(content), path.name, LIMITS) == by_range
    assert parse_header(content, len(content), path.name, LIMITS) == by_range


@pytest.mark.parametrize("start", [b"x ", b"PK\3", b"\x1f\x8b", b"\x80\x02", b"{\n", b"<ht"])
def test_a_length_that_looks_like_another_format_is_still_a_length(start: bytes) -> None:
    length = int.from_bytes(start, "little")
    text = b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'
    content = frame(text.ljust(length), b"x")

    assert content.startswith(start)
    assert [one.name for one in parse(content).tensors] == ["a"]
    with pytest.raises(InputError, match="CKPT-HEADER"):
        parse(frame(text.rjust(length), b"x"))


def test_first_bytes_that_end_inside_the_header_are_an_error() -> None:
    content = frame({"a": entry([1], 0, 4)}, bytes(4))

    with pytest.raises(InputError, match="CKPT-TRUNCATED"):
        parse_header(content[:20], len(content), "x", LIMITS)


def test_misaligned_data_are_accepted() -> None:
    header = parse(frame(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}} ', bytes(4)))

    assert header.tensors[0].start % 8 == 7


def test_scalars_and_empty_tensors_are_accepted() -> None:
    content = {"b": entry([], 0, 4), "a": entry([0, 3], 0, 0), "c": entry([2, 0], 4, 4)}

    header = parse(frame(content, bytes(4)))

    assert [(one.name, one.count) for one in header.tensors] == [("a", 0), ("b", 1), ("c", 0)]


@pytest.mark.parametrize("limit", ["header", "tensors", "rank", "name"])
def test_each_limit_holds_on_both_sides(limit: str) -> None:
    content = frame({"name": entry([1, 1, 1], 0, 4), "b": entry([1], 4, 8)}, bytes(8))
    most = {"header": len(content) - 16, "tensors": 2, "rank": 3, "name": 4}[limit]

    assert len(parse(content, Limits(**{limit: most})).tensors) == 2
    expected = InputError if limit == "name" else ResourceError
    with pytest.raises(expected, match=rf"(LIMIT|CKPT)-{limit.upper()}"):
        parse(content, Limits(**{limit: most - 1}))


def test_too_many_tensors_are_counted_before_they_are_built() -> None:
    entries = ",".join(
        f'"{number}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'
        for number in range(1_300_000)
    )
    content = frame(b"{" + entries.encode() + b"}")

    with pytest.raises(ResourceError, match="LIMIT-HEADER"):
        parse(content)
    assert_bounded("LIMIT-TENSORS", content)


def test_a_shape_of_forty_million_dimensions_is_never_built() -> None:
    dimensions = b"1," * 40_000_000 + b"1"
    content = frame(
        b'{"a":{"dtype":"U8","shape":[' + dimensions + b'],"data_offsets":[0,1]}}', b"x"
    )

    with pytest.raises(ResourceError, match="LIMIT-HEADER"):
        parse(content)
    assert_bounded("LIMIT-RANK", content)


def assert_bounded(id: str, content: bytes) -> None:
    """The error comes before memory beyond a few copies of the header is used."""
    tracemalloc.start()
    try:
        with pytest.raises(ResourceError, match=id):
            parse(content, RAISED)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * len(content)


def test_brackets_in_metadata_are_text_and_not_structure() -> None:
    text = '{"a": [1,2,3,4,5,6,7,8,9,10], "b": "\\"}}{' + "[" * 100

    header = parse(frame({"__metadata__": {"format": "pt", "text": text}}))

    assert header.metadata["text"] == text


def test_a_boolean_holds_zero_and_one_only() -> None:
    check_bool(memoryview(b"\0\1\1\0"), "mask")

    for byte in (2, 3, 255):
        with pytest.raises(InputError, match="CKPT-VALUE") as caught:
            check_bool(bytes([0, 1, byte]), "mask")
        assert str(byte) in caught.value.found


@pytest.mark.parametrize(
    "name",
    [
        "model.layers.0.self_attn.q_proj.weight",
        "conv1/kernel:0",
        "blocks[0].weight",
        "a..b",
        "encoder block.weight",
        "gewichte.größe",
        "层.0",
        "-",
    ],
)
def test_harmless_names_are_accepted(name: str) -> None:
    check_name(name, "x.safetensors", LIMITS)


@pytest.mark.parametrize("name", ["/etc", "\\\\host", "a\\..\\b", "..", "a\0", "\ud800", "\u2028"])
def test_names_that_would_escape_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="CKPT-NAME") as caught:
        check_name(name, "x.safetensors", LIMITS)
    assert all(line.isprintable() for line in caught.value.lines())


def test_text_after_the_header_is_not_looked_at() -> None:
    content = frame({"a": entry([4], 0, 4, "U8")}, b"PK\3\4")

    assert read_header(BytesIO(content), len(content), "x", LIMITS).tensors[0].nbytes == 4
