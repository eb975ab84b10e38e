"""The catalogue of bad weight files, folders and configs: each row is one typed, readable error."""

from __future__ import annotations

import json
import pickle
import re
import zipfile
from io import BytesIO
from pathlib import Path

import badinputs as bad
import pytest
from badinputs import FIRST, SECOND, WEIGHT, entry

from compressor.checkpoint.read.limits import Limits
from compressor.checkpoint.read.reader import open_checkpoint
from compressor.errors import CompressorError

pytestmark = pytest.mark.timeout(60)

SHAPE = re.compile(r"error\[[A-Z][A-Z0-9]*(-[A-Z0-9]+)*\]: [^\n]{10,160}")
MINUS_ZERO = b'{"a":{"dtype":"F32","shape":[-0],"data_offsets":[0,0]}}'
TWO = {"a": entry([2], 0, 8), "b": entry([2], 8, 16)}


class Trap:
    """A pickle that leaves a marker where it is loaded."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("marker"),)


def archive() -> bytes:
    """What torch.save writes: a zip around a pickle."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("archive/data.pkl", pickle.dumps(Trap()))
    return buffer.getvalue()


def moved_to_first(content: dict[str, dict[str, str]]) -> None:
    content["weight_map"] = dict.fromkeys(content["weight_map"], FIRST)


def without_second(content: dict[str, dict[str, str]]) -> None:
    items = content["weight_map"].items()
    content["weight_map"] = {name: file for name, file in items if file != SECOND}


def numbered(content: dict[str, dict[str, object]]) -> None:
    content["weight_map"] = dict.fromkeys(content["weight_map"], 1)


