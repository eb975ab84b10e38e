"""Whether a checkpoint is what its own library makes of it: built, loaded, compared, run once.

Levels 9 to 11 of docs/output.md, "Verify". The loader is not believed: after it has said that every
tensor found its place, the bits that it holds are compared with those in the files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, TypeAlias, get_args

import numpy as np

from compressor.checkpoint.read.header import TensorInfo
from compressor.checkpoint.read.reader import Checkpoint, Component, Shard
from compressor.checkpoint.verify.finding import Finding, failed, ok, refuted, skipped
from compressor.errors import InputError, listing
from compressor.model.diffusion import (
    diffusion_class,
    from_pipeline,
    is_diffusers,
    is_installed,
)
from compressor.model.forward import check_forward
from compressor.model.load import (
    first_line,
    from_files,
    is_transformers,
    model_class,
    torch_dtype,
)

LEVELS: Final = (9, 10, 11)

_Compared: TypeAlias = Literal["equal", "cast", "overflowed", "different", "ignored", "unknown"]
IGNORED: Final = (r"(^|\.)position_ids$", r"rotary_emb\.inv_freq")
"""What the loader of transformers ignores for every class: buffers of older versions."""


def deep_findings(checkpoint: Checkpoint) -> list[Finding]:
    """What building, loading and running each component found."""
    return [
        finding
        for component in checkpoint.components
        for finding in _component(checkpoint, component)
    ]


def _component(checkpoint: Checkpoint, component: Component) -> Iterator[Finding]:
    at = component.prefix or component.shards[0].name
    if is_diffusers(component) and not is_installed():
        reason = "a model of diffusers, which is not installed"
        yield from (skipped(level, reason, at) for level in LEVELS)
        return
    if is_diffusers(component):
        kind, load = diffusion_class(component), from_pipeline
    elif is_transformers(component):
        kind, load = model_class(component), from_files
    else:
        reason = "no config that says which model it is"
        yield from (skipped(level, reason, at) for level in LEVELS)
        return
    try:
        model, errors = load(checkpoint, component, kind)
    except InputError as error:
        model, errors = None, [error]
    except Exception as error:  # whatever a loader raises, it did not load these files
        model, errors = None, [_unloadable(error, at, kind)]
    if errors:
        yield from (refuted(9, error) for error in errors)
        yield from (skipped(level, "the model could not be loaded", at) for level in (10, 11))
        return
    yield ok(9, f"`{kind.__name__}` takes exactly the tensors that are stored", at)
    yield from compare(checkpoint, component, model, at)
    if is_diffusers(component):
        yield skipped(11, "no inputs are made up for a part of a diffusion pipeline", at)
    else:
        yield check_forward(model, at)


def _unloadable(error: Exception, at: str, kind: Any) -> InputError:
    return InputError(
        "CKPT-LOAD",
        "the library of the model cannot load it",
        at=at,
        found=f"{first_line(error)}; expected a `{kind.__name__}`",
        do="restore the files that belong to each other",
    )


def compare(checkpoint: Checkpoint, component: Component, model: Any, at: str) -> Iterator[Finding]:
    """Level 10: every stored tensor against what the model holds in its place, bit by bit."""
    held = as_stored(model)
    found: dict[_Compared, list[str]] = {kind: [] for kind in get_args(_Compared)}
    for shard, tensor in component.tensors():
        if tensor.name in held:
            kind = _compared(checkpoint, shard, tensor, held[tensor.name])
        else:
            kind = "ignored" if _is_ignored(model, tensor.name) else "unknown"
        found[kind].append(tensor.name)
    if names := found["different"]:
        detail = f"{len(names)} hold other bits once loaded: {listing(names)}"
        yield failed(10, "VERIFY-LOADED", detail, at)
    if names := found["overflowed"]:
        detail = f"{len(names)} hold infinity once cast to the model's dtype: {listing(names)}"
        yield failed(10, "WEIGHT-OVERFLOW", detail, at)
    if not found["different"] and not found["overflowed"]:
        parts = [f"{len(found['equal']) + len(found['cast'])} tensors hold the bits of the files"]
        if found["cast"]:
            parts.append(f"{len(found['cast'])} of them after a cast to the model's dtype")
        if found["ignored"]:
            parts.append(f"ignored by declaration: {listing(found['ignored'])}")
        yield ok(10, "; ".join(parts), at)
    if names := found["unknown"]:
        detail = f"converted in a way that cannot be undone, and not compared: {listing(names)}"
        yield skipped(10, detail, at)


def as_stored(model: Any) -> Mapping[str, Any]:
    """What the model holds, by the names of the files: fused experts become single ones again."""
    import transformers
    from transformers.core_model_loading import revert_weight_conversion

    state = model.state_dict()
    if not isinstance(model, transformers.PreTrainedModel):
        return dict(state)
    try:
        reverted: dict[str, Any] = revert_weight_conversion(model, dict(state))
    except (KeyError, NotImplementedError, RuntimeError, TypeError, ValueError):
        return dict(state)  # the tensors that are converted are then reported as not compared
    return {**state, **reverted}


def _is_ignored(model: Any, name: str) -> bool:
    """Whether the class, or the loader for all classes, declares that it has no use for it."""
    declared = model._keys_to_ignore_on_load_unexpected or ()
    return any(re.search(pattern, name) for pattern in (*declared, *IGNORED))


def _compared(checkpoint: Checkpoint, shard: Shard, tensor: TensorInfo, held: Any) -> _Compared:
    import torch

    raw = np.fromfile(checkpoint.folder / shard.name, np.uint8, tensor.nbytes, offset=tensor.start)
    if tuple(held.shape) != tensor.shape or len(raw) != tensor.nbytes:
        return "different"
    stored = torch.from_numpy(raw).view(torch_dtype(tensor.dtype))
    ours, theirs = stored.to(held.dtype), held.detach().cpu().reshape(-1).contiguous()
    if not torch.equal(ours.view(torch.uint8), theirs.view(torch.uint8)):
        return "different"
    if stored.dtype == held.dtype:
        return "equal"
    is_overflowed = bool((torch.isfinite(stored) & ~torch.isfinite(ours)).any())
    return "overflowed" if is_overflowed else "cast"
