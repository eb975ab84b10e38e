"""`compressor gate`: files in, a verdict and an exit code out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchreports import bench_report, changed, mean, right

from compressor.errors import CompressorError, InputError, UsageError
from compressor.report import Report
from compressor.step import RunOptions, parsed, run
from compressor.steps.gate import Gate

NOISE = np.random.default_rng(5).standard_normal(100)
DENSE = mean(0.8 + 0.05 * NOISE)
JITTER = np.random.default_rng(9).standard_normal(100)
CENTRED = 0.01 * (JITTER - JITTER.mean())


def lost(drop: float) -> Report:
    """A bench of a model that lost so much of its Spearman, and little of a share."""
    return bench_report(
        {
            "sts/spearman": {"dense": DENSE, "pruned": mean(DENSE.values - drop + CENTRED)},
            "topics/accuracy": {"dense": right(800, 1000), "pruned": right(799, 1000)},
        }
    )


def written(folder: Path, report: Report) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(report.to_json())
    return folder


def gate(model: Path, **fields: Any) -> Report:
    return run(parsed(Gate, fields), str(model), RunOptions())


@pytest.mark.parametrize(
    ("drop", "word", "counts"),
    [
        (0.0, "ACCEPT", (2, 0, 0)),
        (0.01, "INCONCLUSIVE", (1, 0, 1)),
        (0.05, "REGRESSION", (1, 1, 0)),
    ],
)
def test_the_exit_code_is_zero_only_for_accept(
    drop: float, word: str, counts: tuple[int, int, int], tmp_path: Path
) -> None:
    folder = written(tmp_path / "bench", lost(drop))

    found = gate(folder, max_drop="1pt")

    facts = found.summary
    assert facts["verdict"] == word
    assert found.exit_code == (0 if word == "ACCEPT" else 1)
    assert (facts["passed"], facts["failed"], facts["inconclusive"]) == counts
    assert [row["metric"] for row in found.tables["gates"]] == ["sts/spearman", "topics/accuracy"]
    assert Report.from_dict(json.loads(found.to_json())).tables == found.tables
    assert str(tmp_path) not in found.to_json()


def test_a_file_is_as_good_as_its_folder(tmp_path: Path) -> None:
    folder = written(tmp_path, lost(0.0))

    assert gate(folder / "report.json") == gate(folder)


def test_a_metric_that_is_named_is_judged_alone(tmp_path: Path) -> None:
    folder = written(tmp_path, lost(0.05))

    found = gate(folder, metric=("topics/accuracy",), max_drop="1pt")

    assert (found.exit_code, found.summary["passed"]) == (0, 1)


def test_a_metric_that_is_not_there_is_a_typing_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        gate(written(tmp_path, lost(0.0)), metric=("sts/spearmen",))

    assert (caught.value.id, caught.value.exit_code) == ("GATE-METRIC", 2)
    assert "`sts/spearman`" in caught.value.do


@pytest.mark.parametrize(
    "cells",
    [
        {"value": 0.99},
        {"dense_value": 0.1},
        {"point": -1.0},
        {"point": 1e308},
    ],
)
def test_a_report_that_its_own_items_contradict_is_refused(
    tmp_path: Path, cells: dict[str, float]
) -> None:
    report = changed(lost(0.0), "metrics", "pruned", **cells)

    with pytest.raises(InputError) as caught:
        gate(written(tmp_path, report))

    assert (caught.value.id, caught.value.exit_code) == ("REPORT-UNREADABLE", 3)


@pytest.mark.parametrize("ends", [(0.0, 0.0), (1.0, -1.0)])
def test_an_interval_that_was_edited_is_found_again_from_the_items(
    tmp_path: Path, ends: tuple[float, float]
) -> None:
    honest = gate(written(tmp_path / "honest", lost(0.02)))
    cells = {"difference_low": ends[0], "difference_high": ends[1]}
    edited = written(tmp_path / "edited", changed(lost(0.02), "metrics", "pruned", **cells))

    assert gate(edited).summary["verdict"] == honest.summary["verdict"]
    assert gate(edited).tables == honest.tables


def test_a_model_that_is_called_like_the_stand_in_is_not_replaced_by_it(tmp_path: Path) -> None:
    new, old = alone(0.3, name="model (baseline)"), alone(0.0)
    named = gate(written(tmp_path / "new", alone(0.3)), against=str(written(tmp_path / "a", old)))

    found = gate(written(tmp_path / "named", new), against=str(written(tmp_path / "b", old)))

    assert found.summary["verdict"] == named.summary["verdict"] == "REGRESSION"


def test_an_anomaly_of_the_bench_outranks_every_pass(tmp_path: Path) -> None:
    report = bench_report(
        {"sts/spearman": {"dense": DENSE, "pruned": DENSE}},
        anomalies=["pruned on sts: every vector is the same"],
    )

    found = gate(written(tmp_path, report))

    assert (found.exit_code, found.summary["verdict"]) == (1, "ANOMALOUS")
    assert found.summary["passed"] == 1


def alone(drop: float, name: str = "model", **facts: Any) -> Report:
    """A bench of one model by itself."""
    scores = {"sts/spearman": {name: mean(DENSE.values - drop + CENTRED)}}
    return bench_report(scores, dense=None, **facts)


@pytest.mark.parametrize(
    ("drop", "word"), [(0.0, "ACCEPT"), (-0.1, "ACCEPT"), (0.05, "REGRESSION")]
)
@pytest.mark.parametrize("name", ["model", "older"])
def test_two_reports_are_compared_item_by_item(
    drop: float, word: str, name: str, tmp_path: Path
) -> None:
    new = written(tmp_path / "new", alone(drop))
    old = written(tmp_path / "old", bench_report({"sts/spearman": {name: DENSE}}, dense=None))

    found = gate(new, against=str(old), max_drop="1pt")

    (row,) = found.tables["gates"]
    assert found.summary["verdict"] == word
    assert (row["model"], row["baseline"]) == ("model", DENSE.value)
    assert row["value"] == pytest.approx(DENSE.value - drop)


@pytest.mark.parametrize(("name", "word"), [("pruned", "ACCEPT"), ("model", "REGRESSION")])
def test_a_model_is_set_against_its_own_name_before_the_dense_one(
    name: str, word: str, tmp_path: Path
) -> None:
    """The older report holds the dense model and a pruned one that had lost as much already."""
    new, old = written(tmp_path / "new", alone(0.05, name)), written(tmp_path / "old", lost(0.05))

    assert gate(new, against=str(old), max_drop="1pt").summary["verdict"] == word


@pytest.mark.parametrize(
    ("facts", "named"),
    [
        ({"data_digest": "changed"}, "data changed and data"),
        ({"digest": "changed"}, "items as the model saw them changed and seen"),
        ({"dtype": "bfloat16"}, "dtype bfloat16 and float32"),
        ({"device": "cuda"}, "device cuda and cpu"),
    ],
)
def test_reports_that_measured_something_else_are_refused(
    facts: dict[str, str], named: str, tmp_path: Path
) -> None:
    new, old = written(tmp_path / "new", alone(0.0, **facts)), written(tmp_path / "old", lost(0.0))

    with pytest.raises(InputError) as caught:
        gate(new, against=str(old))

    assert (caught.value.id, caught.value.exit_code) == ("BASELINE-MISMATCH", 3)
    assert named in caught.value.found
    assert caught.value.at == "sts/spearman"


def test_reports_of_unlike_numbers_of_items_or_metrics_are_refused(tmp_path: Path) -> None:
    fewer = bench_report({"sts/spearman": {"model": mean(DENSE.values[:50])}}, dense=None)
    other = bench_report({"other/spearman": {"model": DENSE}}, dense=None)
    two = bench_report({"sts/spearman": {"one": DENSE, "two": DENSE}}, dense=None)
    new = written(tmp_path / "new", alone(0.0))

    found = []
    for number, report in enumerate((fewer, other, two)):
        with pytest.raises(InputError) as caught:
            gate(new, against=str(written(tmp_path / str(number), report)))
        found.append(caught.value)

    assert {error.id for error in found} == {"BASELINE-MISMATCH"}
    assert "100 items and 50" in found[0].found
    assert "metrics other/spearman" in found[1].found
    assert "models two, one" in found[2].found or "models one, two" in found[2].found


def test_a_baseline_that_is_no_number_or_is_collapsed_is_never_a_pass(tmp_path: Path) -> None:
    new = written(tmp_path / "new", alone(0.0))
    broken = changed(alone(0.0), "metrics", "model", value=None, low=None, high=None)
    broken = replace(broken, tables={**broken.tables, "items": []})
    collapsed = alone(0.0, anomalies=["model on sts: every vector is the same"])

    found = [
        gate(new, against=str(written(tmp_path / str(number), report)), max_drop="100pt")
        for number, report in enumerate((broken, collapsed))
    ]

    assert [each.summary["verdict"] for each in found] == ["ANOMALOUS"] * 2
    assert [each.exit_code for each in found] == [1, 1]


def test_where_nothing_is_compared_the_user_is_told_what_to_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        gate(written(tmp_path, alone(0.0)))

    assert (caught.value.id, caught.value.exit_code) == ("GATE-NOTHING", 2)
    assert "--against" in caught.value.do


def test_a_metric_is_named_with_its_data(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        gate(written(tmp_path, lost(0.0)), metric=("spearman",))

    assert "DATA/METRIC" in caught.value.found


def ran(folder: Path, *steps: dict[str, Any]) -> Path:
    """A folder as a run of a recipe leaves it, as far as the gate reads it."""
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps({"schema": "compressor.run/1", "steps": steps}))
    return folder


def test_the_benches_of_a_run_are_judged_together(tmp_path: Path) -> None:
    prune = {"name": "1-prune", "path": "1-prune", "step": {"step": "prune"}}
    benches = [
        {"name": name, "path": name, "step": {"step": "bench"}} for name in ("2-bench", "4-bench")
    ]
    folder = ran(tmp_path / "run", prune, *benches)
    written(folder / "2-bench", lost(0.0))
    written(folder / "4-bench", lost(0.05))

    found = gate(folder, max_drop="1pt", metric=("sts/spearman",))

    assert [row["status"] for row in found.tables["gates"]] == ["pass", "fail"]
    assert found.exit_code == 1


def test_a_run_cannot_point_out_of_its_folder(tmp_path: Path) -> None:
    written(tmp_path / "outside", lost(0.0))
    step = {"name": "1-bench", "path": "../outside", "step": {"step": "bench"}}

    with pytest.raises(InputError) as caught:
        gate(ran(tmp_path / "run", step))

    assert "a run without a bench" in caught.value.found


GOOD = lost(0.0).as_dict()
ROW = GOOD["tables"]["metrics"][1]
FOREIGN: dict[str, Any] = {
    "empty": "",
    "no json": "{oops",
    "a list": "[]",
    "a nan": '{"schema": NaN}',
    "twice": '{"schema": 1, "schema": 2}',
    "deep": '{"a":' * 99 + "1" + "}" * 99,
    "another schema": {**GOOD, "schema": "other/1"},
    "another step": {**GOOD, "step": {"step": "prune"}},
    "no step": {**GOOD, "step": "bench"},
    "no notes": {key: value for key, value in GOOD.items() if key != "notes"},
    "tables are a list": {**GOOD, "tables": []},
    "no models": {**GOOD, "tables": {"metrics": []}},
    "a row is no row": {**GOOD, "tables": {**GOOD["tables"], "metrics": [1]}},
    "rows are a number": {**GOOD, "tables": {**GOOD["tables"], "metrics": 1}},
    "a value is text": {**GOOD, "tables": {**GOOD["tables"], "metrics": [{**ROW, "value": "x"}]}},
    "a statistic of no kind": {
        **GOOD,
        "tables": {
            **GOOD["tables"],
            "items": [{**GOOD["tables"]["items"][0], "statistic": {"statistic": "mode"}}],
        },
    },
    "columns of unlike lengths": {
        **GOOD,
        "tables": {
            **GOOD["tables"],
            "items": [
                {
                    **GOOD["tables"]["items"][0],
                    "statistic": {"statistic": "spearman", "first": [1, 2], "second": [1, 2, 3]},
                }
            ],
        },
    },
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_report_is_refused(name: str, tmp_path: Path) -> None:
    content = FOREIGN[name]
    path = tmp_path / "report.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))

    with pytest.raises(CompressorError) as caught:
        gate(path)

    assert (caught.value.id, caught.value.exit_code) == ("REPORT-UNREADABLE", 3)
    assert caught.value.found.isprintable()


def test_a_report_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none", tmp_path / "none" / "report.json"):
        with pytest.raises(InputError) as caught:
            gate(path)

        assert caught.value.id == "REPORT-UNREADABLE"


def test_a_run_without_the_report_of_its_bench_is_refused(tmp_path: Path) -> None:
    step = {"name": "1-bench", "path": "1-bench", "step": {"step": "bench"}}

    with pytest.raises(InputError):
        gate(ran(tmp_path / "run", step))
