"""A causal model reads tokens, and what it says of each that is scored, in batches of like length.

Sequences are padded on the right, where a causal model does not look; the logits of one sequence
are widened to fp32 at a time, since those of a batch may be larger than the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any, final

import torch

from compressor.measure.batches import HIDDEN_ITEMS, Rows, by_length, padded
from compressor.measure.loaded import Loaded


@final
@dataclass(frozen=True)
class Reading:
    """Tokens to read, of which those from `first` (at least 1) on are scored."""

    tokens: Sequence[int]
    first: int

    @property
    def targets(self) -> Sequence[int]:
        """The tokens that are scored."""
        return self.tokens[self.first :]


def scored_logits(
    model: Loaded, readings: Sequence[Reading], hidden: Rows
) -> Iterator[tuple[int, torch.Tensor]]:
    """Each reading's number and the fp32 logits `(targets, vocabulary)` of its targets.

    In the order of `by_length`. Mean hidden states of the first readings are put into `hidden`.
    A model that can leaves out what stands before the first target of a batch.
    """
    can_leave_out = "logits_to_keep" in signature(model.model.forward).parameters
    for batch in by_length([len(reading.tokens) for reading in readings], model.batch_size):
        inputs = [readings[number].tokens[:-1] for number in batch]
        wants_hidden = min(batch) < HIDDEN_ITEMS
        tokens, mask = padded(inputs, 0, model.device)
        before = min(readings[number].first for number in batch) - 1
        kept = {"logits_to_keep": tokens.shape[1] - before} if can_leave_out and before else {}
        output: Any = model.model(
            input_ids=tokens,
            attention_mask=mask.long(),
            output_hidden_states=wants_hidden,
            use_cache=False,
            **kept,
        )
        if wants_hidden:
            hidden.put_hidden(batch, output.hidden_states, mask)
        left_out = tokens.shape[1] - output.logits.shape[1]
        for row, number in enumerate(batch):
            start, end = readings[number].first - 1, len(inputs[row])
            yield number, output.logits[row, start - left_out : end - left_out].float()


def losses(logits: torch.Tensor, targets: Sequence[int]) -> torch.Tensor:
    """`-log p` in nats of each target `(targets,)` under its row of fp32 logits."""
    wanted = torch.tensor(targets, device=logits.device)
    return torch.nn.functional.cross_entropy(logits, wanted, reduction="none")
