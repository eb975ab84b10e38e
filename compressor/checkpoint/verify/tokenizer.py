"""Whether a tokenizer can be read, gives only ids that the model has rows for, and is unchanged."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from compressor.checkpoint.read.config import sub_configs
from compressor.checkpoint.read.folder import Folder
from compressor.checkpoint.read.limits import Limits
from compressor.checkpoint.read.reader import Checkpoint
from compressor.checkpoint.read.strict_json import MalformedJson, parse_object
from compressor.checkpoint.verify.finding import Finding, failed, ok, refuted, skipped
from compressor.checkpoint.verify.proof import Proof
from compressor.errors import CompressorError

LEVEL: Final = 8
NAME: Final = "tokenizer.json"
MOST_BYTES: Final = 256_000_000
DECIDES_IDS: Final = re.compile(
    r"(?:.*/)?(?:tokenizer.*|vocab\.\w+|merges\.txt|added_tokens\.json|special_tokens_map\.json"
    r"|spiece\.model|sentencepiece.*\.model|.*\.tiktoken)"
)
"""The files that decide which ids a text becomes."""


def check_tokenizers(
    folder: Folder, checkpoint: Checkpoint | None, proof: Proof | None, limits: Limits
) -> Iterator[Finding]:
    """Level 8: a finding for each `tokenizer.json`, and one for what the manifest says of them."""
    names = [name for name in folder.sizes if name.rpartition("/")[2] == NAME]
    if not names:
        yield skipped(LEVEL, f"no {NAME}")
    for name in names:
        try:
            ids = token_ids(folder.read(name, MOST_BYTES), limits.depth)
        except MalformedJson as error:
            yield failed(LEVEL, "TOKENIZER", f"no tokenizer can be read: {error}", name)
        except CompressorError as error:
            yield refuted(LEVEL, error)
        else:
            yield _fits(name, ids, checkpoint)
    if proof is not None:
        yield from _unchanged(proof)


def token_ids(raw: bytes, depth: int) -> int:
    """How many ids it can give: the largest and one. `MalformedJson` where it is no tokenizer."""
    content = parse_object(raw, depth, is_strict=False)
    model, added = content.get("model"), content.get("added_tokens") or []
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    ids: list[Any]
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
    return int(max(ids)) + 1


def _fits(name: str, ids: int, checkpoint: Checkpoint | None) -> Finding:
    """`tokenizer_2/` belongs to the component `text_encoder_2/`, others to the one beside them."""
    prefix = name.removesuffix(NAME).replace("tokenizer", "text_encoder", 1)
    components = checkpoint.components if checkpoint is not None else ()
    configs = [each.config for each in components if each.prefix == prefix]
    rows = _vocabulary_size(configs[0]) if configs and configs[0] is not None else None
    if rows is None:
        return skipped(LEVEL, f"{ids} token ids; no config says how many the model has", name)
    if ids > rows:
        detail = f"{ids} token ids, the model has {rows} rows for them"
        return failed(LEVEL, "TOKENIZER-VOCAB", detail, name)
    return ok(LEVEL, f"{ids} token ids for {rows} rows of the model", name)


def _vocabulary_size(config: Mapping[str, Any]) -> int | None:
    """Rows of the largest token table; level 5 has compared it with the table that is stored."""
    sizes = [inner.get("vocab_size") for _, inner in sub_configs(config)]
    return max((size for size in sizes if type(size) is int), default=None)


def _unchanged(proof: Proof) -> Iterator[Finding]:
    was, now = proof.source_files, proof.files
    names = [name for name in sorted(now) if DECIDES_IDS.fullmatch(name) and name in was]
    changed = [name for name in names if was[name]["digest"] != now[name]["digest"]]
    for name in changed:
        yield failed(LEVEL, "TOKENIZER", "other bytes than the source's file", name)
    if names and not changed:
        yield ok(LEVEL, f"{len(names)} tokenizer files, equal to the source's")
