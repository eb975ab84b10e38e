"""Exact pruning: requested is achieved, by a brute-force sort, in every scope, layout and dtype."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import exact
import numpy as np
import pytest
from rawfiles import Bits, Stored, encode, read, write, zeros

from compressor.pruning.scores import random
from compressor.pruning.scores.place import Place
from compressor.report import Report
from compressor.step import RunOptions, run
from compressor.steps.prune import Prune

DTYPES = ("BF16", "F16", "F32", "F64")
PATTERNS = ("1:2", "2:4", "4:8", "8:16", "1:4", "2:6", "3:5", "16:32", "32:64")

Shape = Callable[[int, int], tuple[int, ...]]
LAYOUTS: dict[str, tuple[str, str, Shape]] = {
    "linear": ("llama", "model.layers.{}.mlp.up_proj.weight", lambda out, into: (out, into)),
    "conv1d": ("gpt2", "h.{}.mlp.c_fc.weight", lambda out, into: (into, out)),
    "experts": (
        "granitemoe",
        "model.layers.{}.block_sparse_moe.input_linear.weight",
        lambda out, into: (2, out, into),
    ),
    "transposed experts": (
        "gpt_oss",
        "model.layers.{}.mlp.experts.gate_up_proj",
        lambda out, into: (2, into, out),
    ),
    "convolution": (
        "resnet",
        "encoder.stages.{}.layers.0.layer.0.convolution.weight",
        lambda out, into: (out, into, 3, 2),
    ),
    "transposed convolution": (
        "new",
        "model.layers.{}.deconv.weight",
        lambda out, into: (into, out, 3),
    ),
}


def contents(shape: tuple[int, ...], dtype: str) -> list[Stored]:
    """Gaussian weights; few distinct ones, with zeros of both signs; all zero; all alike."""
    generator = np.random.default_rng(len(shape))
    few = generator.integers(-2, 3, shape) * np.where(generator.random(shape) < 0.5, -1.0, 1.0)
    every = [generator.standard_normal(shape), few, np.zeros(shape), np.full(shape, -0.5)]
    return [encode(values, dtype) for values in every]


def model(folder: Path, layout: str, outputs: int, inputs: int) -> Path:
    """A checkpoint with one layout, in all dtypes and contents."""
    kind, name, shape = LAYOUTS[layout]
    weights = [each for dtype in DTYPES for each in contents(shape(outputs, inputs), dtype)]
    tensors = {name.format(place): weight for place, weight in enumerate(weights)}
    return write(folder, tensors, config={"model_type": kind})


def pruned(folder: Path, output: Path, workers: int = 2, **fields: Any) -> Report:
    options = RunOptions(output=output, workers=workers)
    return run(Prune.model_validate(fields), str(folder), options)


def assert_zeroed(old: Stored, new: Stored, mask: Bits) -> None:
    """Every bit is as before, but +0.0 where the mask is."""
    assert new[0] == old[0]
    assert np.array_equal(new[1], np.where(mask, 0, old[1]))


@pytest.mark.parametrize(
    ("layout", "pattern"),
    [
        (layout, pattern)
        for layout in LAYOUTS
        for pattern in (PATTERNS if layout in {"linear", "conv1d"} else PATTERNS[1:8:3])
    ],
)
def test_every_group_of_inputs_keeps_its_best(layout: str, pattern: str, tmp_path: Path) -> None:
    n, m = map(int, pattern.split(":"))
    source = model(tmp_path / "model", layout, outputs=6, inputs=2 * m)

    report = pruned(source, tmp_path / "out", sparsity=pattern)

    after = read(tmp_path / "out")
    for name, old in read(source).items():
        assert_zeroed(old, after[name], exact.by_group(old, layout, n, m))
    assert report.summary["tensors_kept_dense"] == 0


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if "convolution" not in name])
@pytest.mark.parametrize("pattern", ["vector:2:4:8", "vector:1:4:3", "vector:3:5:64"])
def test_a_block_of_outputs_shares_one_pattern(layout: str, pattern: str, tmp_path: Path) -> None:
    n, m, rows = map(int, pattern.split(":")[1:])
    source = model(tmp_path / "model", layout, outputs=19, inputs=4 * m)

    pruned(source, tmp_path / "out", sparsity=pattern)

    after = read(tmp_path / "out")
    for name, old in read(source).items():
        assert_zeroed(old, after[name], exact.by_vector(old, layout, n, m, rows))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("fraction", ["0.5", "0.37", "0.999"])
def test_every_output_keeps_the_same_share(layout: str, fraction: str, tmp_path: Path) -> None:
    source = model(tmp_path / "model", layout, outputs=5, inputs=37)

    report = pruned(source, tmp_path / "out", sparsity=fraction, scope="row")

    after, requested = read(tmp_path / "out"), 0
    for name, old in read(source).items():
        mask = exact.by_row(old, layout, float(fraction))
        assert_zeroed(old, after[name], mask)
        requested += int(mask.sum())
    assert report.summary["zeros_requested"] == requested


@pytest.mark.parametrize("layout", ["linear", "conv1d", "convolution"])
@pytest.mark.parametrize("fraction", ["0", "0.001", "0.5", "0.63", "0.999"])
def test_every_tensor_keeps_its_best(layout: str, fraction: str, tmp_path: Path) -> None:
    source = model(tmp_path / "model", layout, outputs=5, inputs=37)

    pruned(source, tmp_path / "out", sparsity=fraction, scope="layer")

    after = read(tmp_path / "out")
    for name, old in read(source).items():
        assert_zeroed(old, after[name], exact.by_layer(old, float(fraction)))


@pytest.mark.parametrize("dtypes", [[each] for each in DTYPES] + [["BF16", "F16"], list(DTYPES)])
def test_a_global_scope_is_a_sort_of_all_weights_in_order(
    dtypes: list[str], tmp_path: Path
) -> None:
    weights = [each for dtype in dtypes for each in contents((9, 16), dtype)]
    named = {f"model.layers.{i}.mlp.up_proj.weight": each for i, each in enumerate(weights)}
    backwards = list(reversed(named.items()))
    source = write(tmp_path / "model", dict(backwards[::2]), dict(backwards[1::2]))

    report = pruned(source, tmp_path / "out", sparsity="0.4")

    before, after = read(source), read(tmp_path / "out")
    masks = exact.by_all(list(before.values()), 0.4)
    for (name, old), mask in zip(before.items(), masks, strict=True):
        assert_zeroed(old, after[name], mask)
    assert report.summary["zeros_requested"] == round(0.4 * 144 * len(weights))
    assert report.summary["zeros"] == zeros(list(after.values()))


@pytest.mark.parametrize(
    ("method", "scope"),
    [("magnitude", "layer"), ("magnitude", "row"), ("magnitude", "global"), ("random", "global")],
)
def test_masks_are_nested_as_sparsity_grows(method: str, scope: str, tmp_path: Path) -> None:
    source = model(tmp_path / "model", "linear", outputs=7, inputs=40)
    before = list(read(source).values())
    earlier = [np.zeros(each[1].shape, bool) for each in before]

    for tenths in range(1, 10):
        output = tmp_path / f"out-{tenths}"
        pruned(source, output, sparsity=f"0.{tenths}", scope=scope, method=method)
        masks = [after[1] == 0 for after in read(output).values()]

        assert all((old <= new).all() for old, new in zip(earlier, masks, strict=True))
        earlier = masks


@pytest.mark.parametrize("sparsity", ["0.37", "2:4", "vector:2:4:8"])
@pytest.mark.parametrize("scope", ["layer", "row", "global"])
def test_random_pruning_has_exact_counts_and_a_seed(
    scope: str, sparsity: str, tmp_path: Path
) -> None:
    generator = np.random.default_rng(0)
    weights = {
        f"model.layers.{i}.mlp.up_proj.weight": encode(generator.normal(size=(9, 40)), dtype)
        for i, dtype in enumerate(DTYPES)
    }
    source = write(tmp_path / "model", weights)
    fields = {"sparsity": sparsity, "method": "random"} | (
        {"scope": scope} if ":" not in sparsity else {}
    )

    first = pruned(source, tmp_path / "first", **fields)
    pruned(source, tmp_path / "same", workers=1, **fields)
    pruned(source, tmp_path / "other", seed=1, **fields)

    found = [(tmp_path / n / "model.safetensors").read_bytes() for n in ("first", "same", "other")]
    assert found[0] == found[1] != found[2]
    assert first.summary["zeros"] == first.summary["zeros_requested"]
    assert zeros(list(read(tmp_path / "first").values())) == first.summary["zeros"]


def test_kept_weights_keep_every_bit(tmp_path: Path) -> None:
    special = {
        "BF16": [0x7FC1, 0xFFA5, 0x7F80, 0x8000, 0x0000, 0x0001, 0x3F80, 0xBF80],
        "F16": [0x7E01, 0xFD05, 0x7C00, 0x8000, 0x0000, 0x0001, 0x3C00, 0xBC00],
        "F32": [0x7FC00001, 0xFFA00005, 0x7F800000, 0x80000000, 0, 1, 0x3F800000, 0xBF800000],
        "F64": [(0x7FF << 52) + 1, 0xFFF << 52, 0x7FF << 52, 1 << 63, 0, 1, 1 << 62, 3 << 62],
    }
    weights: dict[str, Stored] = {
        f"model.layers.{i}.mlp.up_proj.weight": (
            dtype,
            np.array([bits], dtype=f"u{2 if '16' in dtype else int(dtype[1:]) // 8}"),
        )
        for i, (dtype, bits) in enumerate(special.items())
    }
    source = write(tmp_path / "model", weights)

    report = pruned(source, tmp_path / "out", sparsity="0.25", scope="layer", allow_nonfinite=True)

    for name, (_, bits) in read(tmp_path / "out").items():
        kept = weights[name][1].copy()
        kept[0, 4] = kept[0, 3] = 0
        assert np.array_equal(bits, kept)
    pruned(source, tmp_path / "one", sparsity="0.125", scope="layer", allow_nonfinite=True)
    for name, (_, bits) in read(tmp_path / "one").items():
        assert np.array_equal(bits, weights[name][1])
    assert report.summary["nonfinite"] == 12


@pytest.mark.parametrize("scope", ["layer", "row", "global"])
def test_empty_and_one_element_tensors_are_pruned_too(scope: str, tmp_path: Path) -> None:
    shapes = [(0, 8), (8, 0), (1, 1), (1, 3), (0, 0)]
    weights = {
        f"model.layers.{i}.mlp.up_proj.weight": encode(np.ones(shape), "F32")
        for i, shape in enumerate(shapes)
    }
    source = write(tmp_path / "model", weights)

    report = pruned(source, tmp_path / "out", sparsity="0.6", scope=scope)

    assert report.summary["zeros_requested"] == report.summary["zeros"]
    assert [bits.shape for _, bits in read(tmp_path / "out").values()] == shapes
    assert report.summary["zeros"] == {"layer": 3, "row": 3, "global": 2}[scope]


def test_only_empty_tensors_under_any_pattern_are_copied(tmp_path: Path) -> None:
    weights = {"model.layers.0.mlp.up_proj.weight": encode(np.ones((0, 8)), "BF16")}
    source = write(tmp_path / "model", weights)

    for place, sparsity in enumerate(["0.5", "2:4", "vector:2:4:8"]):
        report = pruned(source, tmp_path / str(place), sparsity=sparsity)
        assert (report.summary["zeros"], report.summary["sparsity"]) == (0, 0.0)


def test_a_budget_of_ties_crosses_blocks_and_shards_with_any_number_of_workers(
    tmp_path: Path,
) -> None:
    shapes = [(40 * 1024, 1024), (5 * 1024, 1024)]
    generator = np.random.default_rng(0)
    weights = [generator.integers(1, 4, shape, np.uint16) for shape in shapes]
    names = [f"model.layers.{i}.mlp.up_proj.weight" for i in range(2)]
    shards = [{name: ("BF16", bits)} for name, bits in zip(names, weights, strict=True)]
    source = write(tmp_path / "model", *shards)
    total = sum(bits.size for bits in weights)
    ones_and_twos = [int(np.count_nonzero(bits < 3)) for bits in weights]
    ties = np.flatnonzero(weights[1] == 3)[-(round(0.68 * total) - sum(ones_and_twos)) :]

    for workers in (1, 4):
        output = tmp_path / str(workers)
        pruned(source, output, workers, sparsity="0.68")

        first, second = (bits for _, bits in read(output).values())
        assert np.array_equal(first, np.where(weights[0] < 3, 0, weights[0]))
        expected = np.where(weights[1] < 3, 0, weights[1])
        expected.reshape(-1)[ties] = 0
        assert np.array_equal(second, expected)
        assert 1 << 20 < ties[0] < 4 << 20


def test_chance_draws_once_for_each_weight_of_many_blocks(tmp_path: Path) -> None:
    name, weights = "model.layers.0.mlp.up_proj.weight", np.ones((2100, 1024), np.uint32)
    source = write(tmp_path / "model", {name: ("F32", weights)})

    pruned(source, tmp_path / "out", sparsity="0.5", method="random")

    keys = random.keys(weights, Place(name, "F32", "F32", first=0, seed=0))
    mask = exact.lowest(keys.reshape(-1), weights.size // 2).reshape(weights.shape)
    assert_zeroed(("F32", weights), read(tmp_path / "out")[name], mask)
