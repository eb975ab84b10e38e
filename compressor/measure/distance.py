"""How far the answers of a compressed model are from those of the dense one, without labels.

At 60 % sparsity a task score may move by a point while these have tripled; they are reported beside
every score. Arrays in, per-item values out, in fp64.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Floats: TypeAlias = NDArray[np.float64]

NEIGHBOURS: Final = 10
_LEAST_ITEMS: Final = 4
"""Items from which on HSIC has an unbiased estimator."""
_ROWS: Final = 512
"""Rows that are compared with all others at once."""
_LOGITS: Final = 1 << 22
"""Logits that are compared at once: 32 MB in fp64."""


def log_softmax(logits: Array) -> Floats:
    """Log-probabilities along the last axis."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    found: Floats = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return found


def kl(dense: Array, other: Array) -> Floats:
    """`Σ p log(p / q)` in nats for each row of logits `(rows, classes)`, p the dense model's."""
    found = np.empty(len(dense))
    rows = max(1, _LOGITS // dense.shape[1])
    for start in range(0, len(dense), rows):
        piece = slice(start, start + rows)
        p, q = log_softmax(dense[piece]), log_softmax(other[piece])
        found[piece] = (np.exp(p) * (p - q)).sum(axis=-1)
    # Rounding can take a divergence of 0 a few 1e-16 below it.
    positive: Floats = np.maximum(found, 0.0)
    return positive


def cosine_distance(dense: Array, other: Array) -> Floats:
    """`1 - cos` of each row `(rows, width)`; 1 where a row is zero."""
    product = (unit(dense) * unit(other)).sum(axis=-1)
    found: Floats = np.maximum(1.0 - product, 0.0)
    return found


def unit(rows: Array) -> Floats:
    """Each row at length 1; a row of zeros stays."""
    wide = rows.astype(np.float64)
    length = np.linalg.norm(wide, axis=-1, keepdims=True)
    found: Floats = np.divide(wide, length, out=np.zeros_like(wide), where=length != 0)
    return found


def neighbour_overlap(dense: Array, other: Array, neighbours: int = NEIGHBOURS) -> Floats:
    """For each row, the share of its nearest rows (cosine, itself left out) that both agree on."""
    count = min(neighbours, len(dense) - 1)
    shares = [
        len(set(before) & set(after)) / count
        for before, after in zip(nearest(dense, count), nearest(other, count), strict=True)
    ]
    return np.asarray(shares, dtype=np.float64)


def linear_cka(dense: Array, other: Array) -> float:
    """Linear CKA of two representations `(items, width)` of the same items, at most 1.

    1 where one is a rotation and scaling of the other, about 0 where they have nothing in common:
    with the unbiased estimator of HSIC (Song et al., 2012, eq. 5; Nguyen et al., 2021, eq. 3),
    whose expectation is 0 then. The biased one (Kornblith et al., 2019) gives 0.99 for independent
    noise of 32 items and 4096 columns. NaN below 4 items, and where one of them does not vary.
    """
    if len(dense) < _LEAST_ITEMS or any((each == each[0]).all() for each in (dense, other)):
        return math.nan
    x, y = _between_items(dense), _between_items(other)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = (x * y).sum() / np.sqrt((x**2).sum() * (y**2).sum())
    # Cauchy and Schwarz bound it by 1; rounding does not know them.
    return float(np.clip(found, -1.0, 1.0))


def _between_items(rows: Array) -> Floats:
    """The U-centred Gram matrix `(items, items)`: its diagonal is 0, and every row sums to 0.

    `Σ a · b` of two of them is `n (n - 3)` times the unbiased HSIC (Székely and Rizzo, 2014).
    """
    # A common shift cancels below; taken off first, it does not cost digits.
    wide = rows.astype(np.float64) - rows.mean(axis=0, dtype=np.float64)
    gram = wide @ wide.T
    np.fill_diagonal(gram, 0.0)
    items = len(gram)
    sums = gram.sum(axis=1) / (items - 2)
    centred: Floats = gram - sums[:, None] - sums + sums.sum() / (items - 1)
    np.fill_diagonal(centred, 0.0)
    return centred


def rank_me(rows: Array) -> float:
    """The effective rank of embeddings `(items, width)` (RankMe, Garrido et al., 2023, eq. 1).

    Uncentred, rows as they are, epsilon after the division as in the paper. It compares runs of one
    method; it is no gate.
    """
    singular = np.linalg.svd(rows.astype(np.float64), compute_uv=False)
    share = singular / max(float(singular.sum()), np.finfo(np.float64).tiny) + 1e-7
    return float(np.exp(-(share * np.log(share)).sum()))


def nearest(rows: Array, count: int) -> Iterator[NDArray[np.int64]]:
    """The indices of the `count` most similar other rows; ties go to the lower index."""
    directions = unit(rows)
    for start in range(0, len(rows), _ROWS):
        similar = directions[start : start + _ROWS] @ directions.T
        own = np.arange(len(similar))
        similar[own, start + own] = -np.inf
        yield from np.argsort(-similar, axis=1, kind="stable")[:, :count]
