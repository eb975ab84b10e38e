"""`compressor prune`: zero the least important weights of a checkpoint, in one shot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Annotated, ClassVar, Literal, TypeAlias, final

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from compressor.checkpoint.blocks import same_bytes
from compressor.checkpoint.pipeline import Outcome
from compressor.checkpoint.read.reader import Checkpoint
from compressor.checkpoint.source import Source
from compressor.checkpoint.stream import TensorJob
from compressor.errors import CheckFailed, CompressorError, InputError, UsageError, listing
from compressor.model import consistency
from compressor.model.targets import Target, checked, choose, notes_on
from compressor.report import Report, Value
from compressor.sparsity import NM, Unstructured, VectorNM
from compressor.step import RunOptions, ShardSize, SparsityField, Step, opened
from compressor.steps.rewrites import Chosen, Method, Scope, rewrites

Patterns: TypeAlias = tuple[Annotated[str, AfterValidator(checked)], ...]
"""Globs over names of tensors, and regular expressions after `re:`."""


@final
class Prune(Step):
    """Zero the least important weights, in one shot."""

    makes_checkpoint: ClassVar[bool] = True
    step: Literal["prune"] = "prune"
    sparsity: SparsityField = Field(
        description="Fraction of zeros (0.5), N:M with N kept (2:4, 8:16), or vector:N:M:V."
    )
    method: Method = Field(
        "magnitude", description="What decides: magnitude (the default), or chance, as a control."
    )
    scope: Scope | None = Field(
        None, description="Weights that compete with each other; default global. Not with N:M."
    )
    only: Patterns = Field(
        (),
        description="Touch only this tensor, even if dense by default: a glob, or re: and an "
        "expression for the whole name. Can be repeated.",
    )
    skip: Patterns = Field(
        (), description="Leave this tensor dense, named in the same way. Can be repeated."
    )
    min_coverage: float = Field(
        0.0, ge=0, le=1, description="Exit 1 if a smaller share of all parameters is touched."
    )
    allow_nonfinite: bool = Field(
        False, description="Keep and count NaN and infinite weights instead of refusing them."
    )
    max_shard_size: ShardSize = Field(
        None, description="Largest weight file, such as 5GB. Default: the source's own files."
    )
    seed: int = Field(0, ge=0, description="Seed of --method random; default 0.")

    @model_validator(mode="after")
    def _scope_has_a_meaning(self) -> Prune:
        if self.scope is not None and not isinstance(self.sparsity, Unstructured):
            raise PydanticCustomError(
                "PRUNE-SCOPE",
                "scope `{scope}` has no meaning with {sparsity}, where only M neighbours compete; "
                "leave it out, or ask for a fraction such as 0.5",
                {"scope": self.scope, "sparsity": str(self.sparsity)},
            )
        return self

    def job(self, model: str, options: RunOptions) -> TensorJob:
        """Headers are read and every tensor has its plan; no weight is read yet."""
        source, checkpoint = opened(model, options)
        notes = [*source.notes, *notes_on(checkpoint)]
        targets = self._fitting(choose(checkpoint, self.only, self.skip))
        scope = self.scope or "global"
        is_global = isinstance(self.sparsity, Unstructured) and scope == "global"
        by_content = self.method == "magnitude" and not is_global
        _require_whole_ties(checkpoint, targets, by_content=by_content)
        _require_any(checkpoint, targets)
        chosen = [
            Chosen((t.shard.name, t.tensor.name), t.shard, t.tensor, t.geometry)
            for t in targets
            if not t.reason and t.tensor.count
        ]
        report = partial(self._report, source, targets, scope, notes)
        self._require_coverage(targets)
        return TensorJob(
            source=source,
            checkpoint=checkpoint,
            step=self.as_dict(),
            default_name=f"{source.name}-{self._suffix()}",
            rewrites=rewrites(chosen, self.sparsity, self.method, scope, self.seed),
            plan=report(()),
            report=report,
            max_shard_size=self.max_shard_size,
            allow_nonfinite=self.allow_nonfinite,
        )

    def _suffix(self) -> str:
        """What the default output is called after the model: `sparsity-0.5`, `2of4`."""
        match self.sparsity:
            case NM(n, m):
                name = f"{n}of{m}"
            case VectorNM(n, m, rows):
                name = f"vector-{n}of{m}x{rows}"
            case fraction:
                name = f"sparsity-{fraction}"
        return name if self.method == "magnitude" else f"{name}-{self.method}"

    def _fitting(self, targets: Sequence[Target]) -> list[Target]:
        """A weight that the pattern does not fit stays dense; a named one is refused."""
        fitting, refused = [], []
        for target in targets:
            obstacle = "" if target.reason else target.geometry.obstacle(self.sparsity)
            if obstacle and target.is_named:
                refused.append(f"{target.name} ({obstacle})")
            fitting.append(target.but_dense(obstacle) if obstacle else target)
        if refused:
            raise UsageError(
                "NM-INDIVISIBLE",
                f"{self.sparsity} does not fit {len(refused)} of the tensors that --only names",
                at="--only",
                found=listing(refused),
                do="leave them dense with --skip, or choose another pattern",
            )
        return fitting

    def _require_coverage(self, targets: Sequence[Target]) -> None:
        total = sum(target.tensor.count for target in targets)
        touched = sum(target.tensor.count for target in targets if not target.reason)
        if touched < self.min_coverage * total:
            raise CheckFailed(
                "COVERAGE",
                "the prune would touch a smaller share of the parameters than demanded",
                at="--min-coverage",
                found=f"{touched} of {total} parameters ({touched / total:.4f}), "
                f"expected at least {self.min_coverage:g}",
                do="see why tensors are skipped with: compressor inspect MODEL --tensors",
            )

    def _report(
        self,
        source: Source,
        targets: Sequence[Target],
        scope: str,
        notes: Sequence[str],
        outcomes: Sequence[Outcome],
    ) -> Report:
        found = {(outcome.shard, outcome.tensor.name): outcome for outcome in outcomes}
        rows = [self._row(target, scope, found) for target in targets]
        pruned = [row for row in rows if not row["reason"]]
        requested = self._requested(targets, scope)
        weights = sum(target.tensor.count for target in targets if not target.reason)
        parameters = sum(target.tensor.count for target in targets)
        matrices = [(t, row) for t, row in zip(targets, rows, strict=True) if t.is_matrix]
        summary: dict[str, Value] = {
            "pattern": str(self.sparsity),
            "method": self.method,
            "scope": scope if isinstance(self.sparsity, Unstructured) else "group",
            "tensors_pruned": len(pruned),
            "tensors_kept_dense": len(rows) - len(pruned),
            "weights_pruned_over": weights,
            "parameters": parameters,
            "coverage": _share(weights, parameters),
            "zeros_requested": requested,
        }
        if outcomes:
            zeros = sum(int(str(row["zeros"])) for row in pruned)
            before = sum(int(str(row["zeros_before"])) for row in pruned)
            self._require_exact(requested, zeros, before)
            everywhere = sum(int(str(row["zeros"])) for _, row in matrices)
            summary |= {
                "zeros_before": before,
                "zeros": zeros,
                "sparsity": _share(zeros, weights),
                "sparsity_of_all_matrices": _share(
                    everywhere, sum(target.tensor.count for target, _ in matrices)
                ),
                "nonfinite": sum(outcome.nonfinite for outcome in outcomes),
            }
        if outcomes and zeros > requested:
            there = f"{before:,} zeros were there before, so that there are {zeros:,} now"
            notes = [*notes, f"{requested:,} zeros were asked for; {there}"]
        return Report(
            step=self.as_dict(),
            source={"name": source.name, "id": source.id, "revision": source.revision},
            summary=summary,
            tables={"tensors": rows},
            notes=notes,
        )

    def _row(
        self, target: Target, scope: str, found: dict[tuple[str, str], Outcome]
    ) -> dict[str, str | int | list[int]]:
        row: dict[str, str | int | list[int]] = {
            "name": target.name,
            "role": target.classified.role.value,
            "dtype": target.tensor.dtype,
            "shape": list(target.tensor.shape),
            "weights": target.tensor.count,
            "reason": target.reason,
        }
        if not target.reason and scope != "global":
            row["requested"] = target.geometry.zeros(self.sparsity, scope)
        if (outcome := found.get((target.shard.name, target.tensor.name))) is not None:
            row |= {"zeros_before": outcome.zeros_before, "zeros": outcome.zeros_after}
        return row

    def _requested(self, targets: Sequence[Target], scope: str) -> int:
        touched = [target for target in targets if not target.reason]
        if isinstance(self.sparsity, Unstructured) and scope == "global":
            return self.sparsity.zeros(sum(target.tensor.count for target in touched))
        return sum(target.geometry.zeros(self.sparsity, scope) for target in touched)

    def _require_exact(self, requested: int, zeros: int, before: int) -> None:
        """Requested is achieved, by the written file; more only where there was more before."""
        if zeros < requested or (before == 0 and zeros != requested):
            raise CompressorError(
                "PRUNE-COUNT",
                "the written file does not hold the number of zeros asked for",
                found=f"{zeros} zeros, expected {requested}",
                do="report this as a bug; nothing was kept",
            )


def _share(part: int, whole: int) -> float:
    return round(part / whole, 6) if whole else 0.0


def _require_any(checkpoint: Checkpoint, targets: Sequence[Target]) -> None:
    """A prune that touches nothing is no success."""
    if all(target.reason for target in targets):
        reasons = Counter(target.reason for target in targets)
        raise InputError(
            "PRUNE-NOTHING",
            "no tensor of this checkpoint would be pruned",
            at=checkpoint.folder.name,
            found=listing(f"{count} × {reason}" for reason, count in reasons.most_common()),
            do="see why with: compressor inspect MODEL --tensors, then name some with --only",
        )


def _require_whole_ties(
    checkpoint: Checkpoint, targets: Sequence[Target], *, by_content: bool
) -> None:
    """A tied pair that is stored twice is one weight: equal now, and equal afterwards.

    `by_content`: equal tensors become equal, since nothing but their own weights decides.
    """
    by_name = {target.name: target for target in targets}
    for component in checkpoint.components:
        if (pair := consistency.tied_pair(component)) is None:
            continue
        first, second = (by_name[component.prefix + name] for name in pair)
        at = f"{first.name} and {second.name}"
        if not same_bytes(
            checkpoint.folder, (first.shard, first.tensor), (second.shard, second.tensor)
        ):
            raise InputError(
                "TIED-CONFLICT",
                "the config ties two tensors that are stored with different contents",
                at=at,
                found="`tie_word_embeddings` is true, expected equal bytes",
                do="set `tie_word_embeddings` to false in config.json, or store one of them",
            )
        if bool(first.reason) != bool(second.reason):
            raise InputError(
                "TIED",
                "only one half of a tied pair would be changed",
                at=at,
                found=f"{first.reason or second.reason}, expected both or neither",
                do="name both with --only, or leave both out",
            )
        if not first.reason and not by_content:
            raise InputError(
                "TIED",
                "a tied pair that is stored twice would become two different weights",
                at=at,
                found="chance or a global scope decides, expected each tensor by itself",
                do="prune it with --scope layer, or leave it dense with --skip",
            )
