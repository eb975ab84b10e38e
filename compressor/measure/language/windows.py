"""Documents cut into windows that fit a model, each token scored once; and what the items are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from compressor.errors import InputError

Floats: TypeAlias = NDArray[np.float64]

ENOUGH_DOCUMENTS: Final = 30
"""Documents from which on they are the items of an interval; below it the windows are."""


@final
@dataclass(frozen=True)
class Window:
    """The tokens `start` to `end` of a document, of which those from `first` on are scored."""

    document: int
    start: int
    first: int
    end: int

    @property
    def scored(self) -> int:
        """How many tokens are scored."""
        return self.end - self.first


def predicted(document: int, length: int, context: int, stride: int) -> Iterator[Window]:
    """Windows in which a causal model scores every token but the first, each of them once.

    A window holds `context` tokens to read and the one that the last of them predicts. A window
    scores `stride` new tokens, each with at least `context - stride + 1` before it; the last window
    reaches back as far as the context does. With `stride == context` these are the windows of
    lm-eval's `loglikelihood_rolling`.
    """
    end = min(length, context + 1)
    if end > 1:
        yield Window(document, 0, 1, end)
    while end < length:
        first, end = end, min(length, end + stride)
        yield Window(document, max(0, end - 1 - context), first, end)


def pieces(document: int, length: int, size: int) -> Iterator[Window]:
    """Windows side by side, every token scored."""
    for start in range(0, length, size):
        yield Window(document, start, start, min(length, start + size))


@final
@dataclass(frozen=True)
class Blocks:
    """The items of an interval: documents where there are enough of them, else windows."""

    windows: Sequence[Window]
    items: NDArray[np.int64]
    """The item of each window."""
    are_documents: bool

    @property
    def count(self) -> int:
        """How many items there are."""
        return int(self.items.max()) + 1

    @property
    def tokens(self) -> Floats:
        """How many tokens of each item are scored."""
        return self.summed([window.scored for window in self.windows])

    def summed(self, values: Sequence[float] | Floats) -> Floats:
        """A value of each window, summed over the windows of an item."""
        return np.bincount(self.items, np.asarray(values), self.count).astype(np.float64)

    def shared(self, values: Sequence[float]) -> Floats:
        """A value of each document: that of an item, where a window has its share of tokens."""
        documents = [window.document for window in self.windows]
        scored = np.asarray([window.scored for window in self.windows], np.float64)
        totals = np.bincount(documents, scored, len(values))
        return self.summed(np.asarray(values)[documents] * scored / totals[documents])

    def __str__(self) -> str:
        what = "documents" if self.are_documents else "windows, as there are few documents"
        return f"interval over {self.count} {what}"


def blocks(windows: Sequence[Window], data: str, context: int) -> Blocks:
    """The items that these windows make; at least two, or nothing is known of the spread."""
    documents, numbers = np.unique([window.document for window in windows], return_inverse=True)
    tokens = sum(window.scored for window in windows)
    if not tokens:
        raise InputError(
            "DATA-NO-TARGETS",
            "no text holds a token that could be scored",
            at=data,
            found="texts of one token or none; expected at least two tokens in one of them",
            do="name the column that holds the text: --data FILE:text=COLUMN",
        )
    if len(windows) < 2:
        raise InputError(
            "DATA-TOO-SMALL",
            "the texts fill a single block, whose score has no interval",
            at=data,
            found=f"{tokens} tokens; expected two documents, or more than {context} tokens",
            do="give more text, or a smaller --max-length",
        )
    are_documents = len(documents) >= ENOUGH_DOCUMENTS
    items: Any = numbers if are_documents else np.arange(len(windows))
    return Blocks(windows, np.asarray(items, np.int64), are_documents)


@final
class Finished:
    """Counts the documents whose windows are all done."""

    def __init__(self, windows: Sequence[Window]) -> None:
        self._windows = windows
        self._left = Counter(window.document for window in windows)

    def after(self, window: int) -> int:
        """1 where this window is the last one of its document, else 0."""
        document = self._windows[window].document
        self._left[document] -= 1
        return int(not self._left[document])
