"""How far the answers of a compressed model are from those of the dense one, without labels.

At 60 % sparsity a task score may move by a point while these have tripled; they are reported beside
every score. Arrays in, per-item values out, in fp64.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Floats: TypeAlias = NDArray[np.float64]

NEIGHBOURS: Final = 10
_ROWS: Final = 512
"""Rows that are compared with all others at once."""


def log_softmax(logits: Array) -> Floats:
    """Log-probabilities along the last axis."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    found: Floats = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return found


def kl(dense: Array, other: Array) -> Floats:
    """`Σ p log(p / q)` in nats for each row of logits `(rows, classes)`, p the dense model's."""
    p, q = log_softmax(dense), log_softmax(other)
    # Rounding can take a divergence of 0 a few 1e-16 below it.
    found: Floats = np.maximum((np.exp(p) * (p - q)).sum(axis=-1), 0.0)
    return found


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
    """Linear CKA of two representations `(items, width)` of the same items, columns centred.

    1 where one is a rotation and scaling of the other (Kornblith et al., 2019); NaN where one of
    them does not vary.
    """
    x, y = (
        each.astype(np.float64) - each.mean(axis=0, dtype=np.float64) for each in (dense, other)
    )
    # The Gram matrices of items or of columns, whichever is smaller, give the same norms.
    if len(x) < max(x.shape[1], y.shape[1]):
        first, second = x @ x.T, y @ y.T
        cross, own, others = (first * second).sum(), (first**2).sum(), (second**2).sum()
    else:
        cross, own, others = (((a.T @ b) ** 2).sum() for a, b in ((x, y), (x, x), (y, y)))
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(cross / np.sqrt(own * others))


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
