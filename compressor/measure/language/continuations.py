"""A causal model reads tokens, and what it says of each that is scored, in batches of like length.

Sequences are padded on the right, where a causal model does not look; the logits of one sequence
are widened to fp32 at a time, since those of a batch may be larger than the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch

from compressor.measure.batches import HIDDEN_ITEMS, Rows, by_length
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

    The longest come first. Mean hidden states of the first readings are put into `hidden`.
    """
    for batch in by_length([len(reading.tokens) for reading in readings], model.batch_size):
        inputs = [readings[number].tokens[:-1] for number in batch]
        wants_hidden = min(batch) < HIDDEN_ITEMS
        tokens, mask = padded(inputs, 0, model.device)
        output: Any = model.model(
            input_ids=tokens,
            attention_mask=mask.long(),
            output_hidden_states=wants_hidden,
            use_cache=False,
        )
        if wants_hidden:
            hidden.put_hidden(batch, output.hidden_states, mask)
        for row, number in enumerate(batch):
            first = readings[number].first
            yield number, output.logits[row, first - 1 : len(inputs[row])].float()


def losses(logits: torch.Tensor, targets: Sequence[int]) -> torch.Tensor:
    """`-log p` in nats of each target `(targets,)` under its row of fp32 logits."""
    wanted = torch.tensor(targets, device=logits.device)
    return torch.nn.functional.cross_entropy(logits, wanted, reduction="none")


def padded(
    sequences: Sequence[Sequence[int]], padding: int, device: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens `(batch, longest)`, padded on the right, and True where they are no padding."""
    width = max(len(each) for each in sequences)
    tokens = [[*each, *[padding] * (width - len(each))] for each in sequences]
    real = [[column < len(each) for column in range(width)] for each in sequences]
    return torch.tensor(tokens, device=device), torch.tensor(real, device=device)
