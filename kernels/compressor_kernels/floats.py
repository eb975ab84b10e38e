"""What raw bits of a float say without decoding it: whether it is zero, whether it is finite."""

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


def magnitude(bits: Bits, dtype: str) -> Bits:
    """The bits with the sign cleared: an unsigned integer in the order of absolute values."""
    return bits & bits.dtype.type(SIGN[dtype] - 1)


def count_zeros(bits: Bits, dtype: str) -> int:
    """How many elements are zero, of either sign. Integers count too, complex numbers do not."""
    if dtype.startswith("C") or not bits.size:
        return 0
    zeros = bits.size - int(np.count_nonzero(bits))
    if dtype in SIGN and _signed(bits).min() == np.iinfo(_signed(bits).dtype).min:
        zeros += int(np.count_nonzero(bits == SIGN[dtype]))
    return zeros


def count_nonfinite(bits: Bits, dtype: str) -> int:
    """How many elements are NaN or infinite. Dtypes other than the four floats have none.

    The largest positive and the largest negative bit pattern tell that there is none, twice as fast
    as clearing the signs first.
    """
    if dtype not in INFINITY or not bits.size:
        return 0
    infinity = INFINITY[dtype]
    if _signed(bits).max() < infinity and bits.max() < SIGN[dtype] + infinity:
        return 0
    return int(np.count_nonzero(magnitude(bits, dtype) >= infinity))


def _signed(bits: Bits) -> npt.NDArray[np.signedinteger[Any]]:
    return bits.view(f"i{bits.itemsize}")


def to_float(bits: Bits, dtype: str) -> npt.NDArray[np.float64]:
    """The values, exactly, as float64."""
    if dtype == "BF16":
        return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32).astype(np.float64)
    types = {"F16": np.float16, "F32": np.float32, "F64": np.float64}
    return np.ascontiguousarray(bits).view(types[dtype]).astype(np.float64)
