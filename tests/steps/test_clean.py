"""Cleaning: what dead runs left is removed, what lives or is not ours stays."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from compressor.errors import InputError
from compressor.report import Report
from compressor.step import RunOptions, run
from compressor.steps.clean import Clean


def clean(folder: Path, *, dry_run: bool = False) -> Report:
    return run(Clean(), str(folder), RunOptions(dry_run=dry_run))


def leftover(parent: Path, target: str = "out") -> Path:
    """What a killed run leaves: an empty manifest, and part of a weight file."""
    folder = parent / f".{target}.tmp-0123456789ab"
    (folder / "inner").mkdir(parents=True)
    (folder / "compressor.json").touch()
    (folder / "inner" / "model.safetensors").write_bytes(bytes(1000))
    (folder / "link").symlink_to("/dev/zero")
    return folder


def test_what_a_dead_run_left_is_removed(tmp_path: Path) -> None:
    leftover(tmp_path)
    (tmp_path / "out").mkdir()

    report = clean(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert dict(report.summary) == {"leftovers": 1, "bytes": 1000}
    assert [row["action"] for row in report.tables["leftovers"]] == ["removed"]


def test_a_dry_run_only_says_what_it_would_do(tmp_path: Path) -> None:
    folder = leftover(tmp_path)

    report = clean(tmp_path, dry_run=True)

    assert (folder / "inner" / "model.safetensors").is_file()
    assert [row["action"] for row in report.tables["leftovers"]] == ["would be removed"]


def test_a_run_that_is_at_work_is_left_alone(tmp_path: Path) -> None:
    folder = leftover(tmp_path)
    descriptor = os.open(folder / "compressor.json", os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)

    report = clean(tmp_path)

    os.close(descriptor)
    assert folder.is_dir()
    assert dict(report.summary) == {"leftovers": 1, "bytes": 0}


def test_what_is_not_ours_stays(tmp_path: Path) -> None:
    (tmp_path / ".out.tmp-0123456789ab").mkdir()
    (tmp_path / ".out.tmp-0123456789ab" / "thesis.tex").touch()
    (tmp_path / ".out.tmp-1").mkdir()
    (tmp_path / ".hidden").touch()

    clean(tmp_path)

    assert len(list(tmp_path.iterdir())) == 3


def test_no_folder_means_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leftover(tmp_path)
    monkeypatch.chdir(tmp_path)

    run(Clean(), "", RunOptions())

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["nothing", "file"])
def test_what_is_no_folder_is_an_error(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(InputError, match="CLEAN-NO-FOLDER"):
        clean(tmp_path / name)
