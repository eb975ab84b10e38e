"""A pruned model in plain transformers, in a process that has none of our code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from zoo import build

from compressor.step import RunOptions, run
from compressor.steps.prune import Prune

LOAD = """
import json, sys
import torch
from transformers import AutoModelForCausalLM

found = {}
for name, folder in json.loads(sys.argv[1]).items():
    model, info = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    state = model.state_dict()
    with torch.no_grad():
        logits = model(torch.arange(8)[None]).logits
    found[name] = {
        "trouble": sorted(str(item) for kind in info.values() for item in kind),
        "is_finite": bool(torch.isfinite(logits).all()),
        "zeros": {key: int((value == 0).sum()) for key, value in state.items()},
    }
assert not [name for name in sys.modules if name.startswith("compressor")]
print(json.dumps(found))
"""


@pytest.mark.timeout(180)
def test_plain_transformers_loads_what_the_report_says(tmp_path: Path) -> None:
    reports, folders = {}, {}
    for kind, sparsity in (("gpt2", "2:4"), ("llama", "0.4")):
        build(kind, tmp_path / kind)
        step = Prune.model_validate({"sparsity": sparsity})
        reports[kind] = run(step, str(tmp_path / kind), RunOptions(output=tmp_path / f"{kind}-p"))
        folders[kind] = str(tmp_path / f"{kind}-p")

    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": ""}
    child = subprocess.run(
        [sys.executable, "-c", LOAD, json.dumps(folders)],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )

    assert child.returncode == 0, child.stderr
    found = json.loads(child.stdout)
    for kind, report in reports.items():
        assert found[kind]["trouble"] == []
        assert found[kind]["is_finite"]
        pruned = {
            row["name"]: row["zeros"] for row in report.tables["tensors"] if not row["reason"]
        }
        assert pruned
        assert {name: found[kind]["zeros"][str(name)] for name in pruned} == pruned
        assert report.summary["zeros"] == sum(found[kind]["zeros"][str(name)] for name in pruned)
