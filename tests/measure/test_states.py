"""A pruned state in memory holds the bits of the pruned checkpoint, whatever the model and cut."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from zoo import build

from compressor.checkpoint.read.reader import Checkpoint, open_checkpoint
from compressor.checkpoint.stream import TensorJob
from compressor.errors import InputError
from compressor.measure import states as module
from compressor.measure.opening import Setting, opened
from compressor.measure.states import Pruned, States, states
from compressor.step import RunOptions, run
from compressor.steps.prune import Prune

CUTS = [
    {"sparsity": "0.5"},
    {"sparsity": "0.37", "scope": "layer"},
    {"sparsity": "0.25", "scope": "row"},
    {"sparsity": "2:4"},
    {"sparsity": "0.6", "method": "random", "seed": 3},
]
SETTING = Setting("cpu", "float32", 4, None, 1)


def prune(**fields: Any) -> Prune:
    return Prune.model_validate(fields)


def job(folder: Path, **fields: Any) -> TensorJob:
    return prune(**fields).job(str(folder), RunOptions())


def bits(model: Any) -> dict[str, bytes]:
    """Every tensor that the model holds, as bytes."""
    return {
        name: value.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        for name, value in model.state_dict().items()
    }


def loaded(checkpoint: Checkpoint, setting: Setting = SETTING) -> dict[str, bytes]:
    with opened("model", checkpoint, setting, lambda items: None) as model:
        return bits(model.model)


def written(
    folder: Path, out: Path, setting: Setting, **fields: Any
) -> tuple[dict[str, bytes], Mapping[str, int]]:
    """What a real prune leaves, loaded; and the zeros that its report counts."""
    report = run(prune(**fields), str(folder), RunOptions(output=out))
    rows = [row for row in report.tables["tensors"] if not row["reason"]]
    zeros = {str(row["name"]): int(str(row["zeros"])) for row in rows}
    return loaded(open_checkpoint(out), setting), zeros


def seen(pruned: Pruned) -> tuple[dict[str, bytes], Mapping[str, int]]:
    return bits(pruned.model.model), pruned.zeros


def check_all_cuts(folder: Path, tmp_path: Path, setting: Setting = SETTING) -> States:
    """Every cut one after the other in one model: each as written, and dense once more."""
    checkpoint = open_checkpoint(folder)
    touched = {key for cut in CUTS for key in job(folder, **cut).rewrites}
    with states("model", checkpoint, touched, setting, lambda items: None, 2) as each:
        for number, cut in enumerate(CUTS):
            with each.pruned(job(folder, **cut)) as pruned:
                found = seen(pruned)
            assert found == written(folder, tmp_path / f"{number}", setting, **cut), cut
        with each.dense() as dense:
            assert bits(dense.model) == loaded(checkpoint, setting)
    return each


@pytest.mark.parametrize("kind", ["llama", "gpt2", "bert", "vit"])
def test_a_state_is_the_pruned_checkpoint_bit_for_bit(kind: str, tmp_path: Path) -> None:
    build(kind, tmp_path / "model")

    each = check_all_cuts(tmp_path / "model", tmp_path)

    assert isinstance(each, module._InPlace)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_state_of_half_precision_is_cut_where_its_many_ties_are(
    dtype: torch.dtype, tmp_path: Path
) -> None:
    build("llama", tmp_path / "model")
    recast(tmp_path / "model", dtype)

    for computed in ("float32", str(dtype).removeprefix("torch.")):
        folder = tmp_path / computed
        folder.mkdir()
        each = check_all_cuts(tmp_path / "model", folder, Setting("cpu", computed, 4, None, 1))

        assert isinstance(each, module._InPlace)


def recast(folder: Path, dtype: torch.dtype) -> None:
    file = folder / "model.safetensors"
    tensors = {name: value.to(dtype) for name, value in load_file(file).items()}
    save_file(tensors, file, {"format": "pt"})


@pytest.mark.parametrize("kind", ["mixtral", "qwen3_moe"])
def test_experts_that_the_loader_fuses_are_pruned_by_way_of_a_checkpoint(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(kind, tmp_path / "model")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()

    each = check_all_cuts(tmp_path / "model", tmp_path)

    assert isinstance(each, module._Stored)
    assert not list((tmp_path / "temporary").iterdir())


def test_tied_weights_are_overwritten_once(tmp_path: Path) -> None:
    build("gpt2", tmp_path / "model")
    config = json.loads((tmp_path / "model/config.json").read_text())
    fields = {"sparsity": "0.5", "only": ["*.wte"], "scope": "layer"}
    checkpoint, work = open_checkpoint(tmp_path / "model"), job(tmp_path / "model", **fields)

    with (
        states("model", checkpoint, work.rewrites, SETTING, lambda items: None, 1) as each,
        each.pruned(work) as pruned,
    ):
        found = seen(pruned)

    assert config.get("tie_word_embeddings", True)
    assert found == written(tmp_path / "model", tmp_path / "out", SETTING, **fields)


def test_masks_of_magnitudes_are_nested(tmp_path: Path) -> None:
    build("llama", tmp_path / "model")
    recast(tmp_path / "model", torch.bfloat16)
    checkpoint = open_checkpoint(tmp_path / "model")
    jobs = [job(tmp_path / "model", sparsity=f"0.{tenths}") for tenths in range(1, 10)]

    masks = []
    with states("model", checkpoint, jobs[0].rewrites, SETTING, lambda items: None, 2) as each:
        for work in jobs:
            with each.pruned(work) as pruned:
                state = pruned.model.model.state_dict()
                masks.append({name: value == 0 for name, value in state.items()})

    for sparse, sparser in pairwise(masks):
        assert all(bool((sparse[name] <= sparser[name]).all()) for name in sparse)
    assert any(bool((masks[0][name] != masks[1][name]).any()) for name in masks[0])


def test_weights_that_are_no_numbers_are_refused_as_a_prune_refuses_them(tmp_path: Path) -> None:
    build("llama", tmp_path / "model")
    file = tmp_path / "model/model.safetensors"
    tensors = load_file(file)
    name = next(each for each in tensors if "q_proj" in each)
    tensors[name][0, 0] = float("nan")
    save_file(tensors, file, {"format": "pt"})
    checkpoint, work = open_checkpoint(tmp_path / "model"), job(tmp_path / "model", sparsity="0.5")

    with (
        states("model", checkpoint, work.rewrites, SETTING, lambda items: None, 1) as each,
        pytest.raises(InputError) as error,
        each.pruned(work),
    ):
        pass
    with pytest.raises(InputError) as refused:
        run(prune(sparsity="0.5"), str(tmp_path / "model"), RunOptions(output=tmp_path / "out"))

    assert (error.value.id, error.value.at) == (refused.value.id, refused.value.at)
