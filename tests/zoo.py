"""Tiny random checkpoints of many architectures, built from their configs: no download, no data.

`FAMILIES` says which class and config each `model_type` is built with. The classes are mixed on
purpose, so that every kind of head is met; where a model encodes and decodes, the depths differ, so
that a test cannot confuse their counts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from families_media import MEDIA_FAMILIES
from families_text import TEXT_FAMILIES

from compressor.checkpoint.read.header import Header, TensorInfo
from compressor.checkpoint.read.reader import Component, Shard

FAMILIES = TEXT_FAMILIES | MEDIA_FAMILIES


def build(model_type: str, folder: Path) -> None:
    """Save a tiny random checkpoint of `model_type` into `folder`; the same bytes each time.

    Noise is added to every parameter, so that no two tensors, not even biases, are alike.
    """
    import torch
    import transformers

    architecture, settings = FAMILIES[model_type]
    model_class = getattr(transformers, architecture)
    transformers.utils.logging.disable_progress_bar()
    torch.manual_seed(0)
    model = model_class(model_class.config_class(**settings))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    model.save_pretrained(folder)


def read(folder: Path) -> Component:
    """The component that `build` saved, from its headers alone."""
    from safetensors import safe_open

    with safe_open(folder / "model.safetensors", "np") as file:
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
        shapes = {name: tuple(part.get_shape()) for name, part in slices.items()}
        dtypes = {name: part.get_dtype() for name, part in slices.items()}
    return component(shapes, json.loads((folder / "config.json").read_text()), dtypes)


def component(
    shapes: Mapping[str, tuple[int, ...]],
    config: Mapping[str, Any] | None = None,
    dtypes: Mapping[str, str] | None = None,
) -> Component:
    """A component made up of names and shapes; F32 unless `dtypes` says otherwise."""
    tensors = tuple(
        TensorInfo(name, (dtypes or {}).get(name, "F32"), shape, 0, 0)
        for name, shape in shapes.items()
    )
    shard = Shard("model.safetensors", 0, Header(b"", {}, tensors))
    return Component("", config, (shard,), None)
