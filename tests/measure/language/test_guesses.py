"""The guess at one place is the one among those at all places, whatever the head looks like."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tinylanguage as tiny
import torch

from compressor.measure.language.guesses import logits_at

TOKENS = torch.tensor([[1, 7, 3, 9, 2], [1, 8, 3, 2, 4]])
MASK = torch.tensor([[True] * 5, [True] * 4 + [False]])
PLACES = [3, 1]


class Functional(torch.nn.Module):
    """A model whose head is not called as a module: its weight is used."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model, self.config = model, model.config

    def get_output_embeddings(self) -> Any:
        return torch.nn.Linear(32, 384)

    def forward(self, **inputs: Any) -> Any:
        return self.model(**inputs)


class Headless(Functional):
    """A model that does not say which its head is."""

    def get_output_embeddings(self) -> Any:
        return None


@pytest.mark.parametrize("wrapped", [lambda model: model, Functional, Headless])
def test_a_guess_is_that_of_a_whole_pass(wrapped: Any, tmp_path: Path) -> None:
    model = tiny.bert()

    with torch.inference_mode():
        found = logits_at(tiny.ready(wrapped(model), tmp_path, "masked-lm"), TOKENS, MASK, PLACES)
        whole = model(input_ids=TOKENS, attention_mask=MASK.long()).logits

    # fp32 sums of 32 products near 1, taken in another order.
    torch.testing.assert_close(found, whole[[0, 1], PLACES], rtol=0, atol=1e-5)
    assert whole.shape == (2, 5, 384)


def test_the_head_sees_one_state_of_each_text(tmp_path: Path) -> None:
    model = tiny.bert()
    seen: list[torch.Size] = []
    model.get_output_embeddings().register_forward_hook(
        lambda head, states, logits: seen.append(logits.shape)
    )

    logits_at(tiny.ready(model, tmp_path, "masked-lm"), TOKENS, MASK, PLACES)
    model(input_ids=TOKENS)

    assert [tuple(shape) for shape in seen] == [(2, 1, 384), (2, 5, 384)]


def test_a_text_of_one_token_has_one_place(tmp_path: Path) -> None:
    model = tiny.bert()

    found = logits_at(tiny.ready(model, tmp_path, "masked-lm"), TOKENS[:, :1], MASK[:, :1], [0, 0])

    whole = model(input_ids=TOKENS[:, :1]).logits[:, 0]
    torch.testing.assert_close(found, whole, rtol=0, atol=1e-5)
