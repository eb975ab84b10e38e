"""The tensor engine: a checkpoint streamed into a new one, proven and committed, or nothing.

What is in memory is a few blocks of rows, however large the model or its tensors are.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

from compressor.checkpoint.blocks import Reader
from compressor.checkpoint.digest import digest_file, digest_of, new_hasher
from compressor.checkpoint.pipeline import Key, Observer, Outcome, Pipeline, Rewrite
from compressor.checkpoint.read.reader import Checkpoint
from compressor.checkpoint.source import Source
from compressor.checkpoint.write import companions
from compressor.checkpoint.write.manifest import build_manifest, names_digest, tool
from compressor.checkpoint.write.output import Output
from compressor.checkpoint.write.shards import ShardPlan, index_of, plan_shards
from compressor.checkpoint.write.target import check_target
from compressor.checkpoint.write.temporary import MANIFEST
from compressor.errors import printable
from compressor.report import Report

log = logging.getLogger("compressor")


@final
@dataclass(frozen=True)
class TensorJob:
    """A step on the tensors of a checkpoint. Tensors without a rewrite are copied bit for bit."""

    source: Source
    checkpoint: Checkpoint
    step: Mapping[str, Any]
    default_name: str
    rewrites: Mapping[Key, Callable[[Reader], Rewrite]]
    """For each tensor to change, what prepares its rewrite: it may read blocks, never write."""
    plan: Report
    """What is known before a weight is read: the report of a dry run."""
    report: Callable[[Sequence[Outcome]], Report]
    """What is known after the last one was written."""
    max_shard_size: int | None = None
    allow_nonfinite: bool = False


def rewrite(
    job: TensorJob,
    target: Path,
    *,
    overwrite: bool = False,
    resume: bool = False,
    workers: int = 2,
    dry_run: bool = False,
    observe: Observer = lambda progress: None,
) -> Report:
    """Run the job into the folder `target`; `resume` goes on after a killed one's last shard."""
    if dry_run:
        check_target(target, job.source.folder, overwrite=overwrite)
        return replace(job.plan, notes=[*job.plan.notes, f"nothing was written; would be {target}"])
    started = time.perf_counter()
    checkpoint = job.checkpoint
    prints = companions.fingerprints(checkpoint)
    key = _run_key(job, prints)
    if resume and not overwrite and (report := _finished(target, key)) is not None:
        return report
    plans = {
        component.prefix: plan_shards(component, job.max_shard_size)
        for component in checkpoint.components
    }
    in_order = [plan for component in checkpoint.components for plan in plans[component.prefix]]
    with Output(
        target,
        job.source.folder,
        run_key=key,
        stamp=companions.stamp(prints),
        overwrite=overwrite,
        resume=resume,
        need=sum(plan.size for plan in in_order),
    ) as output:
        with Reader(checkpoint.folder, checkpoint.shards(), workers) as reader:
            companions.require_same_headers(checkpoint, reader)
            pipeline = Pipeline(
                reader,
                output,
                job.rewrites,
                allow_nonfinite=job.allow_nonfinite,
                observe=observe,
            )
            outcomes = pipeline.run(checkpoint, in_order)
        report = job.report(outcomes)
        source_files = pipeline.source_digests(checkpoint) | companions.copy(checkpoint, output)
        output.write("report.json", report.to_json().encode())
        output.write("README.md", companions.card(job.source, checkpoint, report).encode())
        for component in checkpoint.components:
            if (index := index_of(component, plans[component.prefix])) is not None:
                output.write(*index)
        companions.require_unchanged(checkpoint, prints)
        output.commit(
            build_manifest(
                job.source,
                source_files,
                job.step,
                output.files,
                names_digest(_names(in_order)),
                key,
                time.perf_counter() - started,
            )
        )
    log.info("committed %s", printable(target, 400))
    return replace(report, output=target)


def _finished(target: Path, key: str) -> Report | None:
    """The report of an output that this very run committed before, if it still is whole."""
    try:
        manifest = json.loads((target / MANIFEST).read_bytes())
        if manifest["key"] != key or any(
            digest_file(target / name) != entry["digest"]
            for name, entry in manifest["files"].items()
        ):
            return None
        data = json.loads((target / "report.json").read_bytes())
    except (OSError, ValueError, KeyError, TypeError):
        return None
    log.info("already complete: %s", printable(target, 400))
    return replace(Report.from_dict(data), output=target)


def _names(plans: Sequence[ShardPlan]) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {
        f"{plan.name.rpartition('/')[0]}/{tensor.name}": (tensor.dtype, tensor.shape)
        for plan in plans
        for _, tensor in plan.tensors
    }


def _run_key(job: TensorJob, prints: Mapping[str, companions.Fingerprint]) -> str:
    """What must be equal for one run to go on where another stopped; cheap: no weight is read."""
    sizes = {name: size for name, (_, _, size, _) in prints.items()}
    headers = {
        shard.name: new_hasher(shard.header.raw).hexdigest() for shard in job.checkpoint.shards()
    }
    return digest_of([tool(), dict(job.step), sizes, headers])
