"""What the report of a model with 200 layers takes: seconds of one core, and bytes.

    python benchmarks/report.py [--layers 200]

The import of what draws is timed by itself: it is the same for every report.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from sweepreports import ROLES, sweep_report

from compressor.report import Report

ROUNDS = 5


def pruned(layers: int) -> Report:
    """A prune of so many layers."""
    tensors = [
        {
            "name": f"model.layers.{layer}.{role.replace(' ', '_')}.weight",
            "role": role,
            "dtype": "BF16",
            "shape": [4096, 4096],
            "weights": 1 << 24,
            "reason": "",
            "zeros": (1 << 23) + 1000 * layer,
        }
        for layer in range(layers)
        for role in ROLES
    ]
    weights = (1 << 24) * len(tensors)
    return Report(
        step={"step": "prune", "sparsity": "0.5"},
        source={"name": "large", "id": "org/large", "revision": None},
        summary={
            "pattern": "0.5",
            "method": "magnitude",
            "scope": "global",
            "tensors_pruned": len(tensors),
            "tensors_kept_dense": 0,
            "weights_pruned_over": weights,
            "parameters": weights,
            "coverage": 1.0,
            "zeros_requested": weights // 2,
            "zeros": weights // 2,
            "sparsity": 0.5,
        },
        tables={"tensors": tensors},
    )


def main() -> None:
    """Print seconds and bytes of each kind of report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--layers", type=int, default=200)
    layers = parser.parse_args().layers
    started = time.process_time()
    from compressor.view.html.page import page

    print(f"import: {time.process_time() - started:.2f} CPU s")
    kinds = {
        "sweep": [sweep_report(layers=layers)],
        "prune": [pruned(layers)],
        "both": [sweep_report(layers=layers), pruned(layers)],
    }
    for name, reports in kinds.items():
        seconds = []
        for _ in range(ROUNDS):
            started = time.process_time()
            made = page(reports)
            seconds.append(time.process_time() - started)
        size = len(made.html.encode())
        pictures = sum(map(len, made.pictures.values()))
        print(
            f"{name} of {layers} layers: {statistics.median(seconds):.2f} CPU s "
            f"({min(seconds):.2f} to {max(seconds):.2f}), {size / 1e6:.2f} MB of HTML, "
            f"{pictures / 1e6:.2f} MB of PNG"
        )


if __name__ == "__main__":
    main()
