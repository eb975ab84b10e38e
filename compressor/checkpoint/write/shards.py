"""Weight files of an output: planned before a byte is written, proven after the last one.

While a shard is written, a second thread reads it back, compares it with what was written, hashes
it and recounts its zeros, so that the proof is finished a moment after the last byte.
"""

from __future__ import annotations

import ctypes
import json
import os
import queue
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from compressor.checkpoint.blocks import UNSIGNED, Buffer
from compressor.checkpoint.digest import new_hasher
from compressor.checkpoint.read.header import DTYPE_BITS, TensorInfo
from compressor.checkpoint.read.reader import Component, Shard
from compressor.checkpoint.write.disk import write_all, writing
from compressor.checkpoint.write.output import Output
from compressor.errors import OutputError
from compressor_kernels.floats import count_zeros

_FLUSH_EVERY = 32 << 20
_ALIGNMENT = 8
_LAG = 2
"""How many pieces the proof may be behind the writer."""


@final
@dataclass(frozen=True)
class ShardPlan:
    """A weight file to write: its name, its header, and which source tensors follow, in order."""

    name: str
    header: bytes
    tensors: tuple[tuple[Shard, TensorInfo], ...]

    @property
    def size(self) -> int:
        """Bytes of the finished file."""
        return len(self.header) + sum(tensor.nbytes for _, tensor in self.tensors)


def plan_shards(component: Component, max_shard_size: int | None) -> list[ShardPlan]:
    """The source's own files under their own names; or, with a size, new ones no larger than it."""
    if max_shard_size is None:
        return [
            ShardPlan(
                shard.name,
                _aligned(shard.header.raw),
                tuple((shard, tensor) for tensor in shard.header.tensors),
            )
            for shard in component.shards
        ]
    groups: list[list[tuple[Shard, TensorInfo]]] = [[]]
    held = 0
    for shard, tensor in component.tensors():
        if groups[-1] and held + tensor.nbytes > max_shard_size:
            groups.append([])
            held = 0
        groups[-1].append((shard, tensor))
        held += tensor.nbytes
    return [
        ShardPlan(name, build_header([tensor for _, tensor in group]), tuple(group))
        for name, group in zip(_names(component, len(groups)), groups, strict=True)
    ]


def _names(component: Component, count: int) -> Iterator[str]:
    first = component.shards[0].name
    folder, _, base = first.rpartition("/")
    stem = base.removesuffix(".safetensors").split("-000")[0]
    prefix = f"{folder}/{stem}" if folder else stem
    if count == 1:
        yield f"{prefix}.safetensors"
    else:
        for number in range(1, count + 1):
            yield f"{prefix}-{number:05}-of-{count:05}.safetensors"


def index_of(component: Component, plans: Iterable[ShardPlan]) -> tuple[str, bytes] | None:
    """The index file for these shards, or None where one file holds everything."""
    plans = list(plans)
    if len(plans) == 1 and component.index is None:
        return None
    base = [plan.name.rpartition("/")[2] for plan in plans]
    weight_map = {
        tensor.name: name
        for name, plan in zip(base, plans, strict=True)
        for _, tensor in plan.tensors
    }
    total = sum(tensor.nbytes for plan in plans for _, tensor in plan.tensors)
    stem = base[0].removesuffix(".safetensors").split("-000")[0]
    name = component.index or f"{component.prefix}{stem}.safetensors.index.json"
    content = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
    return name, json.dumps(content, indent=2).encode() + b"\n"


def build_header(tensors: Iterable[TensorInfo], metadata: Mapping[str, str] | None = None) -> bytes:
    """A safetensors header for tensors that will follow in this order, without gaps."""
    content: dict[str, Any] = {"__metadata__": dict(metadata or {"format": "pt"})}
    place = 0
    for tensor in tensors:
        offsets = [place, place + tensor.nbytes]
        content[tensor.name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "data_offsets": offsets,
        }
        place += tensor.nbytes
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
    return _aligned(len(text).to_bytes(8, "little") + text)


def _aligned(raw: bytes) -> bytes:
    """The header with spaces at its end, so that the data begin at a multiple of eight bytes."""
    text = raw[8:] + b" " * (-len(raw) % _ALIGNMENT)
    return len(text).to_bytes(8, "little") + text


