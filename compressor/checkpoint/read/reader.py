"""A checkpoint folder as it lies on disk: components, shards, tensors; headers first, data never.

A folder may hold one model (`config.json` beside weights) or several in sub-folders (a diffusers
pipeline, a sentence-transformers chain): each is a *component* with its own config and shards.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NoReturn, final

from compressor.checkpoint.read.config import missing_config, parse_config
from compressor.checkpoint.read.folder import Folder, unreadable
from compressor.checkpoint.read.header import Header, TensorInfo, read_header
from compressor.checkpoint.read.index import check_index, indexed, parse_index, require_unique
from compressor.checkpoint.read.inventory import take_inventory, weight_notes
from compressor.checkpoint.read.limits import Limits
from compressor.checkpoint.read.pickles import pickle_refused, pickled_weights
from compressor.checkpoint.read.quantized import refuse_quantized
from compressor.checkpoint.read.weight_set import (
    ADAPTER_STEM,
    MAIN_STEMS,
    WeightSet,
    check_file_names,
    choose,
    unindexed,
    weight_sets,
)
from compressor.errors import InputError, ResourceError, listing

_BLOCK_BYTES: Final = 512
_JUDGED_BYTES: Final = 1 << 20
"""Smaller files may lie inside their inode, and take no blocks at all."""

_MODULE: Final = re.compile(r"(?:\w+_)?\d+_\w+/")
"""A sub-folder of a sentence-transformers chain: `2_Dense/`."""


@final
@dataclass(frozen=True)
class Shard:
    """One weight file. `name` is relative to the checkpoint folder, with `/` between its parts."""

    name: str
    size: int
    header: Header


@final
@dataclass(frozen=True)
class Component:
    """One model of a folder. `prefix` is `""`, or the sub-folder with its slash: `unet/`."""

    prefix: str
    config: Mapping[str, Any] | None
    shards: tuple[Shard, ...]
    """In the order of their names; streaming, and ties under a global scope, follow it."""
    index: str | None
    """The index file, relative to the checkpoint folder, where the component is sharded."""

    def tensors(self) -> Iterator[tuple[Shard, TensorInfo]]:
        """Every stored tensor in canonical order: by shard name, then by place in the file."""
        for shard in self.shards:
            for tensor in shard.header.tensors:
                yield shard, tensor


@final
@dataclass(frozen=True)
class Checkpoint:
    """A whole folder. Nothing in it has been read but headers, indexes and configs."""

    folder: Path
    components: tuple[Component, ...]
    companions: tuple[str, ...]
    """Files that an output keeps: configs, tokenizers, processors, licences, code as data."""
    left_out: Mapping[str, str]
    """Files that an output does not keep, each with its reason."""
    notes: tuple[str, ...]
    """What a user should know about this folder, in sentences."""

    def shards(self) -> Iterator[Shard]:
        """Every weight file, component by component."""
        for component in self.components:
            yield from component.shards


def open_checkpoint(
    folder: Path,
    limits: Limits = Limits(),  # noqa: B008  # frozen
    allow_pickle: bool = False,
) -> Checkpoint:
    """The checkpoint at a path: a folder, or one bare `*.safetensors` file.

    No pickle is read here: `allow_pickle` says whether one that stands alone is refused by policy
    (exit code 4) or merely not converted yet (3).
    """
    try:
        is_folder = stat.S_ISDIR(folder.stat().st_mode)
    except PermissionError as error:
        raise unreadable(str(folder), error) from error
    except OSError as error:
        raise InputError(
            "CKPT-NOT-FOUND",
            "there is nothing at this path",
            at=folder,
            found=f"{error.strerror}, expected a checkpoint",
            do="check the path",
        ) from error
    if is_folder:
        return _Opening(Folder(folder), limits, allow_pickle).checkpoint(is_bare=False)
    only = Folder(folder.parent, only=folder.name)
    return _Opening(only, limits, allow_pickle).checkpoint(is_bare=True)


@final
class _Opening:
    """One folder on its way to a `Checkpoint`, and the notes so far."""

    def __init__(self, folder: Folder, limits: Limits, allow_pickle: bool) -> None:
        self._folder = folder
        self._limits = limits
        self._allow_pickle = allow_pickle
        self._notes: list[str] = []
        self._tensors = 0

    def checkpoint(self, is_bare: bool) -> Checkpoint:
        """Every component, then what is left of the folder."""
        components = tuple(self._component(prefix, is_bare) for prefix in self._prefixes())
        used = {shard.name for component in components for shard in component.shards}
        used |= {component.index for component in components if component.index is not None}
        companions, left_out = take_inventory(self._folder, used)
        self._note_formats(components)
        notes = (*self._notes, *weight_notes(left_out))
        return Checkpoint(
            self._folder.path, components, companions, MappingProxyType(left_out), notes
        )

    def _prefixes(self) -> list[str]:
        """Where the components lie. A sub-folder of pickles counts: without it, a part is lost."""
        root = self._folder.names("")
        inner = [
            prefix
            for prefix in self._folder.prefixes()
            if prefix.count("/") == 1 and _holds_model(self._folder.names(prefix))
        ]
        if "model_index.json" in root and inner:
            return inner
        if "modules.json" in root:
            modules = [prefix for prefix in inner if _MODULE.fullmatch(prefix)]
            return ["", *modules] if _holds_model(root) or not modules else modules
        return [""]

    def _component(self, prefix: str, is_bare: bool) -> Component:
        at = prefix or self._folder.name
        names = self._folder.names(prefix)
        sets = weight_sets(names)
        weights = choose(sets, at)
        if weights is None:
            self._refuse_weightless(names, sets, at)
        config = None if is_bare else self._config(prefix, names, weights)
        index = None
        if weights.index is None:
            files = unindexed(weights, names, at)
            check_file_names([*prefix.split("/")[:-1], *files], at)
            if is_bare or weights.stem not in MAIN_STEMS or weights.variant:
                self._notes.append(f"the weights of {at} are read from {listing(files)} alone")
        else:
            where = prefix + weights.index
            index = parse_index(self._folder.read(where, self._limits.index), where, self._limits)
            files = indexed(index, weights, names)
        shards = tuple(self._shard(prefix + file) for file in sorted(files))
        tensors = {
            file: shard.header.tensors for file, shard in zip(sorted(files), shards, strict=True)
        }
        if not any(tensors.values()):
            raise _no_weights(at, f"no tensor in {listing(files)}")
        require_unique(tensors, at)
        if index is not None:
            self._notes.extend(check_index(index, tensors))
        refuse_quantized(config, (tensor for held in tensors.values() for tensor in held), prefix)
        return Component(prefix, config, shards, index.at if index is not None else None)

    def _config(
        self, prefix: str, names: list[str], weights: WeightSet
    ) -> Mapping[str, Any] | None:
        """The config; a module of a chain, or weights under a name of their own, may have none."""
        name = f"{prefix}config.json"
        if "config.json" in names:
            return parse_config(self._folder.read(name, self._limits.config), name, self._limits)
        if not prefix and weights.stem in MAIN_STEMS:
            raise missing_config(name)
        return None

    def _shard(self, name: str) -> Shard:
        with self._folder.open(name) as (descriptor, status):
            header = read_header(descriptor, status.st_size, name, self._limits)
            on_disk = status.st_blocks * _BLOCK_BYTES
        self._tensors += len(header.tensors)
        if self._tensors > self._limits.tensors:
            raise ResourceError(
                "LIMIT-TENSORS",
                "the checkpoint holds too many tensors",
                at=name,
                found=f"{self._tensors} up to this file, the limit is {self._limits.tensors}",
                do="make sure that the checkpoint is what it claims to be, then raise the limit",
            )
        is_sparse = status.st_size >= _JUDGED_BYTES and on_disk * 2 < status.st_size
        if is_sparse and not self._limits.allow_sparse:
            raise ResourceError(
                "LIMIT-SPARSE",
                "a weight file is mostly holes that were never written",
                at=name,
                found=f"{on_disk} bytes on disk of {status.st_size}, expected at least half",
                do="if its file system compresses zeros, allow it with --limit allow_sparse=1",
            )
        return Shard(name, status.st_size, header)

    def _refuse_weightless(self, names: list[str], sets: Sequence[WeightSet], at: str) -> NoReturn:
        if any(one.stem == ADAPTER_STEM for one in sets):
            raise InputError(
                "CKPT-ADAPTER",
                "this is an adapter, not a model",
                at=at,
                found="adapter_model.safetensors alone, expected the weights of a model",
                do="merge the adapter into its base model first",
            )
        if pickles := pickled_weights(names):
            raise pickle_refused(at, pickles, is_allowed=self._allow_pickle)
        raise _no_weights(at, listing(names) or "an empty folder")

    def _note_formats(self, components: Sequence[Component]) -> None:
        shards = [shard for component in components for shard in component.shards]
        other = [one.name for one in shards if one.header.metadata.get("format") != "pt"]
        if other:
            self._notes.append(f"no `format: pt` in the header of {listing(other)}")


def _no_weights(at: str, found: str) -> InputError:
    return InputError(
        "CKPT-NO-WEIGHTS",
        "there are no weights that can be read",
        at=at,
        found=f"{found}; expected the tensors of a model in *.safetensors",
        do="name the folder that holds the safetensors files of a model",
    )


def _holds_model(names: Sequence[str]) -> bool:
    stems = {one.stem for one in weight_sets(names)}
    return not stems.isdisjoint(MAIN_STEMS) or bool(pickled_weights(names))
