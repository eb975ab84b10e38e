"""Words of a report: a sentence with its numbers, tables of what matters, units, safe names."""

from __future__ import annotations

from typing import Any

import pytest

from compressor.report import Report
from compressor.steps import STEPS
from compressor.view.parts import Part, amount, percent, text
from compressor.view.words import DESCRIBERS, describe, overview

PRUNED = {
    "pattern": "0.5",
    "method": "magnitude",
    "scope": "global",
    "tensors_pruned": 2,
    "tensors_kept_dense": 30,
    "weights_pruned_over": 2048,
    "parameters": 4096,
    "coverage": 0.5,
    "zeros_requested": 1024,
}
WRITTEN = PRUNED | {"zeros": 1024, "sparsity": 0.5, "sparsity_of_all_matrices": 0.25}


def report(step: str, name: str = "model", **content: Any) -> Report:
    return Report({"step": step}, {"name": name}, **content)


def dense(count: int) -> list[dict[str, object]]:
    return [
        {"name": f"t{i}", "role": f"role{i}", "weights": i, "reason": "a head"}
        for i in range(count)
    ]


def shown(found: Report) -> tuple[list[str], list[Part]]:
    parts = list(describe(found))
    return [p for p in parts if isinstance(p, str)], [p for p in parts if isinstance(p, Part)]


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1_234_567, "1.2 MB"),
        (5e9, "5.0 GB"),
        (4.2e15, "4200.0 TB"),
    ],
)
def test_bytes_have_a_unit(count: float, words: str) -> None:
    assert amount(count) == words


@pytest.mark.parametrize(("share", "words"), [(None, "–"), (0, "0.00 %"), (0.49984, "49.98 %")])
def test_shares_are_per_cent(share: float | None, words: str) -> None:
    assert percent(share) == words


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("any", None, "–"),
        ("any", True, "yes"),
        ("any", 1234567, "1,234,567"),
        ("any", 0.123456, "0.1235"),
        ("any", [3, 4], "3×4"),
        ("any", "\x1b[31m", "\\x1b[31m"),
        ("bytes", 2500, "2.5 kB"),
        ("coverage", 0.25, "25.00 %"),
        ("coverage", "none", "none"),
    ],
)
def test_a_cell_is_text_with_its_unit(column: str, value: object, words: str) -> None:
    assert text(column, value) == words


def test_a_prune_says_its_zeros_first() -> None:
    sentences, tables = shown(report("prune", summary=WRITTEN, tables={"tensors": dense(2)}))

    assert sentences[0] == (
        "[bold]model[/bold]: 1,024 zeros in 2,048 prunable weights, 50.00 % "
        "(0.5, magnitude, scope global)"
    )
    assert "touched 50.00 % of 4,096 parameters, 2 of 32 tensors" in sentences[1]
    assert "over all matrices 25.00 %" in sentences[1]
    assert [row["because"] for row in tables[0].rows] == ["a head", "a head"]


def test_a_plan_says_would() -> None:
    sentences, _ = shown(report("prune", summary=PRUNED, tables={"tensors": []}))

    assert "would zero 1,024 of 2,048 prunable weights" in sentences[0]


def test_a_long_table_shows_its_largest_rows() -> None:
    _, tables = shown(report("prune", summary=WRITTEN, tables={"tensors": dense(50)}))

    assert [row["weights"] for row in tables[0].rows] == list(range(49, 29, -1))


def test_a_long_difference_counts_what_it_does_not_show() -> None:
    summary = {
        "against": "[red]",
        "changed": 25,
        "tensors": 30,
        "byte_equal": 5,
        "only_in_one": 0,
        "other_shape_or_dtype": 0,
        "zeros_gained": 1,
        "zeros_lost": 0,
        "relative_error": None,
    }
    rows = [{"name": f"t{i}", "change": "values"} for i in range(25)]

    sentences, tables = shown(report("diff", summary=summary, tables={"tensors": rows}))

    assert len(tables[0].rows) == 20
    assert sentences[-1] == "and 5 more tensors (--json shows all)"
    assert "against \\[red]: 25 of 30 tensors changed" in sentences[0]
    assert "relative error –" in sentences[0]


@pytest.mark.parametrize("name", ["[red]", "a[/bold]", "\x1b[2J"])
def test_a_hostile_name_is_no_markup(name: str) -> None:
    from rich.text import Text

    sentences, _ = shown(report("prune", name, summary=WRITTEN, tables={"tensors": []}))

    plain = Text.from_markup(sentences[0]).plain
    assert plain.startswith(name.replace("\x1b", "\\x1b") + ": 1,024 zeros")


def test_a_step_without_words_of_its_own_is_a_table_of_facts() -> None:
    found = report("new", summary={"free_bytes": 3}, tables={"parts": [{"part": "x"}], "none": []})

    _, tables = shown(found)

    assert [dict(row) for row in tables[0].rows] == [{"": "free bytes", " ": "3"}]
    assert [part.title for part in tables] == ["", "parts"]


def test_an_overview_has_a_line_for_each_step() -> None:
    reports = [
        report("prune", summary=WRITTEN),
        report("doctor", summary={}),
        report("verify", summary={"files": 3}, status="failed"),
    ]

    rows = [(row["step"], row["result"]) for row in overview(reports).rows]

    assert rows == [("prune", "ok"), ("doctor", "ok"), ("verify", "NO")]
    assert "1,024 zeros" in str(overview(reports).rows[0]["what"])


def test_words_are_about_steps_that_exist() -> None:
    assert set(DESCRIBERS) <= {*STEPS, "run"}
