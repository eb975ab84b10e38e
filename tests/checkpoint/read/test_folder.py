"""Only regular files of the folder itself are opened, or blobs of the same hub repository."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import badinputs as bad
import numpy as np
import pytest
from badinputs import FIRST, INDEX, SECOND
from safetensors import safe_open

from compressor.checkpoint.read.reader import open_checkpoint
from compressor.errors import CompressorError, InputError, RefusedError

WEIGHTS = {"w.weight": np.ones((4, 4), "float32")}


def test_a_config_that_is_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    folder = bad.write_model(tmp_path / "model")
    bad.linked("config.json", "../config.json")(folder)

    with pytest.raises(RefusedError, match="PATH-ESCAPE"):
        open_checkpoint(folder)


def hub_snapshot(root: Path) -> Path:
    """A repository of the hub's cache: links from a snapshot into its blobs."""
    repository = root / "models--org--name"
    snapshot = repository / "snapshots" / ("0" * 40)
    bad.write_sharded(snapshot)
    (repository / "blobs").mkdir()
    for number, path in enumerate(sorted(snapshot.iterdir())):
        blob = path.rename(repository / "blobs" / f"{number:064x}")
        path.symlink_to(Path("../../blobs") / blob.name)
    return snapshot


def test_links_into_the_blobs_of_the_same_repository_are_followed(tmp_path: Path) -> None:
    snapshot = hub_snapshot(tmp_path)

    checkpoint = open_checkpoint(snapshot)

    assert [shard.name for shard in checkpoint.shards()] == [FIRST, SECOND]
    assert checkpoint.companions == ("config.json",)
    with safe_open(snapshot / FIRST, "numpy") as reader:
        names = {tensor.name for tensor in next(checkpoint.shards()).header.tensors}
        assert names == set(reader.keys())


@pytest.mark.parametrize("where", ["models--org--other/blobs", "models--org--name/refs"])
def test_links_from_a_snapshot_to_anywhere_else_are_refused(tmp_path: Path, where: str) -> None:
    snapshot = hub_snapshot(tmp_path)
    target = tmp_path / where / "x"
    target.parent.mkdir(parents=True)
    target.write_bytes((snapshot / SECOND).read_bytes())
    (snapshot / SECOND).unlink()
    (snapshot / SECOND).symlink_to(target)

    with pytest.raises(RefusedError, match="PATH-ESCAPE"):
        open_checkpoint(snapshot)


opened: list[str] = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)


def test_a_file_outside_of_the_folder_is_never_opened(tmp_path: Path) -> None:
    folder = bad.write_sharded(tmp_path / "model")
    bad.mapped("../../etc/passwd")(folder)
    opened.clear()

    with pytest.raises(RefusedError):
        open_checkpoint(folder)

    assert INDEX in opened
    assert not [name for name in opened if "passwd" in name]


@contextmanager
def as_normal_user() -> Iterator[None]:
    """Without the rights of root, to whom no file is unreadable."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "."])
def test_what_this_user_may_not_read_is_said_to_be_so(name: str) -> None:
    with tempfile.TemporaryDirectory() as root:
        Path(root).chmod(0o755)
        folder = bad.write_model(Path(root) / "model")
        (folder / name).chmod(0)
        try:
            with as_normal_user(), pytest.raises(InputError, match="CKPT-PERMISSION"):
                open_checkpoint(folder)
        finally:
            (folder / name).chmod(0o755)


def test_a_path_where_nothing_is_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="CKPT-NOT-FOUND"):
        open_checkpoint(tmp_path / "absent")


@pytest.mark.parametrize(
    ("name", "id"),
    [("x.bin", "PICKLE-REFUSED"), ("x.gguf", "CKPT-NO-WEIGHTS"), ("x.safetensors", "CKPT-EMPTY")],
)
def test_a_bare_file_that_is_no_model_gives_its_error(tmp_path: Path, name: str, id: str) -> None:
    (tmp_path / name).touch()

    with pytest.raises(CompressorError, match=id):
        open_checkpoint(tmp_path / name)


def test_a_bare_pipe_does_not_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.safetensors")

    with pytest.raises(RefusedError, match="NOT-REGULAR"):
        open_checkpoint(tmp_path / "x.safetensors")


def test_a_weight_file_with_a_strange_name_is_refused(tmp_path: Path) -> None:
    bad.save(tmp_path / "a\x1b[31m.safetensors", WEIGHTS)

    with pytest.raises(InputError, match="CKPT-NAME") as caught:
        open_checkpoint(tmp_path)
    assert all(line.isprintable() for line in caught.value.lines())
