"""Reports are read back from a file, a folder or a run, and a stranger's record leads nowhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from compressor.errors import InputError
from compressor.report import Report
from compressor.reports import is_run, reports_at


def written(folder: Path, step: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    report = Report({"step": step}, {"name": step})
    (folder / "report.json").write_text(report.to_json())
    return folder


def recorded(folder: Path, *steps: tuple[str, str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    listed = [{"path": path, "step": {"step": step}} for path, step in steps]
    (folder / "run.json").write_text(json.dumps({"steps": listed}))
    return folder


def names(path: Path, step: str | None = None) -> list[str]:
    return [report.name for _, report in reports_at(path, step)]


def test_a_file_and_its_folder_are_the_same_report(tmp_path: Path) -> None:
    folder = written(tmp_path / "a", "prune")

    assert reports_at(folder) == reports_at(folder / "report.json")
    assert not is_run(folder)


def test_a_run_gives_the_reports_that_are_there_in_order(tmp_path: Path) -> None:
    steps = [("1-sweep", "sweep"), ("2-prune", "prune"), ("3-bench", "bench"), ("4-bench", "bench")]
    run = recorded(tmp_path / "run", *steps)
    for path, step in (steps[0], steps[2], steps[3]):
        written(run / path, step)

    assert names(run) == ["sweep", "bench", "bench"]
    assert names(run / "run.json") == names(run)
    assert names(run, "bench") == ["bench", "bench"]


def test_a_step_that_was_asked_for_has_to_have_its_report(tmp_path: Path) -> None:
    run = recorded(tmp_path / "run", ("1-bench", "bench"))

    for step in ("bench", "prune"):
        with pytest.raises(InputError) as caught:
            reports_at(run, step)
        assert caught.value.id == "REPORT-UNREADABLE"


@pytest.mark.parametrize("path", ["../secret", "/secret", "a/b", "", 3])
def test_a_record_does_not_lead_out_of_its_folder(path: object, tmp_path: Path) -> None:
    written(tmp_path / "secret", "prune")
    run = recorded(tmp_path / "run", ("1-prune", "prune"))
    (run / "run.json").write_text(json.dumps({"steps": [{"path": path, "step": {}}]}))

    assert reports_at(run) == []


def test_a_report_of_another_step_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        reports_at(written(tmp_path / "a", "prune"), "bench")

    assert "another step" in caught.value.found
