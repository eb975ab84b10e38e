"""The end of a run: its numbers, gates and verdict become an exit code and three files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from compressor.checkpoint.write.disk import write_whole, writing
from compressor.errors import CompressorError, ResourceError, printable
from compressor.recipe.annotations import annotate
from compressor.recipe.gates import PlacedGate, judged
from compressor.recipe.junit import JUNIT_FILE, junit
from compressor.recipe.record import (
    Error,
    MetricRecord,
    RunRecord,
    VerdictRecord,
    now,
    tree_of,
    write_record,
)
from compressor.recipe.summary import SUMMARY_FILE, append_for_github, summary
from compressor.report import Report


def closed(
    record: RunRecord,
    folder: Path,
    gates: Sequence[PlacedGate],
    reports: Sequence[Report],
    seconds: float,
    error: Error | None = None,
) -> RunRecord:
    """The record of a run that ended so. The first error decides the exit code, else the answers.

    A verdict other than ACCEPT is a no even where every gate passes: such numbers prove nothing.
    """
    answers, verdict = judged(gates, reports, is_complete=error is None)
    is_no = any(report.status == "failed" for report in reports)
    is_no |= verdict is not None and verdict.word != "ACCEPT"
    code = int(error["code"]) if error is not None else int(is_no)
    trees = {step.path: tree_of(folder / step.path) for step in record.steps if step.is_checkpoint}
    return record.model_copy(
        update={
            "finished": now(),
            "seconds": round(seconds, 3),
            "status": "error" if error is not None else "failed" if is_no else "ok",
            "exit_code": code,
            "metrics": _metrics(reports),
            "gates": answers,
            "verdict": None
            if verdict is None
            else VerdictRecord(word=verdict.word, sentence=verdict.sentence),
            "errors": [] if error is None else [error],
            "artifacts": {path: tree for path, tree in trees.items() if tree is not None},
        }
    )


def clear_evidence(folder: Path) -> None:
    """Remove what an earlier run left for people: a run that is killed must not look like it."""
    for name in (JUNIT_FILE, SUMMARY_FILE):
        with writing(folder / name):
            (folder / name).unlink(missing_ok=True)


def write_evidence(
    record: RunRecord, folder: Path, planned: Sequence[str], reports: Sequence[Report]
) -> None:
    """`junit.xml`, `summary.md` and then `run.json`, each in one piece; and what GitHub shows."""
    page = summary(record, reports)
    write_whole(folder / JUNIT_FILE, junit(record, planned))
    write_whole(folder / SUMMARY_FILE, page.encode())
    write_record(record, folder)
    append_for_github(page)
    annotate(record.gates, record.errors)


def told(error: Exception, path: Path) -> CompressorError:
    """The error as the record has it; one that nobody foresaw is a bug, and its text stays here."""
    if isinstance(error, CompressorError):
        state = "is unchanged" if path.exists() else "was not created"
        error.output = f"output {printable(path, 300)} {state}"
        return error
    kind = ResourceError if isinstance(error, MemoryError) else CompressorError
    return kind(
        "OOM" if isinstance(error, MemoryError) else "INTERNAL",
        "a step ended with an error that it does not know",
        at=path.name,
        found=type(error).__name__,
        do="see the message on stderr",
    )


def _metrics(reports: Sequence[Report]) -> dict[str, dict[str, MetricRecord]]:
    found: dict[str, dict[str, MetricRecord]] = {}
    for name, model, metric in _measured(reports):
        found.setdefault(name, {})[model] = metric
    return found


def _measured(reports: Sequence[Report]) -> Iterator[tuple[str, str, MetricRecord]]:
    for report in reports:
        if report.name == "bench":
            for row in report.tables.get("metrics", ()):
                yield (
                    f"{row['data']}/{row['metric']}",
                    str(row["model"]),
                    MetricRecord.model_validate(
                        {
                            "value": row["value"],
                            "low": row["low"],
                            "high": row["high"],
                            "n": row["items"],
                            "baseline": row["dense_value"],
                        }
                    ),
                )
