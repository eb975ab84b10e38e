"""N:M on integer keys: the best `n` of every `m` consecutive weights along an axis, exactly.

Two formulations, each the faster one where it is used:

* ranks, groups of at most four: the contiguous keys are compared with themselves shifted by one,
  two and three places, and each key counts how many of its group come before it;
* a threshold, the rest: the members of many groups lie in planes, a sorting network (Batcher, 1968)
  finds each group's n-th largest key, and groups whose next key equals it settle their ties.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any, Final, TypeAlias, final

import numpy as np
import numpy.typing as npt

Keys: TypeAlias = npt.NDArray[np.unsignedinteger[Any]]
Mask: TypeAlias = npt.NDArray[np.bool_]

_LARGEST_GROUP: Final = 255
"""Members of a group are counted in bytes."""

_LARGEST_RANKED: Final = 4
"""BF16 on Zen 3: 2:4 by rank 2.5 GB/s, by threshold 1.3; 4:8 by rank 1.2, by threshold 1.4."""

_RANK_TILE: Final = 1 << 17
_TILE_BYTES: Final = 2_000_000
_TILE_GROUPS: Final = 64_000
"""Not powers of two: planes 4 KiB apart would share their cache lines' sets."""

_SETTLED_AT_ONCE: Final = 1 << 17


def group_zeros(keys: Keys, n: int, m: int, axis: int = -1) -> Mask:
    """True for the `m - n` lowest of every `m` consecutive keys along `axis`. Ties: last first."""
    length = keys.shape[axis]
    if not 1 <= n < m <= _LARGEST_GROUP or length % m:
        raise ValueError(
            f"{n}:{m} needs 1 ≤ N < M ≤ {_LARGEST_GROUP} and an axis that M divides, found {length}"
        )
    axis %= keys.ndim
    inner = math.prod(keys.shape[axis + 1 :])
    zeros = np.empty(keys.shape, bool)
    if not keys.size:
        return zeros
    groups = keys.reshape(-1, m, inner)
    if inner == 1 and m <= _LARGEST_RANKED:
        _zeros_by_rank(groups.reshape(-1), n, m, zeros.reshape(-1))
    else:
        _zeros_by_threshold(groups, n, m, zeros.reshape(-1, m, inner))
    return zeros


