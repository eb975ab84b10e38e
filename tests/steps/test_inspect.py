"""Inspecting: what is counted, from headers alone or with the weights read, and what is advised."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import exact
import numpy as np
import pytest
from rawfiles import Stored, encode, write

from compressor.report import Report
from compressor.step import RunOptions, run
from compressor.steps.inspect import Inspect

UP = "model.layers.0.mlp.up_proj.weight"


def inspect(folder: Path, workers: int = 2, **fields: Any) -> Report:
    return run(Inspect.model_validate(fields), str(folder), RunOptions(workers=workers))


def sparse(n: int, m: int, layout: str, *shape: int) -> Stored:
    """Weights that obey N:M along their inputs."""
    values = np.random.default_rng(0).standard_normal(shape)
    values[exact.by_group(encode(values, "F64"), layout, n, m)] = 0
    return encode(values, "F32")


def test_parameters_and_families_are_counted(tmp_path: Path) -> None:
    ones = {
        name: encode(np.ones(shape), "BF16")
        for name, shape in {
            UP: (16, 8),
            "model.layers.1.mlp.up_proj.weight": (16, 8),
            "lm_head.weight": (4, 8),
            "model.norm.weight": (8,),
        }.items()
    }

    report = inspect(write(tmp_path, ones))

    assert report.summary["parameters"] == 2 * 128 + 32 + 8
    assert report.summary["prunable"] == 256
    assert report.summary["coverage"] == round(256 / 296, 6)
    assert report.summary["model_type"] == "llama"
    families = {row["role"]: row for row in report.tables["families"]}
    assert (families["linear"]["tensors"], families["linear"]["bytes"]) == (2, 512)
    assert families["linear"]["shapes"] == "16×8"
    assert families["head"]["reason"]
    assert "tensors" not in report.tables


@pytest.mark.parametrize(
    ("layout", "name", "kind", "shape"),
    [
        ("linear", UP, "llama", (6, 48)),
        ("conv1d", "h.0.mlp.c_fc.weight", "gpt2", (48, 6)),
        ("convolution", "encoder.layers.0.conv.weight", "new", (6, 48, 3, 3)),
        ("transposed experts", "model.layers.0.mlp.experts.gate_up_proj", "gpt_oss", (2, 48, 6)),
    ],
)
@pytest.mark.parametrize(("n", "m"), [(2, 4), (4, 8), (3, 8), (8, 16)])
def test_the_patterns_that_weights_obey_are_found_along_the_inputs(
    layout: str, name: str, kind: str, shape: tuple[int, ...], n: int, m: int, tmp_path: Path
) -> None:
    weights = {name: sparse(n, m, layout, *shape)}
    source = write(tmp_path, weights, config={"model_type": kind})

    report = inspect(source, tensors=True)

    (row,) = report.tables["tensors"]
    assert f"{n}:{m}" in str(row["patterns"]).split()
    assert report.summary["patterns"] == row["patterns"]
    assert report.summary["sparsity"] == row["sparsity"] == round(1 - n / m, 6)


def test_dense_weights_obey_nothing_and_one_of_them_decides(tmp_path: Path) -> None:
    weights = {
        UP: sparse(2, 4, "linear", 8, 8),
        UP.replace("up", "down"): encode(np.ones((8, 8)), "F16"),
    }

    assert inspect(write(tmp_path, weights)).summary["patterns"] == "none"


def test_zeros_of_both_signs_and_non_matrices_are_counted(tmp_path: Path) -> None:
    weights: dict[str, Stored] = {
        UP: encode(np.array([[0.0, -0.0, 1.0, 2.0]]), "BF16"),
        "model.norm.weight": encode(np.array([0.0, 1.0]), "F32"),
        "model.layers.0.position_ids": ("I64", np.arange(4, dtype=np.uint64)),
    }

    rows = {
        row["name"]: row
        for row in inspect(write(tmp_path, weights), tensors=True).tables["tensors"]
    }

    assert rows[UP]["sparsity"] == 0.5
    assert rows["model.norm.weight"]["sparsity"] == 0.5
    assert rows["model.layers.0.position_ids"]["sparsity"] == 0.25


def test_empty_tensors_are_no_trouble(tmp_path: Path) -> None:
    weights = {
        UP: encode(np.ones((0, 8)), "F32"),
        UP.replace("up", "gate"): encode(np.ones((8, 8)), "F32"),
    }

    report = inspect(write(tmp_path, weights), tensors=True, advise=True)

    assert report.summary["sparsity"] == 0.0
    assert report.summary["prunable"] == 64


def test_weights_are_read_only_where_asked(tmp_path: Path) -> None:
    source = write(tmp_path, {UP: encode(np.zeros((8, 8)), "F32")})

    assert inspect(source, scan=True).summary["sparsity"] == 1.0
    assert "sparsity" not in inspect(source, scan=False).summary


def test_a_scan_is_the_same_with_any_number_of_workers(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 2, (3000, 1024)).astype(np.float32)
    source = write(tmp_path, {UP: encode(values, "F32")})

    reports = [inspect(source, workers) for workers in (1, 4)]

    assert reports[0] == reports[1]
    assert reports[0].summary["sparsity"] == round(float((values == 0).mean()), 6)


def test_advice_says_what_a_prune_reaches(tmp_path: Path) -> None:
    weights = {
        UP: encode(np.ones((8, 16)), "F32"),
        UP.replace("up", "down"): encode(np.ones((8, 6)), "F32"),
    }

    advice = {
        row["option"]: row
        for row in inspect(write(tmp_path, weights), advise=True).tables["advice"]
    }

    half, pattern = advice["prune --sparsity 0.5"], advice["prune --sparsity 2:4"]
    assert (half["zeros"], half["does_not_fit"]) == (88, 0)
    assert (pattern["zeros"], pattern["does_not_fit"], pattern["tensors"]) == (64, 1, 1)
    assert pattern["bytes"] == half["bytes"] == 4 * 176


@pytest.mark.parametrize(
    ("is_tied", "is_stored", "text"),
    [
        (True, True, "model.embed_tokens.weight = lm_head.weight, stored twice"),
        (True, False, "word embeddings and head, stored once"),
        (False, True, "none"),
    ],
)
def test_ties_are_told(is_tied: bool, is_stored: bool, text: str, tmp_path: Path) -> None:
    ones = encode(np.ones((8, 8)), "F32")
    weights = {"model.embed_tokens.weight": ones, UP: ones} | (
        {"lm_head.weight": ones} if is_stored else {}
    )
    config = {"model_type": "llama", "tie_word_embeddings": is_tied}

    assert inspect(write(tmp_path, weights, config=config)).summary["ties"] == text
