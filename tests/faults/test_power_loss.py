import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

MODEL = Path(__file__).with_name("model.py")
MEMORY = Path("/dev/shm")


def modelled(*arguments: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        ran = subprocess.run(
            [sys.executable, MODEL, folder, *arguments],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
            check=True,
        )
    return json.loads(ran.stdout)


@pytest.mark.parametrize("plan", ["new", "overwrite", "resume"])
def test_no_loss_of_power_leaves_a_torn_output(plan: str) -> None:
    found = modelled(plan)

    assert found["torn"] == []
    assert found["whole"] == (["new", "old"] if plan == "overwrite" else ["absent", "new"])
    assert found["states"] > 1000


@pytest.mark.parametrize("plan", ["new", "overwrite"])
@pytest.mark.parametrize("forgotten", ["file", "folder"])
def test_the_model_finds_what_was_never_flushed(plan: str, forgotten: str) -> None:
    assert modelled(plan, forgotten)["torn"]
