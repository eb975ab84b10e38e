"""Distances against brute force, textbook formulas, and constants that were measured elsewhere."""

from __future__ import annotations

import math
import tracemalloc
from typing import Any

import numpy as np
import pytest
from scipy import special, stats

from compressor.measure import distance
from compressor.measure.distance import (
    cosine_distance,
    kl,
    linear_cka,
    log_softmax,
    neighbour_overlap,
    rank_me,
    unit,
)

RANDOM = np.random.default_rng(11)

ROUNDING = 1e-12
"""A few hundred fp64 operations on numbers near 1, times ten."""


def rows(items: int, width: int) -> Any:
    return RANDOM.standard_normal((items, width))


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_log_softmax_is_that_of_scipy(scale: float) -> None:
    logits = scale * rows(5, 63)

    assert np.allclose(log_softmax(logits), special.log_softmax(logits, axis=-1), atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_kl_is_the_entropy_of_dense_relative_to_the_other(dtype: Any) -> None:
    dense, other = rows(7, 100).astype(dtype), rows(7, 100).astype(dtype)

    found = kl(dense, other)

    p, q = (special.softmax(each.astype(np.float64), axis=-1) for each in (dense, other))
    wanted = [stats.entropy(*pair) for pair in zip(p, q, strict=True)]
    assert found == pytest.approx(wanted, rel=1e-10)
    assert not np.allclose(found, kl(other, dense), rtol=0.01)


def test_pieces_of_the_logits_give_what_the_whole_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    dense, other = rows(40, 11), rows(40, 11)
    whole = kl(dense, other).tolist()

    monkeypatch.setattr(distance, "_LOGITS", 33)

    assert kl(dense, other).tolist() == whole


def test_many_logits_are_compared_in_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    dense, other = rows(1000, 1000), rows(1000, 1000)
    monkeypatch.setattr(distance, "_LOGITS", 1 << 16)

    tracemalloc.start()
    kl(dense, other)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert most < dense.nbytes


def test_kl_of_equal_answers_is_zero_and_never_below() -> None:
    logits = rows(200, 31)

    assert (kl(logits, logits) == 0).all()
    # Shifting all logits of a row changes no probability; what is left is rounding.
    assert (kl(logits, logits + 3.0) >= 0).all()
    assert kl(logits, logits + 3.0).max() < ROUNDING


def test_cosine_distance_is_one_minus_the_cosine() -> None:
    dense, other = rows(9, 5), rows(9, 5)
    wanted = [
        1 - sum(a * b for a, b in zip(x, y, strict=True)) / math.dist(x, [0] * 5) / math.hypot(*y)
        for x, y in zip(dense.tolist(), other.tolist(), strict=True)
    ]

    assert cosine_distance(dense, other) == pytest.approx(wanted, abs=ROUNDING)
    assert cosine_distance(dense, 3 * dense) == pytest.approx(np.zeros(9), abs=ROUNDING)


def test_a_row_of_zeros_has_no_direction() -> None:
    zero, one = np.zeros((1, 4)), np.ones((1, 4))

    assert unit(zero).tolist() == [[0.0] * 4]
    assert cosine_distance(zero, one).tolist() == [1.0]


def nearest_by_brute_force(embeddings: Any, count: int) -> list[set[int]]:
    lengths = [math.hypot(*row) for row in embeddings]
    found = []
    for item, row in enumerate(embeddings):
        cosines = (embeddings @ row / lengths / lengths[item]).tolist()
        others = sorted((-cosine, place) for place, cosine in enumerate(cosines) if place != item)
        found.append({place for _, place in others[:count]})
    return found


@pytest.mark.parametrize(("items", "neighbours"), [(40, 10), (5, 10), (600, 3)])
def test_overlap_is_the_share_of_common_neighbours(items: int, neighbours: int) -> None:
    dense = rows(items, 8)
    other = dense + 0.3 * rows(items, 8)
    count = min(neighbours, items - 1)

    found = neighbour_overlap(dense, other, neighbours)

    before, after = (nearest_by_brute_force(each, count) for each in (dense, other))
    wanted = [len(a & b) / count for a, b in zip(before, after, strict=True)]
    assert found.tolist() == wanted
    assert items == 5 or 0 < found.mean() < 1


def test_what_only_turns_and_grows_keeps_its_neighbours() -> None:
    dense = rows(50, 6)
    turned = 7 * dense @ np.linalg.qr(rows(6, 6))[0]

    assert neighbour_overlap(dense, turned).tolist() == [1.0] * 50


def unbiased_hsic(k: Any, other: Any) -> float:
    """Song et al. (2012), eq. 5, term by term: pairs of items, never an item with itself."""
    items = len(k)
    k, other = (each - np.diag(np.diag(each)) for each in (k, other))
    ones = np.ones(items)
    both = np.trace(k @ other)
    apart = ones @ k @ ones * (ones @ other @ ones) / ((items - 1) * (items - 2))
    mixed = 2 * (ones @ k @ other @ ones) / (items - 2)
    return float(both + apart - mixed) / (items * (items - 3))


@pytest.mark.parametrize(
    ("items", "width", "other_width"), [(100, 8, 5), (20, 64, 64), (10, 3, 90), (4, 7, 7)]
)
def test_cka_is_that_of_the_unbiased_hsic_of_linear_kernels(
    items: int, width: int, other_width: int
) -> None:
    x = rows(items, width) + 3
    y = x @ rows(width, other_width) + rows(items, other_width)

    found = linear_cka(x, y)

    k, other = x @ x.T, y @ y.T
    own = math.sqrt(unbiased_hsic(k, k) * unbiased_hsic(other, other))
    assert found == pytest.approx(unbiased_hsic(k, other) / own, abs=1e-9)
    assert found < 1


@pytest.mark.parametrize(("items", "width"), [(100, 8), (20, 64), (5, 64)])
def test_cka_does_not_see_rotation_scale_or_shift(items: int, width: int) -> None:
    x = rows(items, width)
    turned = -0.01 * x @ np.linalg.qr(rows(width, width))[0] + 5

    assert linear_cka(x, turned) == pytest.approx(1, abs=1e-9)
    assert linear_cka(x, x) <= 1


@pytest.mark.parametrize(("items", "width"), [(32, 4096), (512, 64), (64, 64)])
def test_cka_of_independent_noise_is_about_zero_however_wide(items: int, width: int) -> None:
    found = [linear_cka(rows(items, width), rows(items, width)) for _ in range(5)]

    # U-centred matrices of independent items correlate like random vectors of n (n - 3) / 2
    # entries: a standard deviation of one over its root, here five of them.
    assert max(map(abs, found)) < 5 / math.sqrt(items * (items - 3) / 2)


def test_cka_of_what_does_not_vary_is_no_number() -> None:
    assert math.isnan(linear_cka(np.full((10, 4), 0.1), rows(10, 4)))
    assert math.isnan(linear_cka(rows(10, 4), np.full((10, 4), 0.1)))


def test_cka_of_three_items_is_no_number() -> None:
    x = rows(3, 4)

    assert math.isnan(linear_cka(x, x))


@pytest.mark.parametrize(
    ("items", "low", "high"), [(64, 50.7, 51.6), (128, 58.9, 59.4), (256, 61.8, 61.9)]
)
def test_rank_me_of_noise_is_what_was_measured(items: int, low: float, high: float) -> None:
    found = [rank_me(np.random.default_rng(seed).standard_normal((items, 64))) for seed in range(5)]

    # The range is that of other seeds, given to one digit: half of it again on both sides.
    slack = (high - low) / 2 + 0.05
    assert low - slack <= min(found)
    assert max(found) <= high + slack


def test_rank_me_of_many_more_items_than_columns_nears_their_number() -> None:
    noise = np.random.default_rng(0).standard_normal((25_600, 64))

    assert rank_me(noise[:1024]) == pytest.approx(63.5, abs=0.05)
    assert rank_me(noise) == pytest.approx(64.0, abs=0.05)
    # A mean of 10 in every column is one direction that outweighs all others.
    assert rank_me(noise + 10) == pytest.approx(12.3, abs=0.1)


def test_rank_me_of_orthonormal_columns_and_of_one_direction() -> None:
    orthonormal = np.linalg.qr(rows(1024, 64))[0]
    single = np.outer(rows(1024, 1), rows(64, 1))

    # Epsilon comes after the division, so that shares sum to a little more than 1.
    assert rank_me(orthonormal) == pytest.approx(64.001, abs=5e-4)
    assert rank_me(single) == pytest.approx(1.0001, abs=5e-5)


def test_rank_me_does_not_see_scale_order_or_copies() -> None:
    embeddings = rows(200, 16)
    found = rank_me(embeddings)

    assert rank_me(1000 * embeddings) == pytest.approx(found, rel=1e-9)
    assert rank_me(embeddings[::-1]) == pytest.approx(found, rel=1e-9)
    assert rank_me(np.concatenate([embeddings, embeddings])) == pytest.approx(found, rel=1e-9)
