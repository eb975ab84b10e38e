"""Tiny checkpoints, and what can be wrong with them: every maker spoils a sound folder in place."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file

Arrays: TypeAlias = Mapping[str, npt.NDArray[Any]]
Maker: TypeAlias = Callable[[Path], object]

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 8,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "vocab_size": 32,
    "dtype": "float32",
    "tie_word_embeddings": False,
}
FIRST = "model-00001-of-00002.safetensors"
SECOND = "model-00002-of-00002.safetensors"
INDEX = "model.safetensors.index.json"
WEIGHT = "model.layers.0.self_attn.q_proj.weight"


def llama() -> dict[str, npt.NDArray[Any]]:
    """A Llama of two layers, as numpy arrays."""
    generator = np.random.default_rng(0)
    shapes = {"model.embed_tokens.weight": (32, 8), "lm_head.weight": (32, 8)}
    for layer in range(2):
        prefix = f"model.layers.{layer}"
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            shapes[f"{prefix}.self_attn.{name}.weight"] = (8, 8)
        shapes[f"{prefix}.mlp.up_proj.weight"] = (16, 8)
        shapes[f"{prefix}.mlp.down_proj.weight"] = (8, 16)
    return {name: generator.standard_normal(s).astype("float32") for name, s in shapes.items()}


def write_model(folder: Path, arrays: Arrays | None = None, config: object = CONFIG) -> Path:
    """A sound folder with one weight file."""
    folder.mkdir(parents=True, exist_ok=True)
    save(folder / "model.safetensors", llama() if arrays is None else arrays)
    write_json(folder / "config.json", config)
    return folder


def write_sharded(folder: Path, count: int = 2) -> Path:
    """A sound folder with an index and as many shards."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = llama()
    weight_map: dict[str, str] = {}
    for number in range(count):
        names = sorted(arrays)[number::count]
        file = f"model-{number + 1:05}-of-{count:05}.safetensors"
        save(folder / file, {name: arrays[name] for name in names})
        weight_map |= dict.fromkeys(names, file)
    total = sum(array.nbytes for array in arrays.values())
    write_index(folder, {"metadata": {"total_size": total}, "weight_map": weight_map})
    write_json(folder / "config.json", CONFIG)
    return folder


def save(path: Path, arrays: Arrays) -> None:
    """A weight file as the safetensors library writes it for torch."""
    save_file(dict(arrays), path, metadata={"format": "pt"})


def write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def write_index(folder: Path, content: object) -> None:
    write_json(folder / INDEX, content)


def frame(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    """A weight file from its parts, none of which need be sound."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    prefix = (len(text) if length is None else length).to_bytes(8, "little")
    return prefix + text + data


def entry(shape: object, start: object, stop: object, dtype: object = "F32") -> dict[str, object]:
    """What a header says about one tensor."""
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


# Makers of bad weight files: each takes the folder of a sound model with one weight file.


def raw(content: bytes) -> Maker:
    """Other bytes in the place of the weight file."""
    return lambda folder: (folder / "model.safetensors").write_bytes(content)


def header(content: object, data: int = 0) -> Maker:
    """Another header over `data` zero bytes."""
    return raw(frame(content, bytes(data)))


def cut(size: int) -> Maker:
    """Only the first bytes of the weight file, or all but the last."""

    def make(folder: Path) -> None:
        path = folder / "model.safetensors"
        path.write_bytes(path.read_bytes()[:size])

    return make


def append(content: bytes) -> Maker:
    """More bytes at the end of the weight file."""

    def make(folder: Path) -> None:
        path = folder / "model.safetensors"
        path.write_bytes(path.read_bytes() + content)

    return make


def huge(length: int, size: int, text: bytes = b"") -> Maker:
    """A file of `size` bytes, nearly all of them never written, with a header of `length`."""

    def make(folder: Path) -> None:
        with (folder / "model.safetensors").open("wb") as file:
            file.write(frame(text, length=length))
            file.truncate(size)

    return make


def sparse(folder: Path) -> None:
    """A tensor of 10 GB in a file that takes a few kilobytes of disk."""
    content = frame({WEIGHT: entry([5 * 10**9], 0, 10**10, "F16")})
    with (folder / "model.safetensors").open("wb") as file:
        file.write(content)
        file.truncate(len(content) + 10**10)


def named(name: str) -> Maker:
    """A weight file with one tensor of that name."""
    return header({name: entry([1], 0, 4)}, 4)


def arrays(content: Arrays) -> Maker:
    """Sound weights with other tensors."""
    return lambda folder: save(folder / "model.safetensors", content)


def config(**changes: object) -> Maker:
    """A config with other values."""
    return lambda folder: write_json(folder / "config.json", CONFIG | changes)


def config_bytes(content: bytes) -> Maker:
    """A config of these bytes."""
    return lambda folder: (folder / "config.json").write_bytes(content)


# Makers of bad folders: each takes the folder of a sound model with two shards.


def index(change: Callable[[dict[str, Any]], object]) -> Maker:
    """An index that `change` has spoiled in place."""

    def make(folder: Path) -> None:
        content = json.loads((folder / INDEX).read_bytes())
        change(content)
        write_index(folder, content)

    return make


def index_bytes(content: bytes) -> Maker:
    """An index of these bytes."""
    return lambda folder: (folder / INDEX).write_bytes(content)


def mapped(file: str) -> Maker:
    """An index that names `file` for one tensor."""
    return index(lambda content: content["weight_map"].update({WEIGHT: file}))


def remove(*names: str) -> Maker:
    """A folder without these files."""
    return lambda folder: [(folder / name).unlink() for name in names]


def rename(name: str, other: str) -> Maker:
    """A folder with one file under another name."""
    return lambda folder: (folder / name).rename(folder / other)


def fifo(name: str) -> Maker:
    """A FIFO in the place of a file: opening it without care waits for ever."""

    def make(folder: Path) -> None:
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return make


def linked(name: str, target: str) -> Maker:
    """A link in the place of a file. A relative target lies outside the folder, and is sound."""

    def make(folder: Path) -> None:
        if not target.startswith("/"):
            (folder / target).write_bytes((folder / name).read_bytes())
        (folder / name).unlink()
        (folder / name).symlink_to(target)

    return make


def only(*files: str, content: bytes = b"x") -> Maker:
    """A folder with its config and nothing else but these files."""

    def make(folder: Path) -> None:
        for path in folder.iterdir():
            if path.name != "config.json":
                path.unlink()
        add(*files, content=content)(folder)

    return make


def add(*files: str, content: bytes = b"x") -> Maker:
    """A folder with more files."""

    def make(folder: Path) -> None:
        for file in files:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_bytes(content)

    return make


def both(*makers: Maker) -> Maker:
    """One maker after another."""
    return lambda folder: [make(folder) for make in makers]


def codes(kind: str, names: Sequence[str] = (WEIGHT,)) -> Maker:
    """Sound weights with tensors of another dtype among them."""
    held = llama() | {name: np.ones((8, 4), kind) for name in names}
    return arrays(held)


def retyped(dtype: str) -> Maker:
    """One byte tensor whose dtype numpy does not know."""
    return header({WEIGHT: entry([4], 0, 4, dtype)}, 4)
