"""Tiny random encoders, bare and with a classifier, and the files of a chain around them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tinylanguage as tiny
import torch

WORDS = ("red", "green", "blue", "left", "right", "list", "tuple", "class", "value", "yield")


def texts(count: int) -> list[str]:
    """Different texts of 1 to 12 words, the same ones each time."""
    generator = torch.Generator().manual_seed(0)
    found: dict[str, None] = {}
    while len(found) < count:
        length = int(torch.randint(1, 13, (1,), generator=generator))
        drawn = torch.randint(0, len(WORDS), (length,), generator=generator).tolist()
        found[" ".join(WORDS[place] for place in drawn)] = None
    return list(found)


def config(**settings: Any) -> Any:
    """The config of a BERT of two small blocks."""
    from transformers import BertConfig

    return BertConfig(
        vocab_size=384,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        pad_token_id=tiny.PADDING,
        # Wide enough that random embeddings of different texts are told apart.
        initializer_range=0.5,
        **settings,
    )


def encoder(seed: int = 0) -> Any:
    """A random BERT without a head."""
    from transformers import BertModel

    torch.manual_seed(seed)
    return BertModel(config(), add_pooling_layer=False).eval()


def classifier(names: Sequence[str], seed: int = 0) -> Any:
    """A random BERT that tells texts of these classes apart, and finds each of them."""
    from transformers import BertForSequenceClassification

    torch.manual_seed(seed)
    named = dict(enumerate(names))
    model = BertForSequenceClassification(
        config(id2label=named, label2id={name: number for number, name in named.items()})
    )
    return model.eval()


def save_chain(
    folder: Path,
    pooling: Mapping[str, Any],
    kinds: Sequence[str] = ("Transformer", "Pooling", "Normalize"),
    sentence: Mapping[str, Any] | None = None,
) -> None:
    """The JSON files of a sentence-transformers folder."""
    paths = ["", *(f"{number}_{kind}" for number, kind in enumerate(kinds) if number)]
    modules = [
        {
            "idx": number,
            "name": str(number),
            "path": path,
            "type": f"sentence_transformers.models.{kind}",
        }
        for number, (path, kind) in enumerate(zip(paths, kinds, strict=True))
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    for path in paths[1:]:
        (folder / path).mkdir()
    (folder / paths[1] / "config.json").write_text(
        json.dumps({"word_embedding_dimension": 32, **pooling})
    )
    if sentence is not None:
        (folder / "sentence_bert_config.json").write_text(json.dumps(sentence))
