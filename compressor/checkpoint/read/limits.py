"""How much an untrusted checkpoint may ask for, checked before anything is allocated for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True)
class Limits:
    """Upper bounds, in the order of their checks: the first exceeded decides the error."""

    header: int = 25_000_000
    """Bytes of one safetensors header; the format itself ends at 100 MB."""
    tensors: int = 500_000
    """Tensors of a whole checkpoint."""
    rank: int = 8
    """Dimensions of one tensor."""
    name: int = 512
    """UTF-8 bytes of one tensor name."""
    index: int = 64_000_000
    """Bytes of one index file."""
    config: int = 16_000_000
    """Bytes of one `config.json`."""
    depth: int = 64
    """Nested objects and lists in any JSON that is parsed."""
    allow_sparse: bool = False
    """Whether a weight file may take less than half its size on disk."""
