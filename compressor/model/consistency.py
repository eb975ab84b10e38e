"""Whether a config fits the tensors beside it: plain values, layers, vocabulary, ties.

Only what is certain is checked, and refused only for the model types of the test matrix
(`roles.KNOWN`): of another type the same finding is a note, for its keys may mean something else.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from compressor.checkpoint.read.header import TensorInfo
from compressor.checkpoint.read.reader import Component
from compressor.errors import InputError, listing, printable
from compressor.model.names import in_block, is_head
from compressor.model.roles import is_known
from compressor.model.stacks import stacks
from compressor.model.subconfig import all_configs, governing, model_type

LARGEST: Final = 10**9
"""No size in a config reaches it; one that does would allocate without bound."""

SIZES: Final = (
    "hidden_size",
    "n_embd",
    "d_model",
    "intermediate_size",
    "num_attention_heads",
    "num_key_value_heads",
    "n_head",
    "n_heads",
    "num_heads",
    "encoder_attention_heads",
    "decoder_attention_heads",
    "head_dim",
    "vocab_size",
)
COUNTS: Final = (
    "num_hidden_layers",
    "n_layer",
    "n_layers",
    "num_layers",
    "encoder_layers",
    "decoder_layers",
    "num_decoder_layers",
)

_TABLES = "embed_tokens wte word_embeddings tok_embeddings embed_in tokens_embed token_embedding"
TOKEN_TABLES: Final = frozenset({*_TABLES.split(), "shared", "embeddings"})

_HEADS = "lm_head embed_out decoder generator_lm_head output_projection vocab_projector proj_out"
TIED_HEADS: Final = frozenset(_HEADS.split())

_TIED = """
albert bart bert bloom cohere deberta-v2 distilbert electra falcon gemma gemma2 gemma3_text gpt2
gpt_bigcode gpt_neo mamba marian modernbert mpnet mpt openai-gpt opt pegasus roberta speecht5
starcoder2 t5 whisper xlm-roberta
"""
TIED_BY_DEFAULT: Final = frozenset(_TIED.split())
"""The known types that tie where the config does not say."""


def check(component: Component) -> list[str]:
    """Notes about the config; `InputError` where it does not fit the tensors."""
    notes = []
    for error in _findings(component):
        if is_known(component):
            raise error
        notes.append(f"{error.message}: {error.found}")
    for stack in stacks(component):
        if stack.predicting:
            layers = listing(stack.predicting)
            notes.append(f"`{printable(stack.prefix)}` holds layers that predict ahead: {layers}")
    return notes


def tied_pair(component: Component) -> tuple[str, str] | None:
    """The token table and the head that the config ties, where both are stored, else None."""
    config = component.config or {}
    is_tied = config.get("tie_word_embeddings", model_type(config) in TIED_BY_DEFAULT)
    tables = _token_tables(component)
    table = next((table for table in tables if _module(table) == "shared"), None)
    if table is None and len(tables) == 1:
        table = tables[0]
    if is_tied is not True or table is None:
        return None
    heads = [
        tensor.name
        for _, tensor in component.tensors()
        if _module(tensor) in TIED_HEADS
        and tensor.name.endswith(".weight")
        and tensor.shape == table.shape
        and not in_block(tensor.name.split("."))
    ]
    return (table.name, heads[0]) if len(heads) == 1 else None


def _findings(component: Component) -> Iterator[InputError]:
    if component.config is not None:
        yield from _values(component)
        yield from _layers(component)
        yield from _vocabulary(component)
        yield from _untied_head(component)


def _values(component: Component) -> Iterator[InputError]:
    for prefix, config in all_configs(component.config or {}):
        for key, least in [*((key, 1) for key in SIZES), *((key, 0) for key in COUNTS)]:
            value = config.get(key)
            values = value if isinstance(value, list) else [value]
            if not all(item is None or _is_size(item, least) for item in values):
                yield InputError(
                    "CONFIG-VALUE",
                    f"config value `{key}` cannot be the size of a model",
                    at=f"{component.prefix}config.json: {prefix}{key}",
                    found=f"`{printable(repr(value))}`, expected {least} to {LARGEST - 1}",
                    do="restore the config.json that belongs to these weights",
                )


def _layers(component: Component) -> Iterator[InputError]:
    for stack in stacks(component):
        place = f"{component.prefix}{stack.prefix}"
        counted = f"`{stack.key}` says {stack.expected}"
        if stack.missing:
            more = stack.missing - len(stack.first_missing())
            rest = f", and {more} more" if more else ""
            yield InputError(
                "CKPT-MISSING-TENSOR",
                "layers that the config counts are not in the checkpoint",
                at=place,
                found=f"{len(stack.found)} layers, {counted}; missing: "
                f"{listing(stack.first_missing())}{rest}",
                do=f"fetch the missing shards, or correct `{stack.key}` in config.json",
            )
        if stack.surplus:
            yield InputError(
                "CKPT-UNEXPECTED-TENSOR",
                "the checkpoint holds more layers than the config counts",
                at=place,
                found=f"{len(stack.found)} layers, {counted}; beyond it: {listing(stack.surplus)}",
                do=f"correct `{stack.key}` in config.json, or remove the layers",
            )


def _vocabulary(component: Component) -> Iterator[InputError]:
    for table in _token_tables(component):
        config = governing(component.config or {}, table.name)
        key = "vocab_size"
        if "decoder" in table.name.split(".") and _is_size(config.get("decoder_vocab_size"), 1):
            key = "decoder_vocab_size"
        size = config.get(key)
        if _is_size(size, 1) and size != table.shape[0]:
            yield InputError(
                "CKPT-SHAPE",
                f"`{key}` differs from the rows of the token embedding",
                at=f"{component.prefix}{table.name}",
                found=f"{table.shape[0]} rows, `{key}` says {size}",
                do=f"correct `{key}` in config.json, or fetch the weights that belong to it",
            )


def _untied_head(component: Component) -> Iterator[InputError]:
    config = component.config or {}
    architectures = config.get("architectures")
    first = architectures[0] if isinstance(architectures, list) and architectures else None
    if not isinstance(first, str) or not first.endswith(("ForCausalLM", "LMHeadModel")):
        return
    tables = _token_tables(component)
    if config.get("tie_word_embeddings") is not False or not tables:
        return
    rows, names = tables[0].shape[0], {table.name for table in tables}
    for _, tensor in component.tensors():
        parts = tensor.name.split(".")
        is_vocabulary = len(tensor.shape) == 2 and tensor.shape[0] == rows
        if is_head(parts) or (is_vocabulary and tensor.name not in names and not in_block(parts)):
            return
    yield InputError(
        "CKPT-MISSING-TENSOR",
        "the config unties the head from the token embedding, but no head is stored",
        at=f"{component.prefix}config.json: tie_word_embeddings",
        found=f"`{printable(tables[0].name)}` alone, expected a head such as `lm_head.weight`",
        do="set `tie_word_embeddings` to true if the model is tied, or fetch the missing shard",
    )


def _token_tables(component: Component) -> list[TensorInfo]:
    return [
        tensor
        for _, tensor in component.tensors()
        if _module(tensor) in TOKEN_TABLES
        and tensor.name.endswith(".weight")
        and len(tensor.shape) == 2
        and not in_block(tensor.name.split("."))
    ]


def _module(tensor: TensorInfo) -> str:
    return ["", *tensor.name.split(".")][-2]


def _is_size(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value < LARGEST
