"""Which part of a config governs a tensor: `text_config` for what lies in `language_model.*`.

A config of several models nests the configs of its parts. The part of a tensor's name that selects
one is listed here; a tensor outside them is governed by the config around.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

SUBTREES: Final[Mapping[str, frozenset[str]]] = {
    "text_config": frozenset({"language_model", "text_model", "text_encoder"}),
    "llm_config": frozenset({"language_model", "llm"}),
    "language_config": frozenset({"language_model", "language"}),
    "vision_config": frozenset({"vision_tower", "vision_model", "vision_encoder", "visual"}),
    "audio_config": frozenset({"audio_tower", "audio_model", "audio_encoder"}),
    "encoder": frozenset({"encoder"}),
    "decoder": frozenset({"decoder"}),
    "text_encoder": frozenset({"text_encoder"}),
    "audio_encoder": frozenset({"audio_encoder"}),
    "qformer_config": frozenset({"qformer"}),
    "backbone_config": frozenset({"backbone"}),
}


def parts_of(config: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The nested configs that govern a sub-tree, each with its key."""
    for key in SUBTREES:
        part = config.get(key)
        if isinstance(part, Mapping):
            yield key, part


def governing(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The innermost config whose sub-tree holds the tensor `name`."""
    nested = dict(parts_of(config))
    for part in name.split("."):
        key = next((key for key in nested if part in SUBTREES[key]), None)
        if key is not None:
            config = nested[key]
            nested = dict(parts_of(config))
    return config


def model_type(config: Mapping[str, Any]) -> str:
    """The `model_type`, or `""` where the config has none that is text."""
    value = config.get("model_type")
    return value if isinstance(value, str) else ""


def all_configs(config: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The config and every nested one, each with the dotted key to its values: `text_config.`."""
    waiting = [("", config)]
    while waiting:
        key, current = waiting.pop()
        yield key, current
        waiting.extend((f"{key}{name}.", part) for name, part in parts_of(current))
