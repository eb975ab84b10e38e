"""Every N:M group keeps what a stable sort by (key, index) would, along any axis."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from selection import DTYPES, Bits, lowest, sampled_keys

from compressor_kernels.groups import group_zeros

PATTERNS = [(1, 2), (2, 4), (4, 8), (8, 16), (1, 4), (3, 4), (2, 3), (2, 6), (3, 5), (7, 8)]
LONG_PATTERNS = [(16, 32), (32, 64), (1, 64), (63, 64)]


@pytest.mark.parametrize("kind", ["weights", "half zero", "few", "any"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n", "m"), PATTERNS + LONG_PATTERNS)
def test_every_group_keeps_its_n_best(n: int, m: int, dtype: str, kind: str) -> None:
    keys = sampled_keys(kind, (11, 9 * m), dtype)

    mask = group_zeros(keys, n, m)

    assert np.array_equal(mask.reshape(-1, m), lowest(keys.reshape(-1, m), m - n))


@pytest.mark.parametrize("inner", [2, 9, 70])
@pytest.mark.parametrize(("n", "m"), PATTERNS + LONG_PATTERNS)
def test_groups_along_any_axis_are_the_same(n: int, m: int, inner: int) -> None:
    keys = sampled_keys("half zero", (3 * inner, 2 * m), "BF16").reshape(3, inner, 2 * m)
    expected = group_zeros(keys, n, m)

    convolution = np.ascontiguousarray(keys.transpose(0, 2, 1))
    transposed = np.ascontiguousarray(keys[0].T)

    assert np.array_equal(group_zeros(convolution, n, m, axis=1).transpose(0, 2, 1), expected)
    assert np.array_equal(group_zeros(transposed, n, m, axis=0).T, expected[0])
    assert np.array_equal(group_zeros(transposed, n, m, axis=-2).T, expected[0])
    assert np.array_equal(group_zeros(keys[0].T, n, m, axis=0).T, expected[0])


@pytest.mark.parametrize(
    ("n", "m", "shape", "axis", "dtype"),
    [
        (2, 4, (200_000,), 0, "BF16"),
        (3, 5, (400_000,), 0, "BF16"),
        (8, 16, (100, 16_000), 1, "F32"),
        (32, 64, (128, 5000), 0, "F64"),
    ],
)
def test_groups_of_several_tiles(
    n: int, m: int, shape: tuple[int, ...], axis: int, dtype: str
) -> None:
    keys = sampled_keys("half zero", shape, dtype)

    mask = group_zeros(keys, n, m, axis)

    groups, flags = (np.moveaxis(array, axis, -1).reshape(-1, m) for array in (keys, mask))
    assert np.array_equal(flags, lowest(groups, m - n))


@given(
    st.sampled_from(PATTERNS + LONG_PATTERNS).flatmap(
        lambda pattern: st.tuples(
            st.just(pattern),
            hnp.arrays(
                np.uint16,
                st.integers(0, 4).map(lambda groups: groups * pattern[1]),
                elements=st.integers(0, 6),
            ),
        )
    )
)
def test_groups_full_of_ties_keep_the_first_ones(case: tuple[tuple[int, int], Bits]) -> None:
    (n, m), keys = case

    mask = group_zeros(keys, n, m)

    assert np.array_equal(mask.reshape(-1, m), lowest(keys.reshape(-1, m), m - n))


@pytest.mark.parametrize(
    ("n", "m", "length"), [(2, 4, 6), (0, 4, 8), (4, 4, 8), (1, 2, 63), (1, 300, 300)]
)
def test_a_group_that_does_not_fit_is_refused(n: int, m: int, length: int) -> None:
    with pytest.raises(ValueError, match=f"{n}:{m}"):
        group_zeros(np.zeros((2, length), np.uint16), n, m)
