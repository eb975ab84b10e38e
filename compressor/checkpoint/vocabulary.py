"""How many token ids a `tokenizer.json` can give, by its vocabulary and its added tokens."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from compressor.checkpoint.config import sub_configs
from compressor.checkpoint.strict_json import MalformedJson, parse_object

TOKENIZER_FILE: Final = re.compile(
    r"(?:.*/)?(?:tokenizer.*|vocab\.\w+|merges\.txt|added_tokens\.json|special_tokens_map\.json"
    r"|spiece\.model|sentencepiece.*\.model|.*\.tiktoken)"
)
"""The files that decide which ids a text becomes."""


def token_ids(raw: bytes, depth: int) -> int:
    """The largest id and one; `MalformedJson` where it is no tokenizer."""
    content = parse_object(raw, depth, is_strict=False)
    model, added = content.get("model"), content.get("added_tokens") or []
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    if isinstance(vocabulary, dict):
        ids = list(vocabulary.values())
    elif isinstance(vocabulary, list):
        ids = list(range(len(vocabulary)))
    else:
        raise MalformedJson("it has no vocabulary")
    if not isinstance(added, list):
        raise MalformedJson("its added tokens are no list")
    ids += [token.get("id") if isinstance(token, dict) else None for token in added]
    if not ids or not all(type(each) is int and each >= 0 for each in ids):
        raise MalformedJson("its vocabulary is empty, or holds an id that is no number")
    return max(ids) + 1


def vocabulary_size(config: Mapping[str, Any]) -> int | None:
    """The rows of the largest token table, by the config or those nested in it."""
    sizes = [inner.get("vocab_size") for _, inner in sub_configs(config)]
    return max((size for size in sizes if type(size) is int), default=None)
