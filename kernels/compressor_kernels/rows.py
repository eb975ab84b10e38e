"""The same exact share of every row: each row's own threshold, found by counting in whole rows.

A sample of many rows says about where a threshold lies; two counts correct it for each row's
scale; two more prove a bracket with about one per cent of the row in it. Only those are sorted.
A count takes 0.14 ns per BF16 key, the whole 1.6 (Zen 3, numpy 2.4, rows of 4096).
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias, final

import numpy as np
import numpy.typing as npt

from compressor_kernels.groups import group_zeros

Keys: TypeAlias = npt.NDArray[np.unsignedinteger[Any]]
Mask: TypeAlias = npt.NDArray[np.bool_]
Counts: TypeAlias = npt.NDArray[np.int64]

_SHORT_ROW: Final = 64
"""Up to here a row is cheaper as one group."""

_TILE: Final = 1 << 20
_SAMPLE: Final = 1 << 12
_SORTED_AT_ONCE: Final = 1 << 16
_CORRECTIONS: Final = 2
_MARGIN: Final = 1024
"""A first bracket spans about 2/1024 of a row: narrower ones fail often, wider ones sort more."""


def row_zeros(keys: Keys, bits: int, zeros: int) -> Mask:
    """True for the `zeros` lowest keys of each row. Of equal keys, the last go first."""
    rows, columns = keys.shape
    if not 0 <= zeros <= columns:
        raise ValueError(f"expected 0 to {columns} zeros in a row of {columns}, found {zeros}")
    if zeros in (0, columns):
        return np.full(keys.shape, zeros > 0)
    if columns <= _SHORT_ROW:
        return group_zeros(keys, columns - zeros, columns)
    keys = np.ascontiguousarray(keys)
    mask = np.empty(keys.shape, bool)
    step = max(1, _TILE // columns)
    for top in range(0, rows, step):
        _zeros_of_tile(keys[top : top + step], bits, columns - zeros, mask[top : top + step])
    return mask


def _zeros_of_tile(keys: Keys, bits: int, kept: int, zeros: Mask) -> None:
    is_kept, is_above = _Compared(keys), _Compared(keys)
    low, above = _bracket(keys, (1 << bits) - 1, kept, is_kept, is_above)
    inside = is_kept.flags != is_above.flags
    np.logical_not(is_kept.flags, out=zeros)
    per_row = is_kept.counts - above
    first = 0
    while first < len(keys):
        ends = np.cumsum(per_row[first:])
        last = first + max(1, int(np.searchsorted(ends, _SORTED_AT_ONCE, side="right")))
        rows = slice(first, last)
        room = kept - above[rows]
        _settle_inside(keys[rows], low[rows], inside[rows], per_row[rows], room, zeros[rows])
        first = last


@final
class _Compared:
    """Which keys reach their row's limit, and how many in each row.

    Flags are bytes. Eight at a time are added as one word, at most 255 words before a byte is full.
    """

    def __init__(self, keys: Keys) -> None:
        rows, columns = keys.shape
        words = -(-columns // 8)
        sums = -(-words // 255)
        padded = np.zeros((rows, sums, -(-words // sums)), np.uint64)
        self.keys = keys
        self.words = padded
        self.flags = padded.reshape(rows, -1).view(bool)[:, :columns]
        self.counts = np.zeros(rows, np.int64)

    def at_least(self, limit: Counts) -> Counts:
        np.greater_equal(self.keys, limit.astype(self.keys.dtype)[:, None], out=self.flags)
        return self._count()

    def above(self, limit: Counts) -> Counts:
        np.greater(self.keys, limit.astype(self.keys.dtype)[:, None], out=self.flags)
        return self._count()

    def _count(self) -> Counts:
        bytes_of_sums = np.add.reduce(self.words, axis=2).view(np.uint8)
        self.counts = bytes_of_sums.sum(axis=1, dtype=np.int64)
        return self.counts


def _bracket(
    keys: Keys, largest: int, kept: int, is_kept: _Compared, is_above: _Compared
) -> tuple[Counts, Counts]:
    """The least key of each row's bracket, and how many keys lie above it: fewer than `kept`.

    Afterwards `is_kept` flags the keys that reach the bracket, `is_above` those above it.
    """
    rows, columns = keys.shape
    stride = max(1, keys.size // _SAMPLE) | 1
    sample = np.sort(keys.reshape(-1)[::stride], kind="stable" if keys.itemsize == 2 else None)
    sample = sample.astype(np.int64)

    def reached_by(count: Any) -> Any:
        place = (columns - count) * sample.size // columns
        return sample[np.clip(place, 0, sample.size - 1)]

    aim = int(reached_by(kept))
    centre, shift = np.full(rows, aim, np.int64), np.zeros(rows, np.int64)
    for _ in range(_CORRECTIONS):
        shift = np.clip(aim - reached_by(is_kept.at_least(centre)), -centre, largest - centre)
        centre += shift
    margin = columns // _MARGIN + 1
    spread = int(reached_by(kept - margin) - reached_by(kept + margin)) // 2
    width = np.minimum(spread + abs(shift) // 4 + 1, largest // 4)
    low = np.maximum(centre - width, 0)
    high = np.minimum(centre, largest - width) + width
    while True:
        is_low = is_kept.at_least(low) < kept
        is_high = is_above.above(high) >= kept
        if not (is_low | is_high).any():
            return low, is_above.counts
        if (is_high & (high == largest)).any():
            raise ValueError(f"a key is larger than {largest}")
        width = np.minimum(width * 4, largest // 4)
        lower = np.where(is_high, high + 1, np.where(is_low, np.maximum(low - width, 0), low))
        upper = np.where(is_high, np.minimum(high, largest - width) + width, high)
        low, high = lower, np.where(is_low, low - 1, upper)


def _settle_inside(
    keys: Keys, low: Counts, inside: Mask, per_row: Counts, room: Counts, zeros: Mask
) -> None:
    """Of the keys inside each row's bracket, the best `room` stay; the others become zero."""
    count = len(keys)
    places = np.flatnonzero(inside)
    row = np.repeat(np.arange(count), per_row)
    order = np.arange(places.size) - (np.cumsum(per_row) - per_row)[row]
    height = keys.reshape(-1)[places] - low.astype(keys.dtype)[row]
    table = np.zeros((count, int(per_row.max())), np.uint64 if keys.itemsize == 8 else np.uint32)
    table[row, order] = height
    table.sort(axis=1)
    threshold = table[np.arange(count), table.shape[1] - room]
    room = room - np.count_nonzero(table > threshold[:, None], axis=1)
    limit = threshold[row]
    ties = np.flatnonzero(height == limit)
    tied_row = row[ties]
    per_row = np.bincount(tied_row, minlength=count)
    order = np.arange(ties.size) - (np.cumsum(per_row) - per_row)[tied_row]
    flat = zeros.reshape(-1)
    flat[places[height < limit]] = True
    flat[places[ties[order >= room[tied_row]]]] = True
