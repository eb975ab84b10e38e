"""`compressor report`: one page of files, folders and runs, pictures beside it, and refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchreports import bench_report, mean
from command import command

from compressor.errors import CompressorError
from compressor.recipe.record import (
    GateRecord,
    MetricRecord,
    RunRecord,
    StepRecord,
    VerdictRecord,
    new_record,
    write_record,
)
from compressor.report import Report
from compressor.reporting import report


def verified(name: str = "model") -> Report:
    check = {"level": 1, "check": "files", "status": "ok", "id": "", "at": "", "detail": "whole"}
    return Report(
        {"step": "verify"},
        {"name": name, "id": None, "revision": None},
        {"origin": "unknown", "ok": 1, "failed": 0, "skipped": 0},
        {"checks": [check]},
    )


def written(folder: Path, found: Report) -> Path:
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(found.to_json())
    return folder


def ran(folder: Path) -> Path:
    """A run of one step that ended well, and of one that left no report."""
    written(folder / "1-verify", verified("inner"))
    gate = GateRecord(
        id="topics-accuracy",
        metric="topics/accuracy",
        model="candidate",
        status="fail",
        reason="it fell by 40 points.",
        value=0.4123,
        low=0.38,
        high=0.42,
        limit=0.75,
        baseline=0.8,
        at="recipe.yaml:9:5",
    )
    steps = [
        StepRecord(
            name=name, step={"step": name[2:]}, status=status, seconds=1.5, path=name, key="k"
        )
        for name, status in (("1-verify", "ok"), ("2-prune", "error"))
    ]
    metric = MetricRecord(value=0.4123, low=0.38, high=0.42, n=100, baseline=0.8)
    record: RunRecord = new_record("recipe.yaml", "org/model", ["prune.sparsity=0.5"]).model_copy(
        update={
            "status": "failed",
            "exit_code": 1,
            "steps": steps,
            "gates": [gate],
            "metrics": {"topics/accuracy": {"candidate": metric}},
            "verdict": VerdictRecord(word="REGRESSION", sentence="It fell."),
        }
    )
    write_record(record, folder)
    return folder


def test_the_command_ends_with_the_path_of_its_page(tmp_path: Path) -> None:
    bench = bench_report({"sts/spearman": {"dense": mean([1.0, 0.5])}}, dense=None)
    facts = {"device": "cpu", "processor": "x86_64", "threads": 2, "dtype": "float32"}
    facts |= {"torch": "2.11.0", "transformers": "5.1.0", "speed": ""}
    tables = {**bench.tables, "layers": [], "preparations": []}
    folder = written(
        tmp_path / "b", Report(bench.step, bench.source, {**bench.summary, **facts}, tables)
    )
    page = tmp_path / "new" / "page.html"

    found = command("report", folder, written(tmp_path / "v", verified()), "-o", page)

    assert (found.code, found.out, found.err) == (0, f"{page}\n", "")
    assert sorted(path.name for path in page.parent.iterdir()) == ["page-speed.png", "page.html"]
    assert {"bench of dense", "verify of model"} <= {
        part.split("<")[0] for part in page.read_text().split(">")
    }


def test_a_run_shows_its_gates_steps_and_numbers_and_then_its_reports(tmp_path: Path) -> None:
    for name in ("run.json", ""):
        page = report([ran(tmp_path / f"run-{name}") / name], tmp_path / "page.html").read_text()

        assert "<strong>REGRESSION</strong> <span>It fell.</span>" in page
        for said in ("topics-accuracy", "0.4123", "0.38 to 0.42", "2-prune", "verify of inner"):
            assert said in page
        assert "compressor run recipe.yaml --set prune.sparsity=0.5" in page


def test_without_an_output_the_page_lies_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = written(tmp_path / "v", verified())
    monkeypatch.chdir(tmp_path)

    assert report([folder / "report.json"]) == Path("report.html")
    assert (tmp_path / "report.html").is_file()


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("{}", "schema"),
        ("[]", "strict JSON"),
        (json.dumps({**verified().as_dict(), "tables": []}), "parts"),
        (json.dumps({**verified().as_dict(), "tables": {}}), "cannot be drawn"),
        (json.dumps({**verified().as_dict(), "step": {"step": "sweep"}}), "cannot be drawn"),
    ],
)
def test_what_is_no_report_is_refused_and_nothing_is_written(
    content: str, found: str, tmp_path: Path
) -> None:
    (tmp_path / "report.json").write_text(content)

    with pytest.raises(CompressorError) as caught:
        report([tmp_path], tmp_path / "page.html")

    assert (caught.value.id, caught.value.exit_code) == ("REPORT-UNREADABLE", 3)
    assert found in caught.value.found
    assert not (tmp_path / "page.html").exists()


def test_a_record_that_is_none_of_ours_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"schema": "compressor.run/1", "steps": 3}')

    with pytest.raises(CompressorError) as caught:
        report([tmp_path], tmp_path / "page.html")

    assert caught.value.id == "REPORT-UNREADABLE"


def test_a_page_that_is_not_called_html_is_refused(tmp_path: Path) -> None:
    folder = written(tmp_path / "v", verified())

    found = command("report", folder, "-o", folder / "report.json")

    assert found.code == 2
    assert "expected a name that ends in .html" in found.err
    assert json.loads((folder / "report.json").read_text())["step"] == {"step": "verify"}
