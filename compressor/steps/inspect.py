"""`compressor inspect`: what is in a checkpoint and what a prune would touch, by headers alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, Literal, final

from pydantic import Field

from compressor.checkpoint.hub import client as hub
from compressor.checkpoint.read.reader import Checkpoint
from compressor.checkpoint.source import HubId, Source, place
from compressor.model import consistency
from compressor.model.targets import Target, choose, notes_on
from compressor.report import Report, Row, Value
from compressor.sparsity import Sparsity, parse
from compressor.step import Check, RunOptions, Step, opened
from compressor.steps.scan import EMPTY, Scanned, scan

SMALL: Final = 512_000_000
"""Bytes of weights up to which present zeros are counted unasked: well under a second."""

ADVISED: Final = ("0.5", "2:4", "4:8", "8:16", "1:4")


@final
class Inspect(Step):
    """Show what is in a checkpoint and what a prune would touch; reads headers, not weights."""

    step: Literal["inspect"] = "inspect"
    tensors: bool = Field(False, description="List every tensor with its role and its reason.")
    advise: bool = Field(
        False, description="Show what each option of this tool would do to the size."
    )
    scan: bool | None = Field(
        None, description="Read the weights and count zeros and N:M. Default: up to 512 MB."
    )

    def job(self, model: str, options: RunOptions) -> Check:
        """A hub id is inspected by range reads, without a download, unless it is to be scanned."""
        where = place(model, options.revision)
        is_remote = isinstance(where, HubId) and not options.offline and not self.scan
        if is_remote and isinstance(where, HubId):
            checkpoint, commit = hub.remote_checkpoint(where.id, where.revision, options.limits)
            source = Source(checkpoint.folder, where.name, id=where.id, revision=commit)
        else:
            source, checkpoint = opened(model, options)
        size = sum(shard.size for shard in checkpoint.shards())
        is_scanned = not is_remote and (size <= SMALL if self.scan is None else self.scan)
        workers = options.workers
        return Check(
            lambda observe: self._look(source, checkpoint, workers if is_scanned else None)
        )

    def _look(self, source: Source, checkpoint: Checkpoint, workers: int | None) -> Report:
        """The report; weights are read by so many threads, or not at all."""
        targets = choose(checkpoint, (), ())
        found = {} if workers is None else scan(checkpoint, targets, workers)
        touched = [target for target in targets if not target.reason]
        tables: dict[str, Sequence[Row]] = {"families": _families(targets, found)}
        if self.tensors:
            tables["tensors"] = [_row(target, found) for target in targets]
        if self.advise:
            tables["advice"] = [_advice(parse(text), targets) for text in ADVISED]
        parameters = sum(target.tensor.count for target in targets)
        weight_bytes = sum(target.tensor.nbytes for target in targets)
        pruned_bytes = sum(target.tensor.nbytes for target in touched)
        prunable = sum(target.tensor.count for target in touched)
        summary: dict[str, Value] = {
            "model_type": ", ".join(_model_type(c.config) for c in checkpoint.components),
            "dtypes": ", ".join(sorted({target.tensor.dtype for target in targets})),
            "files": sum(1 for _ in checkpoint.shards()),
            "bytes": sum(shard.size for shard in checkpoint.shards()),
            "tensors": len(targets),
            "parameters": parameters,
            "prunable": prunable,
            "coverage": _share(prunable, parameters),
            "coverage_of_bytes": _share(pruned_bytes, weight_bytes),
            "experts": sum(1 for target in targets if target.classified.role.value == "expert"),
            "ties": _ties(checkpoint),
        }
        if found:
            zeros = sum(found[target.name].zeros for target in touched)
            summary["sparsity"] = _share(zeros, prunable)
            summary["patterns"] = _common_patterns([found[target.name] for target in touched])
        return Report(
            step=self.as_dict(),
            source={"name": source.name, "id": source.id, "revision": source.revision},
            summary=summary,
            tables=tables,
            notes=[*source.notes, *notes_on(checkpoint)],
        )


def _share(part: int, whole: int) -> float:
    return round(part / whole, 6) if whole else 0.0


def _model_type(config: Mapping[str, object] | None) -> str:
    if config is None:
        return "no config"
    return str(config.get("model_type") or config.get("_class_name") or "unnamed")


def _ties(checkpoint: Checkpoint) -> str:
    """How the config says that input and output embeddings share one weight."""
    found = []
    for component in checkpoint.components:
        if (pair := consistency.tied_pair(component)) is not None:
            found.append(f"{component.prefix}{pair[0]} = {pair[1]}, stored twice")
        elif component.config is not None and component.config.get("tie_word_embeddings") is True:
            found.append(f"{component.prefix}word embeddings and head, stored once")
    return "; ".join(found) or "none"


def _families(targets: Sequence[Target], found: Mapping[str, Scanned]) -> list[Row]:
    """Tensors that share a role and a fate, largest first."""
    groups: dict[tuple[str, str], list[Target]] = {}
    for target in targets:
        groups.setdefault((target.classified.role.value, target.reason), []).append(target)
    rows: list[Row] = []
    for (role, reason), members in groups.items():
        weights = sum(member.tensor.count for member in members)
        row: dict[str, str | int | float] = {
            "role": role,
            "tensors": len(members),
            "weights": weights,
            "bytes": sum(member.tensor.nbytes for member in members),
            "dtypes": ", ".join(sorted({member.tensor.dtype for member in members})),
            "shapes": _shapes(members),
            "reason": reason,
        }
        if found:
            zeros = sum(found[member.name].zeros for member in members)
            row["sparsity"] = _share(zeros, weights)
        rows.append(row)
    return sorted(rows, key=lambda row: (bool(row["reason"]), -int(str(row["weights"]))))


def _shapes(members: Sequence[Target], shown: int = 3) -> str:
    """The most frequent shapes: `384×384, 1536×384`."""
    shapes = Counter("×".join(map(str, member.tensor.shape)) or "1" for member in members)
    most = [shape for shape, _ in shapes.most_common(shown)]
    return ", ".join(most) + (f" and {len(shapes) - shown} more" if len(shapes) > shown else "")


def _row(target: Target, found: Mapping[str, Scanned]) -> Row:
    row: dict[str, str | int | float] = {
        "name": target.name,
        "role": target.classified.role.value,
        "layout": target.classified.layout.value,
        "dtype": target.tensor.dtype,
        "shape": "×".join(map(str, target.tensor.shape)) or "1",
        "file": target.shard.name,
        "reason": target.reason,
    }
    if (scanned := found.get(target.name)) is not None:
        row["sparsity"] = _share(scanned.zeros, target.tensor.count)
        row["patterns"] = " ".join(scanned.patterns)
    return row


def _common_patterns(scanned: Sequence[Scanned]) -> str:
    """The N:M patterns that every prunable tensor obeys."""
    return " ".join(sum(scanned, EMPTY).patterns) or "none" if scanned else "none"


def _advice(sparsity: Sparsity, targets: Sequence[Target]) -> Row:
    """What a prune to this pattern reaches. Dense storage keeps its bytes whatever is zero."""
    touched = [t for t in targets if not t.reason and not t.geometry.obstacle(sparsity)]
    weights = sum(target.tensor.count for target in touched)
    parameters = sum(target.tensor.count for target in targets)
    zeros = round(sparsity.fraction * weights)
    return {
        "option": f"prune --sparsity {sparsity}",
        "tensors": len(touched),
        "zeros": zeros,
        "share_of_parameters": _share(zeros, parameters),
        "bytes": sum(target.tensor.nbytes for target in targets),
        "does_not_fit": sum(1 for t in targets if not t.reason) - len(touched),
        "speed": "not measured by this version",
    }
