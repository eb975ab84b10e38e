"""Random: the control that any score has to beat. Weights that are zero already go first.

Keys come from Philox, a counter-based generator: the same for a weight whatever block or thread
computes it.
"""

from __future__ import annotations

import hashlib

import numpy as np

from compressor.pruning.scores.place import Bits, Keys, Place
from compressor_kernels.floats import magnitude

_DRAWS_PER_COUNT = 8


def key_bits(common: str) -> int:
    """31, whatever the dtype."""
    return 31


def key_dtype(common: str) -> str:
    """Plain numbers: a sum of them is the sum of what was drawn."""
    return "U32"


def keys(bits: Bits, place: Place) -> Keys:
    """Uniform 31-bit keys, drawn by (seed, tensor, index)."""
    digest = hashlib.sha256(f"{place.seed}:{place.tensor}".encode()).digest()
    generator = np.random.Philox(key=int.from_bytes(digest[:16], "little"))
    skipped = place.first % _DRAWS_PER_COUNT
    generator.advance(place.first // _DRAWS_PER_COUNT)
    draws = generator.random_raw((skipped + bits.size + 1) // 2).view(np.uint32)
    keys = draws[skipped : skipped + bits.size].reshape(bits.shape) >> np.uint32(1)
    keys[magnitude(bits, place.dtype) == 0] = 0
    return keys
