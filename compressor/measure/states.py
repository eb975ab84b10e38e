"""Pruned states of one model in memory: the weights of its files, cut as `prune` would write them.

The model is loaded once. A state overwrites the tensors that a prune rewrites, from blocks of the
source and by the rewrites of that very prune, so that it holds the bits that the pruned checkpoint
would. Where the loader changes tensors on their way (fused experts), a state is a pruned checkpoint
in a temporary folder, which is loaded and removed.
"""

from __future__ import annotations

import gc
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias, final

import numpy as np
import torch

from compressor.checkpoint.blocks import Bits, Buffer, Extent, Grid, Reader, extents
from compressor.checkpoint.pipeline import Key, Rewrite, nonfinite_weights
from compressor.checkpoint.read.header import TensorInfo
from compressor.checkpoint.read.reader import Checkpoint, open_checkpoint
from compressor.checkpoint.stream import TensorJob, rewrite
from compressor.measure.kinds import measured_component
from compressor.measure.loaded import Loaded
from compressor.measure.opening import Setting, opened
from compressor.model.deep import as_stored
from compressor.model.load import torch_dtype
from compressor_kernels.floats import count_nonfinite, count_zeros

Observe: TypeAlias = Callable[[int], None]


@final
@dataclass(frozen=True)
class Pruned:
    """A state: the model that holds it, and the zeros in each tensor that was pruned, by name."""

    model: Loaded
    zeros: Mapping[str, int]


class States(ABC):
    """The dense model and what prunes make of it, one at a time."""

    @abstractmethod
    def dense(self) -> AbstractContextManager[Loaded]:
        """The model as its files are."""

    @abstractmethod
    def pruned(self, job: TensorJob) -> AbstractContextManager[Pruned]:
        """The model as this prune of its checkpoint leaves it."""


@contextmanager
def states(
    name: str,
    checkpoint: Checkpoint,
    touched: Collection[Key],
    setting: Setting,
    observe: Observe,
    workers: int,
) -> Iterator[States]:
    """The states of a checkpoint of which no prune touches other tensors than `touched`."""
    with opened(name, checkpoint, setting, observe) as model:
        held = _held(checkpoint, model.model, touched)
        if held is not None:
            with Reader(checkpoint.folder, checkpoint.shards(), workers) as reader:
                yield _InPlace(model, checkpoint, held, reader)
            return
    del model
    gc.collect()
    yield _Stored(name, checkpoint, setting, observe, workers)


@final
class _InPlace(States):
    """One model, whose tensors are overwritten."""

    def __init__(
        self, model: Loaded, checkpoint: Checkpoint, held: Mapping[Key, Any], reader: Reader
    ) -> None:
        self._model, self._held, self._reader = model, held, reader
        # In the order in which a prune writes, which is that in which it spends a budget of ties.
        self._places = {
            (shard.name, tensor.name): (component.prefix + tensor.name, shard, tensor)
            for component in checkpoint.components
            for shard, tensor in component.tensors()
        }
        self._changed: Collection[Key] = ()

    @contextmanager
    def dense(self) -> Iterator[Loaded]:
        for key in self._changed:
            self._put(key, None, 0)
        self._changed = ()
        yield self._model

    @contextmanager
    def pruned(self, job: TensorJob) -> Iterator[Pruned]:
        zeros, shared = {}, 0
        for key, (name, _, _) in self._places.items():
            prepare = job.rewrites.get(key)
            if prepare is not None:
                rewrite = prepare(self._reader)
                ties, zeros[name] = self._put(key, rewrite, shared if rewrite.is_shared else 0)
                shared += ties if rewrite.is_shared else 0
            elif key in self._changed:
                self._put(key, None, 0)
        self._changed = list(job.rewrites)
        yield Pruned(self._model, zeros)

    def _put(self, key: Key, rewrite: Rewrite | None, before: int) -> tuple[int, int]:
        """Overwrite a tensor with what its rewrite makes of the source: ties seen, and zeros."""
        _, shard, tensor = self._places[key]
        blocks = list(extents(shard, tensor, Grid() if rewrite is None else rewrite.grid))
        whole = np.empty(tensor.nbytes, np.uint8)
        ties = [] if rewrite is None else self._ties(rewrite, blocks)
        starts = list(accumulate(ties, initial=before))

        def one(block: tuple[Extent, int]) -> tuple[int, int]:
            extent, ties_before = block
            part = whole[extent.start - tensor.start :]
            if rewrite is None:
                self._reader.fill(extent, part)
                return 0, 0
            with self._read(extent) as bits:
                nonfinite = count_nonfinite(bits, tensor.dtype)
                rewrite.apply(bits, extent, ties_before, extent.view(part))
            return count_zeros(extent.view(part), tensor.dtype), nonfinite

        pairs = zip(blocks, starts if ties else [before] * len(blocks), strict=False)
        found = list(self._reader.in_order(one, pairs))
        if nonfinite := sum(count for _, count in found):
            raise nonfinite_weights(shard, tensor, nonfinite)
        self._held[key].copy_(_as_torch(whole, tensor))
        return sum(ties), sum(zeros for zeros, _ in found)

    def _ties(self, rewrite: Rewrite, blocks: Collection[Extent]) -> list[int]:
        count = rewrite.count
        if count is None:
            return []

        def one(extent: Extent) -> int:
            with self._read(extent) as bits:
                return count(bits, extent)

        return list(self._reader.in_order(one, blocks))

    @contextmanager
    def _read(self, extent: Extent) -> Iterator[Bits]:
        buffer = self._reader.buffers.take(extent.stop - extent.start)
        try:
            yield self._reader.fill(extent, buffer)
        finally:
            self._reader.buffers.give_back(buffer)


