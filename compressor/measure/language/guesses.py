"""What a masked model guesses at one place of each text, without a word on all the others.

The head that turns a state into a logit for every token of the vocabulary can cost as much as the
encoder: only the state that is asked for goes into it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from compressor.measure.loaded import Loaded


def logits_at(
    model: Loaded, tokens: torch.Tensor, mask: torch.Tensor, places: Sequence[int]
) -> torch.Tensor:
    """Logits `(batch, vocabulary)`, each row those at its place of `tokens (batch, length)`."""
    rows = torch.arange(len(tokens), device=tokens.device)
    columns = torch.tensor(places, device=tokens.device)

    def only(head: Any, states: tuple[torch.Tensor, ...]) -> torch.Tensor | None:
        # A head that is called in another way is left alone, and gives the logits of all places.
        is_plain = len(states) == 1 and states[0].shape[:2] == tokens.shape
        return states[0][rows, columns][:, None] if is_plain else None

    head = model.model.get_output_embeddings()
    hook = None if head is None else head.register_forward_pre_hook(only)
    try:
        output: Any = model.model(input_ids=tokens, attention_mask=mask.long())
    finally:
        if hook is not None:
            hook.remove()
    logits: torch.Tensor = output.logits  # (batch, 1 or length, vocabulary)
    return logits[:, 0] if logits.shape[1] == 1 else logits[rows, columns]