ONE_FILE = [
    ("A01 truncated in the data", bad.cut(-1000), 3, "CKPT-TRUNCATED"),
    ("A02 four bytes", bad.cut(4), 3, "CKPT-TRUNCATED"),
    ("A02 seven bytes", bad.cut(7), 3, "CKPT-TRUNCATED"),
    ("A03 no bytes", bad.cut(0), 3, "CKPT-EMPTY"),
    ("A04 trailing bytes", bad.append(b"\0"), 3, "CKPT-TRAILING"),
    ("A05 header of 2^63", bad.raw(bad.frame(b"{}", length=2**63)), 3, "CKPT-HEADER"),
    ("A05 header beyond 100 MB", bad.huge(100_000_001, 100_000_009), 3, "CKPT-HEADER"),
    ("A05 header beyond the file", bad.raw(bad.frame(b"{}", length=3)), 3, "CKPT-HEADER"),
    ("A05 header of 0", bad.raw(bad.frame(b"", b"{}")), 3, "CKPT-HEADER"),
    ("A06 header of 100 MB", bad.huge(100_000_000, 100_000_008), 6, "LIMIT-HEADER"),
    ("A09 nesting", bad.header(b'{"a":' + b"[" * 10**6), 3, "CKPT-HEADER"),
    ("A09 closed nesting", bad.header(b'{"a":' + b"[" * 999 + b"]" * 999), 3, "CKPT-HEADER"),
    ("A10 same bytes", bad.header({"a": TWO["a"], "b": TWO["a"]}, 8), 3, "CKPT-OVERLAP"),
    ("A10 overlap", bad.header({"a": TWO["a"], "b": entry([2], 4, 12)}, 12), 3, "CKPT-OVERLAP"),
    ("A11 hole", bad.header({"a": TWO["a"], "b": entry([2], 12, 20)}, 20), 3, "CKPT-HOLE"),
    ("A11 hole in front", bad.header({"a": entry([2], 8, 16)}, 16), 3, "CKPT-HOLE"),
    ("A12 end before begin", bad.header({"a": entry([1], 4, 0)}, 4), 3, "CKPT-OFFSET"),
    ("A12 negative", bad.header({"a": entry([1], -4, 0)}, 4), 3, "CKPT-OFFSET"),
    ("A12 float", bad.header({"a": entry([1], 0.0, 4.0)}, 4), 3, "CKPT-OFFSET"),
    ("A12 text", bad.header({"a": entry([1], "0", "4")}, 4), 3, "CKPT-OFFSET"),
    ("A12 boolean", bad.header({"a": entry([1], False, 4)}, 4), 3, "CKPT-OFFSET"),
    ("A12 of 4000 digits", bad.header({"a": entry([1], 0, 10**4000)}, 4), 3, "CKPT-OFFSET"),
    ("A13 shape and bytes", bad.header({"a": entry([2], 0, 4)}, 4), 3, "CKPT-SHAPE"),
    ("A13 negative shape", bad.header({"a": entry([-1], 0, 4)}, 4), 3, "CKPT-SHAPE"),
    ("A13 minus zero", bad.header(MINUS_ZERO), 3, "CKPT-SHAPE"),
    ("A14 overflow", bad.header({"a": entry([2**33, 2**33], 0, 4)}, 4), 3, "CKPT-OVERFLOW"),
    ("A15 impossible and empty", bad.header({"a": entry([2**62, 0], 0, 0)}), 3, "CKPT-SHAPE"),
    (
        "A16 same name, same place",
        bad.header(
            b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},'
            b'"a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}}',
            8,
        ),
        3,
        "CKPT-DUPLICATE",
    ),
    (
        "A17 same name, other place",
        bad.header(
            b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},'
            b'"a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}',
            16,
        ),
        3,
        "CKPT-DUPLICATE",
    ),
    ("A18 leading space", bad.header(b" {}"), 3, "CKPT-HEADER"),
    ("A18 leading newline", bad.header(b"\n{}"), 3, "CKPT-HEADER"),
    ("A19 NUL padding", bad.header(b"{}\0\0"), 3, "CKPT-HEADER"),
    ("A19 invalid UTF-8", bad.header(b'{"\xff":1}'), 3, "CKPT-HEADER"),
    ("A19 list", bad.header(b"[]"), 3, "CKPT-HEADER"),
    ("A19 no JSON", bad.header(b"{oops}"), 3, "CKPT-HEADER"),
    ("A19 entry is a list", bad.header({"a": ["F32", [1], [0, 4]]}, 4), 3, "CKPT-HEADER"),
    ("A20 unknown field", bad.header({"a": TWO["a"] | {"x": 1}}, 8), 3, "CKPT-HEADER"),
    ("A21 number", bad.header({"__metadata__": {"a": 1}}), 3, "CKPT-METADATA"),
    ("A21 nested", bad.header({"__metadata__": {"a": {"b": "c"}}}), 3, "CKPT-METADATA"),
    ("A21 tensor", bad.header({"__metadata__": TWO["a"]}, 8), 3, "CKPT-METADATA"),
    ("A21 null", bad.header({"__metadata__": None}), 3, "CKPT-METADATA"),
    ("A21 surrogate", bad.header(b'{"__metadata__":{"a":"\\ud800"}}'), 3, "CKPT-METADATA"),
    ("A22 dtype", bad.header({"a": entry([2], 0, 8, "F33")}, 8), 3, "CKPT-DTYPE"),
    ("A22 dtype is a list", bad.header({"a": entry([2], 0, 8, [])}, 8), 3, "CKPT-DTYPE"),
    ("A23 empty name", bad.named(""), 3, "CKPT-NAME"),
    ("A23 path", bad.named("../../etc/passwd"), 3, "CKPT-NAME"),
    ("A23 ANSI", bad.named("a\x1b[31mred"), 3, "CKPT-NAME"),
    ("A23 newline", bad.named("a\n::error::b"), 3, "CKPT-NAME"),
    ("A23 markup", bad.named("a[/foo]"), 3, "CKPT-NAME"),
    ("A23 bidi", bad.named("a\u202eb"), 3, "CKPT-NAME"),
    ("A23 10 kB", bad.named("a" * 10_000), 3, "CKPT-NAME"),
    ("A24 rank 200", bad.header({"a": entry([1] * 200, 0, 4)}, 4), 6, "LIMIT-RANK"),
    ("A27 sparse", bad.sparse, 6, "LIMIT-SPARSE"),
    ("A28 zip", bad.raw(archive()), 4, "PICKLE-DISGUISED"),
    ("A28 pickle", bad.raw(pickle.dumps(Trap())), 4, "PICKLE-DISGUISED"),
    ("A28 old pickle", bad.raw(pickle.dumps(Trap(), protocol=0)), 4, "PICKLE-DISGUISED"),
    ("A29 LFS", bad.raw(b"version https://git-lfs.github.com/spec/v1\n"), 3, "CKPT-NOT-A-MODEL"),
    ("A29 HTML", bad.raw(b"<!DOCTYPE html><html>not found"), 3, "CKPT-NOT-A-MODEL"),
    ("A29 XML", bad.raw(b'<?xml version="1.0"?><Error>'), 3, "CKPT-NOT-A-MODEL"),
    ("B08 device", bad.linked("model.safetensors", "/dev/zero"), 4, "NOT-REGULAR"),
    ("B18 nothing", bad.only(), 3, "CKPT-NO-WEIGHTS"),
    ("B18 TensorFlow", bad.only("tf_model.h5"), 3, "CKPT-NO-WEIGHTS"),
    ("B18 flax", bad.only("flax_model.msgpack"), 3, "CKPT-NO-WEIGHTS"),
    ("B18 GGUF", bad.only("model-q4.gguf"), 3, "CKPT-NO-WEIGHTS"),
    ("C01 no config", bad.remove("config.json"), 3, "CONFIG-UNREADABLE"),
    ("C01 no JSON", bad.config_bytes(b"{oops"), 3, "CONFIG-UNREADABLE"),
    ("C01 list", bad.config_bytes(b"[]"), 3, "CONFIG-UNREADABLE"),
    ("C01 UTF-16", bad.config_bytes("{}".encode("utf-16")), 3, "CONFIG-UNREADABLE"),
    ("C01 byte order mark", bad.config_bytes(b"\xef\xbb\xbf{}"), 3, "CONFIG-UNREADABLE"),
    ("C01 16 MB", bad.config_bytes(b" " * 16_000_001), 3, "CONFIG-UNREADABLE"),
    ("C02 deep", bad.config_bytes(b'{"a":' * 200_000), 3, "CONFIG-UNREADABLE"),
    ("C10 dtype", bad.config(dtype="float99"), 3, "CONFIG-VALUE"),
    ("C10 builtins", bad.config(torch_dtype="__builtins__"), 3, "CONFIG-VALUE"),
    ("C10 nested", bad.config(text_config={"dtype": 32}), 3, "CONFIG-VALUE"),
    ("C16 kernel", bad.config(_attn_implementation="evil/kernel"), 4, "HUB-KERNEL"),
    ("C16 nested", bad.config(a=[{"attn_implementation": "evil/k"}]), 4, "HUB-KERNEL"),
    ("C16 internal", bad.config(_attn_implementation_internal="e/k"), 4, "HUB-KERNEL"),
    ("C16 experts", bad.config(experts_implementation="evil/kernel"), 4, "HUB-KERNEL"),
    ("C17 method", bad.config(quantization_config={"quant_method": "new"}), 3, "QUANT-UNKNOWN"),
    ("C17 no method", bad.config(quantization_config={"bits": 4}), 3, "QUANT-UNKNOWN"),
    ("C18 gptq", bad.config(quantization_config={"quant_method": "gptq"}), 3, "QUANT-UNSUPPORTED"),
    ("C19 zip", bad.only("pytorch_model.bin", content=archive()), 4, "PICKLE-REFUSED"),
    ("C19 raw", bad.only("model.pt", content=pickle.dumps(Trap())), 4, "PICKLE-REFUSED"),
    ("C21 suffixes", bad.only("a.pth", "b.ckpt", "c.pkl"), 4, "PICKLE-REFUSED"),
    ("C22 DCP", bad.only(".metadata", "__0_0.distcp"), 4, "PICKLE-REFUSED"),
    ("D10 int8", bad.codes("int8"), 3, "QUANT-DETECTED"),
    ("D11 fp8", bad.retyped("F8_E4M3"), 3, "QUANT-DETECTED"),
    ("D11 scale", bad.codes("float32", [f"{WEIGHT}_scale_inv"]), 3, "QUANT-DETECTED"),
    ("D12 fp8", bad.config(quantization_config={"quant_method": "fp8"}), 3, "QUANT-UNSUPPORTED"),
    (
        "D13 GPTQ names",
        bad.codes("int32", ["q.qweight", "q.qzeros", "q.scales", "q.g_idx"]),
        3,
        "QUANT-DETECTED",
    ),
    ("D14 4-bit", bad.config(quantization_config={"load_in_4bit": True}), 3, "QUANT-UNSUPPORTED"),
    ("D14 names", bad.codes("float32", [f"{WEIGHT}.absmax"]), 3, "QUANT-DETECTED"),
    ("D15 packed", bad.codes("uint8"), 3, "QUANT-DETECTED"),
    ("D16 4-bit floats", bad.header({"a": entry([2], 0, 1, "F4")}, 1), 3, "QUANT-DETECTED"),
    (
        "D16 our own",
        bad.config(text_config={"quantization_config": {"quant_method": "compressor"}}),
        3,
        "QUANT-UNSUPPORTED",
    ),
    ("an adapter", bad.only("adapter_model.safetensors"), 3, "CKPT-ADAPTER"),
    ("no tensors", bad.header({}), 3, "CKPT-NO-WEIGHTS"),
]

