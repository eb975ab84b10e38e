"""Every selection equals a stable sort by (key, index), for every dtype, pattern, shape and tie."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from compressor_kernels import select
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

Bits = npt.NDArray[np.unsignedinteger[Any]]
Mask = npt.NDArray[np.bool_]

UNSIGNED = {"BF16": np.uint16, "F16": np.uint16, "F32": np.uint32, "F64": np.uint64}
SIGN = {"BF16": 1 << 15, "F16": 1 << 15, "F32": 1 << 31, "F64": 1 << 63}
DTYPES = list(UNSIGNED)
PATTERNS = [(1, 2), (2, 4), (4, 8), (8, 16), (1, 4), (3, 4), (2, 3), (2, 6), (3, 5), (7, 8)]
LONG_PATTERNS = [(16, 32), (32, 64), (1, 64), (63, 64)]
SIZES = [0, 1, 63, 100]


def lowest(keys: Bits, zeros: int) -> Mask:
    """The reference: sort each row by key, of equal keys the last first; the first are zeros."""
    index = np.broadcast_to(np.arange(keys.shape[1]), keys.shape)
    order = np.lexsort((-index, keys), axis=1)
    mask = np.zeros(keys.shape, bool)
    np.put_along_axis(mask, order[:, :zeros], True, axis=1)
    return mask


def values(bits: Bits, dtype: str) -> npt.NDArray[np.float64]:
    """|w|, decoded by numpy."""
    floats = {"F16": np.float16, "F32": np.float32, "F64": np.float64}
    if dtype == "BF16":
        bits, dtype = bits.astype(np.uint32) << np.uint32(16), "F32"
    with np.errstate(invalid="ignore"):
        return np.abs(bits.view(floats[dtype]).astype(np.float64))


def sample(kind: str, shape: tuple[int, ...], dtype: str, seed: int = 0) -> Bits:
    """Bits of `dtype`: weights, half of them zero, few distinct ones, or any bits at all."""
    generator = np.random.default_rng(seed)
    if kind == "any":
        return generator.integers(0, 1 << 64, shape, np.uint64).astype(UNSIGNED[dtype])
    weights = generator.standard_normal(shape).astype(np.float32)
    if kind == "half zero":
        weights[generator.random(shape) < 0.5] = -0.0
    if kind == "few":
        weights = generator.choice(
            np.array([0.0, -0.0, 1.0, -1.0, 0.5, np.inf, -np.inf, np.nan], np.float32), shape
        )
    if kind == "rows apart":
        weights *= np.exp(4 * generator.standard_normal((shape[0], 1))).astype(np.float32)
    if dtype == "BF16":
        return (weights.view(np.uint32) >> np.uint32(16)).astype(np.uint16)
    with np.errstate(over="ignore"):
        floats = {"F16": np.float16, "F32": np.float32, "F64": np.float64}
        return weights.astype(floats[dtype]).view(UNSIGNED[dtype])


def sampled_keys(kind: str, shape: tuple[int, ...], dtype: str, seed: int = 0) -> Bits:
    return select.magnitude_key(sample(kind, shape, dtype, seed), dtype, dtype)


def cut_in_blocks(blocks: list[Bits], bits: int, zeros: int) -> list[Mask]:
    """What the engine does: count digits block by block, then cut each block."""

    def histogram(level: int, prefix: int) -> select.Counts:
        empty = np.zeros(1 << (16 if level else 15), np.int64)
        parts = (select.digit_histogram(block, bits, level, prefix) for block in blocks)
        return sum(parts, start=empty)

    cut = select.find_cut(histogram, bits, zeros)
    masks, before = [], 0
    for block in blocks:
        masks.append(select.below_cut(block, cut, before))
        before += select.count_ties(block, cut)
    return masks


ALL_16_BIT = np.arange(1 << 16, dtype=np.uint16)
F32_PATTERNS = np.concatenate(
    [
        sample("any", (5000,), "F32"),
        np.arange(2000, dtype=np.uint32),
        ALL_16_BIT.astype(np.uint32) << 16,
    ]
)


@pytest.mark.parametrize(
    ("bits", "dtype", "common"),
    [
        (ALL_16_BIT, "F16", "F16"),
        (ALL_16_BIT, "BF16", "BF16"),
        (ALL_16_BIT, "F16", "F32"),
        (ALL_16_BIT, "BF16", "F32"),
        (ALL_16_BIT, "F16", "F64"),
        (ALL_16_BIT, "BF16", "F64"),
        (F32_PATTERNS, "F32", "F32"),
        (F32_PATTERNS, "F32", "F64"),
        (sample("any", (5000,), "F64"), "F64", "F64"),
    ],
)
def test_a_key_is_the_absolute_value_in_the_common_dtype(
    bits: Bits, dtype: str, common: str
) -> None:
    keys = select.magnitude_key(bits, dtype, common)

    expected = values(bits, dtype)
    is_number = ~np.isnan(expected)
    assert np.array_equal(values(keys, common)[is_number], expected[is_number])
    assert keys.dtype == UNSIGNED[common]
    assert int(keys.max()) < 1 << select.KEY_BITS[common]
    if not is_number.all():
        assert np.isnan(values(keys, common)[~is_number]).all()
        assert keys[~is_number].min() > keys[is_number].max()


@pytest.mark.parametrize(("dtype", "common"), [("F16", "F32"), ("F16", "F64"), ("F32", "F64")])
def test_widening_keeps_the_order_of_all_patterns_nans_included(dtype: str, common: str) -> None:
    patterns = np.unique(F32_PATTERNS & 0x7FFFFFFF) if dtype == "F32" else ALL_16_BIT[: 1 << 15]

    keys = select.magnitude_key(patterns.astype(UNSIGNED[dtype]), dtype, common)

    assert (keys[1:] > keys[:-1]).all()


def test_a_wider_dtype_has_no_key_in_a_narrower_one() -> None:
    with pytest.raises(ValueError, match="F32 does not fit BF16"):
        select.magnitude_key(np.zeros(1, np.uint32), "F32", "BF16")


@pytest.mark.parametrize(
    ("dtypes", "common"),
    [
        (["BF16", "BF16"], "BF16"),
        (["F16"], "F16"),
        (["BF16", "F16"], "F32"),
        (["F32", "F16"], "F32"),
        (["F64", "BF16", "F32"], "F64"),
        (["F64"], "F64"),
    ],
)
def test_the_common_dtype_holds_every_value(dtypes: list[str], common: str) -> None:
    assert select.common_dtype(iter(dtypes)) == common


@st.composite
def scopes(draw: st.DrawFn) -> tuple[Bits, str, int, list[int]]:
    """Keys of one dtype, a number of zeros, and where the blocks end."""
    dtype = draw(st.sampled_from(DTYPES))
    largest = draw(st.sampled_from([0, 2, 300, (1 << select.KEY_BITS[dtype]) - 1]))
    largest = min(largest, (1 << select.KEY_BITS[dtype]) - 1)
    elements = st.integers(0, largest)
    keys = draw(hnp.arrays(UNSIGNED[dtype], st.integers(0, 150), elements=elements))
    ends = draw(st.lists(st.integers(0, keys.size), max_size=6))
    return keys, dtype, draw(st.integers(0, keys.size)), sorted(ends)


@given(scopes())
def test_blocks_of_any_size_give_the_mask_of_the_whole(
    scope: tuple[Bits, str, int, list[int]],
) -> None:
    keys, dtype, zeros, ends = scope

    masks = cut_in_blocks(np.split(keys, ends), select.KEY_BITS[dtype], zeros)

    assert np.array_equal(np.concatenate(masks), lowest(keys[None], zeros)[0])


@pytest.mark.parametrize("kind", ["weights", "half zero", "few", "any"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_cut_through_many_chunks_keeps_an_exact_number(kind: str, dtype: str) -> None:
    keys = sampled_keys(kind, (3, 100_003), dtype)

    for zeros in (0, 1, 150_000, 250_000, keys.size - 1, keys.size):
        masks = cut_in_blocks(list(keys), select.KEY_BITS[dtype], zeros)

        assert np.array_equal(np.concatenate(masks), lowest(keys.reshape(1, -1), zeros)[0])


def test_dtypes_of_one_scope_compete_by_value() -> None:
    tensors = [(sample("weights", (500,), dtype, seed), dtype) for seed, dtype in enumerate(DTYPES)]
    common = select.common_dtype(dtype for _, dtype in tensors)
    keys = [select.magnitude_key(bits, dtype, common) for bits, dtype in tensors]

    masks = cut_in_blocks(keys, select.KEY_BITS[common], 1000)

    expected = np.concatenate([values(bits, dtype) for bits, dtype in tensors])
    order = np.lexsort((-np.arange(expected.size), expected))
    assert set(np.flatnonzero(np.concatenate(masks))) == set(order[:1000])


@pytest.mark.parametrize("zeros", [-1, 6])
def test_more_zeros_than_keys_are_refused(zeros: int) -> None:
    keys = np.arange(5, dtype=np.uint16)

    with pytest.raises(ValueError, match=f"{zeros} zeros"):
        cut_in_blocks([keys], 15, zeros)
    with pytest.raises(ValueError, match=f"found {zeros}"):
        select.row_zeros(keys[None], 15, zeros)


@pytest.mark.parametrize("kind", ["weights", "half zero", "few", "any", "rows apart"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("columns", [*SIZES, 65, 2047, 2500])
def test_every_row_loses_exactly_its_lowest(kind: str, dtype: str, columns: int) -> None:
    keys = sampled_keys(kind, (37, columns), dtype)

    for zeros in sorted({0, columns // 10, columns // 2, max(0, columns - 1), columns}):
        mask = select.row_zeros(keys, select.KEY_BITS[dtype], zeros)

        assert np.array_equal(mask, lowest(keys, zeros))


@given(
    hnp.arrays(
        np.uint16, st.tuples(st.integers(0, 4), st.integers(0, 90)), elements=st.integers(0, 9)
    ),
    st.fractions(0, 1),
)
def test_rows_full_of_ties_lose_the_last_ones(keys: Bits, share: Fraction) -> None:
    zeros = round(share * keys.shape[1])

    assert np.array_equal(select.row_zeros(keys, 15, zeros), lowest(keys, zeros))


@pytest.mark.parametrize("kind", ["weights", "half zero"])
def test_rows_of_several_tiles_and_one_row_of_many(kind: str) -> None:
    keys = sampled_keys(kind, (1100, 1000), "BF16")

    assert np.array_equal(select.row_zeros(keys, 15, 500), lowest(keys, 500))
    one = keys.reshape(1, -1)
    assert np.array_equal(select.row_zeros(one, 15, 700_000), lowest(one, 700_000))


def test_rows_that_share_no_scale_with_the_sample_are_found_all_the_same() -> None:
    keys = np.zeros((50, 200), np.uint64)
    keys[7] = (1 << 63) - 1 - np.arange(200, dtype=np.uint64)
    keys[8] = np.arange(200) << 40

    assert np.array_equal(select.row_zeros(keys, 63, 100), lowest(keys, 100))


def test_a_key_with_more_bits_than_said_is_refused() -> None:
    with pytest.raises(ValueError, match="larger than 32767"):
        select.row_zeros(np.full((2, 100), 40_000, np.uint16), 15, 50)


@pytest.mark.parametrize("kind", ["weights", "half zero", "few", "any"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n", "m"), PATTERNS + LONG_PATTERNS)
def test_every_group_keeps_its_n_best(n: int, m: int, dtype: str, kind: str) -> None:
    keys = sampled_keys(kind, (11, 9 * m), dtype)

    mask = select.group_zeros(keys, n, m)

    assert np.array_equal(mask.reshape(-1, m), lowest(keys.reshape(-1, m), m - n))


@pytest.mark.parametrize("inner", [2, 9, 70])
@pytest.mark.parametrize(("n", "m"), PATTERNS + LONG_PATTERNS)
def test_groups_along_any_axis_are_the_same(n: int, m: int, inner: int) -> None:
    keys = sampled_keys("half zero", (3 * inner, 2 * m), "BF16").reshape(3, inner, 2 * m)
    expected = select.group_zeros(keys, n, m)

    convolution = np.ascontiguousarray(keys.transpose(0, 2, 1))
    transposed = np.ascontiguousarray(keys[0].T)

    assert np.array_equal(
        select.group_zeros(convolution, n, m, axis=1).transpose(0, 2, 1), expected
    )
    assert np.array_equal(select.group_zeros(transposed, n, m, axis=0).T, expected[0])
    assert np.array_equal(select.group_zeros(transposed, n, m, axis=-2).T, expected[0])
    assert np.array_equal(select.group_zeros(keys[0].T, n, m, axis=0).T, expected[0])


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

    mask = select.group_zeros(keys, n, m, axis)

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

    mask = select.group_zeros(keys, n, m)

    assert np.array_equal(mask.reshape(-1, m), lowest(keys.reshape(-1, m), m - n))


@pytest.mark.parametrize(("n", "m", "length"), [(2, 4, 6), (0, 4, 8), (4, 4, 8), (1, 2, 63)])
def test_a_group_that_does_not_fit_is_refused(n: int, m: int, length: int) -> None:
    with pytest.raises(ValueError, match=f"{n}:{m}"):
        select.group_zeros(np.zeros((2, length), np.uint16), n, m)


def test_masks_are_nested_as_sparsity_grows() -> None:
    keys = sampled_keys("few", (10, 100), "BF16")
    sparsities = range(0, 101, 7)

    rows = [select.row_zeros(keys, 15, zeros) for zeros in sparsities]
    cuts = [np.stack(cut_in_blocks(list(keys), 15, zeros * 10)) for zeros in sparsities]
    groups = [select.group_zeros(keys, n, 10) for n in range(9, 0, -1)]

    for masks in (rows, cuts, groups):
        assert all((larger | ~smaller).all() for smaller, larger in pairwise(masks))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("columns", [0, 1, 63, 100])
@pytest.mark.parametrize(("count", "rows"), [(8, 4), (10, 4), (3, 64), (5, 1), (0, 4)])
def test_a_vector_score_is_the_sum_of_magnitudes_row_by_row(
    dtype: str, columns: int, count: int, rows: int
) -> None:
    bits = sample("weights", (count, columns), dtype)

    keys = select.vector_keys(bits, dtype, rows)

    weights = values(bits, dtype)
    expected = [
        [sum(weights[top : top + rows, column].tolist(), start=0.0) for column in range(columns)]
        for top in range(0, count, rows)
    ]
    assert keys.dtype == np.uint64
    assert keys.shape == (-(-count // rows), columns)
    assert keys.view(np.float64).tolist() == expected
    magnitudes = select.magnitude_key(bits, dtype, dtype)
    assert np.array_equal(select.vector_keys(magnitudes, dtype, rows), keys)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_vector_score_is_total_on_infinities_and_nans(dtype: str) -> None:
    bits = sample("any", (64, 50), dtype)

    keys = select.vector_keys(bits, dtype, 16)

    assert int(keys.max(initial=0)) < 1 << 63


def test_a_vector_score_of_integer_keys_is_their_sum() -> None:
    keys = np.array([[1, 2], [3, (1 << 31) - 1], [5, 6]], np.uint32)

    scores = select.vector_keys(keys, "U32", 2)

    assert scores.view(np.float64).tolist() == [[4.0, 2.0 + (1 << 31) - 1], [5.0, 6.0]]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(0,), (1,), (63,), (100, 3), (3, 70_000), (1, 0), (2, 5, 7)])
def test_a_write_changes_only_what_the_mask_names(dtype: str, shape: tuple[int, ...]) -> None:
    bits = sample("any", shape, dtype)
    mask = np.random.default_rng(1).random(shape) < 0.5
    untouched, out = bits.copy(), np.full_like(bits, 7)

    select.zero_where(bits, mask, out=out)

    assert np.array_equal(bits, untouched)
    assert np.array_equal(out[~mask], bits[~mask])
    assert not out[mask].any()
    select.zero_where(bits, mask)
    assert np.array_equal(bits, out)


MEASURED: dict[str, Callable[[Bits], object]] = {
    "histogram": lambda keys: select.digit_histogram(keys, 15, 0, 0),
    "cut": lambda keys: select.below_cut(keys, select.Cut(16_000, 100), 0),
    "row": lambda keys: select.row_zeros(keys, 15, 2048),
    "2:4": lambda keys: select.group_zeros(keys, 2, 4),
    "8:16": lambda keys: select.group_zeros(keys, 8, 16),
    "32:64": lambda keys: select.group_zeros(keys, 32, 64),
    "4:8 transposed": lambda keys: select.group_zeros(keys, 4, 8, axis=0),
    "vector": lambda keys: select.vector_keys(keys, "BF16", 64),
    "write": lambda keys: select.zero_where(keys, np.zeros(keys.shape, bool)),
}


@pytest.mark.parametrize("kind", ["weights", "half zero"])
@pytest.mark.parametrize("name", MEASURED)
def test_a_block_of_four_megabytes_needs_little_more_memory(name: str, kind: str) -> None:
    keys = sampled_keys(kind, (512, 4096), "BF16")

    tracemalloc.start()
    MEASURED[name](keys)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak <= 2.5 * keys.nbytes
