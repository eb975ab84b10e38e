"""A truth table of gates and outcomes: what is required, what was measured, what is answered."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from benchreports import bench_report, changed, finite, mean, right
from pydantic import ValidationError

from compressor.measure.judgement.gates import Gate, GateResult, evaluate
from compressor.measure.proportions import proportion_difference
from compressor.measure.resampling import difference, draws, interval
from compressor.measure.statistics import Mean, Quantile, Ratio, Statistic
from compressor.report import Report
from compressor.tolerance import parse

NOISE = np.random.default_rng(5).standard_normal(100)
DENSE = mean(0.8 + 0.05 * (NOISE - NOISE.mean()))


def worse_by(drop: float, jitter: float = 0.01) -> Mean:
    """Items of a model that loses so much on average, exactly, a little more or less on each."""
    random = np.random.default_rng(9).standard_normal(100)
    return mean(DENSE.values - drop + jitter * (random - random.mean()))


def one(report: Report, **gate: Any) -> GateResult:
    """The only answer to a gate on `sts/spearman`."""
    (result,) = evaluate([Gate(**{"metric": "sts/spearman", **gate})], [report])
    return result


def pair(dense: Statistic, other: Statistic, **facts: Any) -> Report:
    return bench_report({"sts/spearman": {"dense": dense, "pruned": other}}, **facts)


@pytest.mark.parametrize(
    ("drop", "allowed", "status"),
    [
        (0.002, "1pt", "pass"),
        (0.030, "1pt", "fail"),
        (0.010, "1pt", "inconclusive"),
        (-0.030, "1pt", "pass"),
        (-0.030, "0pt", "pass"),
        (0.030, "5%", "pass"),
        (0.030, "1%", "fail"),
        (0.000, "0pt", "inconclusive"),
    ],
)
@pytest.mark.parametrize("better", ["higher", "lower"])
def test_a_drop_is_judged_by_the_whole_interval_of_the_paired_difference(
    drop: float, allowed: str, status: str, better: str
) -> None:
    other = worse_by(drop if better == "higher" else -drop)

    result = one(pair(DENSE, other, better=better), max_drop=allowed)

    # The deviation of the differences is 0.01, of their mean 0.001: 0.002 on both sides.
    assert result.status == status
    assert (result.model, result.id, result.error_id) == ("pruned", "sts-spearman", "")
    assert result.value == other.value
    assert result.baseline == DENSE.value


def test_the_numbers_of_an_answer_are_on_the_scale_of_the_metric() -> None:
    other = worse_by(0.03)
    apart = difference(other, DENSE)

    result = one(pair(DENSE, other), max_drop="1pt")

    assert result.limit == pytest.approx(DENSE.value - 0.01, abs=1e-12)
    assert result.low == pytest.approx(DENSE.value + apart.low, abs=1e-12)
    assert result.high == pytest.approx(DENSE.value + apart.high, abs=1e-12)
    assert result.high < result.limit


def test_models_that_answer_alike_pass_even_where_no_drop_is_allowed() -> None:
    result = one(pair(DENSE, DENSE), max_drop="0pt")

    assert result.status == "pass"
    assert "did not change" in result.reason


def test_an_open_gate_says_how_many_more_items_would_close_it() -> None:
    other = worse_by(0.0095)
    apart = difference(other, DENSE)

    result = one(pair(DENSE, other), max_drop="1pt")

    half = max(0.0095 + apart.high, -apart.low - 0.0095)
    assert result.status == "inconclusive"
    assert result.more_items == pytest.approx(100 * ((half / 0.0005) ** 2 - 1), abs=1.5)
    assert f"about {result.more_items:,} more items" in result.reason


@pytest.mark.parametrize("allowed", ["0pt", "50pt"])
def test_fewer_than_thirty_items_neither_pass_nor_fail_by_a_bootstrap(allowed: str) -> None:
    few = mean(DENSE.values[:12])

    result = one(pair(few, mean(few.values - 0.2)), max_drop=allowed)

    assert (result.status, result.more_items) == ("inconclusive", 18)
    assert "12 items" in result.reason
    assert "30" in result.reason


def test_right_and_wrong_answers_need_no_thirty_items() -> None:
    report = pair(right(20, 20), right(2, 20))

    result = one(report, max_drop="5pt")

    assert proportion_difference(0, 18, 20).high < -0.05
    assert result.status == "fail"


def test_no_right_answer_lost_is_not_yet_proof() -> None:
    assert one(pair(right(40, 50), right(40, 50)), max_drop="1pt").status == "inconclusive"
    assert one(pair(right(800, 1000), right(800, 1000)), max_drop="1pt").status == "pass"


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_another_confidence_is_computed_from_the_items(confidence: float) -> None:
    other = worse_by(0.02)
    wanted = difference(other, DENSE, confidence)

    result = one(pair(DENSE, other), max_drop="1pt", confidence=confidence)

    assert result.low == pytest.approx(DENSE.value + wanted.low, abs=1e-12)
    assert f"{100 * confidence:g} % interval" in result.reason


@pytest.mark.parametrize(
    ("op", "value", "status"),
    [
        (">=", 0.75, "pass"),
        (">=", 0.80, "inconclusive"),
        (">=", 0.85, "fail"),
        (">", 0.75, "pass"),
        ("<=", 0.85, "pass"),
        ("<=", 0.75, "fail"),
        ("<", 0.85, "pass"),
        ("==", 0.80, "inconclusive"),
        ("==", 0.85, "fail"),
    ],
)
def test_a_limit_is_compared_with_the_models_own_interval(
    op: str, value: float, status: str
) -> None:
    other = worse_by(0.0)

    result = one(pair(DENSE, other), op=op, value=value)

    own = interval(other)
    assert (result.status, result.limit, result.baseline) == (status, value, None)
    assert (result.low, result.high) == (own.low, own.high)


def test_a_full_score_on_few_items_does_not_pass_a_high_limit() -> None:
    result = one(pair(right(20, 20), right(20, 20)), op=">=", value=0.95)

    assert result.status == "inconclusive"
    assert result.low == pytest.approx(0.8389, abs=1e-4)


@pytest.mark.parametrize(
    ("factor", "status"), [(1.0, "pass"), (1.05, "inconclusive"), (1.2, "fail")]
)
def test_a_ratio_to_the_dense_value_is_judged_by_the_paired_ratio(
    factor: float, status: str
) -> None:
    random = np.random.default_rng(2)
    tokens = random.integers(50, 500, 300).astype(float)
    dense = Ratio(tokens * random.normal(2, 0.2, 300), tokens, is_exponent=True)
    noise = random.normal(0, 0.05, 300)
    noise -= (noise * tokens).sum() / tokens.sum()
    other = Ratio(dense.numerators + tokens * (math.log(factor) + noise), tokens, is_exponent=True)
    drawn = [other.of(weights) / dense.of(weights) for weights in draws(300, 0)]
    low, high = np.quantile(np.concatenate(drawn), (0.025, 0.975))

    result = one(
        pair(dense, other, better="lower", unit="perplexity"),
        op="<=",
        value=1.05,
        relative_to="baseline",
    )

    assert result.status == status
    assert result.limit == pytest.approx(1.05 * dense.value)
    assert result.low == pytest.approx(low * dense.value)
    assert result.high == pytest.approx(high * dense.value)
    assert "times the dense value" in result.reason


@pytest.mark.parametrize(("lost", "status"), [(0, "pass"), (6, "inconclusive"), (60, "fail")])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_a_ratio_of_right_answers_is_judged_by_tangos_interval(
    lost: int, status: str, confidence: float
) -> None:
    dense, other = right(400, 500), right(400 - lost, 500)
    apart = proportion_difference(0, lost, 500, confidence)

    result = one(
        pair(dense, other), op=">=", value=0.98, relative_to="baseline", confidence=confidence
    )

    assert result.status == status
    assert result.low == pytest.approx(0.8 + apart.low, abs=1e-12)
    assert result.high == pytest.approx(0.8 + apart.high, abs=1e-12)


def test_few_right_answers_that_are_all_the_same_do_not_pass_a_ratio() -> None:
    result = one(pair(right(20, 20), right(20, 20)), op=">=", value=0.95, relative_to="baseline")

    assert result.status == "inconclusive"
    assert result.low is not None
    assert result.low < 0.95


@pytest.mark.parametrize(("unit", "said"), [("squared", "a squared error"), ("bits", "in bits")])
def test_a_drop_in_points_is_refused_of_what_has_no_points(unit: str, said: str) -> None:
    report = pair(DENSE, worse_by(0.0), unit=unit)

    result = one(report, max_drop="1pt")

    assert (result.status, result.error_id) == ("fail", "GATE-MISSING")
    assert f"{said}, which has no points" in result.reason
    assert "`1%`" in result.reason
    assert one(report, max_drop="1%").status == "pass"


def with_distance(statistic: Statistic, *, is_kept: bool = True) -> Report:
    """A report whose pruned model has the distance `sts/far`, with its items."""
    report = pair(DENSE, DENSE)
    own = interval(statistic)
    row = {
        **report.tables["metrics"][1],
        "metric": "far",
        "value": statistic.value,
        "low": finite(own.low),
        "high": finite(own.high),
        "items": statistic.size,
    }
    row = {name: cell for name, cell in row.items() if not name.startswith(("dense", "diff"))}
    kept = {**report.tables["items"][1], "metric": "far", "statistic": statistic.as_columns()}
    items = [*report.tables["items"], *([kept] if is_kept else [])]
    return Report(
        report.step, report.source, tables={**report.tables, "distances": [row], "items": items}
    )


def test_a_distance_is_judged_at_any_confidence_by_its_items() -> None:
    far = mean(0.1 + 0.05 * NOISE)
    wanted = interval(far, 0.8)

    result = one(with_distance(far), metric="sts/far", op="<=", value=0.3, confidence=0.8)
    unkept = one(
        with_distance(far, is_kept=False), metric="sts/far", op="<=", value=0.3, confidence=0.8
    )

    assert (result.status, result.low, result.high) == ("pass", wanted.low, wanted.high)
    assert (unkept.status, unkept.error_id) == ("fail", "GATE-MISSING")


def test_changed_answers_need_no_thirty_items() -> None:
    changed_answers = right(20, 20)

    result = one(with_distance(changed_answers), metric="sts/far", op="<=", value=0.5)

    assert result.status == "fail"


def test_a_quantile_of_too_few_items_neither_passes_nor_fails() -> None:
    few = Quantile(NOISE, 0.99)

    for op, value in (("<=", 100), (">=", 100)):
        result = one(with_distance(few), metric="sts/far", op=op, value=value)

        assert (result.status, result.high, result.error_id) == ("inconclusive", None, "")
        assert "proves nothing" in result.reason


def test_of_a_score_and_a_distance_of_one_name_the_score_is_judged() -> None:
    report = with_distance(mean(NOISE))
    tables = {
        table: [{**row, "metric": "spearman"} for row in report.tables[table]]
        for table in ("metrics", "distances", "items")
    }
    report = Report(report.step, report.source, tables={**report.tables, **tables})

    result = one(report, op=">=", value=0.5, confidence=0.8)

    own = interval(DENSE, 0.8)
    assert (result.value, result.low, result.high) == (DENSE.value, own.low, own.high)


RULES: dict[str, dict[str, Any]] = {
    "drop": {"max_drop": "50pt"},
    "share": {"max_drop": "50%"},
    "ratio": {"op": ">=", "value": -100, "relative_to": "baseline"},
    "limit": {"op": ">=", "value": -100},
    "high limit": {"op": "<=", "value": 100},
}
"""Gates that anything passes that is a number at all."""


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("whose", ["dense", "pruned"])
def test_a_number_that_is_none_is_never_a_pass(rule: str, bad: float, whose: str) -> None:
    broken = mean([bad, *DENSE.values[1:]])
    models: dict[str, Statistic] = {"dense": DENSE, "pruned": worse_by(0.0), whose: broken}

    result = one(bench_report({"sts/spearman": models}), **RULES[rule])

    is_alone = whose == "dense" and "limit" in rule
    assert (result.status, result.error_id) == (
        ("pass", "") if is_alone else ("fail", "GATE-NONFINITE")
    )
    assert is_alone or "not a finite number" in result.reason


@pytest.mark.parametrize("rule", ["limit", "high limit"])
@pytest.mark.parametrize("cells", [{"low": None}, {"high": None}, {"low": math.nan}])
def test_an_interval_that_is_none_is_never_a_pass(rule: str, cells: dict[str, Any]) -> None:
    report = changed(pair(DENSE, worse_by(0.0)), "metrics", "pruned", **cells)
    without_items = replace(report, tables={**report.tables, "items": []})

    result = one(without_items, **RULES[rule])

    assert (result.status, result.error_id) == ("inconclusive", "")
    assert "proves nothing" in result.reason


@pytest.mark.parametrize("rule", ["drop", "share", "ratio"])
@pytest.mark.parametrize(
    "cells",
    [
        {"digest": "others"},
        {"data_digest": "others"},
        {"dtype": "bfloat16"},
        {"device": "cuda"},
        {"statistic": mean(DENSE.values[:99]).as_columns()},
    ],
)
def test_unequal_items_are_never_a_pass(rule: str, cells: dict[str, Any]) -> None:
    report = changed(pair(DENSE, worse_by(0.0)), "items", "pruned", **cells)

    result = one(report, **RULES[rule])

    assert (result.status, result.error_id) == ("fail", "GATE-MISSING")
    assert "differs from that of the dense model" in result.reason


@pytest.mark.parametrize("rule", ["drop", "share", "ratio"])
def test_what_has_no_pair_is_never_a_pass(rule: str) -> None:
    alone = bench_report({"sts/spearman": {"pruned": DENSE}}, dense=None)
    apart = changed(pair(DENSE, worse_by(0.0)), "metrics", "pruned", dense=None, dense_value=None)
    unkept = pair(DENSE, worse_by(0.0))
    unkept = Report(unkept.step, unkept.source, tables={**unkept.tables, "items": []})

    results = [one(report, **RULES[rule]) for report in (alone, apart, unkept)]

    assert [(each.status, each.error_id) for each in results] == [("fail", "GATE-MISSING")] * 3
    assert ["no dense model" in each.reason for each in results] == [True, False, False]
    assert "other items" in results[1].reason
    assert "no values for each item" in results[2].reason


@pytest.mark.parametrize("rule", ["share", "ratio"])
def test_a_dense_value_of_zero_has_no_share(rule: str) -> None:
    result = one(pair(mean(np.zeros(50)), mean(np.zeros(50) + 0.1)), **RULES[rule])

    assert (result.status, result.error_id) == ("fail", "GATE-NONFINITE")
    assert " 0" in result.reason


def test_a_number_without_a_better_direction_cannot_drop() -> None:
    report = pair(DENSE, worse_by(0.0), better=None)

    assert one(report, max_drop="50pt").error_id == "GATE-MISSING"
    assert one(report, op=">=", value=0.5).status == "pass"
    assert one(report, op=">=", value=0.5, confidence=0.9).error_id == "GATE-MISSING"


@pytest.mark.parametrize("rule", RULES)
def test_a_metric_that_was_not_measured_is_never_a_pass(rule: str) -> None:
    result = one(pair(DENSE, DENSE), **{**RULES[rule], "metric": "sts/spearmen"})

    assert (result.status, result.error_id, result.model) == ("fail", "GATE-MISSING", "")
    assert "what was measured is sts/spearman" in result.reason


def test_every_candidate_is_judged_and_one_that_was_not_measured_fails() -> None:
    report = bench_report(
        {
            "sts/spearman": {"dense": DENSE, "half": worse_by(0.0), "most": worse_by(0.1)},
            "banking/accuracy": {"dense": right(9, 10), "unlike": right(9, 10)},
        }
    )

    results = evaluate([Gate(metric="sts/spearman", max_drop=parse("1pt"))], [report])

    assert [(each.model, each.status, each.error_id) for each in results] == [
        ("half", "pass", ""),
        ("most", "fail", ""),
        ("unlike", "fail", "GATE-MISSING"),
    ]


def test_a_distance_is_judged_by_its_own_interval() -> None:
    report = pair(DENSE, DENSE)
    row = {**report.tables["metrics"][1], "metric": "kl", "value": 0.1, "low": 0.05, "high": 0.2}
    row = {name: cell for name, cell in row.items() if not name.startswith(("dense", "diff"))}
    report = Report(report.step, report.source, tables={**report.tables, "distances": [row]})

    assert one(report, metric="sts/kl", op="<=", value=0.3).status == "pass"
    assert one(report, metric="sts/kl", op="<=", value=0.1).status == "inconclusive"
    assert one(report, metric="sts/kl", max_drop="1pt").error_id == "GATE-MISSING"


@pytest.mark.parametrize(
    ("value", "op", "limit", "status", "error_id"),
    [
        (0.5, ">=", 0.5, "pass", ""),
        (0.5, ">", 0.5, "fail", ""),
        (0, "==", 0, "pass", ""),
        (1, "==", 0, "fail", ""),
        (None, "<=", 1, "fail", "GATE-NONFINITE"),
        (math.nan, "<=", 1, "fail", "GATE-NONFINITE"),
        (math.inf, ">=", 1, "fail", "GATE-NONFINITE"),
        (True, ">=", 0, "fail", "GATE-MISSING"),
        ("0.5", ">=", 0, "fail", "GATE-MISSING"),
    ],
)
def test_a_number_of_a_step_is_compared_exactly(
    value: Any, op: str, limit: float, status: str, error_id: str
) -> None:
    before = Report({"step": "prune"}, {}, {"sparsity": 0.123})
    last = Report({"step": "prune"}, {}, {"sparsity": value})

    (result,) = evaluate([Gate(metric="prune/sparsity", op=op, value=limit)], [before, last])

    assert (result.status, result.error_id, result.model) == (status, error_id, "")
    assert (result.low, result.high) == ((value, value) if not error_id else (None, None))


def test_a_number_of_a_step_has_no_dense_value() -> None:
    report = Report({"step": "prune"}, {}, {"sparsity": 0.5})
    gates = [Gate(metric="prune/sparsity", **RULES[rule]) for rule in ("drop", "ratio")]

    assert {each.error_id for each in evaluate(gates, [report])} == {"GATE-MISSING"}


@pytest.mark.parametrize(
    ("drop", "better", "unit", "allowed", "words"),
    [
        (0.004, "higher", "share", "1.7pt", "fell by 0.4 points (95 % interval "),
        (0.004, "higher", "share", "1.7pt", "within the allowed 1.7 points."),
        (0.040, "higher", "share", "1pt", "more than the allowed 1 point."),
        (-0.04, "higher", "share", "1pt", "rose by 4 points"),
        (-0.04, "lower", "perplexity", "0.01pt", "rose by 0.04 (95 % interval "),
        (
            0.009,
            "higher",
            "share",
            "1pt",
            "does not decide whether that is within the allowed 1",
        ),
        (0.010, "higher", "share", "1pt", "no number of items decides"),
        (0.0003, "higher", "share", "1pt", "better to 0."),
    ],
)
def test_the_reason_is_a_sentence_with_the_number_its_interval_and_the_limit(
    drop: float, better: str, unit: str, allowed: str, words: str
) -> None:
    result = one(pair(DENSE, worse_by(drop), better=better, unit=unit), max_drop=allowed)

    assert words in result.reason
    assert result.reason.startswith("sts/spearman ")
    assert result.reason.endswith(".")


def test_names_of_a_report_are_made_safe() -> None:
    bad = "a\x1b[31m\u202e/b"
    report = bench_report({bad: {"dense": DENSE, "pruned": DENSE}})

    (result,) = evaluate([Gate(metric=bad, max_drop=parse("1pt"))], [report])

    assert result.reason.isprintable()


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"op": "<="},
        {"value": 1},
        {"max_drop": "1pt", "op": "<=", "value": 1},
        {"max_drop": "1pt", "relative_to": "baseline"},
        {"max_drop": "1"},
        {"op": "in", "value": 1},
        {"op": "<=", "value": math.nan},
        {"op": "<=", "value": 1, "confidence": 1.0},
        {"op": "<=", "value": 1, "metric": "perplexity"},
        {"op": "<=", "value": 1, "id": "Not An Id"},
        {"op": "<=", "value": 1, "severity": "fatal"},
        {"op": "<=", "value": 1, "limit": 2},
    ],
)
def test_a_gate_has_one_requirement_and_no_other_fields(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Gate.model_validate({"metric": "sts/spearman", **fields})


@pytest.mark.parametrize(
    ("metric", "name"),
    [("sts/spearman", "sts-spearman"), ("Wiki 2/PPL_1", "wiki-2-ppl-1"), ("数/据", "gate")],
)
def test_a_gate_without_an_id_is_called_by_its_metric(metric: str, name: str) -> None:
    assert Gate(metric=metric, op="<=", value=1).name == name
    assert Gate(id="own", metric=metric, op="<=", value=1).name == "own"
