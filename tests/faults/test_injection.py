import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest
import tinyruns

from compressor.checkpoint.stream import rewrite

INJECTOR = Path(__file__).with_name("injector.py")
MEMORY = Path("/dev/shm")

MODES = [
    pytest.param(["exit", "ENOSPC"], id="killed-or-full"),
    pytest.param(["EIO", "EROFS"], id="broken", marks=pytest.mark.soak),
]


def programs(**more: str) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "OPENBLAS_NUM_THREADS": "1",
        **more,
    }


@pytest.mark.parametrize("plan", ["new", "overwrite", "resume"])
@pytest.mark.parametrize("modes", MODES)
def test_no_system_call_can_fail_or_be_the_last_and_leave_a_torn_output(
    plan: str, modes: list[str]
) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        ran = subprocess.run(
            [sys.executable, INJECTOR, folder, plan, *modes],
            env=programs(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=True,
        )

    found = json.loads(ran.stdout)
    assert found["broken"] == []
    assert {"open", "mkdir", "write", "fsync", "chmod", "unlink", "renameat2"} <= set(
        found["points"]
    )
    assert Counter(found["points"]).total() > 50


def can_trace() -> bool:
    if shutil.which("strace") is None:
        return False
    trial = ["strace", "-f", "-o", os.devnull, "-e", "inject=getpid:retval=1", "true"]
    return subprocess.run(trial, capture_output=True).returncode == 0


POINTS = [
    ("renameat2", 1, "error=ENOSPC"),
    ("renameat2", 1, "signal=KILL"),
    ("renameat2", 2, "signal=KILL"),
    ("fsync", 4, "error=EIO"),
    ("fsync", 9, "signal=KILL"),
    ("unlink,unlinkat", 1, "signal=KILL"),
    *(
        pytest.param(call, number, what, marks=pytest.mark.soak)
        for call in ("fsync", "write", "mkdir,mkdirat", "unlink,unlinkat", "rmdir")
        for number in range(1, 16)
        for what in ("signal=KILL", "error=ENOSPC", "error=EIO", "error=EROFS")
        # The first two writes are the word on stdout with which the program begins.
        if call != "write" or number > 2
    ),
]


@pytest.mark.skipif(not can_trace(), reason="strace is not installed, or may not trace here")
@pytest.mark.parametrize(("call", "number", "what"), POINTS)
def test_the_kernel_may_refuse_or_kill_at_any_call(
    tmp_path: Path, call: str, number: int, what: str
) -> None:
    source = tinyruns.tiny_checkpoint(tmp_path / "source")
    known = {}
    for name, how in (("new", "halve"), ("old", "copy")):
        rewrite(tinyruns.job(source, how), tmp_path / name)
        known[name] = tinyruns.determined(tmp_path / name)
    out = tmp_path / "outputs" / "out"
    shutil.copytree(tmp_path / "old", out)
    injection = f"inject={call}:{what}:when={number}"
    trace = ["strace", "-f", "-qq", "-o", os.devnull, "-e", injection]

    ran = subprocess.run(
        [*trace, sys.executable, tinyruns.__file__, source, out, "--overwrite"],
        env=programs(PYTHONDONTWRITEBYTECODE="1"),
        capture_output=True,
        text=True,
    )

    state = tinyruns.state(out, **known)
    assert state in {"old", "new"}
    assert state == "new" or ran.returncode != 0
    if what.startswith("error"):
        assert ran.returncode in {0, 3, 5, 6}, ran.stderr
