"""Files read once, from end to end: their digests, and what their weights should not hold."""

from __future__ import annotations

import queue
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

import numpy as np
import numpy.typing as npt

from compressor.checkpoint.blocks import BLOCK_BYTES, Extent, Reader, extents
from compressor.checkpoint.digest import digest_file, new_hasher
from compressor.checkpoint.pipeline import Observer, Progress
from compressor.checkpoint.read.folder import unreadable
from compressor.checkpoint.read.header import TensorInfo
from compressor.checkpoint.read.reader import Checkpoint, Shard
from compressor_kernels.floats import count_nonfinite


@final
@dataclass
class Contents:
    """What one reading of all weight files found; tensors without a count are sound."""

    digests: dict[str, str] = field(default_factory=dict)
    nonfinite: Counter[str] = field(default_factory=Counter)
    strange: Counter[str] = field(default_factory=Counter)
    """Bytes of boolean tensors that are neither 0 nor 1."""


def read_weights(checkpoint: Checkpoint, workers: int, observe: Observer) -> Contents:
    """Every weight file: the threads read and count, the caller hashes in the order of the file."""
    found = Contents()
    total = sum(t.nbytes for shard in checkpoint.shards() for t in shard.header.tensors)
    done = 0
    with Reader(checkpoint.folder, checkpoint.shards(), workers) as reader:
        blocks = _Blocks(reader)
        for shard in checkpoint.shards():
            hasher = new_hasher(shard.header.raw)
            for extent, buffer, nonfinite, strange in blocks.of(shard):
                size, name = extent.stop - extent.start, qualified(shard, extent.tensor)
                hasher.update(buffer.data[:size])
                blocks.give_back(buffer)
                found.nonfinite[name] += nonfinite
                found.strange[name] += strange
                done += size
                observe(Progress(done, total, name))
            found.digests[shard.name] = hasher.hexdigest()
    return found


def qualified(shard: Shard, tensor: TensorInfo) -> str:
    """The name of a tensor with the folder that its shard lies in: `unet/conv_in.weight`."""
    return shard.name[: shard.name.rfind("/") + 1] + tensor.name


def read_files(folder: Path, names: list[str], workers: int) -> dict[str, str]:
    """The digests of these files."""

    def one(name: str) -> str:
        try:
            return digest_file(folder / name)
        except OSError as error:
            raise unreadable(name, error) from error

    with ThreadPoolExecutor(workers, thread_name_prefix="compressor") as pool:
        return dict(zip(names, pool.map(one, names), strict=True))


@final
class _Blocks:
    """Blocks of weight files, read and looked at on the threads of a reader; buffers are reused."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._free: queue.SimpleQueue[npt.NDArray[np.uint8]] = queue.SimpleQueue()

    def of(self, shard: Shard) -> Iterator[tuple[Extent, npt.NDArray[np.uint8], int, int]]:
        """Each block in the order of the file, with its non-finite and its strange elements."""
        parts = (extent for tensor in shard.header.tensors for extent in extents(shard, tensor))
        return self._reader.in_order(self._one, parts)

    def give_back(self, buffer: npt.NDArray[np.uint8]) -> None:
        """Let a later block overwrite this one."""
        self._free.put(buffer)

    def _one(self, extent: Extent) -> tuple[Extent, npt.NDArray[np.uint8], int, int]:
        try:
            buffer = self._free.get_nowait()
        except queue.Empty:
            buffer = np.empty(BLOCK_BYTES, np.uint8)
        bits = self._reader.fill(extent, buffer)
        dtype = extent.tensor.dtype
        strange = int(np.count_nonzero(bits > 1)) if dtype == "BOOL" else 0
        return extent, buffer, count_nonfinite(bits, dtype), strange
