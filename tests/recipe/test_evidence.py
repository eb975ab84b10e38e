"""The truth table of a run: exit code, record, JUnit and summary say the same, whatever happens."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, fromstring

import pytest
from recipe_bench import BENCHES, Accident, Outcome
from recipe_steps import DONE, record, tiny_checkpoint

from compressor.errors import CompressorError
from compressor.recipe.run import run_recipe
from compressor.step import RunOptions

ACCIDENTS: dict[Accident, int] = {"none": 0, "bad input": 3, "worker killed": 6, "bug": 70}
OUTCOMES: dict[Outcome, str] = {
    "pass": "pass",
    "fail": "fail",
    "nan": "fail",
    "missing": "fail",
    "inconclusive": "inconclusive",
}
WORDS: dict[Outcome, str] = {
    "pass": "ACCEPT",
    "fail": "REGRESSION",
    "nan": "ANOMALOUS",
    "missing": "ANOMALOUS",
    "inconclusive": "INCONCLUSIVE",
}
GATE = "{metric: topics/accuracy, max-drop: 5pt, severity: error}"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    tiny_checkpoint(Path("models/tiny"))
    DONE.clear()


def exit_code(*steps: str, gates: tuple[str, ...] = (GATE,), **options: Any) -> int:
    """What a run of this recipe would end the process with."""
    lines = ["version: 1", "source: models/tiny", "steps:", *(f"  - {step}" for step in steps)]
    lines += ["gates:", *(f"  - {gate}" for gate in gates)] if gates else []
    Path("recipe.yaml").write_text("\n".join(lines))
    try:
        run = run_recipe("recipe.yaml", [], RunOptions(**options), catalogue=BENCHES)
    except CompressorError as error:
        return error.exit_code
    except ZeroDivisionError:
        return 70
    return run.exit_code


def junit() -> Element:
    return fromstring(Path("recipe-run/junit.xml").read_bytes())


def cases(kind: str = "") -> list[str]:
    """The test cases, or those that have an answer of this kind."""
    return [
        f"{case.get('classname')}/{case.get('name')}"
        for case in junit().iter("testcase")
        if not kind or case.find(kind) is not None
    ]


def page() -> str:
    return Path("recipe-run/summary.md").read_text()


def check_that_all_agree(code: int) -> None:
    """Exit code, record, JUnit and summary; the totals of JUnit are those of its cases."""
    data, suite = record(), junit()
    missed = [
        gate
        for gate in data["gates"]
        if gate["severity"] == "error" and gate["status"] in ("fail", "inconclusive")
    ]
    totals = {name: int(suite.attrib[name]) for name in ("failures", "errors", "skipped")}
    assert data["exit_code"] == code
    assert data["status"] == ("error" if code > 1 else "failed" if code else "ok")
    assert suite.attrib["tests"] == str(len(cases()))
    assert totals == {
        "failures": len(cases("failure")),
        "errors": len(cases("error")),
        "skipped": len(cases("skipped")),
    }
    assert totals["errors"] == (1 if code > 1 else 0)
    assert (code == 0) == (totals["failures"] == totals["errors"] == 0)
    gates = [case for case in cases("failure") if case.startswith("gates/")]
    assert len(gates) == len(missed)
    head = page().splitlines()[0]
    assert head.endswith(f"exit code {code}")
    if data["gates"]:
        assert f"{len({gate['id'] for gate in missed})} of " in head
    else:
        assert "no gates" in head or code > 1


@pytest.mark.parametrize(("accident", "outcome"), list(product(ACCIDENTS, OUTCOMES)))
def test_what_a_run_says_is_the_same_everywhere(accident: Accident, outcome: Outcome) -> None:
    code = exit_code(f"bench: {{outcome: {outcome}}}", f"accident: {{what: {accident}}}")

    assert code == (ACCIDENTS[accident] or int(outcome != "pass"))
    check_that_all_agree(code)
    [gate] = record()["gates"]
    if accident == "none":
        assert record()["verdict"]["word"] == WORDS[outcome]
        assert WORDS[outcome] in page()
        assert gate["status"] == OUTCOMES[outcome]
    else:
        assert record()["verdict"] is None
        reached = "not_reached" if outcome == "missing" else OUTCOMES[outcome]
        assert gate["status"] == reached


@pytest.mark.parametrize("accident", ACCIDENTS)
def test_an_accident_before_the_bench_leaves_its_gates_open(accident: Accident) -> None:
    code = exit_code(f"accident: {{what: {accident}}}", "bench:")

    check_that_all_agree(code)
    assert record()["gates"][0]["status"] == ("pass" if accident == "none" else "not_reached")
    if accident != "none":
        assert cases("skipped") == ["steps/2-bench", "gates/topics-accuracy"]
        assert "not reached" in page()


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_gate_that_warns_never_fails_a_run(outcome: Outcome) -> None:
    code = exit_code(f"bench: {{outcome: {outcome}}}", gates=(GATE.replace("error", "warn"),))

    assert code == 0
    check_that_all_agree(code)
    assert cases("skipped") == ([] if outcome == "pass" else ["gates/topics-accuracy"])
    if outcome != "pass":
        assert "(warning only)" in page()


def test_every_gate_is_evaluated() -> None:
    code = exit_code(
        "bench: {outcome: fail}",
        "accident:",
        gates=(
            GATE,
            "{id: floor, metric: topics/accuracy, op: '>=', value: 0.3}",
            "{metric: accident/zeros, op: ==, value: 4}",
        ),
    )

    assert code == 1
    check_that_all_agree(code)
    assert [gate["status"] for gate in record()["gates"]] == ["fail", "pass", "fail"]
    assert cases("failure") == ["gates/topics-accuracy", "gates/accident-zeros"]
    assert "2 of 3 gates failed" in page()


def test_a_recipe_without_gates_says_so() -> None:
    code = exit_code("bench: {outcome: fail}", gates=())

    assert code == 0
    check_that_all_agree(code)
    assert record()["verdict"] is None


def test_a_check_that_says_no_fails_a_run_whose_gates_pass() -> None:
    code = exit_code("doubt:", "bench:")
    again = exit_code("doubt:", "bench:")

    assert (code, again) == (1, 1)
    check_that_all_agree(again)
    assert cases("failure") == ["steps/1-doubt"]
    assert cases("skipped") == ["steps/2-bench"]
    assert "1 check failed" in page()


def test_numbers_that_prove_nothing_fail_a_run_whose_gates_pass() -> None:
    code = exit_code("bench: {anomalies: ['candidate on topics: every answer is the same']}")

    assert code == 1
    check_that_all_agree(code)
    assert record()["verdict"]["word"] == "ANOMALOUS"
    assert cases("failure") == ["integrity/evidence"]


def test_a_checkpoint_that_was_made_counts_as_intact_and_is_named_by_its_tree() -> None:
    code = exit_code("copy:", "bench:")

    check_that_all_agree(code)
    assert "integrity/1-copy" in cases()
    manifest = Path("recipe-run/1-copy/compressor.json").read_text()
    assert record()["artifacts"].keys() == {"1-copy"}
    assert f'"tree": "{record()["artifacts"]["1-copy"]}"' in manifest


def test_the_numbers_stand_in_the_record() -> None:
    exit_code("bench:")

    found = record()["metrics"]["topics/accuracy"]
    assert found.keys() == {"dense", "candidate"}
    assert found["candidate"]["low"] < 0.8 < found["candidate"]["high"]
    assert {key: found["candidate"][key] for key in ("value", "n", "baseline")} == {
        "value": 0.8,
        "n": 2000,
        "baseline": 0.8,
    }


def test_a_rerun_judges_again_what_it_does_not_measure_again() -> None:
    exit_code("bench: {outcome: fail}")
    DONE.clear()

    code = exit_code("bench: {outcome: fail}", gates=(GATE.replace("5pt", "100pt"),))

    assert (DONE, code) == ([], 0)
    check_that_all_agree(0)


def test_a_run_that_is_stopped_does_not_look_like_the_one_before() -> None:
    exit_code("bench:")

    with pytest.raises(KeyboardInterrupt):
        exit_code("accident: {what: stopped}", "bench:")

    assert record()["status"] == "running"
    assert not Path("recipe-run/junit.xml").exists()
    assert not Path("recipe-run/summary.md").exists()


def test_evidence_that_cannot_be_written_is_an_error_of_the_output() -> None:
    exit_code("bench:")
    Path("recipe-run/.junit.xml.tmp").mkdir()

    code = exit_code("bench: {outcome: fail}")

    assert code == 5
    assert not Path("recipe-run/junit.xml").exists()


def test_two_benches_of_the_same_name_have_test_cases_of_their_own() -> None:
    exit_code("bench:", "bench: {outcome: fail}")

    assert cases("failure") == ["gates/topics-accuracy [candidate] #2"]
    check_that_all_agree(1)


def test_a_secret_in_an_unforeseen_error_stays_out_of_the_evidence() -> None:
    exit_code("accident: {what: bug}", "bench:")

    for name in ("run.json", "junit.xml", "summary.md"):
        text = Path("recipe-run", name).read_text()
        assert "ZeroDivisionError" in text
        assert not re.search("secret", text)
