"""What a prune refuses, leaves dense or notes: patterns, ties, coverage, non-finite weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rawfiles import Stored, decode, encode, read, write, zeros

from compressor.errors import CheckFailed, CompressorError, InputError, UsageError
from compressor.report import Report
from compressor.step import RunOptions, parsed, run
from compressor.steps.prune import Prune

UP = "model.layers.0.mlp.up_proj.weight"
DOWN = "model.layers.0.mlp.down_proj.weight"
EMBEDDING = "model.embed_tokens.weight"
HEAD = "lm_head.weight"


def normal(*shape: int, dtype: str = "F32", seed: int = 0) -> Stored:
    return encode(np.random.default_rng(seed).standard_normal(shape), dtype)


def small() -> dict[str, Stored]:
    weights = {UP: normal(8, 12), DOWN: normal(6, 10)}
    return {
        EMBEDDING: normal(16, 8),
        **weights,
        "model.norm.weight": normal(8),
        HEAD: normal(16, 8),
    }


def prune(folder: Path, **fields: Any) -> Report:
    step = parsed(Prune, fields)
    return run(step, str(folder), RunOptions(output=folder.parent / "out"))


def refused(
    folder: Path, kind: type[CompressorError] = UsageError, **fields: Any
) -> CompressorError:
    """The error of a prune that leaves nothing behind."""
    beside = sorted(folder.parent.iterdir())
    with pytest.raises(kind) as caught:
        prune(folder, **fields)
    assert sorted(folder.parent.iterdir()) == beside
    return caught.value


def rows(report: Report) -> Mapping[str, Any]:
    return {str(row["name"]): row for row in report.tables["tensors"]}


def test_only_what_lies_in_blocks_is_pruned_and_the_rest_is_copied(tmp_path: Path) -> None:
    source = write(tmp_path / "model", small())

    report = prune(source, sparsity="0.5", scope="layer")

    before, after = read(source), read(tmp_path / "out")
    changed = [name for name in before if not np.array_equal(before[name][1], after[name][1])]
    assert changed == [UP, DOWN]
    assert all(row["reason"] for name, row in rows(report).items() if name not in changed)
    assert report.summary["coverage"] == round(156 / (156 + 8 + 2 * 128), 6)
    assert report.summary["sparsity_of_all_matrices"] == round(78 / (156 + 2 * 128), 6)


def test_the_report_in_the_folder_is_the_one_returned(tmp_path: Path) -> None:
    source = write(tmp_path / "model", small())

    report = prune(source, sparsity="0.5")

    assert json.loads((tmp_path / "out" / "report.json").read_text()) == report.as_dict()
    assert report.output == tmp_path / "out"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32", "F64"])
def test_a_non_finite_weight_is_refused_unless_allowed(
    value: float, dtype: str, tmp_path: Path
) -> None:
    weights = np.ones((4, 8))
    weights[1, 3] = value
    source = write(tmp_path / "model", {UP: encode(weights, dtype), DOWN: normal(8, 8)})

    error = refused(source, InputError, sparsity="0.5")

    assert (error.id, error.exit_code) == ("WEIGHT-NONFINITE", 3)
    assert UP in error.at
    assert "1 non-finite of 32" in error.found
    report = prune(source, sparsity="0.5", allow_nonfinite=True)
    assert report.summary["nonfinite"] == 1
    kept = decode(read(tmp_path / "out")[UP])[1, 3]
    assert np.isnan(kept) if np.isnan(value) else kept == value


def test_zeros_that_are_there_already_count_towards_the_request(tmp_path: Path) -> None:
    half = np.random.default_rng(0).standard_normal((16, 16))
    half.reshape(-1)[::2] = 0
    source = write(tmp_path / "model", {UP: encode(half, "F32")})

    same = prune(source, sparsity="0.5")

    assert (same.summary["zeros_before"], same.summary["zeros"]) == (128, 128)
    assert np.array_equal(read(tmp_path / "out")[UP][1], read(source)[UP][1])
    again = run(
        parsed(Prune, {"sparsity": "0.25"}), str(source), RunOptions(output=tmp_path / "less")
    )
    assert (again.summary["zeros_requested"], again.summary["zeros"]) == (64, 128)


def test_each_dtype_stays_what_it_is_in_a_mixture(tmp_path: Path) -> None:
    dtypes = ("BF16", "F16", "F32", "F64")
    weights = {UP.replace("0", str(i)): normal(8, 8, dtype=d) for i, d in enumerate(dtypes)}
    source = write(tmp_path / "model", weights)

    prune(source, sparsity="0.5")

    assert [dtype for dtype, _ in read(tmp_path / "out").values()] == list(dtypes)
    assert zeros(list(read(tmp_path / "out").values())) == 128


def test_experts_are_pruned_whether_stored_one_by_one_or_stacked(tmp_path: Path) -> None:
    single = {f"model.layers.0.mlp.experts.{i}.up_proj.weight": normal(4, 8) for i in range(3)}
    stacked = {"model.layers.1.block_sparse_moe.input_linear.weight": normal(3, 4, 8)}
    router = {"model.layers.0.mlp.gate.weight": normal(3, 8)}
    source = write(
        tmp_path / "model", single | stacked | router, config={"model_type": "granitemoe"}
    )

    report = prune(source, sparsity="2:4")

    assert report.summary["zeros"] == report.summary["weights_pruned_over"] // 2 == 96
    assert "router" in rows(report)["model.layers.0.mlp.gate.weight"]["reason"]


def test_an_indivisible_weight_stays_dense_with_its_reason(tmp_path: Path) -> None:
    depthwise = {"model.layers.0.conv.weight": normal(8, 1, 4)}
    source = write(tmp_path / "model", small() | depthwise)

    found = rows(prune(source, sparsity="2:4"))

    assert found[DOWN]["reason"] == "10 inputs, not divisible by 4"
    assert found["model.layers.0.conv.weight"]["reason"] == "1 inputs, not divisible by 4"
    assert np.array_equal(read(tmp_path / "out")[DOWN][1], read(source)[DOWN][1])


def test_an_indivisible_weight_that_is_named_in_full_is_refused(tmp_path: Path) -> None:
    source = write(tmp_path / "model", small())

    error = refused(source, sparsity="2:4", only=[DOWN])

    assert error.id == "NM-INDIVISIBLE"
    assert DOWN in error.found
    assert rows(prune(source, sparsity="2:4", only=["*.mlp.*"]))[DOWN]["reason"]


def test_only_reaches_what_is_dense_by_default_and_skip_wins(tmp_path: Path) -> None:
    source = write(tmp_path / "model", small())
    patterns = ["lm_head", "re:.*mlp\\.(up|down)_proj\\.weight"]

    report = prune(source, sparsity="0.5", scope="layer", only=patterns, skip=["*.down_proj"])

    touched = [name for name, row in rows(report).items() if not row["reason"]]
    assert touched == [UP, HEAD]
    assert rows(report)[DOWN]["reason"] == "--skip *.down_proj"


@pytest.mark.parametrize("field", ["only", "skip"])
@pytest.mark.parametrize("pattern", ["nothing.like.this", "re:up_proj", "*.UP_PROJ.*"])
def test_a_pattern_that_meets_nothing_is_an_error(field: str, pattern: str, tmp_path: Path) -> None:
    source = write(tmp_path / "model", small())

    error = refused(source, sparsity="0.5", **{field: [pattern]})

    assert (error.id, error.exit_code) == ("RECIPE-NO-MATCH", 2)
    assert pattern in error.found


@pytest.mark.parametrize(
    "pattern", ["re:(", "re:[", "re:*", "re:(?P<a>x)(?P<a>y)", "re:a{99999999999}"]
)
def test_an_invalid_regular_expression_is_a_usage_error(pattern: str, tmp_path: Path) -> None:
    source = write(tmp_path / "model", small())

    error = refused(source, sparsity="0.5", only=[pattern])

    assert error.exit_code == 2
    assert "regular expression" in error.found


def test_a_scope_with_a_pattern_is_refused(tmp_path: Path) -> None:
    source = write(tmp_path / "model", small())

    assert refused(source, sparsity="2:4", scope="row").id == "PRUNE-SCOPE"


def test_too_small_a_coverage_is_a_no_and_writes_nothing(tmp_path: Path) -> None:
    source = write(tmp_path / "model", small())

    error = refused(source, CheckFailed, sparsity="0.5", min_coverage=0.9)

    assert (error.id, error.exit_code) == ("COVERAGE", 1)
    assert "156 of 420" in error.found
    assert prune(source, sparsity="0.5", min_coverage=0.3).exit_code == 0


def test_a_prune_that_touches_nothing_is_no_success(tmp_path: Path) -> None:
    source = write(tmp_path / "model", {EMBEDDING: normal(16, 8), HEAD: normal(16, 8)})

    error = refused(source, InputError, sparsity="0.5")

    assert error.id == "PRUNE-NOTHING"
    assert "1 × an embedding" in error.found


def tied(folder: Path, *, is_equal: bool) -> Path:
    weights = small() | {HEAD: small()[EMBEDDING] if is_equal else normal(16, 8, seed=1)}
    return write(folder, weights, config={"model_type": "llama", "tie_word_embeddings": True})


def test_a_tied_pair_with_different_contents_is_refused(tmp_path: Path) -> None:
    assert refused(tied(tmp_path / "m", is_equal=False), InputError, sparsity="0.5").id == (
        "TIED-CONFLICT"
    )


@pytest.mark.parametrize("half", ["lm_head", "model.embed_tokens"])
def test_half_a_tied_pair_is_refused(half: str, tmp_path: Path) -> None:
    source = tied(tmp_path / "model", is_equal=True)

    assert refused(source, InputError, sparsity="0.5", scope="layer", only=[half]).id == "TIED"


@pytest.mark.parametrize("fields", [{}, {"scope": "layer", "method": "random"}])
def test_a_tied_pair_that_would_drift_apart_is_refused(
    fields: Mapping[str, str], tmp_path: Path
) -> None:
    source = tied(tmp_path / "model", is_equal=True)

    error = refused(
        source, InputError, sparsity="0.5", only=["lm_head", "*.embed_tokens"], **fields
    )

    assert error.id == "TIED"


def test_a_whole_tied_pair_stays_equal(tmp_path: Path) -> None:
    source = tied(tmp_path / "model", is_equal=True)

    prune(source, sparsity="0.5", scope="layer", only=["lm_head", "*.embed_tokens"])

    after = read(tmp_path / "out")
    assert np.array_equal(after[HEAD][1], after[EMBEDDING][1])
    assert zeros([after[HEAD]]) == 64


def test_a_tied_pair_is_dense_by_default(tmp_path: Path) -> None:
    source = tied(tmp_path / "model", is_equal=True)

    prune(source, sparsity="0.5")

    assert np.array_equal(read(tmp_path / "out")[HEAD][1], read(source)[HEAD][1])


def test_a_dry_run_tells_the_plan_and_writes_nothing(tmp_path: Path) -> None:
    source = write(tmp_path / "model", small())
    options = RunOptions(output=tmp_path / "out", dry_run=True)

    report = run(parsed(Prune, {"sparsity": "0.5"}), str(source), options)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]
    assert report.summary["zeros_requested"] == 78
    assert "zeros" not in report.summary