@final
@dataclass(frozen=True)
class _Piece:
    """Bytes that were written at `start`, still in memory until `release`."""

    start: int
    data: Buffer
    tensor: TensorInfo | None
    release: Callable[[], None]


@final
class ShardWriter:
    """One weight file in the making. `seal` returns its record once disk and memory agree."""

    def __init__(self, output: Output, plan: ShardPlan) -> None:
        self.plan = plan
        self._output = output
        self._descriptor = output.create(plan.name)
        self._size = 0
        self._flushed = 0
        self._zeros: Counter[str] = Counter()
        self._read_back = new_hasher()
        self._pieces: queue.Queue[_Piece | None] = queue.Queue(_LAG)
        self._failure: Exception | None = None
        self._proof = threading.Thread(target=self._prove, name="compressor-proof", daemon=True)
        try:
            self._proof.start()
            self.write(np.frombuffer(plan.header, np.uint8), None, lambda: None)
        except BaseException:
            self.abandon()
            raise

    def write(self, data: Buffer, tensor: TensorInfo | None, release: Callable[[], None]) -> None:
        """Append bytes of a tensor, or of the header; they must stay until `release` is called."""
        with writing(self._output.target):
            write_all(self._descriptor, data.data)
        self._pieces.put(_Piece(self._size, data, tensor, release))
        self._size += len(data)
        if self._size - self._flushed >= _FLUSH_EVERY:
            _start_writeback(self._descriptor, self._flushed, self._size - self._flushed)
            self._flushed = self._size

    def abandon(self) -> None:
        """Stop without a record."""
        self._pieces.put(None)
        if self._proof.is_alive():
            self._proof.join()
        os.close(self._descriptor)

    def seal(self) -> dict[str, Any]:
        """Flush to disk, finish reading back, compare: `{name, digest, size, zeros}`."""
        try:
            with writing(self._output.target):
                os.fsync(self._descriptor)
        finally:
            self.abandon()
        if self._failure is not None:
            raise self._failure
        digest = self._read_back.hexdigest()
        self._output.files[self.plan.name] = {"digest": digest, "size": self._size}
        return {
            "name": self.plan.name,
            "digest": digest,
            "size": self._size,
            "zeros": dict(self._zeros),
        }

    def _prove(self) -> None:
        """Prove piece after piece; a failure is kept for `seal`, so that the writer never waits."""
        memory = np.empty(0, np.uint8)
        while (piece := self._pieces.get()) is not None:
            try:
                if len(memory) < len(piece.data):
                    memory = np.empty(len(piece.data), np.uint8)
                self._prove_piece(piece, memory[: len(piece.data)])
            except Exception as error:
                self._failure = self._failure or error
            finally:
                piece.release()

    def _prove_piece(self, piece: _Piece, found: Buffer) -> None:
        """Read it back, compare it with what was written, hash it, count its zeros."""
        try:
            count = os.preadv(self._descriptor, [found.data], piece.start)
        except OSError as error:
            raise self._corrupt(f"{error.strerror} at byte {piece.start}") from error
        if count != len(found) or not _are_equal(found, piece.data):
            raise self._corrupt(f"other bytes than were written, after byte {piece.start}")
        self._read_back.update(found.data)
        if piece.tensor is not None:
            bits = found.view(UNSIGNED[DTYPE_BITS[piece.tensor.dtype]])
            self._zeros[piece.tensor.name] += count_zeros(bits, piece.tensor.dtype)

    def _corrupt(self, found: str) -> OutputError:
        return OutputError(
            "OUT-CORRUPT",
            "a written file reads back differently",
            at=self.plan.name,
            found=found,
            do="check the disk, then run again",
        )


def _are_equal(one: Buffer, other: Buffer) -> bool:
    """Whether two pieces of memory hold the same bytes, compared eight at a time."""
    whole = len(one) // 8 * 8
    return bool(
        np.array_equal(one[:whole].view(np.uint64), other[:whole].view(np.uint64))
        and np.array_equal(one[whole:], other[whole:])
    )


def _start_writeback(descriptor: int, offset: int, count: int) -> None:
    """Ask Linux to begin writing these bytes to disk; nothing depends on its answer."""
    if sys.platform.startswith("linux"):
        offset64, count64 = ctypes.c_int64(offset), ctypes.c_int64(count)
        ctypes.CDLL(None).sync_file_range(descriptor, offset64, count64, 2)
