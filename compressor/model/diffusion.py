"""A component of a diffusers pipeline, loaded by the class that its config names."""

from __future__ import annotations

import importlib.util
from collections import Counter
from importlib import import_module
from typing import Any

from compressor.checkpoint.read.reader import Checkpoint, Component
from compressor.errors import InputError, printable
from compressor.model.load import loading_errors, quiet, require_enough, torch_dtype


def is_diffusers(component: Component) -> bool:
    """Whether the component is a model of diffusers, by its config."""
    return component.config is not None and "_class_name" in component.config


def is_installed() -> bool:
    """Whether diffusers can be imported."""
    return importlib.util.find_spec("diffusers") is not None


def diffusion_class(component: Component) -> Any:
    """The class of diffusers that the config names."""
    diffusers = import_module("diffusers")
    name = str((component.config or {})["_class_name"])
    try:
        found = getattr(diffusers, name)
    except AttributeError:
        found = None
    if not isinstance(found, type) or not issubclass(found, diffusers.ModelMixin):
        raise InputError(
            "CONFIG-ARCH",
            "the config names no model class that diffusers knows",
            at=f"{component.prefix}config.json, key _class_name",
            found=f"`{printable(name)}`, expected one such as `UNet2DConditionModel`",
            do="restore the config that belongs to these weights",
        )
    return found


def from_pipeline(
    checkpoint: Checkpoint, component: Component, kind: Any
) -> tuple[Any, list[InputError]]:
    """The loaded model in `eval`, and an error for each way in which the files do not fill it.

    It is loaded in the dtype that most of its weights have.
    """
    path = str(checkpoint.folder / component.prefix)
    local = {"local_files_only": True}
    require_enough(component, lambda: (kind.from_config(kind.load_config(path, **local)), ()))
    weights: Counter[str] = Counter()
    for _, tensor in component.tensors():
        weights[tensor.dtype] += tensor.count
    with quiet():
        model, info = kind.from_pretrained(
            path,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            low_cpu_mem_usage=False,
            use_safetensors=True,
            torch_dtype=torch_dtype(weights.most_common(1)[0][0]),
            **local,
        )
    return model.eval(), list(loading_errors(info, component))
