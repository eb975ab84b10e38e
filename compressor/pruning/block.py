"""From the keys of a block to what becomes zero in it, for every layout a weight is stored in.

A block is `(rows, row)`. In `(out, in, *kernel)` storage a row is one output, its inputs `inner`
elements apart (the kernel's size; 1 for a matrix). In transposed storage, `(in, out, *kernel)`, a
row is one input, and each output is a column of `inner` elements.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from compressor.pruning.scores.place import Keys
from compressor.sparsity import Unstructured
from compressor_kernels import select

Mask: TypeAlias = npt.NDArray[np.bool_]


def group_zeros(keys: Keys, n: int, m: int, *, is_transposed: bool, inner: int) -> Mask:
    """True where a weight is not among the best `n` of its `m` consecutive inputs."""
    rows, row = keys.shape
    view = keys.reshape(1, rows, row) if is_transposed else keys.reshape(1, -1, inner)
    return select.group_zeros(view, n, m, axis=1).reshape(rows, row)


def row_zeros(
    keys: Keys, bits: int, sparsity: Unstructured, *, is_transposed: bool, inner: int
) -> Mask:
    """True for the worst share of each output's weights. A transposed block is a whole matrix."""
    if not is_transposed:
        return select.row_zeros(keys, bits, sparsity.zeros(keys.shape[1]))
    rows, row = keys.shape
    by_output = keys.reshape(rows, row // inner, inner).transpose(1, 0, 2)
    outputs = np.ascontiguousarray(by_output).reshape(row // inner, rows * inner)
    mask = select.row_zeros(outputs, bits, sparsity.zeros(outputs.shape[1]))
    by_input = mask.reshape(row // inner, rows, inner).transpose(1, 0, 2)
    return by_input.reshape(rows, row)


def vector_zeros(
    keys: Keys, dtype: str, n: int, m: int, block: int, *, is_transposed: bool
) -> Mask:
    """One N:M pattern for each `block` consecutive outputs; a column counts as its weights' sum."""
    outputs = np.ascontiguousarray(keys.T) if is_transposed else keys
    columns = select.vector_keys(outputs, dtype, block)
    mask = select.group_zeros(columns, n, m)
    spread = np.repeat(mask, block, axis=0)[: outputs.shape[0]]
    return np.ascontiguousarray(spread.T) if is_transposed else spread
