"""Keys order as absolute values do; a cut, in blocks of any size, is a stable sort's selection."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from selection import DTYPES, UNSIGNED, Bits, Mask, lowest, sample, sampled_keys, values

from compressor_kernels import select


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
