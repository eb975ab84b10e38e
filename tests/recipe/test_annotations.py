"""Annotations: at the line of the gate, escaped as GitHub reads them, and never too many."""

from __future__ import annotations

import pytest

from compressor.errors import InputError
from compressor.recipe.annotations import annotate, annotated
from compressor.recipe.record import GateRecord


def gate(**values: object) -> GateRecord:
    base = {
        "id": "ppl",
        "metric": "wiki/perplexity",
        "model": "pruned",
        "status": "fail",
        "reason": "6.310 is above 6.195.",
        "at": "recipes/smoke.yaml:14:5",
    }
    return GateRecord.model_validate({**base, **values})


@pytest.fixture(autouse=True)
def _on_github(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")


def test_a_gate_that_misses_is_shown_at_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    annotate([gate(), gate(status="pass")], [])

    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        "::error file=recipes/smoke.yaml,line=14,title=gate ppl::pruned: 6.310 is above 6.195.\n"
    )


def test_errors_come_before_warnings_and_gates_before_the_error_of_the_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = InputError("CKPT-BROKEN", "this checkpoint is broken", at="a.yaml:3:1", do="repair it")

    annotate([gate(severity="warn"), gate(status="inconclusive")], [error.as_json()])

    lines = capsys.readouterr().err.splitlines()
    assert [line.partition("::")[2][:20].partition(" ")[0] for line in lines] == [
        "error",
        "warning",
        "error",
    ]
    assert lines[2] == (
        "::error file=a.yaml,line=3,title=CKPT-BROKEN::"
        "this checkpoint is broken; a.yaml:3:1; repair it"
    )


def test_there_are_at_most_eight(capsys: pytest.CaptureFixture[str]) -> None:
    annotate([gate()] * 20, [])

    assert len(capsys.readouterr().err.splitlines()) == 8


def test_no_text_ends_a_line_or_a_property(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "a\n::error::x\r\x1b[31m 100%,b:c \u202e"

    annotate([gate(model="", reason=hostile, at=f"{hostile}.yaml:1:2")], [])

    [line] = capsys.readouterr().err.splitlines()
    assert line == (
        "::error file=a\\n%3A%3Aerror%3A%3Ax\\r\\x1b[31m 100%25%2Cb%3Ac \\u202e.yaml,line=1,"
        "title=gate ppl::a\\n::error::x\\r\\x1b[31m 100%25,b:c \\u202e"
    )


def test_an_error_before_the_run_is_shown_and_still_raised(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(InputError), annotated():
        raise InputError("CKPT-BROKEN", "this checkpoint is broken", at="model", do="repair it")

    err = capsys.readouterr().err
    assert err.startswith("::error title=CKPT-BROKEN::this checkpoint is broken; model; repair it")


def test_elsewhere_nothing_is_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS")

    annotate([gate()], [])

    assert capsys.readouterr().err == ""
