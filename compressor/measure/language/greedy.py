"""The likeliest token, again and again: greedy decoding with nothing of a stored generation config.

`generate` takes what is not said from the checkpoint's own file: forbidden tokens, several answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import torch

from compressor.measure.loaded import Loaded

_CACHES: Final = ("cache", "past_key_values")
"""How transformers calls what a model keeps of the text so far: since 5.24, and before."""


def kept(output: Any) -> dict[str, Any]:
    """What a model keeps of the text so far, as it is handed back to it; empty: nothing."""
    return {name: output[name] for name in output.keys() & set(_CACHES)}


def greedy(model: Loaded, tokens: torch.Tensor, output: Any) -> Iterator[torch.Tensor]:
    """Without end, the likeliest next token of each text, `(batch, 1)`.

    `output` is what the model gave for `tokens (batch, length)`, none of which is padding. A model
    that keeps nothing reads the whole text again for every token.
    """
    while True:
        token = output.logits[:, -1:].argmax(dim=-1)
        yield token
        if cache := kept(output):
            output = model.model(input_ids=token, use_cache=True, **cache)
        else:
            tokens = torch.cat([tokens, token], dim=1)
            output = model.model(input_ids=tokens, use_cache=True)