TWO_SHARDS = [
    ("A03 empty shard", bad.add(SECOND, content=b""), 3, "CKPT-EMPTY"),
    ("B01 missing shard", bad.remove(SECOND), 3, "CKPT-MISSING-SHARD"),
    ("B02 above", bad.mapped("../outside.safetensors"), 4, "PATH-ESCAPE"),
    ("B03 absolute", bad.mapped("/abs/x.safetensors"), 4, "PATH-ESCAPE"),
    ("B04 passwd", bad.mapped("../../etc/passwd"), 4, "PATH-ESCAPE"),
    ("B05 pickle", bad.mapped("x.bin"), 4, "PICKLE-REFUSED"),
    ("B06 link", bad.linked(SECOND, "../outside.safetensors"), 4, "PATH-ESCAPE"),
    ("B07 FIFO", bad.fifo(SECOND), 4, "NOT-REGULAR"),
    ("B08 device", bad.linked(SECOND, "/dev/zero"), 4, "NOT-REGULAR"),
    ("B09 shard not named", bad.index(without_second), 3, "CKPT-INDEX"),
    ("B09 stale shard", bad.add("model-00001-of-00001.safetensors"), 3, "CKPT-INDEX"),
    ("B10 all in the first", bad.index(moved_to_first), 3, "CKPT-INDEX"),
    ("B10 one misplaced", bad.mapped(SECOND), 3, "CKPT-INDEX"),
    ("B11 not named", bad.index(lambda c: c["weight_map"].pop(WEIGHT)), 3, "CKPT-INDEX"),
    ("B12 not stored", bad.index(lambda c: c["weight_map"].update(x=FIRST)), 3, "CKPT-INDEX"),
    ("B13 no JSON", bad.index_bytes(b"{oops"), 3, "CKPT-INDEX"),
    ("B13 list", bad.index_bytes(b"[]"), 3, "CKPT-INDEX"),
    ("B13 no map", bad.index(lambda c: c.pop("weight_map")), 3, "CKPT-INDEX"),
    ("B13 empty map", bad.index(lambda c: c["weight_map"].clear()), 3, "CKPT-INDEX"),
    ("B13 numbers", bad.index(numbered), 3, "CKPT-INDEX"),
    ("B13 deep", bad.index_bytes(b'{"weight_map":' + b"[" * 10**6), 3, "CKPT-INDEX"),
    ("B13 key twice", bad.index_bytes(b'{"weight_map":{},"weight_map":{}}'), 3, "CKPT-INDEX"),
    (
        "B14 stale single",
        lambda folder: bad.save(folder / "model.safetensors", bad.llama()),
        3,
        "CKPT-AMBIGUOUS",
    ),
    (
        "B14 no index",
        bad.both(bad.remove(bad.INDEX), bad.add("model.safetensors")),
        3,
        "CKPT-AMBIGUOUS",
    ),
    (
        "B16 tensor twice",
        lambda folder: bad.save(folder / SECOND, bad.llama()),
        3,
        "CKPT-DUPLICATE",
    ),
    (
        "B19 no index",
        bad.both(bad.remove(bad.INDEX, SECOND), bad.add(".tmpAbC")),
        3,
        "CKPT-INCOMPLETE",
    ),
    ("B19 index first", bad.both(bad.remove(SECOND), bad.add(".tmpAbC")), 3, "CKPT-INCOMPLETE"),
    ("B20 case", bad.rename(SECOND, SECOND.title()), 3, "CKPT-MISSING-SHARD"),
    ("B20 dangling", bad.linked(SECOND, "/nowhere"), 3, "CKPT-MISSING-SHARD"),
]


