"""A checkpoint as the model that its kind promises, or an error: never a layer of random weights.

transformers fills what a checkpoint lacks with random weights, and says so in a log line. Here its
loading info has to be clean.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from compressor.checkpoint.read.reader import Checkpoint, Component, open_checkpoint
from compressor.checkpoint.source import locate
from compressor.errors import InputError, RefusedError, UsageError, listing, printable
from compressor.model.subconfig import model_type

_TORCH_NAMES: Final = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "I16": "int16",
    "U16": "uint16",
    "F16": "float16",
    "BF16": "bfloat16",
    "I32": "int32",
    "U32": "uint32",
    "F32": "float32",
    "F64": "float64",
    "I64": "int64",
    "U64": "uint64",
    "C64": "complex64",
    "F8_E5M2": "float8_e5m2",
    "F8_E4M3": "float8_e4m3fn",
}


def load(folder: str | Path, **kwargs: Any) -> Any:
    """The model in a folder, hub repository or package: in the dtype it is stored in, in `eval`.

    A `SentenceTransformer` where `modules.json` says so, else the class that the config names.
    `kwargs` are those of `from_pretrained`: `load("out", device_map="cuda")`.
    """
    checkpoint = open_checkpoint(locate(str(folder)).folder)
    is_chain = "modules.json" in checkpoint.companions
    components = [each for each in checkpoint.components if is_transformers(each)]
    if is_chain:
        _require_sentence_transformers(checkpoint)
        for component in components:
            _loaded(checkpoint, component, {})
        return _sentence_transformer(checkpoint.folder, kwargs)
    if len(checkpoint.components) != 1:
        names = listing(component.prefix for component in checkpoint.components)
        raise InputError(
            "CONFIG-MODEL-TYPE",
            "the folder holds several models, and none of them is the whole",
            at=checkpoint.folder.name,
            found=f"{names}; expected one model",
            do="load it with the library that wrote it, such as diffusers",
        )
    return _loaded(checkpoint, checkpoint.components[0], kwargs)


def is_transformers(component: Component) -> bool:
    """Whether the component is a model of transformers, by its config."""
    return component.config is not None and bool(model_type(component.config))


def model_class(component: Component) -> Any:
    """The class of transformers that the config names; code that comes with a model never runs."""
    import transformers

    config = component.config or {}
    at, kind = f"{component.prefix}config.json", model_type(config)
    names = config.get("architectures")
    name = names[0] if isinstance(names, list) and names else None
    if kind in transformers.CONFIG_MAPPING:
        known = transformers.CONFIG_MAPPING[kind]
        found = transformers.MODEL_MAPPING.get(known, None) if name is None else _named(name)
        found = found[0] if isinstance(found, tuple) else found
        if found is not None and found.config_class is known:
            return found
    if "auto_map" in config:
        raise RefusedError(
            "REMOTE-CODE",
            "the model needs code that comes with its checkpoint, and such code is never run",
            at=f"{at}, key auto_map",
            found=f"model type `{printable(kind)}`, class `{printable(name)}`",
            do="leave out what builds the model (--deep); --trust-remote-code is not offered",
        )
    if kind not in transformers.CONFIG_MAPPING:
        raise InputError(
            "CONFIG-MODEL-TYPE",
            "the config names no model type that transformers knows",
            at=f"{at}, key model_type",
            found=f"`{printable(kind)}`, expected one such as `llama`",
            do="correct the key, or install a transformers that knows the type",
        )
    raise InputError(
        "CONFIG-ARCH",
        "the config names no class of its own model type",
        at=f"{at}, key architectures",
        found=f"`{printable(name)}`, expected a class of `{printable(kind)}`",
        do="restore the config that belongs to these weights",
    )


def torch_dtype(name: str) -> Any:
    """The dtype of torch for one of safetensors: `BF16`."""
    import torch

    return getattr(torch, _TORCH_NAMES[name])


def require_enough(
    component: Component, build: Callable[[], tuple[Any, Iterable[str] | None]]
) -> None:
    """Refuse a config that builds no model, or one with more parameters than are stored.

    `build` gives the model, and patterns of names that it can do without. Nothing is allocated for
    its weights: a loader would fill memory with random ones.
    """
    import torch

    at = f"{component.prefix}config.json"
    try:
        with quiet(), torch.device("meta"):
            model, optional = build()
    except Exception as error:  # whatever a constructor raises, it is the config that made it
        raise InputError(
            "CONFIG-VALUE",
            "no model can be built from the config",
            at=at,
            found=f"{first_line(error)}; expected a config that its library accepts",
            do="restore the config that belongs to these weights",
        ) from error
    patterns = [re.compile(pattern) for pattern in optional or ()]
    needed = sum(
        parameter.numel()
        for name, parameter in model.named_parameters()
        if not any(pattern.search(name) for pattern in patterns)
    )
    stored = sum(tensor.count for _, tensor in component.tensors())
    if needed > stored:
        raise InputError(
            "CKPT-MISSING-TENSOR",
            "the config describes a larger model than is stored",
            at=at,
            found=f"{needed} parameters, {stored} stored",
            do="fetch the missing shards, or restore the config that belongs to these weights",
        )


def from_files(
    checkpoint: Checkpoint, component: Component, kind: Any, **kwargs: Any
) -> tuple[Any, list[InputError]]:
    """The loaded model in `eval`, and an error for each way in which the files do not fill it."""
    path = str(checkpoint.folder / component.prefix)
    local = {"local_files_only": True}

    def build() -> tuple[Any, Iterable[str] | None]:
        model = kind(kind.config_class.from_pretrained(path, **local))
        return model, model._keys_to_ignore_on_load_missing

    require_enough(component, build)
    with quiet():
        model, info = kind.from_pretrained(
            path,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            use_safetensors=True,
            **local,
            **{"dtype": "auto", **kwargs},
        )
    return model.eval(), list(loading_errors(info, component))


def loading_errors(info: Mapping[str, Any], component: Component) -> Iterator[InputError]:
    """What a loader says it could not do, each kind as the error that it is."""
    at = component.prefix or component.shards[0].name
    do = "restore the config and the weights that belong to each other"
    if names := sorted(info["missing_keys"]):
        message = "the model has tensors that the checkpoint does not store"
        found = f"{len(names)} missing: {listing(names)}; expected none"
        yield InputError("CKPT-MISSING-TENSOR", message, at=at, found=found, do=do)
    if names := sorted(info["unexpected_keys"]):
        message = "the checkpoint stores tensors that the model does not have"
        found = f"{len(names)} unexpected: {listing(names)}; expected none"
        yield InputError("CKPT-UNEXPECTED-TENSOR", message, at=at, found=found, do=do)
    if shapes := sorted(info["mismatched_keys"]):
        message = "the checkpoint stores tensors in other shapes than the model's"
        pairs = listing(
            f"{name} {list(was)}, expected {list(wanted)}" for name, was, wanted in shapes
        )
        yield InputError("CKPT-SHAPE", message, at=at, found=pairs, do=do)
    if texts := info["error_msgs"]:
        message = "the loader could not put every tensor in its place"
        yield InputError("CKPT-SHAPE", message, at=at, found=listing(texts), do=do)


@contextmanager
def quiet() -> Iterator[None]:
    """No bars, logs and warnings of transformers: what they say is asked for and judged here."""
    from transformers.utils.logging import (
        disable_progress_bar,
        enable_progress_bar,
        get_verbosity,
        is_progress_bar_enabled,
        set_verbosity,
    )

    verbosity, has_bars = get_verbosity(), is_progress_bar_enabled()
    set_verbosity(logging.CRITICAL)
    disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers has no annotation
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        set_verbosity(verbosity)
        if has_bars:
            enable_progress_bar()  # type: ignore[no-untyped-call]  # transformers has no annotation


def first_line(error: Exception) -> str:
    """The kind of a foreign error, and how its text begins."""
    text = str(error).strip().split("\n")[0]
    return printable(f"{type(error).__name__}: {text}" if text else type(error).__name__, 200)


def _loaded(checkpoint: Checkpoint, component: Component, kwargs: Mapping[str, Any]) -> Any:
    model, errors = from_files(checkpoint, component, model_class(component), **kwargs)
    if errors:
        raise errors[0]
    return model


def _named(name: object) -> Any:
    """The model class of that name, where transformers has one."""
    import transformers

    try:
        found = getattr(transformers, str(name))
    except AttributeError:
        return None
    is_model = isinstance(found, type) and issubclass(found, transformers.PreTrainedModel)
    return found if is_model else None


def _require_sentence_transformers(checkpoint: Checkpoint) -> None:
    """The library is installed, and every module of the chain is one of its own."""
    if importlib.util.find_spec("sentence_transformers") is None:
        raise UsageError(
            "EXTRA-MISSING",
            "this model is a chain of modules that sentence-transformers loads",
            at=f"{checkpoint.folder.name}/modules.json",
            found="sentence-transformers is not installed",
            do="install it with: pip install sentence-transformers",
        )
    try:
        modules = json.loads((checkpoint.folder / "modules.json").read_bytes())
        kinds = [str(module["type"]) for module in modules]
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(
            "CONFIG-UNREADABLE",
            "the list of modules of a chain cannot be read",
            at="modules.json",
            found=f"{first_line(error)}; expected a list of objects with a `type`",
            do="fetch modules.json again from the model's provider",
        ) from error
    if foreign := [kind for kind in kinds if not kind.startswith("sentence_transformers.")]:
        raise RefusedError(
            "REMOTE-CODE",
            "a chain names modules that are not part of sentence-transformers",
            at="modules.json",
            found=f"{listing(foreign)}; expected names that begin with sentence_transformers.",
            do="load it with sentence-transformers itself if you trust its provider",
        )


def _sentence_transformer(folder: Path, kwargs: Mapping[str, Any]) -> Any:
    library = import_module("sentence_transformers")
    with quiet():
        model = library.SentenceTransformer(
            str(folder),
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs={"dtype": "auto", **kwargs},
        )
    return model.eval()
