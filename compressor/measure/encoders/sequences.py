"""Texts, or pairs of them, as the sequences of tokens that an encoder reads in one piece.

What is longer than the model reads is cut, and counted. Batches hold sequences of like length.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any, Final, final

import torch

from compressor.errors import InputError, printable
from compressor.measure.batches import HIDDEN_ITEMS, by_length, padded
from compressor.measure.language.tokens import described, digest, longest_input
from compressor.measure.loaded import MAX_LENGTH, Loaded, Preparation

MANY_UNKNOWN: Final = 0.1
"""Share of unknown tokens from which on the texts are not what the tokenizer was made for."""


@final
@dataclass(frozen=True)
class Length:
    """How many tokens of a text are read, and which limit says so."""

    tokens: int
    origin: str


@final
@dataclass(frozen=True)
class Sequences:
    """Tokens of each text, special tokens included, in the order of the texts."""

    tokens: Sequence[Sequence[int]]
    types: Sequence[Sequence[int]]
    """To which text of a pair each token belongs; empty where the model is not told."""
    padding: int | None
    """What fills a batch; None: the tokenizer has no such token, and batches hold one sequence."""
    cut: int
    """How many were longer than what is read."""
    unknown: float
    """The share of tokens that the vocabulary lacks."""

    @property
    def digest(self) -> str:
        """What the model sees: the same items in the same order, or another digest."""
        pairs = zip(self.tokens, self.types, strict=True) if self.types else ()
        return digest([*self.tokens, *(each for _, each in pairs)], "sequences")


@final
@dataclass(frozen=True)
class Read:
    """What a model made of a batch: the numbers of its sequences, and its own output."""

    numbers: list[int]
    mask: torch.Tensor
    """True where a token is no padding, `(batch, tokens)`."""
    output: Any
    """With hidden states where the batch holds one of the first sequences, else without."""


def longest(model: Loaded, tokenizer: Any, meant: int | None = None) -> Length:
    """The least of what was asked, what the encoder takes and what the checkpoint was made for."""
    asked = model.max_length is not None
    most = longest_input(model)
    limits = [
        *([Length(meant, "sentence_bert_config.json")] if meant is not None else []),
        Length(int(tokenizer.model_max_length), "tokenizer_config.json"),
        Length(most, "config.json" if asked or most < MAX_LENGTH else "assumed"),
    ]
    if model.max_length is not None:
        limits.insert(0, Length(model.max_length, "--max-length"))
    return min(limits, key=lambda limit: limit.tokens)


def sequences(
    tokenizer: Any, length: int, texts: Sequence[str], second: Sequence[str] | None = None
) -> Sequences:
    """Each text, or each pair of texts, with the special tokens around it, cut to `length`."""
    whole = _encoded(tokenizer, texts, second)
    tokens = list(whole["input_ids"])
    types = list(whole["token_type_ids"]) if second and "token_type_ids" in whole else []
    long = [number for number, each in enumerate(tokens) if len(each) > length]
    if long:
        pairs = None if second is None else [second[number] for number in long]
        cut = _encoded(tokenizer, [texts[number] for number in long], pairs, length)
        for place, number in enumerate(long):
            tokens[number] = cut["input_ids"][place]
            if types:
                types[number] = cut["token_type_ids"][place]
    for number, each in enumerate(tokens):
        if not each:
            raise InputError(
                "DATA-EMPTY",
                "a text gives no token, so that a model has nothing to read",
                at=f"item {number + 1}",
                found=f"`{printable(texts[number])}`; expected at least one token",
                do="remove the item from the data",
            )
    return Sequences(tokens, types, tokenizer.pad_token_id, len(long), _unknown(tokenizer, tokens))


def read(model: Loaded, items: Sequences) -> Iterator[Read]:
    """What the model makes of the sequences, batch by batch, in the order of `by_length`."""
    takes_types = (
        bool(items.types) and "token_type_ids" in signature(model.model.forward).parameters
    )
    size, padding = (1, 0) if items.padding is None else (model.batch_size, items.padding)
    for batch in by_length([len(each) for each in items.tokens], size):
        tokens, mask = padded([items.tokens[number] for number in batch], padding, model.device)
        inputs = {"input_ids": tokens, "attention_mask": mask.long()}
        if takes_types:
            types = [items.types[number] for number in batch]
            inputs["token_type_ids"] = padded(types, 0, model.device)[0]
        output = model.model(**inputs, output_hidden_states=min(batch) < HIDDEN_ITEMS)
        yield Read(batch, mask, output)


def preparations(
    model: Loaded, tokenizer: Any, length: Length, items: Sequences
) -> Iterator[Preparation]:
    """The tokenizer and the length of what is read, with a warning where texts do not fit."""
    rare = f"{items.unknown:.0%} of the tokens are unknown to the tokenizer"
    yield Preparation(
        "tokenizer",
        described(tokenizer),
        "the checkpoint",
        rare if items.unknown > MANY_UNKNOWN else "",
    )
    warnings = []
    if model.max_length is not None and model.max_length > length.tokens:
        warnings.append(f"--max-length {model.max_length} is more than the model reads")
    if items.cut:
        warnings.append(f"{items.cut} of {len(items.tokens)} texts are longer, and were cut")
    yield Preparation(
        "sequence length", f"{length.tokens} tokens", length.origin, "; ".join(warnings)
    )


def _encoded(
    tokenizer: Any, texts: Sequence[str], second: Sequence[str] | None, length: int | None = None
) -> Any:
    return tokenizer(
        list(texts),
        None if second is None else list(second),
        truncation=length is not None,
        max_length=length,
        # Otherwise it warns of texts beyond what the model takes: they are cut, and counted.
        verbose=False,
    )


def _unknown(tokenizer: Any, tokens: Sequence[Sequence[int]]) -> float:
    """The share of unknown tokens among those that come from a text."""
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    found = [token for each in tokens for token in each if token not in special]
    return found.count(tokenizer.unk_token_id) / max(1, len(found))
