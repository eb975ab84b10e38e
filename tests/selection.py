"""Keys to select from, and the selection that a stable sort by (key, index) makes of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from compressor_kernels import select

Bits = npt.NDArray[np.unsignedinteger[Any]]
Mask = npt.NDArray[np.bool_]

UNSIGNED = {"BF16": np.uint16, "F16": np.uint16, "F32": np.uint32, "F64": np.uint64}
DTYPES = list(UNSIGNED)
SIZES = [0, 1, 63, 100]


def lowest(keys: Bits, zeros: int) -> Mask:
    """The reference: sort each row by key, of equal keys the last first; the first are zeros."""
    index = np.broadcast_to(np.arange(keys.shape[1]), keys.shape)
    order = np.lexsort((-index, keys), axis=1)
    mask = np.zeros(keys.shape, bool)
    np.put_along_axis(mask, order[:, :zeros], True, axis=1)
    return mask


def values(bits: Bits, dtype: str) -> npt.NDArray[np.float64]:
    """|w|, decoded by numpy."""
    floats = {"F16": np.float16, "F32": np.float32, "F64": np.float64}
    if dtype == "BF16":
        bits, dtype = bits.astype(np.uint32) << np.uint32(16), "F32"
    with np.errstate(invalid="ignore"):
        return np.abs(bits.view(floats[dtype]).astype(np.float64))


def sample(kind: str, shape: tuple[int, ...], dtype: str, seed: int = 0) -> Bits:
    """Bits of `dtype`: weights, half of them zero, few distinct ones, or any bits at all."""
    generator = np.random.default_rng(seed)
    if kind == "any":
        return generator.integers(0, 1 << 64, shape, np.uint64).astype(UNSIGNED[dtype])
    weights = generator.standard_normal(shape).astype(np.float32)
    if kind == "half zero":
        weights[generator.random(shape) < 0.5] = -0.0
    if kind == "few":
        weights = generator.choice(
            np.array([0.0, -0.0, 1.0, -1.0, 0.5, np.inf, -np.inf, np.nan], np.float32), shape
        )
    if kind == "rows apart":
        weights *= np.exp(4 * generator.standard_normal((shape[0], 1))).astype(np.float32)
    if dtype == "BF16":
        return (weights.view(np.uint32) >> np.uint32(16)).astype(np.uint16)
    with np.errstate(over="ignore"):
        floats = {"F16": np.float16, "F32": np.float32, "F64": np.float64}
        return weights.astype(floats[dtype]).view(UNSIGNED[dtype])


def sampled_keys(kind: str, shape: tuple[int, ...], dtype: str, seed: int = 0) -> Bits:
    return select.magnitude_key(sample(kind, shape, dtype, seed), dtype, dtype)
