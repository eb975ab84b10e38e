"""Reports read back from where they lie: a file, its folder, or all that a run of a recipe left."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from compressor.checkpoint.read.strict_json import MalformedJson, parse_object
from compressor.errors import InputError, printable
from compressor.report import SCHEMA, Report
from compressor.step import REPORT

RUN: Final = "run.json"
_LARGEST: Final = 1 << 30
_DEEPEST: Final = 32


def is_run(path: Path) -> bool:
    """Whether this is the folder of a run, or its record."""
    return (path / RUN).is_file() or (path.name == RUN and path.is_file())


def run_folder(path: Path) -> Path:
    """The folder of a run that was named by itself or by its record."""
    return path.parent if path.name == RUN else path


def reports_at(path: Path, step: str | None = None) -> list[tuple[Path, Report]]:
    """The report in a file or a folder, or those that a run left, in order; only those of `step`.

    Steps that a run began and that left no report are passed over, unless they are of `step`.
    """
    if not is_run(path):
        file = path / REPORT if path.is_dir() else path
        return [(file, read_report(file, step))]
    folder = run_folder(path)
    listed = read_object(folder / RUN).get("steps")
    files = [
        folder / str(each["path"]) / REPORT
        for each in (listed if isinstance(listed, list) else [])
        if isinstance(each, dict)
        and (step is None or _is_of(each.get("step"), step))
        and _is_name(each.get("path"))
    ]
    if step is not None and not files:
        raise unreadable(folder / RUN, f"a run without a {step}, expected one that has it")
    return [(file, read_report(file, step)) for file in files if step or file.exists()]


def read_report(file: Path, step: str | None = None) -> Report:
    """The report in a file; only one of `step`, where that is named."""
    content = read_object(file)
    if content.get("schema") != SCHEMA:
        schema = printable(content.get("schema"), 60)
        raise unreadable(file, f"the schema `{schema}`, expected `{SCHEMA}`")
    try:
        report = Report.from_dict(content)
    except (KeyError, TypeError) as error:
        raise unreadable(file, f"not the parts of a report: {error}") from None
    parts = (report.step, report.source, report.summary, report.tables)
    if not all(isinstance(part, dict) for part in parts) or "step" not in report.step:
        raise unreadable(file, "parts that are no objects, expected those of a report")
    if step is not None and report.name != step:
        raise unreadable(file, f"a report of another step, expected one of {step}")
    return report


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object in a file of bounded size and depth."""
    try:
        if file.is_file() and file.stat().st_size > _LARGEST:
            raise unreadable(file, f"more than {_LARGEST} bytes, expected a report")
        if file.exists() and not file.is_file():
            raise unreadable(file, "something that is no file, expected a report")
        return parse_object(file.read_bytes(), _DEEPEST, is_strict=True)
    except OSError as error:
        raise unreadable(file, error.strerror or type(error).__name__) from None
    except MalformedJson as error:
        raise unreadable(file, f"{error}, expected strict JSON") from None


def unreadable(file: Path, found: str) -> InputError:
    """What is said of a file that is no report of ours."""
    return InputError(
        "REPORT-UNREADABLE",
        "this is not a report that compressor wrote",
        at=file,
        found=printable(found, 300),
        do="name a report.json, the folder that holds it, or the folder of a run",
    )


def _is_of(step: object, name: str) -> bool:
    return isinstance(step, dict) and step.get("step") == name


def _is_name(path: object) -> bool:
    """Whether it is the name of a folder inside the run's: a record may come from a stranger."""
    return isinstance(path, str) and path not in ("", ".", "..") and Path(path).name == path
