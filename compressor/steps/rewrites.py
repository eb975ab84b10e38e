"""From a sparsity, a method and a scope to what the tensor engine does with each block."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from types import MappingProxyType
from typing import Final, Literal, TypeAlias, final

from compressor.checkpoint.blocks import Bits, Extent, Grid, Reader, extents
from compressor.checkpoint.pipeline import Key, Rewrite
from compressor.checkpoint.read.header import TensorInfo
from compressor.checkpoint.read.reader import Shard
from compressor.pruning import block
from compressor.pruning.geometry import Geometry
from compressor.pruning.scores import magnitude, random
from compressor.pruning.scores.place import Keys, Place, Score
from compressor.sparsity import NM, Sparsity, Unstructured, VectorNM
from compressor_kernels import select

Method: TypeAlias = Literal["magnitude", "random"]
Scope: TypeAlias = Literal["layer", "row", "global"]

SCORES: Final[Mapping[Method, Score]] = MappingProxyType({"magnitude": magnitude, "random": random})
"""A method is a module of `pruning/scores`."""


@final
@dataclass(frozen=True)
class Chosen:
    """A tensor to prune, and how its elements lie."""

    key: Key
    shard: Shard
    tensor: TensorInfo
    geometry: Geometry

    def grid(self, unit: int = 1) -> Grid:
        """How it is cut into blocks of whole rows."""
        return Grid(self.geometry.row, unit, self.geometry.matrix)


@final
@dataclass(frozen=True)
class Scorer:
    """Keys of a block by a method, compared in the order of one dtype over the whole scope."""

    method: Method
    common: str
    seed: int

    @property
    def bits(self) -> int:
        """How many bits a key has."""
        return SCORES[self.method].key_bits(self.common)

    @property
    def dtype(self) -> str:
        """Which float the keys are magnitudes of."""
        return SCORES[self.method].key_dtype(self.common)

    def keys(self, bits: Bits, extent: Extent) -> Keys:
        """An unsigned integer for each weight, higher = kept."""
        first = extent.first * bits.shape[1]
        place = Place(extent.tensor.name, extent.tensor.dtype, self.common, first, self.seed)
        return SCORES[self.method].keys(bits, place)


def rewrites(
    chosen: Sequence[Chosen], sparsity: Sparsity, method: Method, scope: Scope, seed: int
) -> dict[Key, Callable[[Reader], Rewrite]]:
    """For each tensor, what prepares its rewrite. Layer and global scope read the weights first."""
    if isinstance(sparsity, Unstructured) and scope == "global":
        common = select.common_dtype(item.tensor.dtype for item in chosen) if chosen else "F32"
        scorer = Scorer(method, common, seed)
        find = cache(partial(_find_cut, chosen, sparsity, scorer))
        return {item.key: partial(_by_cut, item, scorer, find, True) for item in chosen}
    prepared: dict[Key, Callable[[Reader], Rewrite]] = {}
    for item in chosen:
        scorer = Scorer(method, item.tensor.dtype, seed)
        if isinstance(sparsity, NM):
            prepared[item.key] = partial(_by_group, item, sparsity, scorer)
        elif isinstance(sparsity, VectorNM):
            prepared[item.key] = partial(_by_vector, item, sparsity, scorer)
        elif scope == "row":
            prepared[item.key] = partial(_by_row, item, sparsity, scorer)
        else:
            find = cache(partial(_find_cut, [item], sparsity, scorer))
            prepared[item.key] = partial(_by_cut, item, scorer, find, False)
    return prepared


def _by_group(item: Chosen, sparsity: NM, scorer: Scorer, reader: Reader) -> Rewrite:
    geometry = item.geometry
    is_transposed, inner = geometry.is_transposed, geometry.inner

    def apply(bits: Bits, extent: Extent, before: int, out: Bits) -> None:
        keys = scorer.keys(bits, extent)
        zeros = block.group_zeros(
            keys, sparsity.n, sparsity.m, is_transposed=is_transposed, inner=inner
        )
        select.zero_where(bits, zeros, out=out)

    if is_transposed:
        return Rewrite(apply, item.grid(sparsity.m))
    is_matrix = inner == 1
    return Rewrite(apply, Grid(row=sparsity.m) if is_matrix else item.grid())


def _by_vector(item: Chosen, sparsity: VectorNM, scorer: Scorer, reader: Reader) -> Rewrite:
    is_transposed = item.geometry.is_transposed

    def apply(bits: Bits, extent: Extent, before: int, out: Bits) -> None:
        keys = scorer.keys(bits, extent)
        zeros = block.vector_zeros(
            keys, scorer.dtype, sparsity.n, sparsity.m, sparsity.rows, is_transposed=is_transposed
        )
        select.zero_where(bits, zeros, out=out)

    return Rewrite(apply, item.grid(sparsity.m if is_transposed else sparsity.rows))


def _by_row(item: Chosen, sparsity: Unstructured, scorer: Scorer, reader: Reader) -> Rewrite:
    geometry = item.geometry
    is_transposed, inner = geometry.is_transposed, geometry.inner

    def apply(bits: Bits, extent: Extent, before: int, out: Bits) -> None:
        keys = scorer.keys(bits, extent)
        zeros = block.row_zeros(
            keys, scorer.bits, sparsity, is_transposed=is_transposed, inner=inner
        )
        select.zero_where(bits, zeros, out=out)

    return Rewrite(apply, item.grid(geometry.matrix if is_transposed else 1))


def _by_cut(
    item: Chosen,
    scorer: Scorer,
    find: Callable[[Reader], select.Cut],
    is_shared: bool,
    reader: Reader,
) -> Rewrite:
    cut = find(reader)

    def apply(bits: Bits, extent: Extent, before: int, out: Bits) -> None:
        zeros = select.below_cut(scorer.keys(bits, extent), cut, before)
        select.zero_where(bits, zeros, out=out)

    def count(bits: Bits, extent: Extent) -> int:
        return select.count_ties(scorer.keys(bits, extent), cut)

    return Rewrite(apply, Grid(), count, is_shared)


def _find_cut(
    members: Sequence[Chosen], sparsity: Unstructured, scorer: Scorer, reader: Reader
) -> select.Cut:
    """The key below which everything in the scope becomes zero, and how many ties stay."""

    def histogram(level: int, prefix: int) -> select.Counts:
        def one(bits: Bits, extent: Extent) -> select.Counts:
            return select.digit_histogram(scorer.keys(bits, extent), scorer.bits, level, prefix)

        blocks = (each for item in members for each in extents(item.shard, item.tensor))
        return reader.total(one, blocks)

    count = sum(item.tensor.count for item in members)
    return select.find_cut(histogram, scorer.bits, sparsity.zeros(count))
