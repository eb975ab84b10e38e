"""Pickled weights: refused unless asked for, converted by reading tensors only."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

import compressor
from compressor.checkpoint.read.unpickle import converted
from compressor.errors import CompressorError

CONFIG = json.dumps({"model_type": "llama", "num_hidden_layers": 1, "hidden_size": 8})
WEIGHT = torch.arange(64, dtype=torch.float32).reshape(8, 8) - 31.5
NAME = "model.layers.0.mlp.up_proj.weight"


class Malicious:
    """An object whose unpickling leaves a file behind."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.marker),)


def folder_with(path: Path, save: object) -> Path:
    path.mkdir()
    (path / "config.json").write_text(CONFIG)
    save(path / "pytorch_model.bin")  # type: ignore[operator]
    return path


def raw_pickle(marker: Path) -> object:
    return lambda path: path.write_bytes(pickle.dumps({"a": Malicious(marker)}))


def zip_pickle(marker: Path) -> object:
    return lambda path: torch.save({"a": Malicious(marker)}, path)


def legacy_pickle(marker: Path) -> object:
    return lambda path: torch.save(
        {"a": Malicious(marker)}, path, _use_new_zipfile_serialization=False
    )


@pytest.mark.parametrize("kind", [raw_pickle, zip_pickle, legacy_pickle])
@pytest.mark.parametrize("force", ["0", "1"])
def test_code_in_a_pickle_does_not_run_with_or_without_the_flag(
    kind: object, force: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "marker"
    source = folder_with(tmp_path / "model", kind(marker))  # type: ignore[operator]
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", force)

    with pytest.raises(CompressorError) as refused:
        compressor.prune(source, sparsity=0.5, output=tmp_path / "out")
    with pytest.raises(CompressorError) as unsafe:
        compressor.prune(source, sparsity=0.5, output=tmp_path / "out", allow_pickle=True)

    assert (refused.value.exit_code, refused.value.id) == (4, "PICKLE-REFUSED")
    assert (unsafe.value.exit_code, unsafe.value.id) == (3, "PICKLE-UNSAFE")
    assert not marker.exists()
    assert not (tmp_path / "out").exists()


def test_a_good_pickle_is_pruned_as_the_same_tensors_would_be(tmp_path: Path) -> None:
    source = folder_with(tmp_path / "model", lambda path: torch.save({NAME: WEIGHT}, path))

    compressor.prune(source, sparsity=0.5, output=tmp_path / "out", allow_pickle=True)

    written = load_file(tmp_path / "out" / "model.safetensors")[NAME]
    magnitude = np.abs(WEIGHT.numpy())
    assert np.array_equal(written, np.where(magnitude >= 16, WEIGHT.numpy(), 0))
    assert sorted(path.name for path in source.iterdir()) == ["config.json", "pytorch_model.bin"]


def test_shards_keep_their_numbers_and_get_an_index(tmp_path: Path) -> None:
    source = folder_with(
        tmp_path / "model",
        lambda path: [
            torch.save({name: WEIGHT}, path.with_name(f"pytorch_model-0000{k}-of-00002.bin"))
            for k, name in ((1, "a.weight"), (2, NAME))
        ],
    )

    copy = converted(source)

    assert sorted(path.name for path in copy.glob("*.safetensors*")) == [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
    ]
    assert np.array_equal(
        load_file(copy / "model-00002-of-00002.safetensors")[NAME], WEIGHT.numpy()
    )


def test_a_folder_with_safetensors_is_left_as_it_is(tmp_path: Path) -> None:
    source = folder_with(tmp_path / "model", lambda path: torch.save({NAME: WEIGHT}, path))
    (source / "model.safetensors").write_bytes(b"")

    assert converted(source) == source


def test_a_broken_pickle_is_named(tmp_path: Path) -> None:
    source = folder_with(tmp_path / "model", lambda path: path.write_bytes(b"PK\x03\x04 cut off"))

    with pytest.raises(CompressorError) as error:
        converted(source)

    assert error.value.id == "CKPT-NOT-A-MODEL"
    assert "pytorch_model.bin" in error.value.at


def test_the_temporary_folder_goes_and_nothing_beside_it(tmp_path: Path) -> None:
    source = folder_with(tmp_path / "model", lambda path: torch.save({NAME: WEIGHT}, path))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (scratch / "thesis.txt").write_text("mine")

    done = subprocess.run(
        [sys.executable, "-m", "compressor", "inspect", ".", "--allow-pickle"],
        cwd=source,
        env={**os.environ, "TMPDIR": str(scratch)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert [path.name for path in scratch.iterdir()] == ["thesis.txt"]


def test_a_module_in_the_working_directory_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = folder_with(tmp_path / "model", lambda path: torch.save({NAME: WEIGHT}, path))
    marker = tmp_path / "marker"
    for module in ("torch", "tempfile", "json"):
        (source / f"{module}.py").write_text(f"open({str(marker)!r}, 'w').close()")
    monkeypatch.chdir(source)

    converted(source)

    assert not marker.exists()


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    source = folder_with(tmp_path / "model", lambda path: torch.save({NAME: WEIGHT}, path))
    (tmp_path / "secret").write_text("SECRET")
    (source / "vocab.txt").symlink_to("../secret")

    copy = converted(source)

    assert not (copy / "vocab.txt").exists()


def test_pickled_weights_that_are_a_link_are_refused(tmp_path: Path) -> None:
    source = folder_with(
        tmp_path / "model", lambda path: torch.save({NAME: WEIGHT}, tmp_path / "out.bin")
    )
    (source / "pytorch_model.bin").symlink_to("../out.bin")

    with pytest.raises(CompressorError) as error:
        converted(source)

    assert (error.value.exit_code, error.value.id) == (4, "PATH-ESCAPE")


def test_companions_of_sub_folders_are_kept(tmp_path: Path) -> None:
    source = folder_with(tmp_path / "model", lambda path: torch.save({NAME: WEIGHT}, path))
    (source / "1_Pooling").mkdir()
    (source / "1_Pooling" / "config.json").write_text("{}")

    assert (converted(source) / "1_Pooling" / "config.json").read_text() == "{}"


def test_pickles_of_a_sub_folder_are_not_lost_silently(tmp_path: Path) -> None:
    source = folder_with(tmp_path / "model", lambda path: torch.save({NAME: WEIGHT}, path))
    (source / "2_Dense").mkdir()
    torch.save({"linear.weight": WEIGHT}, source / "2_Dense" / "pytorch_model.bin")

    with pytest.raises(CompressorError) as error:
        converted(source)

    assert error.value.id == "PICKLE-UNCONVERTED"
