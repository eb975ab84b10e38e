"""Every file of a folder is kept, or left out with a reason."""

from __future__ import annotations

import os
from pathlib import Path

import badinputs as bad
import pytest

from compressor.checkpoint.read.reader import open_checkpoint


def test_every_file_is_kept_or_left_out_with_a_reason(tmp_path: Path) -> None:
    folder = bad.write_sharded(tmp_path / "model")
    kept = {
        "LICENSE",
        "Notice",
        "USE_POLICY.md",
        "added_tokens.json",
        "chat_template.jinja",
        "config.json",
        "licence.rst",
        "merges.txt",
        "modeling_x.py",
        "qwen.tiktoken",
        "spiece.model",
        "templates/deep/chat.jinja",
    }
    left = {
        ".gitattributes",
        "README.md",
        "compressor.json",
        "flax_model.msgpack",
        "model.safetensors.index.fp16.json",
        "optimizer.pt",
        "picture.png",
        "pytorch_model.bin",
        "report.json",
        "runs/events.out",
        ".tmp12",
        "bad\x1bname.json",
    }
    bad.add(*(kept - {"config.json"}), *left, "onnx/model.onnx", "a/b/c/d.json")(folder)

    checkpoint = open_checkpoint(folder)

    assert set(checkpoint.companions) == kept
    assert set(checkpoint.left_out) == left | {"onnx/", "a/b/c/"}
    assert all(checkpoint.left_out.values())


def test_links_and_pipes_among_the_companions_are_never_kept(tmp_path: Path) -> None:
    folder = bad.write_model(tmp_path / "model")
    (folder / "tokenizer.json").symlink_to("/etc/hostname")
    (folder / "sub").symlink_to("/etc")
    os.mkfifo(folder / "vocab.txt")

    checkpoint = open_checkpoint(folder)

    assert checkpoint.companions == ("config.json",)
    assert set(checkpoint.left_out) == {"tokenizer.json", "sub", "vocab.txt"}


@pytest.mark.parametrize(
    ("name", "most"), [("tokenizer.json", 256 * 10**6), ("a/b.json", 64 * 10**6)]
)
def test_a_companion_may_be_as_large_as_its_place_allows(
    tmp_path: Path, name: str, most: int
) -> None:
    folder = bad.write_model(tmp_path / "model")
    bad.add(name)(folder)

    os.truncate(folder / name, most)
    assert name in open_checkpoint(folder).companions
    os.truncate(folder / name, most + 1)
    assert "too large" in open_checkpoint(folder).left_out[name]
