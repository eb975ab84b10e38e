"""Whether a model that always takes the likeliest token ends up saying the same thing again.

Pruning can triple how often that happens while perplexity stands still (methods.md, 9.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch

from compressor.measure.language.tokens import places
from compressor.measure.loaded import Loaded
from compressor.measure.statistics import Floats
from compressor.model.load import quiet

PROMPT: Final = 32
NEW_TOKENS: Final = 64
PROMPTS: Final = 32
LONGEST_PERIOD: Final = 16
REPEATS: Final = 3


def loops(model: Loaded, texts: Sequence[Sequence[int]]) -> Floats:
    """1 for each prompt whose greedy continuation loops, else 0; the prompts begin the texts.

    Of the texts with at least `PROMPT` tokens, `PROMPTS` are taken, evenly spaced; none where the
    model has no place for a prompt and its continuation.
    """
    if places(model) < PROMPT + NEW_TOKENS:
        return np.zeros(0)
    long = [list(text[:PROMPT]) for text in texts if len(text) >= PROMPT]
    count = min(PROMPTS, len(long))
    prompts = [long[place * len(long) // count] for place in range(count)]
    found: list[bool] = []
    for start in range(0, count, model.batch_size):
        found += [
            is_loop(answer)
            for answer in _continued(model, prompts[start : start + model.batch_size])
        ]
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
    from transformers import GenerationConfig

    tokens = torch.tensor(prompts, device=model.device)
    # Everything that a checkpoint's generation_config.json could say otherwise is said here.
    greedy = GenerationConfig(  # type: ignore[no-untyped-call]  # transformers has no annotation
        do_sample=False,
        num_beams=1,
        max_new_tokens=NEW_TOKENS,
        min_new_tokens=0,
        repetition_penalty=1.0,
        no_repeat_ngram_size=0,
        pad_token_id=0,
    )
    with quiet():
        said: Any = model.model.generate(
            tokens, attention_mask=torch.ones_like(tokens), generation_config=greedy
        )
    answers: list[list[int]] = said[:, tokens.shape[1] :].tolist()
    ends = _ends(model)
    return [[] if ends & set(answer) else answer for answer in answers]


def _ends(model: Loaded) -> set[int]:
    """The tokens at which the model stops."""
    given = model.model.generation_config.eos_token_id
    if given is None:
        return set()
    return set(given) if isinstance(given, list) else {int(given)}
