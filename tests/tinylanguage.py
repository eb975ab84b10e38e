"""Tiny language models with a real tokenizer, as checkpoints and as models ready to be asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from compressor.data.dataset import Dataset
from compressor.data.spec import Spec, parse_spec
from compressor.measure.loaded import Kind, Loaded

SPECIAL = ("<unk>", "<s>", "</s>", "<mask>", "<pad>")
UNKNOWN, START, END, MASK, PADDING = range(5)
TEXTS: Sequence[str] = [text for _, text in sorted(topics.items())]


@cache
def _trained(vocabulary: int) -> str:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS[:20], trainer)
    return str(tokenizer.to_str())


def save_tokenizer(
    folder: Path, vocabulary: int = 384, *, adds_start: bool = False, frames: bool = False
) -> Any:
    """A byte-level BPE tokenizer that adds nothing, `<s>`, or `<s> … </s>`."""
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer.from_str(_trained(vocabulary))
    if adds_start or frames:
        backend.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>" if frames else "<s> $A",
            pair="<s> $A $B",
            special_tokens=[("<s>", START), ("</s>", END)],
        )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        mask_token="<mask>",
        pad_token="<pad>",
    )
    tokenizer.save_pretrained(str(folder))
    return tokenizer


def gpt2(vocabulary: int = 384, seed: int = 0, spread: float = 1.0, positions: int = 64) -> Any:
    """A random GPT-2; `spread` scales its logits, so that it has opinions."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=vocabulary,
        n_embd=32,
        n_layer=2,
        n_head=4,
        n_positions=positions,
        bos_token_id=START,
        eos_token_id=END,
    )
    model = GPT2LMHeadModel(config)
    with torch.no_grad():
        model.transformer.ln_f.weight.mul_(spread)
    return model.eval()


def always(token: int, vocabulary: int = 384, by: float = 50.0, positions: int = 64) -> Any:
    """A GPT-2 whose logit of `token` is `by`, and every other 0, whatever it reads."""
    model = gpt2(vocabulary, positions=positions)
    with torch.no_grad():
        model.transformer.ln_f.weight.zero_()
        model.transformer.ln_f.bias.zero_()
        model.transformer.ln_f.bias[0] = 1.0
        model.lm_head.weight[:, 0] = 0.0
        model.lm_head.weight[token, 0] = by
    return model


def bert(vocabulary: int = 384, seed: int = 0) -> Any:
    """A random BERT with a head that guesses masked tokens."""
    from transformers import BertConfig, BertForMaskedLM

    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        pad_token_id=PADDING,
    )
    return BertForMaskedLM(config).eval()


def ready(
    model: Any,
    folder: Path,
    kind: Kind = "causal-lm",
    *,
    batch_size: int = 8,
    max_length: int | None = None,
    observe: Callable[[int], None] = lambda items: None,
) -> Loaded:
    """The model as a task is given it; its tokenizer is in `folder`."""
    return Loaded(
        name="model",
        folder=folder,
        kind=kind,
        model=model.requires_grad_(False),
        config=model.config,
        device="cpu",
        batch_size=batch_size,
        max_length=max_length,
        observe=observe,
    )


def dataset(values: Mapping[Any, Sequence[Any]]) -> Dataset:
    """Aligned columns by role, as if they had been read from a file."""
    spec: Spec = parse_spec("rows.jsonl")
    count = len(next(iter(values.values())))
    roles = {role: str(role) for role in values}
    return Dataset("rows", spec, roles, values, "digest", count, count, ())