def assert_typed(error: CompressorError, code: int, id: str) -> None:
    lines = error.lines()
    assert (error.exit_code, error.id) == (code, id), lines
    assert SHAPE.fullmatch(lines[0])
    assert [line.split()[0] for line in lines[1:4]] == ["at:", "found:", "do:"]
    assert len(lines) <= 25
    assert all(line.isprintable() for line in lines)
    json.dumps(error.as_json(), allow_nan=False).encode()


@pytest.mark.parametrize(("row", "make", "code", "id"), ONE_FILE, ids=[row[0] for row in ONE_FILE])
def test_a_bad_model_of_one_file_gives_its_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: str, make: bad.Maker, code: int, id: str
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = bad.write_model(tmp_path / "model")
    make(folder)
    before = sorted(tmp_path.rglob("*"))

    with pytest.raises(CompressorError) as caught:
        open_checkpoint(folder)

    assert_typed(caught.value, code, id)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("row", "make", "code", "id"), TWO_SHARDS, ids=[row[0] for row in TWO_SHARDS]
)
def test_a_bad_model_of_two_shards_gives_its_error(
    tmp_path: Path, row: str, make: bad.Maker, code: int, id: str
) -> None:
    folder = bad.write_sharded(tmp_path / "model")
    make(folder)

    with pytest.raises(CompressorError) as caught:
        open_checkpoint(folder)

    assert_typed(caught.value, code, id)


def test_a_raised_limit_lets_a_sparse_file_pass(tmp_path: Path) -> None:
    folder = bad.write_model(tmp_path / "model")
    bad.sparse(folder)

    checkpoint = open_checkpoint(folder, Limits(allow_sparse=True))

    assert [tensor.nbytes for _, tensor in checkpoint.components[0].tensors()] == [10**10]
