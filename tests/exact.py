"""Pruning by brute force: whole weights, decoded and sorted, one obvious line for each rule."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from rawfiles import Stored, decode

Array = npt.NDArray[Any]

LAYOUTS = {
    "linear": "matrix, output, input",
    "conv1d": "matrix, input, output",
    "experts": "matrix, output, input",
    "transposed experts": "matrix, input, output",
    "convolution": "output, input",
    "transposed convolution": "input, output",
}


def oriented(shape: tuple[int, ...], layout: str) -> Array:
    """The index of every element, as `(matrix, output, input, kernel)`."""
    index = np.arange(int(np.prod(shape)))
    if "convolution" in layout:
        index = index.reshape(1, shape[0], shape[1], -1)
    else:
        index = index.reshape(-1, shape[-2], shape[-1], 1)
    return index if LAYOUTS[layout].endswith("input") else index.transpose(0, 2, 1, 3)


def lowest(scores: Array, count: int) -> Array:
    """True for the `count` lowest of a vector; of equal ones, the last."""
    mask = np.zeros(scores.size, bool)
    mask[np.lexsort((-np.arange(scores.size), scores))[:count]] = True
    return mask


def by_layer(stored: Stored, fraction: float) -> Array:
    """What becomes zero if all weights of a tensor compete."""
    scores = np.abs(decode(stored)).reshape(-1)
    return lowest(scores, round(fraction * scores.size)).reshape(stored[1].shape)


def by_row(stored: Stored, layout: str, fraction: float) -> Array:
    """What becomes zero if the weights of each output compete."""
    scores = np.abs(decode(stored)).reshape(-1)
    mask = np.zeros(scores.size, bool)
    index = oriented(stored[1].shape, layout)
    for row in index.reshape(index.shape[0] * index.shape[1], -1):
        mask[row] = lowest(scores[row], round(fraction * row.size))
    return mask.reshape(stored[1].shape)


def by_group(stored: Stored, layout: str, n: int, m: int) -> Array:
    """What becomes zero if `n` of every `m` consecutive inputs stay."""
    scores = np.abs(decode(stored)).reshape(-1)
    mask = np.zeros(scores.size, bool)
    by_input = oriented(stored[1].shape, layout).transpose(0, 1, 3, 2)
    for group in by_input.reshape(-1, m):
        mask[group] = lowest(scores[group], m - n)
    return mask.reshape(stored[1].shape)


def by_vector(stored: Stored, layout: str, n: int, m: int, rows: int) -> Array:
    """The same, one pattern for `rows` consecutive outputs, by the sums of their columns."""
    scores = np.abs(decode(stored)).reshape(-1)
    mask = np.zeros(scores.size, bool)
    for matrix in oriented(stored[1].shape, layout)[..., 0]:
        for top in range(0, len(matrix), rows):
            block = matrix[top : top + rows]
            for left in range(0, block.shape[1], m):
                group = block[:, left : left + m]
                total = np.zeros(group.shape[1])
                for row in group:
                    total = total + scores[row]
                mask[group] = lowest(total, m - n)
    return mask.reshape(stored[1].shape)


def by_all(stored: list[Stored], fraction: float) -> list[Array]:
    """What becomes zero if the weights of all these tensors compete, in their order."""
    scores = np.concatenate([np.abs(decode(each)).reshape(-1) for each in stored])
    mask = lowest(scores, round(fraction * scores.size))
    ends = np.cumsum([each[1].size for each in stored])[:-1]
    parts = np.split(mask, ends)
    return [part.reshape(each[1].shape) for part, each in zip(parts, stored, strict=True)]
