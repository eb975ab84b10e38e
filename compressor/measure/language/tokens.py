"""From text to tokens: a checkpoint's own tokenizer, and how many of its tokens a model takes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from blake3 import blake3

from compressor.errors import InputError, RefusedError
from compressor.measure.loaded import MAX_LENGTH, Loaded, Preparation
from compressor.model.load import first_line, quiet


def tokenizer(folder: Path) -> Any:
    """The tokenizer of the checkpoint in `folder`; nothing is fetched and no foreign code runs."""
    from transformers import AutoTokenizer

    try:
        with quiet():
            found = AutoTokenizer.from_pretrained(
                str(folder), local_files_only=True, trust_remote_code=False
            )
    except Exception as error:  # whatever a tokenizer's files make a loader raise
        if "trust_remote_code" in str(error):
            raise RefusedError(
                "REMOTE-CODE",
                "the tokenizer needs code that comes with its checkpoint, which is never run",
                at=f"{folder.name}/tokenizer_config.json, key auto_map",
                found="a tokenizer class of its own, expected one that transformers has",
                do="save the tokenizer as a tokenizer.json beside the weights",
            ) from error
        raise _unreadable(folder, f"{first_line(error)}; expected a tokenizer.json") from error
    # A class that finds no vocabulary makes do with its special tokens, and says nothing.
    if len(found) <= len(found.all_special_ids):
        raise _unreadable(folder, f"{len(found)} special tokens only; expected a vocabulary")
    return found


def own_start(tokenizer: Any) -> list[int]:
    """The token that the tokenizer puts before every text by itself, `[bos]`, or nothing."""
    added: list[int] = tokenizer("")["input_ids"][:1]
    return added if added == [tokenizer.bos_token_id] else []


def any_start(tokenizer: Any) -> list[int]:
    """The token to condition on where there is no text: `[bos]`, else `[eos]`, else nothing.

    As lm-eval's `prefix_token_id` (0.4.13).
    """
    found = (tokenizer.bos_token_id, tokenizer.eos_token_id)
    return [token for token in found if token is not None][:1]


def plain(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """The tokens of each text, with no special token added."""
    if not texts:
        return []
    # `verbose` would warn of texts beyond what the model takes: they are cut into windows later.
    found: list[list[int]] = tokenizer(list(texts), add_special_tokens=False, verbose=False)[
        "input_ids"
    ]
    return found


def require_embedded(tokens: Iterable[Sequence[int]], model: Loaded) -> None:
    """Refuse a tokenizer that names tokens for which the model has no embedding."""
    largest, expected = max((max(each, default=0) for each in tokens), default=0), vocabulary(model)
    if largest >= expected:
        raise InputError(
            "TOKENIZER-VOCAB",
            "the tokenizer names a token that the model does not have",
            at=model.name,
            found=f"token {largest}; expected one below {expected}",
            do="restore the tokenizer that belongs to these weights",
        )


def vocabulary(model: Loaded) -> int:
    """How many tokens the model tells apart."""
    return int(model.config.get_text_config().vocab_size)


def places(model: Loaded) -> float:
    """How many positions the model tells apart; infinite where it has no table of them."""
    try:
        return int(model.config.get_text_config().max_position_embeddings)
    except AttributeError:  # such as Mamba
        return math.inf


def longest_input(model: Loaded) -> int:
    """How many tokens the model is given at once: as asked, and never more than it has places."""
    return int(min(model.max_length or MAX_LENGTH, places(model)))


def described(tokenizer: Any) -> str:
    """What a reader needs to recognise it: `GPT2Tokenizer of 50257 tokens`."""
    return f"{type(tokenizer).__name__} of {len(tokenizer)} tokens"


def preparations(model: Loaded, tokenizer: Any) -> list[Preparation]:
    """The tokenizer and the length of a text model's input, and where the length comes from."""
    length = longest_input(model)
    asked = model.max_length
    if asked is not None and asked > length:
        cut = f"--max-length {asked} is more than the model's {length} places"
        how = Preparation("sequence length", f"{length} tokens", "config.json", cut)
    elif asked is not None:
        how = Preparation("sequence length", f"{length} tokens", "--max-length")
    else:
        origin = "assumed" if length == MAX_LENGTH else "config.json"
        how = Preparation("sequence length", f"{length} tokens", origin)
    return [Preparation("tokenizer", described(tokenizer), "the checkpoint"), how]


def digest(sequences: Iterable[Sequence[int]], how: str) -> str:
    """A digest of tokens, and of what is done with them: what a model sees."""
    found = blake3(how.encode())
    for tokens in sequences:
        found.update(np.asarray([len(tokens), *tokens], np.int64).tobytes())
    return str(found.hexdigest())


def collapse(perplexity: float, model: Loaded) -> str:
    """Why this perplexity is that of a broken model, or nothing."""
    if not math.isfinite(perplexity):
        return "its perplexity is not a finite number"
    if perplexity >= vocabulary(model):
        return (
            f"its perplexity {perplexity:.6g} is no better than guessing "
            f"among its {vocabulary(model)} tokens"
        )
    return ""


def _unreadable(folder: Path, found: str) -> InputError:
    return InputError(
        "TOKENIZER-UNREADABLE",
        "the checkpoint has no tokenizer that can be read",
        at=folder.name,
        found=found,
        do="fetch the tokenizer's files from the model's provider again",
    )
