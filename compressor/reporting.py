"""`compressor report`: reports and runs in, one HTML page and its pictures out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from compressor.checkpoint.write.disk import write_whole, writing
from compressor.errors import UsageError, printable
from compressor.recipe.record import RunRecord
from compressor.report import Report
from compressor.reports import RUN, is_run, read_object, reports_at, run_folder, unreadable


def report(paths: Sequence[Path], output: Path | None = None) -> Path:
    """Write one page of all that lies at these paths, a picture beside it for each of its plots.

    Without `output` it is `report.html` in the working directory. Nothing is written where one of
    the reports cannot be read.
    """
    # Drawing is heavy to import, and no other command draws.
    from compressor.view.html.page import page

    target = Path("report.html") if output is None else output
    if target.suffix.lower() not in (".html", ".htm"):
        raise UsageError(
            "USAGE",
            "a report is written into an HTML file",
            at="--output",
            found=f"`{printable(target.name)}`, expected a name that ends in .html",
            do="name the file with -o, such as: -o report.html",
        )
    found = [each for path in paths for each in _read(path)]
    try:
        made = page([each for _, each in found])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise unreadable(
            found[0][0] if len(found) == 1 else paths[0],
            f"tables that cannot be drawn: {type(error).__name__}: {error}",
        ) from error
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    for name, picture in made.pictures.items():
        write_whole(target.with_name(f"{target.stem}-{name}.png"), picture)
    write_whole(target, made.html.encode())
    return target


def _read(path: Path) -> Iterator[tuple[Path, Report]]:
    """The reports at a path; of a run, first what it came to."""
    if is_run(path):
        file = run_folder(path) / RUN
        try:
            record = RunRecord.model_validate(read_object(file))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = "/".join(str(part) for part in first["loc"])
            raise unreadable(file, f"{place}: {first['msg']}") from None
        yield file, _of_run(record)
    yield from reports_at(path)


def _of_run(record: RunRecord) -> Report:
    """A run's record in the shape of every report."""
    answer = record.verdict
    summary: dict[str, Any] = {
        "verdict": record.status if answer is None else answer.word,
        "sentence": "" if answer is None else answer.sentence,
        **record.versions,
        "processor": record.host.get("machine", ""),
    }
    if record.errors:
        error = record.errors[0]
        summary["sentence"] = f"error {error['id']}: {error['message']}. {summary['sentence']}"
    metrics = [
        {
            "metric": name,
            "model": model,
            "value": metric.value,
            "95 %": "–"
            if metric.low is None or metric.high is None
            else f"{metric.low:.4g} to {metric.high:.4g}",
            "dense": metric.baseline,
            "items": metric.n,
        }
        for name, models in record.metrics.items()
        for model, metric in models.items()
    ]
    steps = [
        {
            "step": step.name,
            "status": "unchanged" if step.skipped and step.status == "ok" else step.status,
            "seconds": step.seconds,
            "result": "checkpoint" if step.is_checkpoint else "report",
        }
        for step in record.steps
    ]
    return Report(
        step={"step": "run", "recipe": record.recipe, "set": record.overrides},
        source={"name": record.recipe, "id": None, "revision": None},
        summary=summary,
        tables={
            "gates": [gate.model_dump(mode="json") for gate in record.gates],
            "steps": steps,
            "metrics": metrics,
        },
        notes=[f"started {record.started}, {record.tool}"],
        status="ok" if record.status == "ok" else "failed",
    )
