import os
import random
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tinyruns

from compressor.checkpoint.stream import rewrite
from compressor.checkpoint.write.temporary import leftovers, remove_dead

SIGNALS = {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGHUP: 129}
SLOW = ("--slow", 0.01)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tinyruns.tiny_checkpoint(tmp_path / "source", shards=4)


@pytest.fixture
def known(source: Path, tmp_path: Path) -> dict[str, tinyruns.Tree]:
    """What lies in the output before, and what a run leaves in it that nobody stops."""
    for name, how in (("old", "copy"), ("new", "halve")):
        rewrite(tinyruns.job(source, how), tmp_path / name)
    return {name: tinyruns.determined(tmp_path / name) for name in ("old", "new")}


def wait_for_shards(process: subprocess.Popen[str], parent: Path, count: int) -> Path:
    """The temporary folder of a run, as soon as its journal holds so many shards."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        assert process.poll() is None, process.communicate()
        for folder, _ in leftovers(parent):
            journal = folder / "journal.jsonl"
            if journal.is_file() and len(journal.read_bytes().splitlines()) > count:
                return folder
        time.sleep(0.002)
    raise AssertionError("the run does not get on")


def killed_at(delay: float, number: int, *arguments: object) -> tuple[int, str]:
    """The end of a run that gets a signal so many seconds after it has begun."""
    process = tinyruns.start(*arguments, *SLOW)
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], 60)[0]
    time.sleep(delay)
    process.send_signal(number)
    return tinyruns.finish(process)


def is_survived(
    source: Path, out: Path, known: dict[str, tinyruns.Tree], delay: float, number: int
) -> str:
    """The state that a signal leaves, after every promise about it has been checked."""
    is_old = out.exists()
    options = ["--overwrite"] if is_old else []

    code, said = killed_at(delay, number, source, out, *options)

    state = tinyruns.state(out, **known)
    assert state in {"old" if is_old else "absent", "new"}
    # While Python itself shuts down, a signal ends it as the kernel does: a shell says 143 as well.
    assert code in {0, -number, SIGNALS.get(signal.Signals(number))}, said
    assert state == "new" or code != 0
    assert "Traceback" not in said
    if state != "new":
        rewrite(tinyruns.job(source), out, overwrite=is_old, resume=True)
        assert tinyruns.state(out, **known) == "new"
    for folder, _ in leftovers(out.parent):
        assert remove_dead(folder)
    assert tinyruns.leftovers(out.parent, out) == []
    return state


def campaign(
    source: Path, tmp_path: Path, known: dict[str, tinyruns.Tree], kills: int, signals: list[int]
) -> set[str]:
    started = time.monotonic()
    assert tinyruns.finish(tinyruns.start(source, tmp_path / "whole" / "out", *SLOW))[0] == 0
    whole = time.monotonic() - started
    states = set()
    for kill in range(kills):
        out = tmp_path / f"kill{kill}" / "out"
        if kill % 2:
            shutil.copytree(tmp_path / "old", out)
        number = signals[kill % len(signals)]
        states.add(is_survived(source, out, known, whole * kill / kills, number))
    return states


def test_a_kill_at_any_time_leaves_the_old_the_new_or_nothing(
    source: Path, tmp_path: Path, known: dict[str, tinyruns.Tree]
) -> None:
    states = campaign(source, tmp_path, known, 12, [signal.SIGKILL])

    assert states == {"absent", "old", "new"}


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_three_hundred_signals_at_any_time_leave_the_old_the_new_or_nothing(
    source: Path, tmp_path: Path, known: dict[str, tinyruns.Tree]
) -> None:
    signals = random.Random(0).choices([signal.SIGKILL, *SIGNALS], k=300)

    assert campaign(source, tmp_path, known, 300, signals) == {"absent", "old", "new"}


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_stops_the_run_and_keeps_its_work(
    source: Path, tmp_path: Path, known: dict[str, tinyruns.Tree], number: signal.Signals
) -> None:
    out = tmp_path / "outputs" / "out"
    out.parent.mkdir()
    process = tinyruns.start(source, out, "--slow", 0.05)
    folder = wait_for_shards(process, out.parent, 1)

    process.send_signal(number)
    _, said = process.communicate(timeout=10)

    assert process.returncode == SIGNALS[number]
    assert "--resume" in said
    assert "Traceback" not in said
    assert not out.exists()
    kept = (folder / "model-00001-of-00004.safetensors").stat().st_mtime_ns
    assert tinyruns.finish(tinyruns.start(source, out, "--resume")) == (0, "")
    assert tinyruns.state(out, **known) == "new"
    assert (out / "model-00001-of-00004.safetensors").stat().st_mtime_ns == kept
    assert tinyruns.leftovers(out.parent, out) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_command_line_resumes_what_a_signal_stopped(tmp_path: Path, number: int) -> None:
    source = tinyruns.tiny_checkpoint(tmp_path / "source", shards=8, rows=30_000)
    prune = [sys.executable, "-m", "compressor", "prune", source, "--sparsity", "0.5"]
    prune += ["--scope", "layer", "--only", "*.weight", "--quiet", "-o"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    parent = tmp_path / "outputs"
    parent.mkdir()
    process = subprocess.Popen(
        [*prune, parent / "out"], env=environment, text=True, stderr=subprocess.PIPE
    )
    wait_for_shards(process, parent, 1)

    process.send_signal(number)
    _, said = process.communicate(timeout=10)

    assert process.returncode in {143, -signal.SIGKILL}, said
    assert not (parent / "out").exists()
    subprocess.run([*prune, parent / "out", "--resume"], env=environment, check=True)
    subprocess.run([*prune, tmp_path / "whole"], env=environment, check=True)
    assert tinyruns.determined(parent / "out") == tinyruns.determined(tmp_path / "whole")
    written = tinyruns.tensors_of(parent / "out")
    for name, array in tinyruns.tensors_of(source).items():
        zeros = array.size // 2 if array.ndim == 2 else 0
        assert np.count_nonzero(written[name] == 0) == zeros
        assert np.count_nonzero(written[name] != array) == zeros
