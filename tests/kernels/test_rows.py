"""Every row loses what a stable sort by (key, index) would, whatever its scale and its ties."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from selection import DTYPES, SIZES, Bits, lowest, sampled_keys

from compressor_kernels.rows import row_zeros
from compressor_kernels.select import KEY_BITS


@pytest.mark.parametrize("kind", ["weights", "half zero", "few", "any", "rows apart"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("columns", [*SIZES, 65, 2047, 2500])
def test_every_row_loses_exactly_its_lowest(kind: str, dtype: str, columns: int) -> None:
    keys = sampled_keys(kind, (37, columns), dtype)

    for zeros in sorted({0, columns // 10, columns // 2, max(0, columns - 1), columns}):
        mask = row_zeros(keys, KEY_BITS[dtype], zeros)

        assert np.array_equal(mask, lowest(keys, zeros))


@given(
    hnp.arrays(
        np.uint16, st.tuples(st.integers(0, 4), st.integers(0, 90)), elements=st.integers(0, 9)
    ),
    st.fractions(0, 1),
)
def test_rows_full_of_ties_lose_the_last_ones(keys: Bits, share: Fraction) -> None:
    zeros = round(share * keys.shape[1])

    assert np.array_equal(row_zeros(keys, 15, zeros), lowest(keys, zeros))


@pytest.mark.parametrize("kind", ["weights", "half zero"])
def test_rows_of_several_tiles_and_one_row_of_many(kind: str) -> None:
    keys = sampled_keys(kind, (1100, 1000), "BF16")

    assert np.array_equal(row_zeros(keys, 15, 500), lowest(keys, 500))
    one = keys.reshape(1, -1)
    assert np.array_equal(row_zeros(one, 15, 700_000), lowest(one, 700_000))


def test_rows_that_share_no_scale_with_the_sample_are_found_all_the_same() -> None:
    keys = np.zeros((50, 200), np.uint64)
    keys[7] = (1 << 63) - 1 - np.arange(200, dtype=np.uint64)
    keys[8] = np.arange(200) << 40

    assert np.array_equal(row_zeros(keys, 63, 100), lowest(keys, 100))


def test_a_key_with_more_bits_than_said_is_refused() -> None:
    with pytest.raises(ValueError, match="larger than 32767"):
        row_zeros(np.full((2, 100), 40_000, np.uint16), 15, 50)
