"""A model ready to be asked: in memory, on its device, with what is known of its kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, final

Kind: TypeAlias = Literal[
    "causal-lm",
    "masked-lm",
    "text-classification",
    "embedding",
    "image-classification",
    "forecasting",
    "other",
]

MAX_LENGTH: Final = 512
"""Tokens of an item unless `--max-length` or the model says less."""


@final
@dataclass(frozen=True)
class Loaded:
    """One model of a comparison. `model` is in `eval`; whoever made it lets go of it."""

    name: str
    folder: Path
    kind: Kind
    model: Any
    """The torch module that transformers built."""
    config: Any
    device: str
    batch_size: int
    max_length: int | None
    """Tokens, as the user asked; None: what the model allows, at most 512."""
    observe: Callable[[int], None] = lambda items: None
    """Told how many items more are done."""


@final
@dataclass(frozen=True)
class Preparation:
    """How an input becomes what the model sees: one line of a report."""

    what: str
    """`tokenizer`, `sequence length`, `image size`, `normalisation`, `sampling rate`, …"""
    value: str
    origin: str
    """Where it was read: `preprocessor_config.json`, `config.json`, or `assumed`."""
    warning: str = ""
    """Where the data do not fit what the model was trained with."""


Preparations: TypeAlias = Sequence[Preparation]
