"""Batches hold items of like length, and hidden states come from as few of them as can be."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from compressor.measure.batches import HIDDEN_ITEMS, Rows, by_length, padded


@given(st.lists(st.integers(0, 9), max_size=40), st.integers(1, 7))
def test_every_item_comes_once_and_the_longest_first(lengths: list[int], size: int) -> None:
    batches = list(by_length(lengths, size))

    listed = [item for batch in batches for item in batch]
    assert sorted(listed) == list(range(len(lengths)))
    assert listed == sorted(listed, key=lambda item: (-lengths[item], item))
    assert all(len(batch) == size for batch in batches[:-1])


@pytest.mark.parametrize("size", [1, 8, 100])
def test_only_the_first_batches_hold_items_whose_states_are_kept(size: int) -> None:
    lengths = np.random.default_rng(0).integers(1, 500, 3 * HIDDEN_ITEMS).tolist()

    batches = list(by_length(lengths, size))

    asked = [min(batch) < HIDDEN_ITEMS for batch in batches]
    needed = math.ceil(HIDDEN_ITEMS / size)
    assert asked == [True] * needed + [False] * (len(batches) - needed)
    assert sorted(item for batch in batches for item in batch) == list(range(len(lengths)))


def test_padding_is_told_from_tokens() -> None:
    tokens, mask = padded([[1, 2, 3], [4]], 9, "cpu")

    assert tokens.tolist() == [[1, 2, 3], [4, 9, 9]]
    assert mask.tolist() == [[True] * 3, [True, False, False]]


def test_states_are_the_mean_over_tokens_of_the_first_items_alone() -> None:
    found = Rows(HIDDEN_ITEMS + 2)
    states = torch.arange(24.0).reshape(3, 4, 2)
    mask = torch.tensor([[True] * 4, [True, True, False, False], [True, False, False, False]])

    found.put_hidden([HIDDEN_ITEMS, 1, 0], [states, 2 * states], mask)

    assert {name: rows.shape for name, rows in found.hidden.items()} == {
        "0": (HIDDEN_ITEMS, 2),
        "1": (HIDDEN_ITEMS, 2),
    }
    assert found.hidden["0"][:2].tolist() == [[16.0, 17.0], [9.0, 10.0]]
    assert found.hidden["1"][:2].tolist() == [[32.0, 34.0], [18.0, 20.0]]


def test_channels_of_an_image_are_averaged_over_it() -> None:
    found = Rows(2)
    states = torch.arange(16.0).reshape(2, 2, 2, 2)

    found.put_hidden([1, 0], [states], None)

    assert found.hidden["0"].tolist() == [[9.5, 13.5], [1.5, 5.5]]
