"""Logits at a few thousand positions, kept to compare the next model with: in memory or on disk."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Sequence
from typing import Any, Final, TypeAlias, final

import numpy as np
import torch
from numpy.typing import NDArray

from compressor.errors import ResourceError

Logits: TypeAlias = NDArray[np.float32]
Numbers: TypeAlias = NDArray[np.int64]

KEPT_BYTES: Final = 1 << 30
"""At most this much of one model: 8192 positions of a vocabulary of 32 768."""
KEPT_POSITIONS: Final = 8192
"""At most this many, however small the vocabulary: quantiles of them are bootstrapped."""
_IN_MEMORY: Final = 64 << 20


def kept_positions(count: int, width: int) -> Numbers:
    """Which of `count` positions are kept for rows of `width` logits: evenly spaced, ascending."""
    kept = max(1, min(count, KEPT_POSITIONS, KEPT_BYTES // (4 * width)))
    found: Numbers = np.arange(kept, dtype=np.int64) * count // kept
    return found


@final
class KeptLogits:
    """Logits at positions spaced evenly over sequences, which come whole and in any order.

    Large ones are in a temporary file that has no name: it goes with the last array that maps it.
    """

    def __init__(self, counts: Sequence[int]) -> None:
        """`counts` are the positions of each sequence."""
        self._starts: Numbers = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        self._positions: Numbers = np.zeros(0, np.int64)
        self._width = 0
        self._rows: Logits = np.zeros((0, 0), np.float32)
        self._file: Any = None

    def put(self, sequence: int, logits: torch.Tensor) -> None:
        """The logits `(positions, vocabulary)` of one sequence."""
        if not self._width:
            self._open(logits.shape[1])
        start, end = self._starts[sequence], self._starts[sequence + 1]
        first, last = np.searchsorted(self._positions, (start, end))
        if first == last:
            return
        chosen = torch.from_numpy(self._positions[first:last] - start).to(logits.device)
        # A token that a model excludes by -inf has no probability; 0 · (inf - inf) is no number.
        rows = logits[chosen].float().clamp(min=torch.finfo(torch.float32).min).cpu().numpy()
        if self._file is None:
            self._rows[first:last] = rows
            return
        try:
            # Written, not mapped: on a full disk a store into a map kills the process.
            self._file.seek(4 * int(first) * self._width)
            is_whole = self._file.write(rows.tobytes()) == rows.nbytes
        except OSError as error:
            raise self._full() from error
        if not is_whole:
            raise self._full()

    @property
    def array(self) -> Logits:
        """The kept rows, once every sequence was put."""
        if self._file is None:
            return self._rows
        return np.memmap(self._file, np.float32, "r", shape=(len(self._positions), self._width))

    @property
    def sequences(self) -> Numbers:
        """The sequence of each kept row."""
        found: Numbers = np.searchsorted(self._starts, self._positions, side="right") - 1
        return found

    def _open(self, width: int) -> None:
        self._width = width
        self._positions = kept_positions(int(self._starts[-1]), width)
        if 4 * len(self._positions) * width > _IN_MEMORY:
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  # closed with self
            weakref.finalize(self, self._file.close)
        else:
            self._rows = np.zeros((len(self._positions), width), np.float32)

    def _full(self) -> ResourceError:
        needed = 4 * len(self._positions) * self._width
        return ResourceError(
            "DISK-FULL",
            "the temporary folder has no room for the answers that are compared",
            at="the temporary folder",
            found=f"no room; expected {needed} bytes for each of two models",
            do="set TMPDIR to a folder with more room",
        )
