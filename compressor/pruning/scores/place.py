"""What a score is, and all that it may know of a block of weights besides the weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, final

import numpy as np
import numpy.typing as npt

Bits: TypeAlias = npt.NDArray[np.unsignedinteger[Any]]
Keys: TypeAlias = npt.NDArray[np.unsignedinteger[Any]]


@final
@dataclass(frozen=True)
class Place:
    """A block of one tensor: its dtype, the dtype that the scope compares in, and its start."""

    tensor: str
    dtype: str
    common: str
    first: int
    """Index of the block's first element in the tensor."""
    seed: int


class Score(Protocol):
    """How much each weight matters, as unsigned integers: the higher, the longer it is kept."""

    def key_bits(self, common: str) -> int:
        """How many bits a key has, where the scope compares in the order of the dtype `common`."""

    def key_dtype(self, common: str) -> str:
        """The float whose magnitudes the keys are; `U32` where they are plain numbers."""

    def keys(self, bits: Bits, place: Place) -> Keys:
        """The keys of a block, the same for a weight whatever block it lies in."""
