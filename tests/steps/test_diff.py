"""Comparing two checkpoints: what changed, by how much, and what is in one of them only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rawfiles import Stored, decode, encode, write

from compressor.report import Report
from compressor.step import RunOptions, run
from compressor.steps.diff import Diff

NAME = "model.layers.0.mlp.up_proj.weight"


def diff(new: Path, old: Path, workers: int = 2, **fields: Any) -> Report:
    step = Diff.model_validate({"against": str(old), **fields})
    return run(step, str(new), RunOptions(workers=workers))


def pair(folder: Path, old: Stored, new: Stored, name: str = NAME) -> tuple[Path, Path]:
    return write(folder / "new", {name: new}), write(folder / "old", {name: old})


@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32", "F64"])
def test_change_and_error_are_those_of_the_numbers(dtype: str, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    old = encode(random.standard_normal((40, 30)), dtype)
    values = decode(old)
    values[random.random(values.shape) < 0.3] = 0
    new = encode(values, dtype)

    report = diff(*pair(tmp_path, old, new))

    a, b = decode(old), decode(new)
    error = round(float(np.linalg.norm(b - a) / np.linalg.norm(a)), 6)
    (row,) = report.tables["tensors"]
    assert row["changed"] == row["zeros_gained"] == int((a != b).sum())
    assert (row["zeros_lost"], row["relative_error"]) == (0, error)
    assert report.summary["relative_error"] == error


def test_equal_tensors_are_counted_and_listed_on_request(tmp_path: Path) -> None:
    same = encode(np.ones((4, 4)), "F32")

    folders = pair(tmp_path, same, same)

    report = diff(*folders)
    assert (report.summary["byte_equal"], report.summary["changed"]) == (1, 0)
    assert report.summary["relative_error"] == 0.0
    assert list(report.tables["tensors"]) == []
    assert [row["change"] for row in diff(*folders, all=True).tables["tensors"]] == ["equal"]


def test_a_changed_sign_of_zero_is_a_change_without_an_error(tmp_path: Path) -> None:
    old, new = encode(np.array([[0.0, 1.0]]), "F32"), encode(np.array([[-0.0, 1.0]]), "F32")

    (row,) = diff(*pair(tmp_path, old, new)).tables["tensors"]

    assert (row["changed"], row["zeros_gained"], row["zeros_lost"]) == (1, 0, 0)
    assert row["relative_error"] == 0.0


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_an_error_that_is_no_number_is_none(value: float, tmp_path: Path) -> None:
    old, new = encode(np.ones((2, 2)), "F64"), encode(np.array([[value, 1], [1, 0]]), "F64")

    report = diff(*pair(tmp_path, old, new))

    assert report.summary["changed"] == 1
    assert report.summary["relative_error"] is None
    assert report.to_json()


def test_infinities_in_both_are_no_trouble(tmp_path: Path) -> None:
    old, new = (encode(np.array([[np.inf, value]]), "F32") for value in (1, 2))

    (row,) = diff(*pair(tmp_path, old, new)).tables["tensors"]

    assert (row["changed"], row["relative_error"]) == (1, None)


def test_what_is_in_one_of_them_only_and_other_shapes_are_told(tmp_path: Path) -> None:
    def ones(dtype: str, *shape: int) -> Stored:
        return encode(np.ones(shape), dtype)

    old = write(tmp_path / "old", {"a": ones("F32", 2), "b": ones("F32", 4), "c": ones("F32", 4)})
    new = write(
        tmp_path / "new", {"b": ones("F32", 2, 2), "c": ones("F16", 4), "d": ones("F32", 2)}
    )

    report = diff(new, old)

    changes = {row["name"]: row["change"] for row in report.tables["tensors"]}
    assert changes == {"a": "removed", "b": "shape or dtype", "c": "shape or dtype", "d": "added"}
    assert report.tables["tensors"][1]["before"] == "F32 [4]"
    assert report.tables["tensors"][1]["after"] == "F32 [2, 2]"
    assert (report.summary["only_in_one"], report.summary["other_shape_or_dtype"]) == (2, 2)
    assert report.exit_code == 0


def test_integers_are_compared_as_bytes(tmp_path: Path) -> None:
    old, new = (("I64", np.array([0, 1, value], np.uint64)) for value in (2, 3))

    (row,) = diff(*pair(tmp_path, old, new, "position_ids")).tables["tensors"]

    assert (row["changed"], row["zeros_gained"], row["relative_error"]) == (1, 0, None)


def test_shards_may_differ_and_workers_change_nothing(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    first, second = (random.standard_normal((700, 1024)) for _ in range(2))
    old = write(tmp_path / "old", {"a": encode(first, "F32")}, {"b": encode(second, "F32")})
    new = write(tmp_path / "new", {"b": encode(second, "F32"), "a": encode(first + 1e-3, "F32")})

    one, four = diff(new, old, 1), diff(new, old, 4)

    assert one == four
    assert (one.summary["changed"], one.summary["byte_equal"]) == (1, 1)
