"""The stacks of numbered layers in a checkpoint, each with the config value that counts them.

A stack is given only where its count is certain: one stack that the config counts, or one in the
encoder and one in the decoder of a config that counts both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, final

from compressor.checkpoint.read.reader import Component
from compressor.model.names import STACKS
from compressor.model.subconfig import governing

LAYERS: Final = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
SIDES: Final[Mapping[str, tuple[str, ...]]] = {
    "encoder": ("encoder_layers", "num_encoder_layers"),
    "decoder": ("decoder_layers", "num_decoder_layers"),
}
PREDICTION_LAYERS: Final = "num_nextn_predict_layers"


@final
@dataclass(frozen=True)
class Stack:
    """The layers `found` under `prefix`, and how many the config's `key` counts.

    `extra` layers more may follow them: DeepSeek's multi-token prediction.
    """

    prefix: str
    key: str
    expected: int
    extra: int
    found: frozenset[int]

    @property
    def missing(self) -> int:
        """How many of the counted layers hold no tensor."""
        return self.expected - sum(index < self.expected for index in self.found)

    def first_missing(self, limit: int = 10) -> list[int]:
        """The first of them."""
        absent = (index for index in range(self.expected) if index not in self.found)
        return list(islice(absent, min(limit, self.missing)))

    @property
    def surplus(self) -> list[int]:
        """Stored layers beyond those that the config allows."""
        return sorted(index for index in self.found if index >= self.expected + self.extra)

    @property
    def predicting(self) -> list[int]:
        """Stored layers that predict further tokens."""
        allowed = self.expected + self.extra
        return sorted(index for index in self.found if self.expected <= index < allowed)


def stacks(component: Component) -> Iterator[Stack]:
    """The stacks whose number of layers the config says with certainty."""
    config = component.config or {}
    indices: dict[str, set[int]] = defaultdict(set)
    for _, tensor in component.tensors():
        if numbered := _numbered(tensor.name.split(".")):
            indices[numbered[0]].add(numbered[1])
    governed: dict[int, list[str]] = defaultdict(list)
    for prefix in indices:
        governed[id(governing(config, prefix))].append(prefix)
    for prefixes in governed.values():
        nearest = governing(config, prefixes[0])
        for prefix in prefixes:
            rivals = [other for other in prefixes if _side(other) == _side(prefix)]
            key = _key(nearest, _side(prefix), is_alone=len(prefixes) == 1)
            if key and len(rivals) == 1:
                yield Stack(
                    prefix=prefix,
                    key=key,
                    expected=nearest[key],
                    extra=_count(nearest, PREDICTION_LAYERS) or 0,
                    found=frozenset(indices[prefix]),
                )


def _numbered(parts: list[str]) -> tuple[str, int] | None:
    """`model.layers` and 3 of `model.layers.3.mlp.fc1.weight`."""
    for place, part in enumerate(parts[:-2]):
        if part.isascii() and part.isdecimal():
            is_stack = place > 0 and parts[place - 1] in STACKS and "mtp" not in parts
            return (".".join(parts[:place]), int(part)) if is_stack and len(part) < 10 else None
    return None


def _side(prefix: str) -> str:
    """`encoder`, `decoder` or `""`."""
    return next((part for part in reversed(prefix.split(".")) if part in SIDES), "")


def _key(config: Mapping[str, Any], side: str, *, is_alone: bool) -> str | None:
    keys = SIDES.get(side, ())
    if is_alone:
        keys += LAYERS
    elif side == "encoder" and "num_decoder_layers" in config:
        keys += ("num_layers",)
    return next((key for key in keys if _count(config, key) is not None), None)


def _count(config: Mapping[str, Any], key: str) -> int | None:
    value = config.get(key)
    is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return value if is_count else None
