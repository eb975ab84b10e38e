"""The edges of a run: streams that are closed, signals that come early, a folder that is gone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

COMMAND = [sys.executable, "-m", "compressor"]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    weight = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)
    save_file({"model.layers.0.fc.weight": weight}, folder / "model.safetensors")
    (folder / "config.json").write_text('{"model_type": "weird"}')
    return folder


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_a_closed_stream_changes_nothing(closed: str, source: Path, tmp_path: Path) -> None:
    command = " ".join([*COMMAND, "prune", str(source), "--sparsity 0.5 -o out", closed])

    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, check=False)

    assert (done.returncode, b"Traceback" in done.stderr) == (0, False)
    assert (tmp_path / "out" / "compressor.json").is_file()


def test_a_reader_that_leaves_early_is_141_and_not_a_no(source: Path, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)

    done = subprocess.run(
        [*COMMAND, "prune", str(source), "--sparsity", "0.5", "-o", "out"],
        cwd=tmp_path,
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writing)

    assert (done.returncode, b"Traceback" in done.stderr) == (141, False)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_stdout_does_not_deny_what_was_committed(source: Path, tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, "prune", str(source), "--sparsity", "0.5", "-o", "out"],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert done.returncode == 6
    assert "nothing was written" not in done.stderr
    assert (tmp_path / "out" / "compressor.json").is_file()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's signal masks")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("delay", [0.0, 0.1, 0.3])
def test_a_signal_during_the_start_is_an_exit_code(
    number: signal.Signals, delay: float, source: Path, tmp_path: Path
) -> None:
    process = subprocess.Popen(
        [*COMMAND, "prune", str(source), "--sparsity", "0.5", "-o", "out"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not is_caught(process.pid, signal.SIGTERM):
        time.sleep(0.005)
    time.sleep(delay)

    process.send_signal(number)
    _, said = process.communicate()

    assert process.returncode in (128 + number, 0)
    assert "Traceback" not in said


def is_caught(process: int, number: int) -> bool:
    """Whether the process has a handler for the signal by now."""
    status = Path(f"/proc/{process}/status").read_text()
    (mask,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(mask, 16) >> (number - 1) & 1)


def test_a_working_directory_that_is_gone_is_named(source: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    command = f"cd {gone}; rmdir {gone}; exec {sys.executable} -m compressor prune {source}"

    done = subprocess.run(
        ["sh", "-c", f"{command} --sparsity 0.5"], capture_output=True, text=True, check=False
    )

    assert (done.returncode, "working directory" in done.stderr) == (5, True)


def test_a_folder_whose_name_is_not_utf8_is_pruned(source: Path, tmp_path: Path) -> None:
    strange = os.fsencode(tmp_path / "n_bad") + b"\xff"
    os.rename(os.fsencode(source), strange)  # noqa: PTH104  # a name that pathlib cannot spell

    done = subprocess.run(
        [*map(os.fsencode, COMMAND), b"prune", strange, b"--sparsity", b"0.5", b"-o", b"out"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "out" / "report.json").read_bytes())["status"] == "ok"


def test_an_expression_that_never_ends_is_refused(source: Path, tmp_path: Path) -> None:
    pattern = "re:((([a-z0-9.])+)+)+X"

    done = subprocess.run(
        [*COMMAND, "prune", str(source), "--sparsity", "0.5", "--only", pattern],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, "RECIPE-PATTERN" in done.stderr) == (2, True)
