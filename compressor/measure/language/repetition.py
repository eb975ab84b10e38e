"""Whether a model that always takes the likeliest token ends up saying the same thing again.

Pruning can triple how often that happens while perplexity stands still (methods.md, 9.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Literal, final

import numpy as np
import torch

from compressor.measure.language.greedy import greedy
from compressor.measure.language.tokens import places
from compressor.measure.loaded import Loaded
from compressor.measure.statistics import Floats

PROMPT: Final = 32
NEW_TOKENS: Final = 64
PROMPTS: Final = 32
LONGEST_PERIOD: Final = 16
REPEATS: Final = 3


@final
@dataclass(frozen=True)
class Prompts:
    """The first tokens of some texts, and of what texts they are."""

    tokens: Sequence[Sequence[int]]
    begin: Literal["documents", "windows"]


def prompts(documents: Sequence[Sequence[int]], windows: Sequence[Sequence[int]]) -> Prompts:
    """`PROMPTS` beginnings of `PROMPT` tokens, evenly spaced over the texts that are long enough.

    The beginnings of documents where there are that many, else those of windows, which may begin
    anywhere.
    """
    long = [text for text in documents if len(text) >= PROMPT]
    begin: Literal["documents", "windows"] = "documents"
    if len(long) < PROMPTS:
        long, begin = [text for text in windows if len(text) >= PROMPT], "windows"
    count = min(PROMPTS, len(long))
    chosen = [long[place * len(long) // count] for place in range(count)]
    return Prompts([list(text[:PROMPT]) for text in chosen], begin)


def loops(model: Loaded, begun: Sequence[Sequence[int]]) -> Floats:
    """1 for each prompt whose greedy continuation loops, else 0.

    None where the model has no place for a prompt and its continuation.
    """
    if places(model) < PROMPT + NEW_TOKENS:
        return np.zeros(0)
    found: list[bool] = []
    for start in range(0, len(begun), model.batch_size):
        answers = _continued(model, begun[start : start + model.batch_size])
        found += [is_loop(answer) for answer in answers]
    return np.asarray(found, np.float64)


def is_loop(tokens: Sequence[int]) -> bool:
    """Whether some period of at most `LONGEST_PERIOD` is repeated to the end, `REPEATS` times."""
    return any(
        list(tokens[-period * (REPEATS - 1) :]) == list(tokens[-period * REPEATS : -period])
        for period in range(1, LONGEST_PERIOD + 1)
        if period * REPEATS <= len(tokens)
    )


def _continued(model: Loaded, prompts: Sequence[Sequence[int]]) -> list[list[int]]:
    """The greedy continuation of each prompt; one that ends before `NEW_TOKENS` is empty."""
    tokens = torch.tensor(prompts, device=model.device)
    output: Any = model.model(input_ids=tokens, use_cache=True)
    said = torch.cat(list(islice(greedy(model, tokens, output), NEW_TOKENS)), dim=1)
    ends = _ends(model)
    answers: list[list[int]] = said.tolist()
    return [[] if ends & set(answer) else answer for answer in answers]


def _ends(model: Loaded) -> set[int]:
    """The tokens at which the model stops."""
    stored = model.model.generation_config
    given = None if stored is None else stored.eos_token_id
    if given is None:
        return set()
    return set(given) if isinstance(given, list) else {int(given)}
