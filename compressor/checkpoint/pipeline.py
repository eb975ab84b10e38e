"""Blocks through threads, in order: read, rewritten, hashed, written, proven, journalled.

The threads of the `Reader` read and compute; the calling thread hashes and writes; the thread of a
`ShardWriter` reads back. A sealed shard is fsynced while the next one is being written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeAlias, final

import numpy as np

from compressor.checkpoint.blocks import Bits, Buffer, Buffers, Extent, Grid, Reader, extents
from compressor.checkpoint.digest import new_hasher
from compressor.checkpoint.read.header import TensorInfo, check_bool
from compressor.checkpoint.read.reader import Checkpoint, Shard
from compressor.checkpoint.write.output import Output
from compressor.checkpoint.write.shards import ShardPlan, ShardWriter
from compressor.errors import InputError
from compressor_kernels.floats import count_nonfinite, count_zeros

Key: TypeAlias = tuple[str, str]
"""A tensor of a folder: the name of its shard, and its own."""


@final
@dataclass(frozen=True)
class Rewrite:
    """How one tensor changes: whole rows of bits in, the same rows into `out`.

    `apply(bits, extent, before, out)`. `before` is the sum of `count` over all earlier blocks of
    the tensor, or of the checkpoint where `is_shared`: so a budget of ties is spent in order,
    though blocks are computed side by side.
    """

    apply: Callable[[Bits, Extent, int, Bits], None]
    grid: Grid = Grid()  # noqa: RUF009  # frozen
    count: Callable[[Bits, Extent], int] | None = None
    is_shared: bool = False


@final
@dataclass(frozen=True)
class Outcome:
    """What was found in one tensor of the source, and recounted in the written file."""

    shard: str
    tensor: TensorInfo
    zeros_before: int
    zeros_after: int
    nonfinite: int


@final
@dataclass(frozen=True)
class Progress:
    """How much is done, of how much, and what is at hand: weights in bytes, data in items."""

    done: int
    total: int
    tensor: str
    unit: Literal["bytes", "items"] = "bytes"


Observer: TypeAlias = Callable[[Progress], None]


@final
@dataclass
class _Unit:
    """One block on its way through the threads."""

    extent: Extent
    rewrite: Rewrite | None
    before: Future[int] | None
    after: Future[int] | None


@final
@dataclass
class _Done:
    """A computed block: its bytes as read, and as they are to be written."""

    extent: Extent
    source: Buffer
    result: Buffer
    zeros: int
    nonfinite: int


@final
class Pipeline:
    """One run over all shards of an output."""

    def __init__(
        self,
        reader: Reader,
        output: Output,
        rewrites: Mapping[Key, Callable[[Reader], Rewrite]],
        *,
        allow_nonfinite: bool,
        observe: Observer,
    ) -> None:
        self._reader = reader
        self._buffers: Buffers = reader.buffers
        self._output = output
        self._rewrites = rewrites
        self._allow_nonfinite = allow_nonfinite
        self._observe = observe
        self._hashers: dict[str, Any] = {}
        self._sums: dict[Key | None, Future[int]] = {None: _known(0)}

    def run(self, checkpoint: Checkpoint, plans: Sequence[ShardPlan]) -> list[Outcome]:
        """Write every planned shard that the journal does not hold; say what was found in each."""
        recorded = {record["name"]: record for record in self._output.records[1:]}
        self._hashers = {s.name: new_hasher(s.header.raw) for s in checkpoint.shards()}
        total, done = sum(plan.size for plan in plans), 0
        with ThreadPoolExecutor(1, thread_name_prefix="compressor-seal") as sealer:
            sealing: Future[None] = sealer.submit(lambda: None)
            for plan in plans:
                if plan.name in recorded:
                    self._pass_over(plan, recorded[plan.name]["sources"])
                    self._sums[None] = _known(recorded[plan.name]["ties"])
                else:
                    writer, found = self._write(plan, done, total, sealing)
                    sources = self._digests_so_far(plan)
                    ties = self._sums[None]
                    sealing = sealer.submit(self._seal, writer, found, sources, ties)
                done += plan.size
            sealing.result()
        return list(self._outcomes(plans))

    def source_digests(self, checkpoint: Checkpoint) -> dict[str, dict[str, Any]]:
        """Digest and size of every weight file, as it was read."""
        return {
            shard.name: {"digest": self._hashers[shard.name].hexdigest(), "size": shard.size}
            for shard in checkpoint.shards()
        }

    def _write(
        self, plan: ShardPlan, done: int, total: int, sealing: Future[None]
    ) -> tuple[ShardWriter, dict[str, list[int]]]:
        writer = ShardWriter(self._output, plan)
        found = {tensor.name: [0, 0] for _, tensor in plan.tensors}
        try:
            for block in self._reader.in_order(self._compute, self._units(plan)):
                tensor = block.extent.tensor
                size = block.extent.stop - block.extent.start
                self._hashers[block.extent.shard.name].update(block.source.data[:size])
                writer.write(block.result[:size], tensor, partial(self._give_back, block))
                found[tensor.name][0] += block.zeros
                found[tensor.name][1] += block.nonfinite
                if block.extent.stop == tensor.stop:
                    self._require_finite(block.extent, found[tensor.name][1])
                done += size
                self._observe(Progress(done, total, tensor.name))
            sealing.result()
        except BaseException:
            writer.abandon()
            raise
        return writer, found

    def _seal(
        self,
        writer: ShardWriter,
        found: Mapping[str, list[int]],
        sources: Mapping[str, str],
        ties: Future[int],
    ) -> None:
        record = writer.seal()
        zeros = record.pop("zeros")
        tensors = {
            name: [before, zeros.get(name, 0), nonfinite]
            for name, (before, nonfinite) in found.items()
        }
        self._output.record(
            {**record, "tensors": tensors, "sources": sources, "ties": ties.result()}
        )

    def _outcomes(self, plans: Sequence[ShardPlan]) -> Iterator[Outcome]:
        recorded = {record["name"]: record["tensors"] for record in self._output.records[1:]}
        for plan in plans:
            for shard, tensor in plan.tensors:
                before, after, nonfinite = recorded[plan.name][tensor.name]
                yield Outcome(shard.name, tensor, before, after, nonfinite)

    def _units(self, plan: ShardPlan) -> Iterator[_Unit]:
        for shard, tensor in plan.tensors:
            prepare = self._rewrites.get((shard.name, tensor.name))
            rewrite = prepare(self._reader) if prepare is not None else None
            for extent in extents(shard, tensor, rewrite.grid if rewrite else Grid()):
                if rewrite is None or rewrite.count is None:
                    yield _Unit(extent, rewrite, None, None)
                    continue
                key = None if rewrite.is_shared else (shard.name, tensor.name)
                before, after = self._sums.get(key) or _known(0), Future[int]()
                self._sums[key] = after
                yield _Unit(extent, rewrite, before, after)

    def _compute(self, unit: _Unit) -> _Done:
        try:
            extent, rewrite = unit.extent, unit.rewrite
            source = self._buffers.take(extent.stop - extent.start)
            bits = self._reader.fill(extent, source)
            dtype = extent.tensor.dtype
            if dtype == "BOOL":
                check_bool(bits.data.cast("B"), extent.tensor.name)
            zeros, nonfinite = count_zeros(bits, dtype), count_nonfinite(bits, dtype)
            if rewrite is None:
                return _Done(extent, source, source, zeros, nonfinite)
            before = 0
            if rewrite.count is not None and unit.before is not None and unit.after is not None:
                own = rewrite.count(bits, extent)
                before = unit.before.result()
                unit.after.set_result(before + own)
            result = self._buffers.take(extent.stop - extent.start)
            rewrite.apply(bits, extent, before, extent.view(result))
            return _Done(extent, source, result, zeros, nonfinite)
        except BaseException as error:
            if unit.after is not None and not unit.after.done():
                unit.after.set_exception(error)
            raise

    def _give_back(self, block: _Done) -> None:
        self._buffers.give_back(block.source)
        if block.result is not block.source:
            self._buffers.give_back(block.result)

    def _digests_so_far(self, plan: ShardPlan) -> dict[str, str]:
        return {shard.name: self._hashers[shard.name].hexdigest() for shard, _ in plan.tensors}

    def _pass_over(self, plan: ShardPlan, sources: Mapping[str, str]) -> None:
        """Hash the source of a shard that an earlier run wrote, and compare with what it read."""
        for shard, tensor in plan.tensors:
            for extent in extents(shard, tensor):
                buffer = np.empty(extent.stop - extent.start, np.uint8)
                self._reader.fill(extent, buffer)
                self._hashers[shard.name].update(buffer.data)
        if self._digests_so_far(plan) != dict(sources):
            raise InputError(
                "SOURCE-CHANGED",
                "the source changed since the run that is to be resumed",
                at=plan.name,
                found="other bytes than were read then",
                do="run again without --resume",
            )

    def _require_finite(self, extent: Extent, nonfinite: int) -> None:
        if nonfinite and not self._allow_nonfinite:
            raise nonfinite_weights(extent.shard, extent.tensor, nonfinite)


def nonfinite_weights(shard: Shard, tensor: TensorInfo, nonfinite: int) -> InputError:
    """What is wrong with a tensor of which so many weights are no numbers."""
    return InputError(
        "WEIGHT-NONFINITE",
        "a tensor holds NaN or infinite weights",
        at=f"{tensor.name} in {shard.name}",
        found=f"{nonfinite} non-finite of {tensor.count}, expected none",
        do="mend the checkpoint, or keep and count them with --allow-nonfinite",
    )


def _known(value: int) -> Future[int]:
    future: Future[int] = Future()
    future.set_result(value)
    return future
