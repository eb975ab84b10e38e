"""`compressor verify`: whether a folder is whole, and is the checkpoint that it claims to be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import ClassVar, Literal, final

from pydantic import Field

from compressor.checkpoint.blocks import same_bytes
from compressor.checkpoint.read.reader import Checkpoint, Component, open_checkpoint
from compressor.checkpoint.read.unpickle import converted
from compressor.checkpoint.source import Source, locate
from compressor.checkpoint.verify.files import verify_files
from compressor.checkpoint.verify.finding import Finding, failed, has_failed, ok, refuted, skipped
from compressor.errors import InputError
from compressor.model import consistency
from compressor.model.claims import check_claims, check_source, claims_of
from compressor.model.deep import deep_findings
from compressor.report import Report
from compressor.step import Check, RunOptions, Step, opened

LOADABLE = 5
"""Files that fail up to this level are not handed to a loader."""


@final
class Verify(Step):
    """Check that a folder is whole, byte for byte, and the checkpoint that it claims to be."""

    argument: ClassVar[str | None] = "DIR"
    looks_again: ClassVar[bool] = True
    step: Literal["verify"] = "verify"
    source: str | None = Field(
        None,
        description="The model it was made from: what was not changed must be equal to it.",
        json_schema_extra={"model": True},
    )
    deep: bool = Field(
        False,
        description="Build the model too, load it, compare every tensor, run it once, recount.",
    )

    def job(self, model: str, options: RunOptions) -> Check:
        """The folder may be damaged, so that it is read in the look only; the source may not."""
        found = locate(model, revision=options.revision, offline=options.offline)
        folder = converted(found.folder) if options.allow_pickle else found.folder
        source = opened(self.source, options)[1] if self.source is not None else None
        return Check(lambda observe: self._look(found, folder, source, options))

    def _look(
        self, found: Source, folder: Path, source: Checkpoint | None, options: RunOptions
    ) -> Report:
        findings = verify_files(folder, options.limits, workers=options.workers)
        is_attested = any(each.level == 1 and each.status == "ok" for each in findings)
        if not has_failed(findings, LOADABLE):
            checkpoint = open_checkpoint(folder, options.limits)
            for component in checkpoint.components:
                findings += _consistent(checkpoint, component)
            findings += self._beyond_the_files(checkpoint, source, findings)
        elif self.deep or source is not None:
            levels = [*(range(9, 13) if self.deep else ()), *([13] if source is not None else ())]
            findings += [skipped(level, "the files themselves are damaged") for level in levels]
        findings.sort(key=lambda finding: finding.level)
        counts = Counter(finding.status for finding in findings)
        origin = "as its manifest says" if is_attested else "unknown"
        notes = [] if is_attested else ["no manifest vouches for it: its origin is unknown"]
        return Report(
            step=self.as_dict(),
            source={"name": found.name, "id": found.id, "revision": found.revision},
            summary={
                "origin": origin,
                "ok": counts["ok"],
                "failed": counts["failed"],
                "skipped": counts["skipped"],
            },
            tables={"checks": [asdict(finding) for finding in findings]},
            notes=[*found.notes, *notes],
            status="failed" if counts["failed"] else "ok",
        )

    def _beyond_the_files(
        self, checkpoint: Checkpoint, source: Checkpoint | None, findings: list[Finding]
    ) -> Iterator[Finding]:
        """Levels 9 to 13, as far as they were asked for."""
        if self.deep and has_failed(findings, LOADABLE):
            yield from (skipped(level, "config and tensors disagree") for level in (9, 10, 11))
        elif self.deep:
            yield from deep_findings(checkpoint)
        claims = claims_of(checkpoint) if self.deep or source is not None else None
        if self.deep:
            yield from check_claims(checkpoint, claims)
        if source is not None:
            yield from check_source(checkpoint, claims, source)


def _consistent(checkpoint: Checkpoint, component: Component) -> Iterator[Finding]:
    """Levels 5 and 6, as far as the meaning of config and names goes."""
    at = f"{component.prefix}config.json"
    try:
        notes = consistency.check(component)
    except InputError as error:
        yield refuted(5, error)
    else:
        yield ok(5, "; ".join(["config and tensors agree", *notes]), at)
    pair = consistency.tied_pair(component)
    if pair is None:
        yield ok(6, "no tied pair is stored twice", at)
        return
    stored = {tensor.name: (shard, tensor) for shard, tensor in component.tensors()}
    first, second = (stored[name] for name in pair)
    at = f"{component.prefix}{pair[0]} and {pair[1]}"
    if same_bytes(checkpoint.folder, first, second):
        yield ok(6, "a tied pair, stored twice with the same bytes", at)
    else:
        yield failed(6, "TIED-CONFLICT", "the config ties them, expected equal bytes", at)
