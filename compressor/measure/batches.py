"""Items in batches of like length, and what a batch leaves behind, in the order of the items.

Padding costs as much as text: sorted by length, a batch holds little of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, final

import numpy as np
import torch
from numpy.typing import NDArray

HIDDEN_ITEMS: Final = 512
"""Items whose hidden states are kept for CKA."""


def by_length(lengths: Sequence[int], batch_size: int) -> Iterator[list[int]]:
    """Indices of the items of each batch: first those whose hidden states are kept, then the rest.

    Each part is longest first; equal lengths keep their order. Of the rest no states are asked.
    """
    for part in (range(len(lengths))[:HIDDEN_ITEMS], range(len(lengths))[HIDDEN_ITEMS:]):
        order = sorted(part, key=lambda item: -lengths[item])
        for start in range(0, len(order), batch_size):
            yield order[start : start + batch_size]


def padded(
    sequences: Sequence[Sequence[int]], padding: int, device: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens `(batch, longest)`, padded on the right, and True where they are no padding."""
    width = max(len(each) for each in sequences)
    tokens = [[*each, *[padding] * (width - len(each))] for each in sequences]
    real = [[column < len(each) for column in range(width)] for each in sequences]
    return torch.tensor(tokens, device=device), torch.tensor(real, device=device)


def mean_hidden(state: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """The mean hidden state of each item in one layer, `(batch, width)` fp32.

    `state` is `(batch, tokens, width)`, or `(batch, channels, height, width)` of a convolutional
    net; `mask (batch, tokens)` is True where a token is no padding.
    """
    wide = state.float()
    if wide.dim() == 4:
        return wide.mean(dim=(2, 3))
    if mask is None or mask.shape[:2] != wide.shape[:2]:
        return wide.mean(dim=1)
    kept = mask.to(wide.dtype)[:, :, None]
    return (wide * kept).sum(dim=1) / kept.sum(dim=1).clamp(min=1)


@final
class Rows:
    """Arrays that fill up batch by batch, in whatever order the batches come."""

    def __init__(self, items: int) -> None:
        self._items = items
        self._arrays: dict[str, NDArray[Any]] = {}

    def put(self, indices: Sequence[int], values: Mapping[str, torch.Tensor]) -> None:
        """What a batch gave for these items, `(batch, …)` by name; floats become fp32."""
        for name, value in values.items():
            rows = (value.float() if value.is_floating_point() else value).cpu().numpy()
            if name not in self._arrays:
                self._arrays[name] = np.zeros((self._items, *rows.shape[1:]), rows.dtype)
            self._arrays[name][list(indices)] = rows

    def put_hidden(
        self, indices: Sequence[int], states: Sequence[torch.Tensor], mask: torch.Tensor | None
    ) -> None:
        """Mean hidden states of those of these items that are among the first `HIDDEN_ITEMS`."""
        kept = [place for place, item in enumerate(indices) if item < HIDDEN_ITEMS]
        if not kept:
            return
        real = None if mask is None else mask[kept]
        for layer, state in enumerate(states):
            rows, name = mean_hidden(state[kept], real).cpu().numpy(), f"hidden/{layer}"
            if name not in self._arrays:
                shape = (min(self._items, HIDDEN_ITEMS), rows.shape[1])
                self._arrays[name] = np.zeros(shape, np.float32)
            self._arrays[name][[indices[place] for place in kept]] = rows

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """What was put, less the hidden states."""
        return {name: rows for name, rows in self._arrays.items() if not name.startswith("hidden/")}

    @property
    def hidden(self) -> dict[str, NDArray[Any]]:
        """Mean hidden states by layer: `0` is what enters the first block."""
        return {
            name.removeprefix("hidden/"): rows
            for name, rows in self._arrays.items()
            if name.startswith("hidden/")
        }
