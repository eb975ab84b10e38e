"""Make any Hugging Face checkpoint smaller and faster, and know honestly what it cost.

One function per step, with the step's fields as arguments: `prune("org/name", sparsity="2:4",
output="out")` returns the `Report` of the new folder `out`. `load(folder)` gives the model.
Names load on first use: importing this package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from compressor.api import bench, diff, gate, inspect, prune, sweep, verify
    from compressor.errors import CompressorError
    from compressor.model.load import load
    from compressor.report import Report

_HOMES = {
    "CompressorError": "compressor.errors",
    "Report": "compressor.report",
    "bench": "compressor.api",
    "diff": "compressor.api",
    "gate": "compressor.api",
    "inspect": "compressor.api",
    "load": "compressor.model.load",
    "prune": "compressor.api",
    "sweep": "compressor.api",
    "verify": "compressor.api",
}

__all__ = [
    "CompressorError",
    "Report",
    "bench",
    "diff",
    "gate",
    "inspect",
    "load",
    "prune",
    "sweep",
    "verify",
]


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return version("compressor")
    if name not in _HOMES:
        raise AttributeError(f"module `compressor` has no attribute `{name}`")
    return getattr(import_module(_HOMES[name]), name)
