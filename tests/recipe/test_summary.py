"""The page for people: what it shows, that no name shapes it, and how it is cut for GitHub."""

from __future__ import annotations

import html
from pathlib import Path

import pytest
from recipe_bench import planted

from compressor.recipe.record import GateRecord, RunRecord, VerdictRecord, new_record
from compressor.recipe.summary import LARGEST, append_for_github, cut, summary
from compressor.report import Report


def bench(note: str = "a note") -> Report:
    return Report({"step": "bench"}, {"name": "candidate"}, tables=planted("fail"), notes=[note])


def ended(**gate: object) -> RunRecord:
    base = {
        "id": "topics-accuracy",
        "metric": "topics/accuracy",
        "model": "candidate",
        "status": "fail",
        "reason": "it fell by 40 points.",
        "value": 0.4,
        "low": 0.38123456,
        "high": 0.42,
        "limit": 0.75,
        "baseline": 0.8,
        "at": "recipe.yaml:9:5",
    }
    return new_record("recipe.yaml", "models/tiny", []).model_copy(
        update={
            "status": "failed",
            "exit_code": 1,
            "gates": [GateRecord.model_validate({**base, **gate})],
            "verdict": VerdictRecord(word="REGRESSION", sentence="It fell."),
        }
    )


def test_the_page_says_verdict_gates_numbers_and_notes() -> None:
    lines = summary(ended(), [bench()]).splitlines()

    assert lines[0] == "## recipe.yaml: REGRESSION · 1 of 1 gates failed · exit code 1"
    assert "It fell." in lines
    assert (
        "| topics-accuracy | candidate | 0.4 (0.3812 to 0.42) | 0.75 | 0.8 | fail "
        "| it fell by 40 points. |"
    ) in lines
    [row] = [line for line in lines if line.startswith("| topics/accuracy |")]
    _, _, dense, candidate, _ = row.split("|")
    assert dense.strip().startswith("0.8 (")
    assert candidate.strip().startswith("0.4 (")
    assert "-0.4 (" in candidate
    assert lines[-1] == "</details>"
    assert "- bench: a note" in lines


HOSTILE = "a|b`c`<script>\n## *x* [y](z) \\ ~~w~~ &amp; \x1b[31m\u202e"


def test_no_name_shapes_the_page() -> None:
    plain = summary(ended(), [bench()])
    page = summary(ended(model=HOSTILE, reason=HOSTILE), [bench(HOSTILE)])

    assert page.count("\n") == plain.count("\n")
    assert page.count("|") == plain.count("|")
    assert page.count("<") == plain.count("<")
    assert not set("`*[\\~\x1b\u202e") & set(page)
    shown = "a|b`c`<script>\\n## *x* [y](z) \\ ~~w~~ &amp; \\x1b[31m\\u202e"
    assert html.unescape(page).count(shown) == 3


def test_a_page_that_fits_is_left_alone_and_a_longer_one_is_cut_at_a_line() -> None:
    text = "".join(f"line {number} ä\n" for number in range(1000))

    assert cut(text, len(text.encode())) == text
    short = cut(text, 1000)
    assert len(short.encode()) <= 1000
    kept, _, said = short.partition("\n\n**")
    assert text.startswith(kept + "\n")
    assert "cut here" in said


def test_a_cut_page_has_no_open_fold() -> None:
    page = summary(ended(), [bench()] * 200)

    for room in range(2000, len(page.encode()), 997):
        short = cut(page, room)
        assert len(short.encode()) <= room
        assert short.count("<details>") == short.count("</details>")


def test_github_gets_the_page_behind_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "summary"
    target.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(target))

    append_for_github("page\n")
    append_for_github("x\n" * LARGEST)

    text = target.read_text()
    assert text.startswith("before\npage\nx\n")
    assert text.rstrip().endswith("`summary.md`.**")
    assert target.stat().st_size <= LARGEST


def test_a_summary_that_cannot_be_appended_ends_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))

    append_for_github("page\n")

    assert "was not shown to GitHub" in caplog.text
