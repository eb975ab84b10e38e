"""Whether a report's claims about a checkpoint hold: zeros and patterns, counted by other code.

Levels 12 and 13 of docs/output.md, "Verify"; no torch. What the streaming commands count block by
block is counted here on whole arrays, so that a mistake of the one is not repeated by the other.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ValidationError

from compressor.checkpoint.blocks import UNSIGNED, Reader, extents
from compressor.checkpoint.read.folder import Folder
from compressor.checkpoint.read.header import DTYPE_BITS, TensorInfo
from compressor.checkpoint.read.reader import Checkpoint, Shard
from compressor.checkpoint.verify.files import REPORT, REPORT_BYTES
from compressor.checkpoint.verify.finding import Finding, failed, ok, skipped
from compressor.errors import listing
from compressor.model.roles import Layout, classify
from compressor.sparsity import NM, Unstructured, VectorNM, parse

Stored: TypeAlias = tuple[Shard, TensorInfo]
NonZero: TypeAlias = npt.NDArray[np.bool_]

FLOATS: Final = frozenset({"BF16", "F16", "F32", "F64"})
AXES: Final = {
    Layout.OUT_IN: (-2, -1),
    Layout.IN_OUT: (-1, -2),
    Layout.CONVOLUTION: (0, 1),
    Layout.CONVOLUTION_TRANSPOSED: (1, 0),
}
"""Where outputs and inputs lie in an array of this layout."""


class Row(BaseModel):
    """What a report says of one tensor: an empty `reason` means that it was changed."""

    name: str
    reason: str
    zeros: int
    weights: int


class _Tables(BaseModel):
    tensors: list[Row]


class Claims(BaseModel):
    """The part of a report that can be counted anew."""

    summary: dict[str, Any]
    tables: _Tables

    @property
    def rows(self) -> dict[str, Row]:
        """What is said of each tensor, by name."""
        return {row.name: row for row in self.tables.tensors}


def claims_of(checkpoint: Checkpoint) -> Claims | None:
    """What the report beside the weights claims; None where there is none about tensors."""
    folder = Folder(checkpoint.folder)
    if REPORT not in folder.sizes:
        return None
    try:
        return Claims.model_validate(json.loads(folder.read(REPORT, REPORT_BYTES)))
    except (ValidationError, ValueError):
        return None


def check_claims(checkpoint: Checkpoint, claims: Claims | None) -> Iterator[Finding]:
    """Level 12: the zeros of every tensor, the pattern of the changed ones, and the sums."""
    if claims is None:
        yield skipped(12, "no report of what was done to the tensors")
        return
    stored, rows = stored_tensors(checkpoint), claims.rows
    if unlisted := sorted(stored.keys() ^ rows.keys()):
        yield failed(12, "VERIFY-CLAIM", f"not both stored and reported: {listing(unlisted)}")
        return
    sparsity = _pattern(claims)
    wrong: list[str] = []
    unruly: list[str] = []
    counted: dict[str, int] = {}
    roles = {
        component.prefix + name: found.layout
        for component in checkpoint.components
        for name, found in classify(component).items()
    }
    for name, (shard, tensor) in stored.items():
        nonzero = _nonzero(checkpoint, shard, tensor)
        counted[name] = nonzero.size - int(np.count_nonzero(nonzero))
        if counted[name] != rows[name].zeros:
            wrong.append(f"{name} ({counted[name]}, reported {rows[name].zeros})")
        if tensor.count != rows[name].weights:
            wrong.append(f"{name} ({tensor.count} weights, reported {rows[name].weights})")
        if not rows[name].reason and not _obeys(nonzero, sparsity, roles[name]):
            unruly.append(name)
    for key, value in _sums(stored, rows, counted).items():
        if key in claims.summary and claims.summary[key] != value:
            wrong.append(f"{key} ({value}, reported {claims.summary[key]})")
    if wrong:
        yield failed(12, "VERIFY-CLAIM", f"counted otherwise than reported: {listing(wrong)}")
    if unruly:
        yield failed(12, "VERIFY-CLAIM", f"do not obey {sparsity}: {listing(unruly)}")
    if not wrong and not unruly:
        yield ok(12, f"{sum(counted.values())} zeros in {len(counted)} tensors, as reported")


def check_source(
    checkpoint: Checkpoint, claims: Claims | None, source: Checkpoint
) -> Iterator[Finding]:
    """Level 13: what the report says is untouched equals the source, the rest where it is kept."""
    if claims is None:
        yield skipped(13, "no report says which tensors are untouched")
        return
    ours, theirs, rows = stored_tensors(checkpoint), stored_tensors(source), claims.rows
    if unmatched := sorted(ours.keys() ^ theirs.keys()):
        yield failed(13, "VERIFY-SOURCE", f"only in one of the two: {listing(unmatched)}")
        return
    untouched = 0
    different: list[str] = []
    with (
        Reader(checkpoint.folder, checkpoint.shards(), 1) as our_reader,
        Reader(source.folder, source.shards(), 1) as their_reader,
    ):
        for name, new in ours.items():
            is_touched = name in rows and not rows[name].reason
            untouched += not is_touched
            if not _agrees(new, theirs[name], our_reader, their_reader, is_touched):
                different.append(name)
    if different:
        detail = f"{len(different)} differ where they were to be left alone: {listing(different)}"
        yield failed(13, "VERIFY-SOURCE", detail)
    else:
        touched = len(ours) - untouched
        detail = f"{untouched} tensors equal the source, {touched} wherever they are not zero"
        yield ok(13, detail)


def stored_tensors(checkpoint: Checkpoint) -> dict[str, Stored]:
    """Every tensor by the name that a report calls it."""
    return {
        component.prefix + stored[1].name: stored
        for component in checkpoint.components
        for stored in component.tensors()
    }


def _nonzero(checkpoint: Checkpoint, shard: Shard, tensor: TensorInfo) -> NonZero:
    """Which elements are not zero of either sign, by the stored bits."""
    if tensor.dtype == "C64":
        return np.ones(tensor.shape, bool)
    path, word = checkpoint.folder / shard.name, UNSIGNED[DTYPE_BITS[tensor.dtype]]
    bits = np.fromfile(path, word, tensor.count, offset=tensor.start)
    without_sign = bits << bits.dtype.type(1) if tensor.dtype in FLOATS else bits
    nonzero: NonZero = without_sign.reshape(tensor.shape) != 0
    return nonzero


def _obeys(nonzero: NonZero, sparsity: NM | VectorNM | None, layout: Layout) -> bool:
    """Whether no group of M inputs holds more than N weights, in any output or block of outputs."""
    if sparsity is None or layout is Layout.NONE or not nonzero.size:
        return True
    by_output = np.moveaxis(nonzero, AXES[layout], (-2, -1))  # (…, out, in)
    outputs, inputs = by_output.shape[-2:]
    if inputs % sparsity.m:
        return False
    rows = sparsity.rows if isinstance(sparsity, VectorNM) else 1
    blocks = [by_output[..., top : top + rows, :].any(-2) for top in range(0, outputs, rows)]
    groups = np.stack(blocks, -2).reshape(-1, sparsity.m)
    return int(groups.sum(-1, dtype=np.int64).max()) <= sparsity.n


def _pattern(claims: Claims) -> NM | VectorNM | None:
    """The N:M that the report claims for what was changed."""
    try:
        found = parse(str(claims.summary.get("pattern", "")))
    except ValueError:
        return None
    return None if isinstance(found, Unstructured) else found


def _sums(
    stored: Mapping[str, Stored], rows: Mapping[str, Row], counted: Mapping[str, int]
) -> dict[str, int | float]:
    """What the summary of a report must say, by what was counted."""
    sizes = {name: tensor.count for name, (_, tensor) in stored.items()}
    touched = [name for name, row in rows.items() if not row.reason]
    matrices = [
        name
        for name, (_, tensor) in stored.items()
        if len(tensor.shape) > 1 and tensor.dtype in FLOATS
    ]

    def share(part: Mapping[str, int], whole: Iterable[str]) -> float:
        total = sum(sizes[name] for name in whole)
        return round(sum(part[name] for name in whole) / total, 6) if total else 0.0

    return {
        "tensors_pruned": len(touched),
        "parameters": sum(sizes.values()),
        "weights_pruned_over": sum(sizes[name] for name in touched),
        "zeros": sum(counted[name] for name in touched),
        "sparsity": share(counted, touched),
        "sparsity_of_all_matrices": share(counted, matrices),
    }


def _agrees(
    new: Stored, old: Stored, new_reader: Reader, old_reader: Reader, is_touched: bool
) -> bool:
    """Whether two tensors hold the same bits; of a touched one, where the new one is not zero."""
    dtype = new[1].dtype
    if (dtype, new[1].shape) != (old[1].dtype, old[1].shape):
        return False
    for ours, theirs in zip(extents(*new), extents(*old), strict=True):
        size = ours.stop - ours.start
        after = new_reader.fill(ours, np.empty(size, np.uint8))
        before = old_reader.fill(theirs, np.empty(size, np.uint8))
        differs = after != before
        if is_touched:
            differs &= (after << after.dtype.type(1)) != 0
        if differs.any():
            return False
    return True
