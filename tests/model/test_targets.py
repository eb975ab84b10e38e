"""Targets: which tensors a pattern means, in canonical order, each with a reason or none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rawfiles import Stored, encode, write

from compressor.checkpoint.read.reader import Checkpoint, open_checkpoint
from compressor.errors import UsageError
from compressor.model.targets import Target, checked, choose, is_wild, matches
from compressor.pruning.geometry import Geometry

UP = "model.layers.0.mlp.up_proj.weight"


def opened(folder: Path, weights: dict[str, Stored], kind: str = "llama") -> Checkpoint:
    return open_checkpoint(write(folder, weights, config={"model_type": kind}))


def zeros(*shape: int, dtype: str = "F32") -> Stored:
    return encode(np.zeros(shape), dtype)


def geometry(folder: Path, name: str, shape: tuple[int, ...], kind: str) -> Geometry:
    (target,) = choose(opened(folder, {name: zeros(*shape)}, kind), (), ())
    return target.geometry


@pytest.mark.parametrize(
    ("pattern", "name", "is_meant"),
    [
        ("lm_head", "lm_head.weight", True),
        ("lm_head.weight", "lm_head.weight", True),
        ("head", "lm_head.weight", False),
        ("*.mlp.*", UP, True),
        ("*mlp*", UP, True),
        ("*.MLP.*", UP, False),
        ("model.layers.[0-3].*", UP, True),
        ("model.layers.[1-3].*", UP, False),
        ("re:model\\.layers\\.\\d+\\.mlp\\..*", UP, True),
        ("re:mlp", UP, False),
        ("re:.*up_proj", UP, True),
        ("*", "weight", True),
    ],
)
def test_a_pattern_means_a_whole_name_or_its_module(
    pattern: str, name: str, is_meant: bool
) -> None:
    assert matches(pattern, name) is is_meant


@pytest.mark.parametrize(("pattern", "is_so"), [("a.b", False), ("a.*", True), ("re:a", True)])
def test_a_wild_pattern_can_mean_many(pattern: str, is_so: bool) -> None:
    assert is_wild(pattern) is is_so


@pytest.mark.parametrize("pattern", ["re:(", "re:[a", "re:+"])
def test_an_invalid_expression_is_a_value_error(pattern: str) -> None:
    with pytest.raises(ValueError, match="regular expression"):
        checked(pattern)


@pytest.mark.parametrize("pattern", ["(", "[a", "re:.*", "*"])
def test_a_glob_may_hold_anything(pattern: str) -> None:
    assert checked(pattern) == pattern


def test_targets_come_shard_by_shard_in_the_order_of_their_bytes(tmp_path: Path) -> None:
    names = [f"model.layers.{i}.mlp.up_proj.weight" for i in (3, 1, 2, 0)]
    folder = write(
        tmp_path,
        {names[0]: zeros(4, 4), names[1]: zeros(4, 4)},
        {n: zeros(4, 4) for n in names[2:]},
    )

    found = choose(open_checkpoint(folder), (), ())

    assert [target.name for target in found] == names
    assert not any(target.reason for target in found)


def test_a_reason_is_the_first_that_holds(tmp_path: Path) -> None:
    weights = {
        UP: zeros(4, 4),
        "lm_head.weight": zeros(4, 4),
        "model.norm.weight": zeros(4),
        "model.layers.0.mlp.counter.weight": ("I64", np.zeros((2, 2), np.uint64)),
        "model.layers.0.mlp.down_proj.weight": zeros(4, 4),
    }
    checkpoint = opened(tmp_path, weights)

    found = choose(checkpoint, ("*",), ("*.down_proj",))

    reasons = {target.name: target.reason for target in found}
    assert reasons[UP] == reasons["lm_head.weight"] == ""
    assert reasons["model.norm.weight"].startswith("a norm")
    assert "integers" in reasons["model.layers.0.mlp.counter.weight"]
    assert reasons["model.layers.0.mlp.down_proj.weight"] == "--skip *.down_proj"
    named = {target.name for target in choose(checkpoint, (UP, "lm_*"), ()) if target.is_named}
    assert named == {UP}


def test_a_pattern_that_selects_only_what_cannot_change_is_an_error(tmp_path: Path) -> None:
    checkpoint = opened(tmp_path, {UP: zeros(4, 4), "model.norm.weight": zeros(4)})

    with pytest.raises(UsageError, match="RECIPE-NO-MATCH"):
        choose(checkpoint, ("model.norm",), ())


@pytest.mark.parametrize(
    ("name", "shape", "kind", "inputs", "outputs"),
    [
        (UP, (6, 8), "llama", 8, 6),
        ("h.0.mlp.c_fc.weight", (8, 6), "gpt2", 8, 6),
        ("model.layers.0.mlp.experts.gate_up_proj", (3, 8, 6), "gpt_oss", 8, 6),
        ("encoder.stages.0.layers.0.layer.0.convolution.weight", (6, 8, 3, 3), "resnet", 8, 6),
        ("model.layers.0.deconv.weight", (8, 6, 3), "new", 8, 6),
        ("model.layers.0.conv.weight", (6, 1, 0), "llama", 1, 6),
    ],
)
def test_a_geometry_says_which_axis_is_the_input(
    name: str, shape: tuple[int, ...], kind: str, inputs: int, outputs: int, tmp_path: Path
) -> None:
    found = geometry(tmp_path, name, shape, kind)

    assert (found.inputs, found.outputs) == (inputs, outputs)
    assert found.count == np.prod(shape)


def test_what_is_no_matrix_has_no_geometry(tmp_path: Path) -> None:
    target: Target = choose(opened(tmp_path, {"model.norm.weight": zeros(4)}), (), ())[0]

    with pytest.raises(ValueError, match="not a matrix"):
        _ = target.geometry
