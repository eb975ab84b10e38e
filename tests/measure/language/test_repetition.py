"""A continuation loops where a short period is repeated to its end, and only there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tinylanguage as tiny
import torch
from hypothesis import given
from hypothesis import strategies as st

from compressor.measure.language.repetition import LONGEST_PERIOD, is_loop, loops

TOKENS = st.lists(st.integers(0, 1000), max_size=20)


@given(TOKENS, st.lists(st.integers(0, 9), min_size=1, max_size=LONGEST_PERIOD))
def test_three_times_the_same_at_the_end_is_a_loop(before: list[int], period: list[int]) -> None:
    assert is_loop([*before, *period * 3])


@given(st.permutations(range(64)))
def test_tokens_that_never_come_twice_are_no_loop(tokens: list[int]) -> None:
    assert not is_loop(tokens)


@pytest.mark.parametrize(
    "tokens",
    [[], [1], [1, 1], [5, 1, 2, 1, 2], [1, 1, 1, 2], [*range(17)] * 3],
)
def test_twice_or_not_to_the_end_or_too_long_a_period_is_no_loop(tokens: list[int]) -> None:
    assert not is_loop(tokens)


def test_a_model_that_repeats_a_token_loops_for_every_prompt(tmp_path: Path) -> None:
    model = tiny.ready(tiny.always(9, positions=128), tmp_path)

    assert loops(model, [list(range(40))] * 2).tolist() == [1.0] * 2


def test_a_model_that_stops_does_not_loop(tmp_path: Path) -> None:
    model = tiny.ready(tiny.always(tiny.END, positions=128), tmp_path)

    assert loops(model, [list(range(40))] * 2).tolist() == [0.0] * 2


def test_padding_behind_the_end_of_one_answer_of_a_batch_is_no_loop(tmp_path: Path) -> None:
    stopped = [7, tiny.END, *[0] * 62]
    stand_in: Any = tiny.gpt2(positions=128)
    stand_in.generate = lambda tokens, **settings: torch.cat(
        [tokens, torch.tensor([stopped, [9] * 64])], dim=1
    )

    assert loops(tiny.ready(stand_in, tmp_path), [list(range(40))] * 2).tolist() == [0.0, 1.0]


def test_a_stored_generation_config_does_not_hide_a_loop(tmp_path: Path) -> None:
    stored = tiny.always(383, by=3.0, positions=128)
    with torch.no_grad():
        stored.lm_head.weight[:383, 0] = torch.linspace(1, 2, 383)
    stored.generation_config.repetition_penalty = 1e9
    stored.generation_config.no_repeat_ngram_size = 1
    stored.generation_config.do_sample = True
    stored.generation_config.temperature = 100.0

    assert loops(tiny.ready(stored, tmp_path), [list(range(40))]).tolist() == [1.0]


def test_short_texts_are_no_prompts_and_thirty_two_are_enough(tmp_path: Path) -> None:
    model = tiny.ready(tiny.always(tiny.END, positions=128), tmp_path)

    assert len(loops(model, [[1] * 31] * 9)) == 0
    assert len(loops(model, [[1] * 32] * 100)) == 32


def test_a_model_without_room_for_an_answer_is_not_asked(tmp_path: Path) -> None:
    model = tiny.ready(tiny.always(9, positions=95), tmp_path)

    assert len(loops(model, [[1] * 40] * 3)) == 0


def test_the_batch_size_changes_nothing(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    texts = random.integers(5, 384, (3, 32)).tolist()
    model: Any = tiny.gpt2(spread=8.0, positions=128)

    found = [loops(tiny.ready(model, tmp_path, batch_size=size), texts) for size in (1, 2)]

    assert found[0].tolist() == found[1].tolist()
    with torch.inference_mode():
        for text, loop in zip(texts, found[0], strict=True):
            tokens = list(text)
            for _ in range(64):
                tokens.append(int(model(torch.tensor([tokens])).logits[0, -1].argmax()))
                if tokens[-1] == tiny.END:
                    break
            assert loop == float(is_loop(tokens[32:]) and tokens[-1] != tiny.END)
