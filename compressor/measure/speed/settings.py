"""What a speed measurement is asked: which models, on what, how often. Loads without torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import final

from compressor.measure.loaded import Kind


@final
@dataclass(frozen=True)
class Subject:
    """A model to be timed, under the name that it has in the report."""

    name: str
    folder: Path
    kind: Kind


@final
@dataclass(frozen=True)
class SpeedSettings:
    """What is the same for every model."""

    device: str
    dtype: str
    batch_sizes: tuple[int, ...]
    rounds: int = 5
    length: int | None = None
    """Tokens of a text; None: 128. Never more than the model has places."""
    new_tokens: int = 32
    threads: int | None = None
    """None: as many as torch takes by itself."""
    seed: int = 0
