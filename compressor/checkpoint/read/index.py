"""The index of a sharded model: every tensor in exactly one shard, every shard named, and here."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NoReturn, TypeAlias, final

from compressor.checkpoint.read.folder import path_escape
from compressor.checkpoint.read.header import TensorInfo
from compressor.checkpoint.read.limits import Limits
from compressor.checkpoint.read.pickles import is_pickle, pickle_refused
from compressor.checkpoint.read.strict_json import MalformedJson, parse_object
from compressor.checkpoint.read.weight_set import (
    FILE_NAME,
    WeightSet,
    ambiguous,
    incomplete,
    leftovers,
)
from compressor.errors import InputError, listing, printable

Tensors: TypeAlias = Mapping[str, Iterable[TensorInfo]]
"""What each shard of a component holds, by the name of the shard without its folder."""


@final
@dataclass(frozen=True)
class Index:
    """A parsed index: which shard holds each tensor, and how many bytes it claims for all."""

    at: str
    weight_map: Mapping[str, str]
    total_size: int | None

    @property
    def shards(self) -> list[str]:
        """The files that it names, sorted."""
        return sorted(set(self.weight_map.values()))


def parse_index(raw: bytes, at: str, limits: Limits) -> Index:
    """The index as data. No file that it names has been opened, and each is a base name."""
    if len(raw) > limits.index:
        _fail("an index is too long", at, f"more than {limits.index} bytes")
    try:
        content = parse_object(raw, limits.depth, is_strict=True)
    except MalformedJson as error:
        _fail("an index is not valid JSON", at, f"{error}, expected an object")
    weight_map = content.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        _fail("an index names no shards", at, f"`{printable(weight_map)}`, expected a `weight_map`")
    for tensor, file in weight_map.items():
        if not isinstance(file, str):
            found = f"`{printable(file)}` for `{printable(tensor)}`, expected a file name"
            _fail("an index names something other than a file", at, found)
    for file in sorted(set(weight_map.values())):
        _check_file(file, at)
    metadata = content.get("metadata")
    total = metadata.get("total_size") if isinstance(metadata, dict) else None
    return Index(at, weight_map, total if type(total) is int else None)


def indexed(index: Index, weights: WeightSet, names: Iterable[str]) -> list[str]:
    """The shards that an index names: all here, and no weight file beside them that it forgot."""
    here = set(names)
    if missing := [file for file in index.shards if file not in here]:
        if leftovers(here):
            raise incomplete(index.at, f"{listing(missing)} missing", here)
        _refuse_missing(missing, here, index.at)
    forgotten = sorted(set(weights.files) - set(index.shards))
    if weights.single in forgotten:
        raise ambiguous(index.at, [weights.single, *index.shards])
    if forgotten:
        found = f"{listing(forgotten)} beside it, expected every shard to be named"
        _fail("an index does not name a weight file that is here", index.at, found)
    return index.shards


def require_unique(shards: Tensors, at: str) -> None:
    """Refuse a component that stores one tensor in two of its shards."""
    places: dict[str, str] = {}
    for shard, tensors in shards.items():
        for tensor in tensors:
            if tensor.name in places:
                pair = f"{places[tensor.name]} and {shard}"
                raise InputError(
                    "CKPT-DUPLICATE",
                    "a tensor is stored in two shards",
                    at=at,
                    found=f"`{printable(tensor.name)}` in {pair}, expected one",
                    do="remove the stale shard, then run again",
                )
            places[tensor.name] = shard


def check_index(index: Index, shards: Tensors) -> tuple[str, ...]:
    """Notes on an index that maps exactly the tensors of its shards; an error where it does not."""
    stored = {tensor.name: shard for shard, tensors in shards.items() for tensor in tensors}
    absent = [name for name in index.weight_map if name not in stored]
    if absent:
        found = f"{len(absent)} that no shard holds: {listing(absent)}; expected none"
        _fail("an index names tensors that are not stored", index.at, found)
    unnamed = [name for name in stored if name not in index.weight_map]
    if unnamed:
        found = f"{len(unnamed)} stored ones left out: {listing(unnamed)}; expected none"
        _fail("an index does not name every stored tensor", index.at, found)
    misplaced = [name for name, shard in stored.items() if index.weight_map[name] != shard]
    if misplaced:
        found = f"{len(misplaced)} that lie in another shard: {listing(misplaced)}; expected none"
        _fail("an index maps tensors to the wrong shard", index.at, found)
    total = sum(tensor.nbytes for tensors in shards.values() for tensor in tensors)
    if index.total_size is None or index.total_size == total:
        return ()
    claimed = printable(index.total_size)
    return (f"{index.at} claims a total_size of {claimed}; the tensors take {total} bytes",)


def _check_file(file: str, at: str) -> None:
    if "/" in file or "\\" in file or file in {".", ".."}:
        raise path_escape(at, f"`{printable(file)}`")
    if is_pickle(file):
        raise pickle_refused(at, [file])
    if FILE_NAME.fullmatch(file) is None or not file.endswith(".safetensors"):
        found = f"`{printable(file)}`, expected a plain name that ends in .safetensors"
        _fail("an index names a file that is no weight file", at, found)


def _refuse_missing(missing: list[str], here: set[str], at: str) -> NoReturn:
    folded = {_folded(name): name for name in here}
    similar = [folded[_folded(file)] for file in missing if _folded(file) in folded]
    hint = f"; {listing(similar)} differs in case or normalisation" if similar else ""
    raise InputError(
        "CKPT-MISSING-SHARD",
        "the index names a shard that is not there",
        at=at,
        found=f"{len(missing)} missing: {listing(missing)}{hint}; expected every shard",
        do="fetch the missing files into the folder",
    )


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()


def _fail(message: str, at: str, found: str) -> NoReturn:
    do = "fetch the index again, or save the model again"
    raise InputError("CKPT-INDEX", message, at=at, found=found, do=do)
