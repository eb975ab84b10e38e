"""`verify` as a step: which levels it asks, what it answers, and with which exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import badinputs as bad
import numpy as np
import pytest
import zoo
from safetensors.numpy import load_file, save_file

from compressor.errors import CompressorError
from compressor.report import Report
from compressor.step import RunOptions, run
from compressor.steps.prune import Prune
from compressor.steps.verify import Verify


@pytest.fixture
def source(tmp_path: Path) -> Path:
    zoo.build("qwen2", tmp_path / "source")
    return tmp_path / "source"


@pytest.fixture
def out(source: Path, tmp_path: Path) -> Path:
    step = Prune.model_validate({"sparsity": "2:4"})
    run(step, str(source), RunOptions(output=tmp_path / "out"))
    return tmp_path / "out"


def verify(folder: Path, **fields: Any) -> Report:
    return run(Verify.model_validate(fields), str(folder), RunOptions())


def answers(report: Report, status: str) -> list[int]:
    return [int(str(row["level"])) for row in report.tables["checks"] if row["status"] == status]


def ids(report: Report) -> set[str]:
    return {str(row["id"]) for row in report.tables["checks"] if row["status"] == "failed"}


def test_an_output_is_verified_on_every_level_that_was_asked_for(out: Path, source: Path) -> None:
    shallow = verify(out)
    deep = verify(out, deep=True, source=str(source))

    assert shallow.exit_code == deep.exit_code == 0
    assert answers(shallow, "ok") == [1, 2, 3, 4, 5, 6, 7]
    assert answers(deep, "ok") == [1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13]
    assert answers(deep, "skipped") == [8]
    assert deep.summary == {"origin": "as its manifest says", "ok": 12, "failed": 0, "skipped": 1}
    assert deep.notes == []


def test_a_source_alone_asks_for_the_comparison_alone(out: Path, source: Path) -> None:
    assert answers(verify(out, source=str(source)), "ok") == [1, 2, 3, 4, 5, 6, 7, 13]


def test_a_foreign_checkpoint_is_sound_but_of_unknown_origin(source: Path) -> None:
    report = verify(source, deep=True)

    assert report.exit_code == 0
    assert answers(report, "ok") == [2, 4, 5, 6, 7, 9, 10, 11]
    assert answers(report, "skipped") == [1, 3, 8, 12]
    assert report.summary["origin"] == "unknown"
    assert "origin is unknown" in report.notes[-1]


def test_a_damaged_output_is_said_to_be_so_and_never_loaded(out: Path, source: Path) -> None:
    whole = (out / "model.safetensors").read_bytes()
    (out / "model.safetensors").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))

    report = verify(out, deep=True, source=str(source))

    assert (report.status, report.exit_code) == ("failed", 1)
    assert ids(report) == {"VERIFY-HASH"}
    assert answers(report, "skipped")[-5:] == [9, 10, 11, 12, 13]


def change(folder: Path, **arrays: object) -> None:
    held = load_file(folder / "model.safetensors")
    save_file({**held, **arrays}, folder / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize("is_stale", [False, True])
def test_a_tied_pair_that_is_stored_twice_must_be_equal(source: Path, is_stale: bool) -> None:
    table = load_file(source / "model.safetensors")["model.embed_tokens.weight"]
    change(source, **{"lm_head.weight": table + np.float32(is_stale)})

    report = verify(source)

    assert ids(report) == ({"TIED-CONFLICT"} if is_stale else set())
    assert report.exit_code == is_stale


def test_a_config_that_the_tensors_contradict_is_found_and_not_built(source: Path) -> None:
    config = json.loads((source / "config.json").read_bytes())
    bad.write_json(source / "config.json", {**config, "vocab_size": 97})

    report = verify(source, deep=True)

    assert ids(report) == {"CKPT-SHAPE"}
    assert answers(report, "skipped") == [1, 3, 8, 9, 10, 11, 12]


def test_a_renamed_tensor_of_a_foreign_checkpoint_is_found_by_deep_alone(source: Path) -> None:
    held = load_file(source / "model.safetensors")
    held["model.norn.weight"] = held.pop("model.norm.weight")
    save_file(held, source / "model.safetensors", {"format": "pt"})

    assert verify(source).exit_code == 0
    assert ids(verify(source, deep=True)) == {"CKPT-MISSING-TENSOR", "CKPT-UNEXPECTED-TENSOR"}


def test_what_is_no_checkpoint_ends_with_3(tmp_path: Path) -> None:
    with pytest.raises(CompressorError) as caught:
        verify(tmp_path)

    assert caught.value.exit_code == 3


def test_a_source_that_is_damaged_is_an_error_and_not_an_answer(out: Path, source: Path) -> None:
    (source / "model.safetensors").write_bytes(b"")

    with pytest.raises(CompressorError) as caught:
        verify(out, source=str(source))

    assert (caught.value.id, caught.value.exit_code) == ("CKPT-EMPTY", 3)


def test_nothing_in_the_folder_is_changed_by_looking(out: Path, source: Path) -> None:
    before = {path: path.read_bytes() for path in out.iterdir()}

    verify(out, deep=True, source=str(source))

    assert {path: path.read_bytes() for path in out.iterdir()} == before


def test_the_step_is_imported_and_run_without_torch(out: Path, source: Path) -> None:
    program = (
        "import sys\n"
        "from compressor.step import RunOptions, run\n"
        "from compressor.steps.verify import Verify\n"
        "report = run(Verify(source=sys.argv[2]), sys.argv[1], RunOptions())\n"
        "assert report.exit_code == 0\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)\n"
    )
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", program, str(out), str(source)]
    environment = {"PYTHONPATH": f"{root}:{root / 'kernels'}"}

    subprocess.run(command, check=True, env=environment, timeout=120)
