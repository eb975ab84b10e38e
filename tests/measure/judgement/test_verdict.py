"""One word over all gates, and the one sentence that a newcomer reads."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pytest
from benchreports import bench_report, changed, finite, mean, right
from hypothesis import given
from hypothesis import strategies as st

from compressor.measure.judgement.gates import GateResult
from compressor.measure.judgement.verdict import Verdict, of_bench, over
from compressor.tolerance import parse

NOISE = np.random.default_rng(5).standard_normal(100)
DENSE = mean(0.8 + 0.05 * NOISE)
WORD = {"pass": "ACCEPT", "fail": "REGRESSION", "inconclusive": "INCONCLUSIVE"}


def result(
    status: Literal["pass", "fail", "inconclusive"],
    *,
    severity: Literal["error", "warn"] = "error",
    error_id: Literal["GATE-MISSING", "GATE-NONFINITE", ""] = "",
    model: str = "pruned",
    value: float = 0.5,
    limit: float | None = 0.4,
    more: int | None = None,
) -> GateResult:
    return GateResult(
        id="gate",
        metric="sts/spearman",
        model=model,
        status=status,
        reason=f"value {value:g} is a {status}.",
        value=value,
        limit=limit,
        low=value - 0.01,
        high=value + 0.01,
        more_items=more,
        severity=severity,
        error_id=error_id,
    )


RESULTS = st.builds(
    result,
    st.sampled_from(["pass", "fail", "inconclusive"]),
    severity=st.sampled_from(["error", "warn"]),
    model=st.sampled_from(["a", "b"]),
    limit=st.one_of(st.none(), st.floats(-1, 1)),
    more=st.one_of(st.none(), st.integers(1, 10**6)),
) | st.builds(
    result,
    st.just("fail"),
    severity=st.sampled_from(["error", "warn"]),
    error_id=st.sampled_from(["GATE-MISSING", "GATE-NONFINITE"]),
)


@given(st.lists(RESULTS, max_size=6), st.lists(st.just("it is collapsed"), max_size=2))
def test_accept_means_that_every_error_gate_passes_and_nothing_is_anomalous(
    results: list[GateResult], anomalies: list[str]
) -> None:
    asked = [each for each in results if each.severity == "error"]

    found = over(results, anomalies)

    is_fine = all(each.status == "pass" for each in asked) and not anomalies
    assert (found.word == "ACCEPT") == is_fine
    is_strange = bool(anomalies) or any(each.error_id for each in asked)
    assert (found.word == "ANOMALOUS") == is_strange
    has_failed = any(each.status == "fail" for each in asked)
    assert (found.word == "REGRESSION") == (has_failed and not is_strange)
    assert found.sentence.endswith(".")
    assert "\n" not in found.sentence


@pytest.mark.parametrize("status", WORD)
def test_the_sentence_over_one_gate_is_its_reason(
    status: Literal["pass", "fail", "inconclusive"],
) -> None:
    assert over([result(status)], []) == Verdict(WORD[status], f"value 0.5 is a {status}.")  # type: ignore[arg-type]


def test_of_several_gates_the_sentence_tells_the_one_that_matters_most() -> None:
    near, far = result("pass", value=0.42), result("pass", value=0.9)
    bad, worse = result("fail", value=0.35), result("fail", value=0.1)
    few, many = result("inconclusive", more=7), result("inconclusive", more=70, value=0.41)

    assert over([far, near], []).sentence == "All 2 checks pass; the closest: value 0.42 is a pass."
    assert over([near, bad, few], []).sentence == "1 of 3 checks fails: value 0.35 is a fail."
    assert over([bad, worse, near], []).sentence == (
        "2 of 3 checks fail; the worst: value 0.1 is a fail."
    )
    assert over([few, many, near], []).sentence == (
        "2 of 3 checks are open; the furthest from an answer: value 0.41 is a inconclusive."
    )


def test_where_there_are_several_models_the_sentence_names_its_own() -> None:
    found = over([result("pass", model="half"), result("fail", model="most")], [])

    assert found.sentence == "1 of 2 checks fails: most: value 0.5 is a fail."


def test_anomalies_are_made_safe_and_counted() -> None:
    found = over([result("pass")], ["a\x1b[31m is collapsed", "b is", "c is"])

    assert found.word == "ANOMALOUS"
    assert found.sentence.isprintable()
    assert "a\\x1b[31m is collapsed" in found.sentence
    assert "2 more" in found.sentence


@pytest.mark.parametrize(
    ("drop", "word"), [(0.0, "ACCEPT"), (0.01, "INCONCLUSIVE"), (0.05, "REGRESSION")]
)
def test_a_bench_is_judged_by_its_headline_metrics(drop: float, word: str) -> None:
    random = np.random.default_rng(9).standard_normal(100)
    other = mean(DENSE.values - drop + 0.01 * (random - random.mean()))
    report = bench_report({"sts/spearman": {"dense": DENSE, "pruned": other}})

    found = of_bench(report.tables, parse("1pt"), [])

    assert found is not None
    assert found.word == word
    assert found.sentence.startswith("sts/spearman ")
    assert "95 % interval" in found.sentence


def test_what_is_no_headline_or_has_no_direction_has_no_say() -> None:
    bad = mean(DENSE.values - 0.5)
    for facts in ({"headline": False}, {"better": None}, {"dense": None}):
        report = bench_report({"sts/spearman": {"dense": DENSE, "pruned": bad}}, **facts)  # type: ignore[arg-type]

        assert of_bench(report.tables, parse("1pt"), []) is None


def test_a_bench_of_one_model_can_still_be_anomalous() -> None:
    report = bench_report({"sts/spearman": {"pruned": DENSE}}, dense=None)

    found = of_bench(report.tables, parse("1pt"), ["pruned on sts: every vector is the same"])

    assert found is not None
    assert found.word == "ANOMALOUS"
    assert "every vector is the same" in found.sentence


def test_models_with_different_item_sets_are_anomalous() -> None:
    report = bench_report({"sts/spearman": {"dense": DENSE, "pruned": DENSE}})
    unequal = changed(report, "items", "pruned", digest="other items")
    incomparable = changed(report, "metrics", "pruned", dense=None, dense_value=None)

    found = [of_bench(each.tables, parse("1pt"), []) for each in (report, unequal, incomparable)]

    assert [each.word for each in found if each] == ["ACCEPT", "ANOMALOUS", "ANOMALOUS"]


@given(st.sampled_from([math.nan, math.inf, -math.inf]), st.sampled_from(["dense", "pruned"]))
def test_a_number_that_is_none_is_anomalous_whatever_is_allowed(bad: float, whose: str) -> None:
    few = right(2, 3)
    report = bench_report({"sts/accuracy": {"dense": few, "pruned": few}})
    cell = {"dense": "dense_value", "pruned": "value"}[whose]
    report = changed(report, "metrics", "pruned", **{cell: finite(bad)})

    found = of_bench(report.tables, parse("100pt"), [])

    assert found is not None
    assert found.word == "ANOMALOUS"
