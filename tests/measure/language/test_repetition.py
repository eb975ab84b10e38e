"""A continuation loops where a short period is repeated to its end, and only there."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tinylanguage as tiny
import torch
from hypothesis import given
from hypothesis import strategies as st

from compressor.measure.language.greedy import greedy
from compressor.measure.language.repetition import LONGEST_PERIOD, is_loop, loops, prompts

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


class Said(dict[str, Any]):
    """What a causal model gives, by the names of transformers before 5.24."""

    @property
    def logits(self) -> Any:
        return self["logits"]


class Scripted(torch.nn.Module):
    """A stand-in that says these tokens `(texts, steps)`, one of each row after the other."""

    def __init__(self, answers: Any) -> None:
        super().__init__()
        shown = tiny.gpt2(positions=128)
        self.config, self.generation_config = shown.config, shown.generation_config
        self.answers = torch.tensor(answers)

    def forward(self, input_ids: Any, use_cache: bool, past_key_values: int = 0) -> Any:
        chosen = self.answers[:, past_key_values : past_key_values + 1]
        logits = torch.nn.functional.one_hot(chosen, 384).float()
        return Said(logits=logits, past_key_values=past_key_values + 1)


def test_what_stands_behind_the_end_of_one_answer_of_a_batch_is_no_loop(tmp_path: Path) -> None:
    stand_in = Scripted([[7, tiny.END, *[0] * 62], [9] * 64])

    assert loops(tiny.ready(stand_in, tmp_path), [list(range(32))] * 2).tolist() == [0.0, 1.0]


class Forgetful(torch.nn.Module):
    """A model that keeps nothing of what it has read."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model, self.config = model, model.config
        self.generation_config = model.generation_config

    def forward(self, input_ids: Any, use_cache: bool = True) -> Any:
        return self.model(input_ids=input_ids, use_cache=False)


def test_a_model_without_a_cache_says_the_same(tmp_path: Path) -> None:
    model = tiny.gpt2(spread=8.0, positions=128).requires_grad_(False)
    begun = np.random.default_rng(0).integers(5, 384, (8, 32))
    read = torch.from_numpy(begun)

    said = [
        torch.cat(list(islice(greedy(tiny.ready(each, tmp_path), read, each(read)), 40)), dim=1)
        for each in (model, Forgetful(model))
    ]

    assert said[0].tolist() == said[1].tolist()
    assert len(np.unique(said[0].numpy())) > 8


def test_a_stored_generation_config_does_not_hide_a_loop(tmp_path: Path) -> None:
    stored = tiny.always(383, by=3.0, positions=128)
    with torch.no_grad():
        stored.lm_head.weight[:383, 0] = torch.linspace(1, 2, 383)
    stored.generation_config.repetition_penalty = 1e9
    stored.generation_config.no_repeat_ngram_size = 1
    stored.generation_config.do_sample = True
    stored.generation_config.temperature = 100.0
    stored.generation_config.suppress_tokens = [383]
    stored.generation_config.bad_words_ids = [[383]]
    stored.generation_config.num_return_sequences = 2

    assert loops(tiny.ready(stored, tmp_path), [list(range(40))]).tolist() == [1.0]


def test_prompts_begin_documents_where_there_are_enough_of_them() -> None:
    documents = [[number] * (31 + number % 2) for number in range(200)]

    found = prompts(documents, [[7] * 40] * 100)

    assert found.begin == "documents"
    assert len(found.tokens) == 32
    assert all(len(prompt) == 32 and prompt[0] % 2 for prompt in found.tokens)
    assert [prompt[0] for prompt in found.tokens[:2]] == [1, 7]


def test_prompts_begin_windows_where_there_are_few_documents() -> None:
    windows = [list(range(start, start + 40)) for start in range(0, 4000, 40)]

    found = prompts([list(range(4000))], windows)

    assert found.begin == "windows"
    assert len(found.tokens) == 32
    assert all(prompt in [window[:32] for window in windows] for prompt in found.tokens)
    assert len(prompts([[1] * 31] * 9, [[1] * 31] * 9).tokens) == 0


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
