"""Magnitude: the larger its absolute value, the more a weight matters (Jaiswal et al., 2023)."""

from __future__ import annotations

from compressor.pruning.scores.place import Bits, Keys, Place
from compressor_kernels.select import KEY_BITS, magnitude_key


def key_bits(common: str) -> int:
    """How many bits a key has: 15 for the 16-bit floats, 31 for F32, 63 for F64."""
    return KEY_BITS[common]


def key_dtype(common: str) -> str:
    """The dtype itself."""
    return common


def keys(bits: Bits, place: Place) -> Keys:
    """The absolute values, as integers in the same order, exactly."""
    return magnitude_key(bits, place.dtype, place.common)
