"""What the weights themselves say: zeros that are there already, and the N:M patterns they obey."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from compressor.checkpoint.blocks import Bits, Extent, Grid, Reader, extents
from compressor.checkpoint.read.reader import Checkpoint
from compressor.model.roles import Layout
from compressor.model.targets import Target
from compressor_kernels.floats import count_nonfinite, count_zeros, magnitude

GROUPS: Final = (4, 8, 16)
"""The group sizes M for which the largest number of non-zeros in a group is found."""


@final
@dataclass(frozen=True)
class Scanned:
    """Zeros, non-finite weights, and the most non-zeros of any group of M, for each M of GROUPS."""

    zeros: int
    nonfinite: int
    fullest: tuple[int, ...]

    def __add__(self, other: Scanned) -> Scanned:
        fullest = tuple(max(pair) for pair in zip(self.fullest, other.fullest, strict=True))
        return Scanned(self.zeros + other.zeros, self.nonfinite + other.nonfinite, fullest)

    @property
    def patterns(self) -> tuple[str, ...]:
        """The sparsest N:M that every group obeys, for each M; none where a group is full."""
        pairs = zip(self.fullest, GROUPS, strict=True)
        return tuple(f"{max(n, 1)}:{m}" for n, m in pairs if n < m)


EMPTY: Final = Scanned(0, 0, (0,) * len(GROUPS))
"""A tensor without elements obeys every pattern."""


def scan(checkpoint: Checkpoint, targets: Sequence[Target], workers: int) -> dict[str, Scanned]:
    """Read every tensor once, in blocks; by name."""
    with Reader(checkpoint.folder, checkpoint.shards(), workers) as reader:
        return {
            target.name: _scan(target, reader) if target.tensor.count else EMPTY
            for target in targets
        }


def _scan(target: Target, reader: Reader) -> Scanned:
    dtype = target.tensor.dtype
    if not target.is_matrix or target.classified.layout is Layout.NONE:
        plain = extents(target.shard, target.tensor)
        return reader.total(
            lambda bits, _: Scanned(count_zeros(bits, dtype), count_nonfinite(bits, dtype), GROUPS),
            plain,
        )
    geometry = target.geometry
    unit = max(GROUPS) if geometry.is_transposed else 1
    grid = Grid(geometry.row, unit, geometry.matrix)

    def one(bits: Bits, extent: Extent) -> Scanned:
        kept = magnitude(bits, dtype) != 0
        rows, row = kept.shape
        shape = (1, rows, row) if geometry.is_transposed else (rows, -1, geometry.inner)
        by_input = kept.reshape(shape)
        fullest = tuple(_fullest(by_input, m) if geometry.inputs % m == 0 else m for m in GROUPS)
        return Scanned(
            kept.size - int(np.count_nonzero(kept)), count_nonfinite(bits, dtype), fullest
        )

    return reader.total(one, extents(target.shard, target.tensor, grid))


def _fullest(kept: np.ndarray[tuple[int, int, int], np.dtype[np.bool_]], m: int) -> int:
    outer, length, inner = kept.shape
    groups = kept.reshape(outer, length // m, m, inner)
    return int(groups.sum(axis=2, dtype=np.uint8).max())
