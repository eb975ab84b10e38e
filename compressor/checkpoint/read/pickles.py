"""Weights that only a pickle reader can read, which may run code: known by name, and refused."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from compressor.errors import CompressorError, InputError, RefusedError, listing

_PICKLE: Final = re.compile(
    r".*\.(?:bin|pt|pth|th|ckpt|pkl|pickle|joblib|distcp|npy|npz)|\.metadata", re.IGNORECASE
)
_TRAINING: Final = re.compile(
    r"(?:training_args|optimizer|scheduler|scaler|rng_state.*|trainer_state)\.(?:bin|pt|pth)"
)
"""State of a training run, which is no part of a model."""


def is_pickle(name: str) -> bool:
    """Whether a file's name says that it is, or may hold, a pickle."""
    return _PICKLE.fullmatch(name.rpartition("/")[2]) is not None


def pickled_weights(names: Iterable[str]) -> list[str]:
    """The pickles among these files that may be weights."""
    return [name for name in names if is_pickle(name) and _TRAINING.fullmatch(name) is None]


def pickle_refused(at: str, files: list[str], *, is_allowed: bool = False) -> CompressorError:
    """The error for weights that are there as pickles only; `unpickle` converts what it can."""
    kind: type[CompressorError] = InputError if is_allowed else RefusedError
    return kind(
        "PICKLE-UNCONVERTED" if is_allowed else "PICKLE-REFUSED",
        "the weights are pickles, and reading a pickle can run code",
        at=at,
        found=f"{listing(files)}; expected *.safetensors",
        do="convert this format to safetensors with the tool that wrote it"
        if is_allowed
        else "convert them in a child process that reads tensors only, with --allow-pickle",
    )
