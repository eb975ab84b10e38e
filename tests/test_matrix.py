"""Every family of the zoo, end to end: pruned, then loaded by plain transformers, bit for bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import zoo

import compressor
from compressor.report import Report


def failures(report: Report) -> list[str]:
    return [
        f"{row['check']}: {row['detail']}"
        for row in report.tables["checks"]
        if row["status"] == "failed"
    ]


@pytest.mark.parametrize("sparsity", ["0.5", "2:4"])
@pytest.mark.parametrize("model_type", zoo.FAMILIES)
def test_a_pruned_family_loads_with_no_key_missing_unexpected_or_mismatched(
    model_type: str, sparsity: str, tmp_path: Path
) -> None:
    zoo.build(model_type, tmp_path / "dense")

    pruned = compressor.prune(tmp_path / "dense", sparsity=sparsity, output=tmp_path / "pruned")
    verified = compressor.verify(tmp_path / "pruned", source=str(tmp_path / "dense"), deep=True)

    assert int(str(pruned.summary["zeros"])) > 0
    assert failures(verified) == []
    loaded = [row for row in verified.tables["checks"] if row["level"] in (9, 10)]
    assert loaded
    assert {row["status"] for row in loaded} == {"ok"}
