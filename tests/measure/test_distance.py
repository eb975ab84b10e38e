"""Distances against brute force, textbook formulas, and constants that were measured elsewhere."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import special, stats

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


@pytest.mark.parametrize(
    ("items", "width", "other_width"), [(100, 8, 5), (20, 64, 64), (10, 3, 90)]
)
def test_cka_is_that_of_the_hsic_of_linear_kernels(
    items: int, width: int, other_width: int
) -> None:
    x = rows(items, width) + 3
    y = x @ rows(width, other_width) + rows(items, other_width)
    centring = np.eye(items) - np.ones((items, items)) / items

    def hsic(k: Any, other: Any) -> float:
        return float(np.trace(k @ centring @ other @ centring)) / (items - 1) ** 2

    found = linear_cka(x, y)

    k, other = x @ x.T, y @ y.T
    assert found == pytest.approx(hsic(k, other) / math.sqrt(hsic(k, k) * hsic(other, other)))
    assert 0 < found < 1


@pytest.mark.parametrize(("items", "width"), [(100, 8), (20, 64)])
def test_cka_does_not_see_rotation_scale_or_shift(items: int, width: int) -> None:
    x = rows(items, width)
    turned = -0.01 * x @ np.linalg.qr(rows(width, width))[0] + 5

    assert linear_cka(x, turned) == pytest.approx(1, abs=1e-9)
    assert linear_cka(x, rows(items, width)) < 0.9


def test_cka_of_what_does_not_vary_is_no_number() -> None:
    assert math.isnan(linear_cka(np.ones((10, 4)), rows(10, 4)))


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
