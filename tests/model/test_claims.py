"""A report's counts and patterns hold for what was written, and for nothing that differs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import zoo
from safetensors.numpy import load_file, save_file

from compressor.checkpoint.read.reader import open_checkpoint
from compressor.checkpoint.verify.finding import Finding
from compressor.model.claims import check_claims, check_source, claims_of
from compressor.step import RunOptions, run
from compressor.steps.prune import Prune

Array = npt.NDArray[Any]


def pruned(folder: Path, model_type: str, sparsity: str) -> Path:
    zoo.build(model_type, folder / "source")
    step = Prune.model_validate({"sparsity": sparsity})
    run(step, str(folder / "source"), RunOptions(output=folder / "out"))
    return folder / "out"


def claims(folder: Path) -> list[Finding]:
    checkpoint = open_checkpoint(folder)
    return list(check_claims(checkpoint, claims_of(checkpoint)))


def against(folder: Path, source: Path) -> list[Finding]:
    checkpoint = open_checkpoint(folder)
    return list(check_source(checkpoint, claims_of(checkpoint), open_checkpoint(source)))


def statuses(findings: list[Finding]) -> list[tuple[int, str]]:
    return [(each.level, each.status) for each in findings]


def change(folder: Path, name: str, make: Callable[[Array], object]) -> None:
    arrays = load_file(folder / "model.safetensors")
    make(arrays[name])
    save_file(arrays, folder / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize("sparsity", ["0.3", "2:4", "1:4", "vector:2:4:3"])
@pytest.mark.parametrize("model_type", ["llama", "gpt2", "resnet", "granitemoe", "gpt_oss"])
def test_what_prune_reports_holds(tmp_path: Path, model_type: str, sparsity: str) -> None:
    out = pruned(tmp_path, model_type, sparsity)

    assert statuses(claims(out)) == [(12, "ok")]
    assert statuses(against(out, tmp_path / "source")) == [(13, "ok")]


def first_zero_revived(weight: Array) -> None:
    weight.reshape(-1)[int(np.argmax(weight.reshape(-1) == 0))] = 1


def moved(weight: Array, out: int, into: int) -> None:
    """As many zeros as before, but one group of four inputs holds three weights."""
    kept = weight[out, into : into + 4] != 0
    weight[out, into + int(np.argmin(kept))] = 1
    other = weight[out, into + 4 : into + 8]
    other[int(np.argmax(other != 0))] = 0


LINEAR, CONV1D = "model.layers.0.mlp.up_proj.weight", "transformer.h.0.mlp.c_fc.weight"
SPOILED: list[tuple[str, str, Callable[[Array], object], str]] = [
    ("llama", LINEAR, first_zero_revived, "counted otherwise"),
    ("llama", LINEAR, lambda weight: moved(weight, 5, 8), "do not obey 2:4"),
    ("gpt2", CONV1D, lambda weight: moved(weight.T, 5, 8), "do not obey 2:4"),
    ("llama", "model.norm.weight", lambda weight: weight.fill(0), "counted otherwise"),
]


@pytest.mark.parametrize(("model_type", "name", "spoil", "said"), SPOILED)
def test_weights_that_the_report_does_not_describe_are_found(
    tmp_path: Path, model_type: str, name: str, spoil: Callable[[Array], object], said: str
) -> None:
    out = pruned(tmp_path, model_type, "2:4")

    change(out, name, spoil)

    found = claims(out)
    assert {(each.level, each.status, each.id) for each in found} == {
        (12, "failed", "VERIFY-CLAIM")
    }
    assert any(said in each.detail for each in found)
    assert any(name in each.detail for each in found)


def test_a_block_of_rows_that_do_not_share_their_columns_is_found(tmp_path: Path) -> None:
    out = pruned(tmp_path, "llama", "vector:2:4:4")

    def rotate(weight: Array) -> None:
        weight[6, :4] = np.roll(weight[6, :4], 1)

    change(out, LINEAR, rotate)

    (finding,) = claims(out)
    assert finding.detail == f"do not obey vector:2:4:4: {LINEAR}"


@pytest.mark.parametrize(
    "key", ["zeros", "parameters", "weights_pruned_over", "sparsity", "sparsity_of_all_matrices"]
)
def test_a_sum_that_is_not_the_sum_is_found(tmp_path: Path, key: str) -> None:
    out = pruned(tmp_path, "llama", "0.5")
    report = json.loads((out / "report.json").read_bytes())
    report["summary"][key] += 1

    (out / "report.json").write_text(json.dumps(report))

    (finding,) = claims(out)
    assert (finding.id, f"{key} (" in finding.detail) == ("VERIFY-CLAIM", True)


def test_a_tensor_that_the_report_leaves_out_is_found(tmp_path: Path) -> None:
    out = pruned(tmp_path, "llama", "0.5")
    report = json.loads((out / "report.json").read_bytes())
    removed = report["tables"]["tensors"].pop()

    (out / "report.json").write_text(json.dumps(report))

    (finding,) = claims(out)
    assert finding.detail == f"not both stored and reported: {removed['name']}"


@pytest.mark.parametrize("report", [None, "{", "[]", '{"summary": {}, "tables": {}}'])
def test_without_a_report_on_tensors_nothing_is_claimed(tmp_path: Path, report: str | None) -> None:
    zoo.build("llama", tmp_path / "source")
    if report is not None:
        (tmp_path / "source" / "report.json").write_text(report)

    assert statuses(claims(tmp_path / "source")) == [(12, "skipped")]
    assert statuses(against(tmp_path / "source", tmp_path / "source")) == [(13, "skipped")]


def scaled(weight: Array) -> None:
    weight *= 2


def zeroed(weight: Array) -> None:
    weight.reshape(-1)[0] = 0


@pytest.mark.parametrize(
    ("name", "spoil", "status"),
    [
        (LINEAR, scaled, "failed"),
        (LINEAR, zeroed, "ok"),
        (LINEAR, first_zero_revived, "failed"),
        ("model.norm.weight", zeroed, "failed"),
        ("model.embed_tokens.weight", scaled, "failed"),
    ],
)
def test_only_zeros_in_touched_tensors_may_differ_from_the_source(
    tmp_path: Path, name: str, spoil: Callable[[Array], object], status: str
) -> None:
    out = pruned(tmp_path, "llama", "2:4")

    change(out, name, spoil)

    (finding,) = against(out, tmp_path / "source")
    assert (finding.level, finding.status) == (13, status)
    assert status == "ok" or name in finding.detail


def test_a_source_with_other_tensors_is_found(tmp_path: Path) -> None:
    out = pruned(tmp_path / "one", "llama", "2:4")
    zoo.build("gpt2", tmp_path / "other")

    (finding,) = against(out, tmp_path / "other")

    assert finding.id == "VERIFY-SOURCE"
    assert "only in one of the two" in finding.detail
