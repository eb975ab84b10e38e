"""Blocks of whole rows, read by position from the weight files and mapped over by a few threads.

A tensor of shape `(…, rows, columns)` is read as a matrix of raw bits: unsigned integers of the
width of its dtype, 16 for BF16. Nothing is mapped into memory: a truncated source is an error, not
a signal.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import queue
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar, final

import numpy as np
import numpy.typing as npt

from compressor.checkpoint.read.header import DTYPE_BITS, TensorInfo
from compressor.checkpoint.read.reader import Shard
from compressor.errors import CompressorError, InputError, ResourceError

Bits: TypeAlias = npt.NDArray[np.unsignedinteger[Any]]
Buffer: TypeAlias = npt.NDArray[np.uint8]
Result = TypeVar("Result")
Item = TypeVar("Item")

BLOCK_BYTES: Final = 2 << 20
"""Small enough for a few to stay in the cache, large enough that a call costs nothing."""

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3

UNSIGNED: Final = {8: np.uint8, 16: np.uint16, 32: np.uint32, 64: np.uint64}


@final
@dataclass(frozen=True)
class Extent:
    """The rows `[first, first + rows)` of one tensor, as bytes `[start, stop)` of its shard."""

    shard: Shard
    tensor: TensorInfo
    first: int
    rows: int
    start: int
    stop: int

    def view(self, buffer: Buffer) -> Bits:
        """The bytes as `(rows, columns)` of raw bits."""
        bits = buffer[: self.stop - self.start].view(UNSIGNED[DTYPE_BITS[self.tensor.dtype]])
        return bits.reshape(self.rows, -1)


@final
@dataclass(frozen=True)
class Grid:
    """How a tensor is cut: rows of `row` elements, in blocks of a multiple of `unit` rows.

    Blocks do not cross from one matrix of `matrix` rows to the next (experts are stacked); 0 stands
    for the whole tensor.
    """

    row: int = 1
    unit: int = 1
    matrix: int = 0


def extents(shard: Shard, tensor: TensorInfo, grid: Grid = Grid()) -> Iterator[Extent]:
    """A tensor in blocks of at most 2 MiB; of at least `unit` rows, however long they are."""
    rows = tensor.count // grid.row if tensor.count else 0
    matrix = grid.matrix or rows
    row_bytes = tensor.nbytes // rows if rows else 0
    for top in range(0, rows, matrix or 1):
        step = max(grid.unit, BLOCK_BYTES // row_bytes // grid.unit * grid.unit)
        for first in range(top, top + matrix, step):
            count = min(step, top + matrix - first)
            start = tensor.start + first * row_bytes
            yield Extent(shard, tensor, first, count, start, start + count * row_bytes)


@final
class Buffers:
    """Block-sized memory, used again: the first touch of fresh pages costs more than the work."""

    def __init__(self) -> None:
        self._free: queue.SimpleQueue[Buffer] = queue.SimpleQueue()

    def take(self, size: int) -> Buffer:
        """Uninitialised memory for at least `size` bytes."""
        if size <= BLOCK_BYTES:
            with contextlib.suppress(queue.Empty):
                return self._free.get_nowait()
        return np.empty(max(size, BLOCK_BYTES), np.uint8)

    def give_back(self, buffer: Buffer) -> None:
        """Memory of `take` that nobody reads any more."""
        if len(buffer) == BLOCK_BYTES:
            self._free.put(buffer)


def keep_freed_memory() -> None:
    """Tell glibc to reuse memory instead of returning it: 20 % less CPU on a layer-scope prune.

    It concerns the whole process, so only the command line does it.
    """
    if sys.platform.startswith("linux"):
        library = ctypes.CDLL(None)
        with contextlib.suppress(AttributeError):
            library.mallopt(_M_TRIM_THRESHOLD, 256 << 20)
            library.mallopt(_M_MMAP_THRESHOLD, 64 << 20)


@final
class Reader:
    """The open weight files of a checkpoint, and the threads that read and compute."""

    def __init__(self, folder: Path, shards: Iterable[Shard], workers: int) -> None:
        self.buffers = Buffers()
        self._descriptors: dict[str, int] = {}
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="compressor")
        self._ahead = workers + 2
        for shard in shards:
            flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
            try:
                self._descriptors[shard.name] = os.open(folder / shard.name, flags)
            except OSError as error:
                self.__exit__()
                raise _unopened(shard, error) from error

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._pool.shutdown(wait=True, cancel_futures=True)
        finally:
            for descriptor in self._descriptors.values():
                os.close(descriptor)

    def descriptor(self, shard: Shard) -> int:
        """The open file of a shard."""
        return self._descriptors[shard.name]

    def fill(self, extent: Extent, buffer: Buffer) -> Bits:
        """Read an extent into a buffer and view it as rows of bits."""
        read_exactly(self.descriptor(extent.shard), buffer[: extent.stop - extent.start], extent)
        return extent.view(buffer)

    def in_order(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """`work` over `items` on the threads, a few ahead; results come in their order."""
        pending: deque[Future[Result]] = deque()
        try:
            for item in items:
                pending.append(self._pool.submit(work, item))
                if len(pending) >= self._ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()

    def total(self, work: Callable[[Bits, Extent], Result], items: Iterable[Extent]) -> Result:
        """The sum of `work` over all extents, added in their order."""

        def one(extent: Extent) -> Result:
            buffer = self.buffers.take(extent.stop - extent.start)
            try:
                return work(self.fill(extent, buffer), extent)
            finally:
                self.buffers.give_back(buffer)

        results = self.in_order(one, items)
        total: Any = next(results)
        for result in results:
            total = total + result
        return total  # type: ignore[no-any-return]  # a sum of Results is a Result


def _unopened(shard: Shard, error: OSError) -> CompressorError:
    if error.errno in {errno.EMFILE, errno.ENFILE}:
        return ResourceError(
            "LIMIT-FILES",
            "the system lets this process open no more files",
            at=shard.name,
            found=f"{error.strerror}, expected one open file for each weight file",
            do="raise the limit, for example with: ulimit -n 4096",
        )
    return InputError(
        "SOURCE-CHANGED",
        "a weight file can no longer be opened",
        at=shard.name,
        found=f"{error.strerror}, expected the file whose header was read",
        do="make sure that nothing writes to the source, then run again",
    )


def read_exactly(descriptor: int, buffer: Buffer, extent: Extent) -> None:
    """Fill the buffer from the extent's place in the file; a short read names the shard."""
    view = buffer.data
    done = 0
    while done < len(view):
        try:
            count = os.preadv(descriptor, [view[done:]], extent.start + done)
        except OSError as error:
            count, reason = 0, error.strerror
        else:
            reason = "the file ends"
        if count == 0:
            raise InputError(
                "SOURCE-CHANGED",
                "a weight file can no longer be read as its header says",
                at=extent.shard.name,
                found=f"{reason} at byte {extent.start + done}, expected {extent.stop}",
                do="make sure that nothing writes to the source, then run again",
            )
        done += count


def same_bytes(
    folder: Path, first: tuple[Shard, TensorInfo], second: tuple[Shard, TensorInfo]
) -> bool:
    """Whether two stored tensors are equal bit for bit; read block by block."""
    if first[1].dtype != second[1].dtype or first[1].shape != second[1].shape:
        return False
    with Reader(folder, {first[0].name: first[0], second[0].name: second[0]}.values(), 1) as reader:
        for one, other in zip(extents(*first), extents(*second), strict=True):
            buffers = [np.empty(one.stop - one.start, np.uint8) for _ in range(2)]
            if not np.array_equal(reader.fill(one, buffers[0]), reader.fill(other, buffers[1])):
                return False
    return True
