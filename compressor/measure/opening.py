"""From a checkpoint to a model that can be asked, in one dtype and on one device for all."""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, final

import torch

from compressor.checkpoint.read.reader import Checkpoint, Component
from compressor.errors import InputError, ResourceError, UsageError, listing, printable
from compressor.measure.kinds import kind_of, measured_component
from compressor.measure.loaded import Kind, Loaded
from compressor.model.load import from_files, loading_errors, model_class, quiet, require_enough

_POOLER: Final = r"(?:^|\.)pooler\."

DTYPES: Final = ("float32", "bfloat16", "float16", "float64")


@final
@dataclass(frozen=True)
class Setting:
    """What is the same for every model of a comparison."""

    device: str
    dtype: str
    batch_size: int
    max_length: int | None
    threads: int


def resolve_device(asked: str) -> str:
    """The device that the user asked for, `auto` being a GPU where there is one; never another."""
    if asked == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        # A number comes back from every device but `meta`, on which nothing is computed.
        torch.zeros(1, device=asked).item()
    except (RuntimeError, AssertionError, ImportError) as error:
        reason = printable(str(error).split("\n")[0])
        raise UsageError(
            "DEVICE",
            "this device cannot be used here",
            at="--device",
            found=f"`{printable(asked)}`: {reason}; expected one such as cpu or cuda",
            do="leave --device out, or see: compressor doctor",
        ) from None
    return asked


def resolve_dtype(asked: str, checkpoint: Checkpoint) -> str:
    """The dtype to compute in: the one asked for, or that of most weights of this checkpoint."""
    if asked != "auto":
        return asked
    sizes: dict[str, int] = {}
    for _, tensor in measured_component(checkpoint).tensors():
        name = {"F32": "float32", "BF16": "bfloat16", "F16": "float16", "F64": "float64"}
        if tensor.dtype in name:
            found = name[tensor.dtype]
            sizes[found] = sizes.get(found, 0) + tensor.count
    return max(DTYPES, key=lambda dtype: sizes.get(dtype, 0))


@contextmanager
def opened(
    name: str, checkpoint: Checkpoint, setting: Setting, observe: Callable[[int], None]
) -> Iterator[Loaded]:
    """The model, in memory as long as the block lasts; anything it lacks is an error."""
    component, kind = measured_component(checkpoint), kind_of(checkpoint)
    try:
        with torch.inference_mode():
            model = _model(checkpoint, component, kind, setting).to(setting.device)
            loaded = Loaded(
                name=name,
                folder=checkpoint.folder / component.prefix
                if kind != "embedding"
                else checkpoint.folder,
                kind=kind,
                model=model,
                config=model.config,
                device=setting.device,
                batch_size=setting.batch_size,
                max_length=setting.max_length,
                observe=observe,
            )
            try:
                yield loaded
            finally:
                _give_back(model, setting.device)
    except torch.cuda.OutOfMemoryError as error:
        raise ResourceError(
            "OOM",
            "the device ran out of memory",
            at=name,
            found=printable(str(error).split("\n")[0], 200),
            do="use a smaller --batch-size or --max-length, or --device cpu",
        ) from None


def _give_back(model: Any, device: str) -> None:
    """The memory of a GPU, to the next model and to processes beside this one."""
    if device.startswith("cuda"):
        # Whoever asked the model may still hold the module; its weights go all the same.
        model.to("meta")
        gc.collect()
        torch.cuda.empty_cache()


def _model(checkpoint: Checkpoint, component: Component, kind: Kind, setting: Setting) -> Any:
    cls = model_class(component)
    dtype = getattr(torch, setting.dtype)
    if kind == "embedding":
        return _encoder(checkpoint, component, cls, dtype)
    model, errors = from_files(checkpoint, component, cls, dtype=dtype)
    if errors:
        raise errors[0]
    return model


def _base_class(cls: Any) -> Any:
    """The class of the bare encoder: what a chain of sentence-transformers begins with."""
    import transformers

    found = transformers.MODEL_MAPPING.get(cls.config_class, cls)
    return found[0] if isinstance(found, tuple) else found


def _encoder(checkpoint: Checkpoint, component: Component, cls: Any, dtype: Any) -> Any:
    """The bare encoder: a stored head is left alone, and a pooler that is not stored not asked."""
    base = _base_class(cls)
    path = str(checkpoint.folder / component.prefix)

    def build() -> tuple[Any, Iterable[str]]:
        return base(base.config_class.from_pretrained(path, local_files_only=True)), [_POOLER]

    require_enough(component, build)
    with quiet():
        model, info = base.from_pretrained(
            path,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            use_safetensors=True,
            local_files_only=True,
            dtype=dtype,
        )
    missing = {name for name in info["missing_keys"] if not re.search(_POOLER, name)}
    unexpected = info["unexpected_keys"] if base is cls else set()
    found = {**info, "missing_keys": missing, "unexpected_keys": unexpected}
    for error in loading_errors(found, component):
        raise error
    if len(missing) < len(info["missing_keys"]):
        # Made-up weights would cost time, and count as parameters that nobody stored.
        model.pooler = None
    return model.eval()


def require_one_kind(kinds: dict[str, Kind]) -> Kind:
    """What all the models do; models that do different things have nothing to compare."""
    if len(set(kinds.values())) > 1:
        raise InputError(
            "BENCH-KINDS",
            "these models do different things, so that no score compares them",
            at=listing(kinds),
            found=listing(f"{name}: {kind}" for name, kind in kinds.items()) + "; expected one",
            do="compare a model with what was made from it",
        )
    return next(iter(kinds.values()))
