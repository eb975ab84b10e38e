"""What is true of a model at any speed: its parameters, its FLOPs, its bytes, its peak memory."""

from __future__ import annotations

import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from compressor.checkpoint.read.reader import Checkpoint
from compressor.measure.loaded import Loaded

_STATUS: Final = Path("/proc/self/status")


def facts_of(model: Loaded, checkpoint: Checkpoint, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Counted over the loaded model; FLOPs are those of one forward of `inputs`, zeros included."""
    parameters = list(model.model.parameters())
    # As plain matrix products: of the fused attention of a CPU the counter knows nothing.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model.model(**inputs)
    return {
        "parameters": sum(each.numel() for each in parameters),
        "nonzero_parameters": sum(int(each.count_nonzero()) for each in parameters),
        "flops": counter.get_total_flops(),
        "bytes_on_disk": sum(shard.size for shard in checkpoint.shards()),
        "device": "GPU" if model.device != "cpu" else "CPU",
    }


def peak_memory(device: str) -> int:
    """The most bytes that this process held: on a CUDA device those of its tensors."""
    if device.startswith("cuda"):
        return int(torch.cuda.max_memory_allocated(device))
    if _STATUS.exists():
        # getrusage begins with the peak of the process that started this one; the kernel's own
        # high-water mark of this address space does not.
        lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
