"""Each pooling is what a hand would compute from one text at a time, and padding has no say."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from compressor.measure.encoders.pooling import MODES, pooled

# Sums of at most 7 numbers near 1 in fp32: a few 2^-24 relative. A mode confused with another
# differs by tenths.
CLOSE = 1e-6

LENGTHS = (7, 1, 4)


def by_hand(tokens: np.ndarray[Any, Any], mode: str) -> np.ndarray[Any, Any]:
    """One text `(tokens, width)`, without padding, in fp64."""
    count = len(tokens)
    weights = np.arange(1, count + 1)[:, None]
    found: np.ndarray[Any, Any] = {
        "cls": tokens[0],
        "max": tokens.max(axis=0),
        "mean": tokens.mean(axis=0),
        "mean_sqrt_len_tokens": tokens.sum(axis=0) / math.sqrt(count),
        "weightedmean": (tokens * weights).sum(axis=0) / weights.sum(),
        "lasttoken": tokens[-1],
    }[mode]
    return found


def batch(padding: float) -> tuple[torch.Tensor, torch.Tensor]:
    states = torch.randn(3, 7, 5, generator=torch.Generator().manual_seed(1)) - 2.0
    mask = torch.arange(7)[None] < torch.tensor(LENGTHS)[:, None]
    return states.masked_fill(~mask[:, :, None], padding), mask


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("padding", [0.0, 1e6, math.nan])
def test_a_pooling_sees_the_real_tokens_only(mode: Any, padding: float) -> None:
    states, mask = batch(padding)

    found = pooled(states, mask, [mode]).numpy()

    expected = [
        by_hand(row[:length].double().numpy(), mode)
        for row, length in zip(states, LENGTHS, strict=True)
    ]
    np.testing.assert_allclose(found, expected, rtol=CLOSE, atol=CLOSE)


def test_several_poolings_stand_side_by_side_in_their_order() -> None:
    states, mask = batch(0.0)

    found = pooled(states, mask, ["lasttoken", "mean"])

    assert torch.equal(found[:, :5], pooled(states, mask, ["lasttoken"]))
    assert torch.equal(found[:, 5:], pooled(states, mask, ["mean"]))


def test_half_precision_is_summed_in_single() -> None:
    states = torch.full((1, 4096, 1), 0.1, dtype=torch.bfloat16)

    found = pooled(states, torch.ones(1, 4096, dtype=torch.bool), ["mean"])

    assert found.dtype == torch.float32
    # A sum in bfloat16 stops growing at 32, which would give a mean of 0.008.
    assert float(found) == pytest.approx(float(states[0, 0, 0]), rel=1e-5)
