"""Where a block of weights comes from: all that a score may know besides the weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias, final

import numpy as np
import numpy.typing as npt

Bits: TypeAlias = npt.NDArray[np.unsignedinteger[Any]]
Keys: TypeAlias = npt.NDArray[np.unsignedinteger[Any]]


@final
@dataclass(frozen=True)
class Place:
    """A block of one tensor: its dtype, the dtype whose order the scope compares in, and its start."""

    tensor: str
    dtype: str
    common: str
    first: int
    """Index of the block's first element in the tensor."""
    seed: int
