"""Scores: keys in the order of absolute values, and keys by chance that no block can change."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from rawfiles import decode, encode

from compressor.pruning.scores import magnitude, random
from compressor.pruning.scores.place import Place, Score

Bits = npt.NDArray[Any]
METHODS: dict[str, Score] = {"magnitude": magnitude, "random": random}
DTYPES = ("BF16", "F16", "F32", "F64")


def place(dtype: str, common: str, first: int = 0, seed: int = 0, tensor: str = "w") -> Place:
    return Place(tensor, dtype, common, first, seed)


@pytest.mark.parametrize(
    ("dtype", "common"), [(a, a) for a in DTYPES] + [(a, "F64") for a in DTYPES[:3]]
)
def test_magnitude_orders_as_the_absolute_values_do(dtype: str, common: str) -> None:
    normal = np.random.default_rng(0).standard_normal(500)
    values = np.concatenate([normal, [0.0, -0.0, 1e-7, -1e-7, 6e4, np.inf]])
    stored = encode(values.reshape(1, -1), dtype)

    keys = magnitude.keys(stored[1], place(dtype, common))

    assert np.array_equal(
        np.unique(keys, return_inverse=True)[1],
        np.unique(np.abs(decode(stored)), return_inverse=True)[1],
    )
    assert int(keys.max()) < 1 << magnitude.key_bits(common)


def test_equal_values_of_different_dtypes_have_equal_keys() -> None:
    values = np.array([[0.0, 0.5, -1.5, 2.0**-14, 2.0**-20]])

    for one, other in combinations(DTYPES[:3], 2):
        keys = [
            magnitude.keys(encode(values, dtype)[1], place(dtype, "F32")) for dtype in (one, other)
        ]
        assert np.array_equal(*keys)


@pytest.mark.parametrize("size", [1, 7, 8, 9, 1000])
def test_chance_is_the_same_however_a_tensor_is_cut(size: int) -> None:
    bits = np.ones((1, 1000), np.uint16)
    whole = random.keys(bits, place("BF16", "BF16"))

    parts = [
        random.keys(bits[:, first : first + size], place("BF16", "BF16", first))
        for first in range(0, 1000, size)
    ]

    assert np.array_equal(np.concatenate(parts, axis=1), whole)


def test_chance_depends_on_the_seed_and_the_tensor_and_nothing_else() -> None:
    ones, twos = np.full((2, 50), 1, np.uint32), np.full((2, 50), 2, np.uint32)
    keys = random.keys(ones, place("F32", "F32"))

    assert np.array_equal(keys, random.keys(twos, place("F32", "F64")))
    assert not np.array_equal(keys, random.keys(ones, place("F32", "F32", seed=1)))
    assert not np.array_equal(keys, random.keys(ones, place("F32", "F32", tensor="v")))


def test_chance_is_uniform() -> None:
    keys = random.keys(np.ones((100, 1000), np.uint16), place("BF16", "BF16"))

    counts = np.bincount((keys >> (random.key_bits("BF16") - 3)).reshape(-1), minlength=8)
    # Eight bins of 12 500; six standard deviations are 6 · √(100 000 · 1/8 · 7/8) = 628.
    assert np.abs(counts - 12_500).max() < 628


def test_zeros_of_both_signs_go_first_by_chance_too() -> None:
    bits = np.array([[0x0000, 0x8000, 0x3F80]], np.uint16)

    keys = random.keys(bits, place("BF16", "BF16"))

    assert keys[0, 0] == keys[0, 1] == 0 < keys[0, 2]


@pytest.mark.parametrize("method", METHODS)
def test_no_key_is_changed_in_place(method: str) -> None:
    bits = np.array([[0x8000, 0x3F80]], np.uint16)
    before = bits.copy()

    METHODS[method].keys(bits, place("BF16", "F32"))

    assert np.array_equal(bits, before)
