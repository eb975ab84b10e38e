"""One vector for a text from the states of its tokens: the poolings of sentence-transformers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

import torch

Mode: TypeAlias = Literal["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]
MODES: tuple[Mode, ...] = get_args(Mode)


def pooled(states: torch.Tensor, mask: torch.Tensor, modes: Sequence[Mode]) -> torch.Tensor:
    """The poolings of `states (batch, tokens, width)` side by side, `(batch, width · modes)` fp32.

    `mask (batch, tokens)` is True where a token is none of the padding, which stands on the right.
    """
    # Filled, not multiplied: whatever stands in the padding, a NaN too, has no say.
    real = states.float().masked_fill(~mask[:, :, None], 0.0)
    return torch.cat([_one(real, mask, mode) for mode in modes], dim=1)


def _one(states: torch.Tensor, mask: torch.Tensor, mode: Mode) -> torch.Tensor:
    count = mask.sum(dim=1)
    if mode == "cls":
        return states[:, 0]
    if mode == "lasttoken":
        return states[torch.arange(len(states), device=states.device), count - 1]
    if mode == "max":
        return states.masked_fill(~mask[:, :, None], -torch.inf).amax(dim=1)
    if mode == "weightedmean":
        # The weight of a token is its position, from 1 (SGPT, Muennighoff, 2022, eq. 2).
        place = torch.arange(1, states.shape[1] + 1, device=states.device)[None, :, None]
        weights = (mask[:, :, None] * place).to(states.dtype)
        return (states * weights).sum(dim=1) / weights.sum(dim=1)
    divisor = count[:, None].to(states.dtype)
    return states.sum(dim=1) / (divisor if mode == "mean" else divisor.sqrt())
