"""Data files for tests, written by hand, and the errors that reading them has to give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from compressor.data.dataset import Dataset, load
from compressor.data.spec import parse_spec
from compressor.errors import CompressorError


def written(path: Path, content: str | bytes) -> Path:
    """The file, written with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def loaded(path: Path, keys: str = "", **options: Any) -> Dataset:
    """The data set at a path, with these keys behind it."""
    return load(parse_spec(f"{path}:{keys}" if keys else str(path)), **options)


def refused(path: Path, id: str, code: int, keys: str = "", **options: Any) -> CompressorError:
    """The error that loading gives: of this id and exit code, in the shape that all have."""
    with pytest.raises(CompressorError) as caught:
        loaded(path, keys, **options)
    error = caught.value
    assert (error.id, error.exit_code) == (id, code)
    assert 10 <= len(error.message) <= 160
    assert all(text and "\n" not in text for text in (error.message, error.at, error.found))
    assert error.do
    return error
