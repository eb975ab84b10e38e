"""`RUN/summary.md`: a run on one page, for people; no name in it can shape the page."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from compressor.checkpoint.write.disk import write_all
from compressor.errors import printable
from compressor.recipe.junit import said
from compressor.recipe.record import GateRecord, RunRecord
from compressor.report import Report

log = logging.getLogger("compressor")

SUMMARY_FILE: Final = "summary.md"
LARGEST: Final = 900_000
"""Bytes. GitHub drops the summary of a step as a whole where it has more than 1 MiB."""

_SPECIAL: Final = "&<>|`*[]\\~"
_LONGEST: Final = 400
_CUT: Final = "\n\n**The summary is cut here: the whole of it stands in `summary.md`.**\n"


def summary(record: RunRecord, reports: Sequence[Report]) -> str:
    """The page: what it came to, the gates, the steps, what was measured, the notes folded."""
    parts = [f"## {_headline(record)}"]
    if record.verdict is not None:
        parts.append(_text(record.verdict.sentence))
    parts += [_text(said(error)) for error in record.errors]
    if record.gates:
        parts.append(_gates(record.gates))
    parts.append(_steps(record))
    for report in reports:
        if report.name == "bench" and report.tables.get("metrics"):
            parts += [f"### bench of {_text(report.source['name'])}", _metrics(report)]
    if notes := [
        f"- {_text(report.name)}: {_text(note)}" for report in reports for note in report.notes
    ]:
        parts.append("\n".join(["<details><summary>Notes</summary>", "", *notes, "", "</details>"]))
    return "\n\n".join(parts) + "\n"


def append_for_github(text: str) -> None:
    """Append the page to what GitHub shows of this step; what would not fit is cut, and says so."""
    name = os.environ.get("GITHUB_STEP_SUMMARY")
    if not name:
        return
    path = Path(name)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    try:
        room = LARGEST - (path.stat().st_size if path.exists() else 0)
        descriptor = os.open(path, flags, 0o666)
        try:
            write_all(descriptor, cut(text, room).encode())
        finally:
            os.close(descriptor)
    except OSError as error:
        log.warning("the summary was not shown to GitHub: %s", printable(error))


def cut(text: str, room: int) -> str:
    """The whole lines of `text` that fit into so many bytes, with a last one that says so."""
    if len(text.encode()) <= room:
        return text
    ending = f"\n</details>{_CUT}"
    if room < len(ending):
        return ""
    kept = text.encode()[: room - len(ending)].decode(errors="ignore")
    kept = kept[: kept.rfind("\n") + 1]
    is_open = kept.count("<details>") > kept.count("</details>")
    return kept.rstrip("\n") + (ending if is_open else _CUT)


def _headline(record: RunRecord) -> str:
    if record.status == "error":
        word = "error " + ", ".join(str(error["id"]) for error in record.errors)
    else:
        word = record.verdict.word if record.verdict is not None else "no gates"
    count = len({gate.id for gate in record.gates})
    facts = [f"{len(record.missed)} of {count} gates failed"] if count else []
    if record.gates and record.verdict is None:
        reached = {gate.id for gate in record.gates if gate.status != "not_reached"}
        facts.append(f"{count - len(reached)} not reached")
    if checks := sum(step.status == "failed" for step in record.steps):
        facts.append(f"{checks} {'check' if checks == 1 else 'checks'} failed")
    return " · ".join([f"{_text(record.recipe)}: {word}", *facts, f"exit code {record.exit_code}"])


def _gates(gates: Sequence[GateRecord]) -> str:
    rows = [
        [
            _text(gate.id),
            _text(gate.model),
            _number(gate.value, gate.low, gate.high),
            _number(gate.limit),
            _number(gate.baseline),
            _result(gate),
            _text(gate.reason),
        ]
        for gate in gates
    ]
    return _table(["gate", "model", "value", "limit", "baseline", "result", "reason"], rows)


def _result(gate: GateRecord) -> str:
    word = gate.status.replace("_", " ")
    is_warning = gate.severity == "warn" and gate.status != "pass"
    return f"{word} (warning only)" if is_warning else word


def _steps(record: RunRecord) -> str:
    rows = [
        [
            _text(step.name),
            "unchanged" if step.skipped and step.status == "ok" else step.status,
            "" if step.seconds is None or step.skipped else f"{step.seconds:.1f}",
        ]
        for step in record.steps
    ]
    return _table(["step", "status", "seconds"], rows)


def _metrics(report: Report) -> str:
    """A row for each metric, a column for each model, headlines first."""
    rows: list[Mapping[str, Any]] = [dict(row) for row in report.tables["metrics"]]
    models = list(dict.fromkeys(str(row["model"]) for row in rows))
    names = dict.fromkeys((row["data"], row["metric"]) for row in _headlines_first(rows))
    cells = {(row["data"], row["metric"], str(row["model"])): _measured(row) for row in rows}
    return _table(
        ["metric", *map(_text, models)],
        [
            [_text(f"{data}/{metric}"), *(cells.get((data, metric, model), "") for model in models)]
            for data, metric in names
        ],
    )


def _headlines_first(rows: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    yield from (row for row in rows if row["headline"])
    yield from (row for row in rows if not row["headline"])


def _measured(row: Mapping[str, Any]) -> str:
    shown = _number(row["value"], row["low"], row["high"])
    if row["difference"] is None:
        return shown
    change = _number(row["difference"], row["difference_low"], row["difference_high"], sign="+")
    return f"{shown}; {change} against dense"


def _number(
    value: float | None, low: float | None = None, high: float | None = None, sign: str = ""
) -> str:
    """Four digits, and the interval where there is one."""
    if value is None:
        return ""
    shown = f"{value:{sign}.4g}"
    if low is None or high is None or low == high == value:
        return shown
    return f"{shown} ({low:{sign}.4g} to {high:{sign}.4g})"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _text(text: object) -> str:
    """Untrusted text: printable, and what Markdown or HTML would read is written as a number."""
    shown = printable(text, _LONGEST)
    return "".join(f"&#{ord(each)};" if each in _SPECIAL else each for each in shown)
