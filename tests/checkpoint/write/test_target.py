"""What --overwrite may replace: only what compressor wrote, as it wrote it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import compressor
from compressor.checkpoint.pipeline import Progress
from compressor.errors import CompressorError
from compressor.step import RunOptions, run
from compressor.steps.prune import Prune


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    weight = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)
    save_file({"model.layers.0.fc.weight": weight}, folder / "model.safetensors")
    (folder / "config.json").write_text('{"model_type": "weird"}')
    return folder


def test_a_file_that_was_edited_by_hand_is_not_replaced(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    compressor.prune(source, sparsity=0.5, output=out)
    card = out / "README.md"
    card.write_text(card.read_text() + "my notes\n")

    with pytest.raises(CompressorError) as error:
        compressor.prune(source, sparsity=0.4, output=out, overwrite=True)

    assert (error.value.exit_code, error.value.id) == (5, "OUT-FOREIGN")
    assert "README.md" in error.value.found
    assert card.read_text().endswith("my notes\n")


def test_a_file_that_is_added_while_the_run_lasts_is_kept(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    compressor.prune(source, sparsity=0.5, output=out)

    def add_a_file(progress: Progress) -> None:
        (out / "notes.txt").write_text("mine")

    options = RunOptions(output=out, overwrite=True)
    run(Prune.model_validate({"sparsity": "0.4"}), str(source), options, add_a_file)

    (kept,) = tmp_path.glob("out.replaced-*")
    assert (kept / "notes.txt").read_text() == "mine"
    assert not (out / "notes.txt").exists()
    assert compressor.verify(out).status == "ok"


def test_a_finished_run_is_resumed_to_itself(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = compressor.prune(source, sparsity=0.5, output=out)
    before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}

    again = compressor.prune(source, sparsity=0.5, output=out, resume=True)

    assert again.as_dict() == first.as_dict()
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == before
    with pytest.raises(CompressorError) as other:
        compressor.prune(source, sparsity=0.6, output=out, resume=True)
    assert other.value.id == "OUT-EXISTS"


def test_a_damaged_result_is_no_finished_run(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    compressor.prune(source, sparsity=0.5, output=out)
    weights = out / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)

    with pytest.raises(CompressorError) as error:
        compressor.prune(source, sparsity=0.5, output=out, resume=True)

    assert error.value.id == "OUT-EXISTS"


def test_a_dry_run_refuses_what_the_run_would_refuse(source: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").touch()

    with pytest.raises(CompressorError) as error:
        compressor.prune(source, sparsity=0.5, output=tmp_path / "out", dry_run=True)

    assert error.value.id == "OUT-EXISTS"