def _zeros_by_rank(keys: Keys, n: int, m: int, zeros: Mask) -> None:
    tile = min(_RANK_TILE // m * m, keys.size)
    place = np.tile(np.arange(m, dtype=np.uint8), tile // m)
    after = np.uint8(m - 1) - place
    has_partner = [(place < m - shift).view(np.uint8) for shift in range(1, m)]
    buffer, beaten_by = np.empty(tile, np.uint8), np.empty(tile, np.uint8)
    for start in range(0, keys.size, tile):
        part = keys[start : start + tile]
        ahead = beaten_by[: part.size]
        ahead[:] = after[: part.size]
        for shift in range(1, m):
            wins = buffer[: part.size - shift]
            np.greater_equal(part[:-shift], part[shift:], out=wins.view(bool))
            np.bitwise_and(wins, has_partner[shift - 1][: wins.size], out=wins)
            ahead[shift:] += wins
            ahead[:-shift] -= wins
        np.greater_equal(ahead, np.uint8(n), out=zeros[start : start + tile])


def _zeros_by_threshold(groups: Keys, n: int, m: int, zeros: Mask) -> None:
    count, _, inner = groups.shape
    elements = min(_TILE_GROUPS * m, _TILE_BYTES // groups.itemsize)
    width = min(inner, max(1, elements // m))
    height = min(count, max(1, elements // (m * width)))
    finder = _Threshold(n, m, height * width, groups.dtype)
    beside = np.empty(height * width * m if inner == 1 else 0, groups.dtype)
    thresholds = np.empty((count, inner), groups.dtype)
    is_tied = np.empty((count, inner), bool)
    for top in range(0, count, height):
        for left in range(0, inner, width):
            rows, columns = slice(top, top + height), slice(left, left + width)
            part = groups[rows, :, columns]
            threshold = thresholds[rows, columns]
            finder.find(part, threshold, is_tied[rows, columns])
            limit = _repeated(threshold, m, beside) if inner == 1 else threshold[:, None, :]
            np.less(part, limit, out=zeros[rows, :, columns])
    tied = np.flatnonzero(is_tied)
    batch = max(1, _SETTLED_AT_ONCE // m)
    for start in range(0, tied.size, batch):
        _settle_ties(groups, n, thresholds, tied[start : start + batch], zeros)


@final
class _Threshold:
    """Finds the n-th and the next largest key of each group, tile by tile, in the same buffers.

    Even and odd members are sorted apart, largest first. The n-th largest of all is then the best,
    over i + j = n, of the smaller one of the i-th of the evens and the j-th of the odds.
    """

    def __init__(self, n: int, m: int, size: int, dtype: np.dtype[Any]) -> None:
        self.half = (m + 1) // 2
        self.splits = [self._splits(rank) for rank in (n, n + 1)]
        needed = {place - 1 for splits in self.splits for split in splits for place in split}
        self.network = _network(self.half, frozenset(needed - {-1}))
        self.planes = np.empty(2 * self.half * size, dtype)
        self.spare = np.empty(2 * size, dtype)
        self.found = np.empty(2 * size, dtype)

    def _splits(self, rank: int) -> list[tuple[int, int]]:
        return [(i, rank - i) for i in range(max(0, rank - self.half), min(self.half, rank) + 1)]

    def find(self, part: Keys, threshold: Keys, is_tied: Mask) -> None:
        """Of groups `(count, m, inner)`: their n-th largest key, and whether the next equals it."""
        count, m, inner = part.shape
        size = count * inner
        planes = self.planes[: 2 * self.half * size].reshape(2 * self.half, size)
        planes[m:] = 0
        np.copyto(planes[:m].reshape(m, count, inner), part.transpose(1, 0, 2))
        pairs = list(planes.reshape(self.half, 2, count, inner))
        spare = self.spare[: 2 * size].reshape(2, count, inner)
        for high, low, is_high_needed, is_low_needed in self.network:
            first, second = pairs[high], pairs[low]
            if is_low_needed:
                np.minimum(first, second, out=spare)
                pairs[low], spare = spare, second
            if is_high_needed:
                np.maximum(first, second, out=first)
        following, smaller = self.found[: 2 * size].reshape(2, count, inner)
        for splits, best in zip(self.splits, (threshold, following), strict=True):
            best[:] = 0
            for i, j in splits:
                if i and j:
                    np.minimum(pairs[i - 1][0], pairs[j - 1][1], out=smaller)
                    np.maximum(best, smaller, out=best)
                else:
                    np.maximum(best, pairs[i - 1][0] if i else pairs[j - 1][1], out=best)
        np.equal(threshold, following, out=is_tied)


@cache
def _network(size: int, needed: frozenset[int]) -> tuple[tuple[int, int, bool, bool], ...]:
    """Comparators (to, from) that sort descending, without those that no needed place depends on.

    The flags say which of a comparator's two results are used.
    """
    pairs = []
    block = 1
    while block < size:
        gap = block
        while gap:
            pairs += [
                (i, i + gap)
                for start in range(gap % block, size - gap, 2 * gap)
                for i in range(start, min(start + gap, size - gap))
                if i // (2 * block) == (i + gap) // (2 * block)
            ]
            gap //= 2
        block *= 2
    used = set(needed)
    network = []
    for high, low in reversed(pairs):
        if high in used or low in used:
            network.append((high, low, high in used, low in used))
            used |= {high, low}
    return tuple(reversed(network))


def _repeated(threshold: Keys, m: int, out: Keys) -> Keys:
    """Each group's threshold `m` times, written as words: a broadcast would loop `m` at a time."""
    count, itemsize = threshold.size, threshold.itemsize
    word = math.gcd(m * itemsize, 8)
    unsigned = np.dtype(f"u{word}")
    copies = sum(1 << (8 * itemsize * place) for place in range(word // itemsize))
    filled = threshold.reshape(-1).astype(unsigned) * unsigned.type(copies)
    words = out[: count * m].view(unsigned).reshape(count, -1)
    for column in range(words.shape[1]):
        words[:, column] = filled
    return out[: count * m].reshape(count, m, 1)


def _settle_ties(
    groups: Keys, n: int, thresholds: Keys, tied: npt.NDArray[np.intp], zeros: Mask
) -> None:
    """Where more keys equal the threshold than there is room for, the last of them become zero."""
    where = np.divmod(tied, groups.shape[2])
    members = np.ascontiguousarray(groups.transpose(0, 2, 1)[where].T)
    threshold = thresholds[where]
    above = (members > threshold).view(np.uint8)
    room = np.uint8(n) - np.add.reduce(above, axis=0, dtype=np.uint8)
    lost, ties = members < threshold, members == threshold
    seen, late = np.zeros_like(room), np.empty_like(lost[0])
    for tie, is_lost in zip(ties, lost, strict=True):
        np.add(seen, tie.view(np.uint8), out=seen)
        np.greater(seen, room, out=late)
        np.logical_and(late, tie, out=late)
        np.logical_or(is_lost, late, out=is_lost)
    zeros.transpose(0, 2, 1)[where] = lost.T
