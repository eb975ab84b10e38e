"""Masks of one block, for every storage of a weight, by brute force."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import exact
import numpy as np
import numpy.typing as npt
import pytest

from compressor.pruning import block
from compressor.sparsity import Unstructured

Keys = npt.NDArray[Any]
STORAGE = {
    "linear": (False, 1, (7, 24)),
    "conv1d": (True, 1, (24, 7)),
    "convolution": (False, 6, (5, 24, 3, 2)),
    "transposed convolution": (True, 6, (24, 5, 3, 2)),
}


def keys(shape: tuple[int, ...], distinct: int, dtype: type[Any] = np.uint16) -> Keys:
    return np.random.default_rng(0).integers(0, distinct, shape).astype(dtype)


def groups(index: Keys, m: int) -> Keys:
    return index.transpose(0, 1, 3, 2).reshape(-1, m)


@pytest.mark.parametrize("layout", STORAGE)
@pytest.mark.parametrize("distinct", [1, 3, 30_000])
@pytest.mark.parametrize(("n", "m"), [(1, 2), (2, 4), (3, 4), (2, 6), (4, 8), (7, 24)])
def test_every_group_loses_its_lowest(layout: str, distinct: int, n: int, m: int) -> None:
    is_transposed, inner, shape = STORAGE[layout]
    scores = keys(shape, distinct)

    mask = block.group_zeros(
        scores.reshape(shape[0], -1), n, m, is_transposed=is_transposed, inner=inner
    )

    flat = mask.reshape(-1)
    for group in groups(exact.oriented(shape, layout), m):
        assert np.array_equal(flat[group], exact.lowest(scores.reshape(-1)[group], m - n))


@pytest.mark.parametrize("layout", STORAGE)
@pytest.mark.parametrize("distinct", [1, 3, 30_000])
@pytest.mark.parametrize("share", [Fraction(0), Fraction(1, 3), Fraction(99, 100)])
def test_every_output_loses_its_lowest(layout: str, distinct: int, share: Fraction) -> None:
    is_transposed, inner, shape = STORAGE[layout]
    scores = keys(shape, distinct)

    mask = block.row_zeros(
        scores.reshape(shape[0], -1),
        15,
        Unstructured(share),
        is_transposed=is_transposed,
        inner=inner,
    )

    flat = mask.reshape(-1)
    index = exact.oriented(shape, layout)
    for row in index.reshape(index.shape[1], -1):
        expected = exact.lowest(scores.reshape(-1)[row], round(share * row.size))
        assert np.array_equal(flat[row], expected)


@pytest.mark.parametrize("layout", ["linear", "conv1d"])
@pytest.mark.parametrize("rows", [1, 3, 7, 64])
@pytest.mark.parametrize("dtype", ["U32", "F32"])
def test_a_block_of_outputs_loses_its_lowest_columns(layout: str, rows: int, dtype: str) -> None:
    is_transposed, _, shape = STORAGE[layout]
    scores = keys(shape, 4, np.uint32)
    stored = scores if dtype == "U32" else scores.astype(np.float32).view(np.uint32)

    mask = block.vector_zeros(stored, dtype, 2, 4, rows, is_transposed=is_transposed)

    values = scores.astype(np.float32).view(np.uint32)
    assert np.array_equal(mask, exact.by_vector(("F32", values), layout, 2, 4, rows))
