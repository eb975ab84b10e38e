"""Logits of what is scored are those of a pass over one sequence alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import tinylanguage as tiny
import torch

from compressor.measure.batches import Rows
from compressor.measure.language.continuations import Reading, losses, scored_logits

READINGS = [Reading(list(range(5, 25)), 17), Reading(list(range(30, 40)), 6), Reading([9, 8, 7], 2)]


@pytest.mark.parametrize("first", [1, None])
@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_what_is_scored_is_read_as_if_alone(
    first: int | None, batch_size: int, tmp_path: Path
) -> None:
    model = tiny.gpt2(spread=8.0)
    readings = [Reading(each.tokens, first or each.first) for each in READINGS]
    hidden = Rows(len(readings))

    with torch.inference_mode():
        ready = tiny.ready(model, tmp_path, batch_size=batch_size)
        found = dict(scored_logits(ready, readings, hidden))

        assert sorted(found) == [0, 1, 2]
        for number, logits in found.items():
            tokens = torch.tensor([readings[number].tokens])
            whole = model(tokens, output_hidden_states=True)
            wanted = whole.logits[0, readings[number].first - 1 : -1]
            # fp32 sums of 32 products, scaled by 8.
            torch.testing.assert_close(logits, wanted, rtol=0, atol=1e-4)
            state = whole.hidden_states[1][0, :-1].mean(dim=0)
            torch.testing.assert_close(
                torch.from_numpy(hidden.hidden["1"][number]), state, rtol=0, atol=1e-5
            )


def test_the_vocabulary_is_not_asked_about_what_is_not_scored(tmp_path: Path) -> None:
    model = tiny.gpt2()
    seen: list[int] = []
    model.lm_head.register_forward_hook(lambda head, states, logits: seen.append(logits.shape[1]))

    list(scored_logits(tiny.ready(model, tmp_path, batch_size=1), READINGS, Rows(3)))

    assert seen == [3, 4, 1]


def test_a_loss_is_the_negative_log_of_a_probability() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0], [3.0, 0.0, 0.0]])

    found = losses(logits, [2, 1])

    wanted = -torch.log(torch.softmax(logits, dim=1))[[0, 1], [2, 1]]
    torch.testing.assert_close(found, wanted)