@final
@dataclass(frozen=True)
class _Stored(States):
    """A pruned checkpoint for each state, written, loaded and removed."""

    name: str
    checkpoint: Checkpoint
    setting: Setting
    observe: Observe
    workers: int

    def dense(self) -> AbstractContextManager[Loaded]:
        return opened(self.name, self.checkpoint, self.setting, self.observe)

    @contextmanager
    def pruned(self, job: TensorJob) -> Iterator[Pruned]:
        with TemporaryDirectory(prefix="compressor-") as temporary:
            folder = Path(temporary, "pruned")
            report = rewrite(job, folder, workers=self.workers)
            zeros = {
                str(row["name"]): int(str(row["zeros"]))
                for row in report.tables["tensors"]
                if not row["reason"]
            }
            checkpoint = open_checkpoint(folder)
            with opened(self.name, checkpoint, self.setting, self.observe) as model:
                yield Pruned(model, zeros)
            del model
            gc.collect()


def _held(checkpoint: Checkpoint, model: Any, touched: Collection[Key]) -> dict[Key, Any] | None:
    """The model's tensor for each stored one; None where one of them holds other bits."""
    component = measured_component(checkpoint)
    stored = {(shard.name, tensor.name): (shard, tensor) for shard, tensor in component.tensors()}
    if not stored.keys() >= set(touched):
        return None
    state = as_stored(model)
    own = {_memory(value) for value in model.state_dict().values()}
    prefix = f"{model.base_model_prefix}."
    found = {}
    for key in touched:
        shard, tensor = stored[key]
        names = (tensor.name, tensor.name.removeprefix(prefix), prefix + tensor.name)
        held = next((state[name] for name in names if name in state), None)
        # A conversion that copies gives a tensor that is no part of the model.
        if held is None or _memory(held) not in own:
            return None
        if not _is_same(checkpoint.folder / shard.name, tensor, held):
            return None
        found[key] = held
    return found


def _memory(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _is_same(file: Path, tensor: TensorInfo, held: Any) -> bool:
    """Whether the model holds the bits of the file, once they are cast to its dtype."""
    raw = np.fromfile(file, np.uint8, tensor.nbytes, offset=tensor.start)
    if len(raw) != tensor.nbytes or tuple(held.shape) != tensor.shape:
        return False
    ours = _as_torch(raw, tensor).to(held.dtype).reshape(-1).view(torch.uint8)
    theirs = held.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return torch.equal(ours, theirs)


def _as_torch(raw: Buffer, tensor: TensorInfo) -> torch.Tensor:
    dtype: torch.dtype = torch_dtype(tensor.dtype)
    return torch.from_numpy(raw).view(dtype).reshape(tensor.shape)
