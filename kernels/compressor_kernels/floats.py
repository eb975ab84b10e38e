"""What raw bits of a float say without decoding it: whether it is zero, and whether it is finite."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

Bits = npt.NDArray[np.unsignedinteger[Any]]

INFINITY: Final = {
    "BF16": 0x7F80,
    "F16": 0x7C00,
    "F32": 0x7F800000,
    "F64": 0x7FF0000000000000,
}
"""The sign-cleared bits of infinity; above it lie the NaNs."""

SIGN: Final = {"BF16": 0x8000, "F16": 0x8000, "F32": 0x80000000, "F64": 0x8000000000000000}

_CHUNK: Final = 1 << 16


def magnitude(bits: Bits, dtype: str) -> Bits:
    """The bits with the sign cleared: an unsigned integer in the order of absolute values."""
    return bits & bits.dtype.type(SIGN[dtype] - 1)  # type: ignore[no-any-return]


def count_zeros(bits: Bits, dtype: str) -> int:
    """How many elements are zero, of either sign. Integers count too, complex numbers do not."""
    flat = bits.reshape(-1)
    if dtype not in SIGN:
        return 0 if dtype.startswith("C") else flat.size - int(np.count_nonzero(flat))
    chunks = range(0, flat.size, _CHUNK)
    return sum(
        chunk.size - int(np.count_nonzero(magnitude(chunk, dtype)))
        for chunk in (flat[at : at + _CHUNK] for at in chunks)
    )


def count_nonfinite(bits: Bits, dtype: str) -> int:
    """How many elements are NaN or infinite. Dtypes other than the four floats have none."""
    if dtype not in INFINITY:
        return 0
    flat, infinity = bits.reshape(-1), INFINITY[dtype]
    return sum(
        int(np.count_nonzero(keys >= infinity)) if keys.max() >= infinity else 0
        for keys in (
            magnitude(flat[at : at + _CHUNK], dtype) for at in range(0, flat.size, _CHUNK)
        )
    )


def to_float(bits: Bits, dtype: str) -> npt.NDArray[np.float64]:
    """The values, exactly, as float64."""
    if dtype == "BF16":
        return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32).astype(np.float64)
    types = {"F16": np.float16, "F32": np.float32, "F64": np.float64}
    return np.ascontiguousarray(bits).view(types[dtype]).astype(np.float64)
