"""Items in batches of like length, and what a batch leaves behind, in the order of the items.

Padding costs as much as text: sorted by length, a batch holds little of it. The longest come first,
so that memory runs out at once or never.
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
    """Indices of the items of each batch, longest first; equal lengths keep their order."""
    order = sorted(range(len(lengths)), key=lambda item: -lengths[item])
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def mean_hidden(states: Sequence[torch.Tensor], mask: torch.Tensor | None) -> list[torch.Tensor]:
    """The mean hidden state of each item, `(batch, width)` fp32 for every layer.

    `states` are `(batch, tokens, width)`, or `(batch, channels, height, width)` of a convolutional
    net; `mask (batch, tokens)` is True where a token is no padding.
    """
    found = []
    for state in states:
        wide = state.float()
        if wide.dim() == 4:
            found.append(wide.mean(dim=(2, 3)))
        elif mask is None or mask.shape[:2] != wide.shape[:2]:
            found.append(wide.mean(dim=1))
        else:
            kept = mask.to(wide.dtype)[:, :, None]
            found.append((wide * kept).sum(dim=1) / kept.sum(dim=1).clamp(min=1))
    return found


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
        for layer, mean in enumerate(mean_hidden(states, mask)):
            rows, name = mean[kept].cpu().numpy(), f"hidden/{layer}"
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
