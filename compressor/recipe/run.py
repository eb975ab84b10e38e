"""`compressor run`: the steps of a recipe, each in its own folder, and none of them done twice.

A step reads what the last step that made a checkpoint left, at first the source. A rerun skips a
step whose folder still holds what the same step made of the same inputs. At the end, and when a
step breaks, what the run came to is written for machines and for people (`evidence`).
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias, final

from compressor.checkpoint.digest import digest_of
from compressor.checkpoint.pipeline import Observer
from compressor.checkpoint.source import HubId, locate, place
from compressor.checkpoint.write.manifest import tool
from compressor.checkpoint.write.target import check_target
from compressor.checkpoint.write.temporary import MANIFEST
from compressor.errors import CompressorError
from compressor.recipe.annotations import annotated
from compressor.recipe.datasets import require_there, spec_of, specs_of, state
from compressor.recipe.evidence import clear_evidence, closed, told, write_evidence
from compressor.recipe.gates import no_gates
from compressor.recipe.marks import named, renamed
from compressor.recipe.model import Catalogue, Recipe, earlier, load, reference
from compressor.recipe.plan import plan
from compressor.recipe.record import (
    RUN_FILE,
    GateRecord,
    RunRecord,
    StepRecord,
    VerdictRecord,
    held,
    identity,
    new_record,
    read_record,
    write_record,
)
from compressor.recipe.references import settled
from compressor.report import Report
from compressor.step import REPORT, RunOptions, Step, kept, run
from compressor.steps import STEPS

log = logging.getLogger("compressor")

OnReport: TypeAlias = Callable[[str, Report], None]


@final
@dataclass(frozen=True)
class Outcome:
    """What a run came to. `exit_code` is 1 where the answer of a check or over the gates was no."""

    exit_code: int
    reports: Sequence[Report]
    folder: Path
    checkpoint: Path | None
    """What the last step that made a checkpoint left."""
    unchanged: frozenset[int] = frozenset()
    """The positions of the steps that were not done again."""
    gates: Sequence[GateRecord] = ()
    verdict: VerdictRecord | None = None
    """None where the recipe has no gates."""


def run_recipe(
    name: str,
    overrides: Sequence[str],
    options: RunOptions,
    *,
    on_report: OnReport = lambda name, report: None,
    observe: Observer = lambda progress: None,
    catalogue: Catalogue = STEPS,
    require_gates: bool = False,
) -> Outcome:
    """Run a recipe file, or a shipped recipe, into `RUN`; an error of a step ends the run.

    `on_report` is told each step's folder name and report, also of a step that was skipped.
    `options.overwrite` does every step again; a dry run's only report is the plan. A recipe
    without gates is refused under `require_gates`.
    """
    folder = options.output or Path(f"{Path(name).stem}-run")
    with annotated():
        recipe = load(name, overrides, catalogue)
        if require_gates and not recipe.gates:
            raise no_gates(name)
        if options.dry_run:
            return Outcome(0, [plan(recipe, folder)], folder, None)
        source = _source(recipe, options)
        source_folder = locate(source, offline=options.offline).folder
        _require_own(folder, source_folder, recipe, options)
    with held(folder):
        started = new_record(name, recipe.source, list(overrides))
        work = _Run(recipe, folder, options, source, source_folder, started)
        work.start()
        for position in range(len(recipe.steps)):
            on_report(*work.do(position, observe))
        return work.finish()


@final
class _Run:
    """A run at work: what was recorded before, what is recorded now, and the model at hand."""

    def __init__(
        self,
        recipe: Recipe,
        folder: Path,
        options: RunOptions,
        source: str,
        source_folder: Path,
        record: RunRecord,
    ) -> None:
        self._recipe = recipe
        self._steps = list(recipe.named_steps())
        self._folder = folder
        before = read_record(folder)
        self._before = {step.name: step for step in before.steps} if before else {}
        self._options = options.model_copy(
            # The run folder is ours, the source names its revision, and no step is uploaded.
            update={"overwrite": True, "resume": True, "revision": None, "push_to_hub": None}
        )
        self._starts_over = options.overwrite
        self._record = record
        self._source = source
        self._identities = {source: identity(source_folder)}
        self._after: list[str] = []
        self._reports: list[Report] = []
        self._unchanged: set[int] = set()
        self._started = time.perf_counter()

    def start(self) -> None:
        """Find the data of every step, before the first one has run for nothing."""
        clear_evidence(self._folder)
        write_record(self._record, self._folder)
        try:
            require_there(self._recipe.steps, self._recipe.data)
        except CompressorError as error:
            self._close(error)
            raise

    def do(self, position: int, observe: Observer) -> tuple[str, Report]:
        """The step at this position: run, or skipped because its folder holds its result."""
        name, step = self._settled(position)
        model = self._after[-1] if self._after else self._source
        resolved = renamed(step, "model", lambda text: self._model(text, position))
        inputs = [self._identity(each) for each in (model, *named(resolved, "model"))]
        data = self._recipe.data
        states = [state(spec) for spec in specs_of(step, data)]
        resolved = renamed(resolved, "data", lambda text: str(spec_of(text, data)))
        key = digest_of([tool(), step.as_dict(), inputs, *([states] if states else [])])
        before = self._before.get(name)
        is_needed = self._starts_over or step.looks_again
        report = None if is_needed else _unchanged(before, key, self._folder)
        if before is not None and report is not None:
            log.info("%s: unchanged, skipped", name)
            self._note(before.model_copy(update={"skipped": True}))
            self._unchanged.add(position)
        else:
            log.info("%s", name)
            entry = StepRecord(name=name, step=step.as_dict(), path=name, key=key)
            report = self._run(entry, step, resolved, model, observe)
        self._after.append(model if report.output is None else str(report.output))
        self._reports.append(report)
        return name, report

    def finish(self) -> Outcome:
        """Judge the gates, and leave the evidence."""
        record = self._close()
        made = [report.output for report in self._reports if report.output is not None]
        return Outcome(
            exit_code=record.exit_code or 0,
            reports=self._reports,
            folder=self._folder,
            checkpoint=made[-1] if made else None,
            unchanged=frozenset(self._unchanged),
            gates=record.gates,
            verdict=record.verdict,
        )

    def _run(
        self, entry: StepRecord, step: Step, resolved: Step, model: str, observe: Observer
    ) -> Report:
        self._note(entry)
        path = self._folder / entry.path
        started = time.perf_counter()
        try:
            options = self._options.model_copy(update={"output": path})
            # A report says which step was named; where that lies on this machine is not its matter.
            report = replace(run(resolved, model, options, observe), step=step.as_dict())
            if report.output is None:
                kept(report, path)
        except Exception as error:
            known = told(error, path)
            self._note(
                entry.model_copy(
                    update={
                        "status": "error",
                        "exit_code": known.exit_code,
                        "seconds": round(time.perf_counter() - started, 3),
                        "error": known.as_json(),
                    }
                )
            )
            self._close(known)
            raise
        self._note(
            entry.model_copy(
                update={
                    "status": report.status,
                    "exit_code": report.exit_code,
                    "seconds": round(time.perf_counter() - started, 3),
                    "is_checkpoint": report.output is not None,
                    "result": identity(path),
                }
            )
        )
        return report

    def _note(self, entry: StepRecord) -> None:
        """Put the step into `run.json`, in the place of an earlier note on it."""
        done = [step for step in self._record.steps if step.name != entry.name]
        self._record = self._record.model_copy(update={"steps": [*done, entry]})
        write_record(self._record, self._folder)

    def _close(self, error: CompressorError | None = None) -> RunRecord:
        """The run is over: its record says what it came to, and its evidence is written."""
        self._record = closed(
            self._record,
            self._folder,
            self._recipe.gates,
            self._reports,
            time.perf_counter() - self._started,
            None if error is None else error.as_json(),
        )
        planned = [name for name, _ in self._steps]
        write_evidence(self._record, self._folder, planned, self._reports)
        return self._record

    def _settled(self, position: int) -> tuple[str, Step]:
        """The step at this position, with the values that earlier ones found."""
        name, step = self._steps[position]
        names = [each.step for _, each in self._steps[:position]]
        try:
            return name, settled(step, lambda text: self._reports[earlier(text, names)])
        except CompressorError as error:
            self._close(told(error, self._folder / name))
            raise

    def _model(self, text: str, position: int) -> str:
        """The model that a field means: the source, the result of an earlier step, or any other."""
        if text == "source":
            return self._source
        number = reference(text, [step.step for _, step in self._steps[:position]])
        return text if number is None else self._after[number]

    def _identity(self, model: str) -> str:
        if model not in self._identities:
            found = locate(model, offline=self._options.offline)
            self._identities[model] = identity(found.folder)
        return self._identities[model]


def _unchanged(before: StepRecord | None, key: str, folder: Path) -> Report | None:
    """The report of a step that is done: same key, and the folder is as the step left it."""
    if before is None or before.key != key or before.status not in ("ok", "failed"):
        return None
    path = folder / before.path
    if not path.is_dir() or identity(path) != before.result:
        return None
    try:
        report = Report.from_dict(json.loads((path / REPORT).read_bytes()))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return replace(report, output=path if before.is_checkpoint else None)


def _source(recipe: Recipe, options: RunOptions) -> str:
    """The source as text that names its revision, so that every step means the same one."""
    found = place(recipe.source, options.revision)
    if options.revision is not None and isinstance(found, HubId):
        return f"hub:{found.id}@{found.revision}"
    return recipe.source


def _require_own(folder: Path, source: Path, recipe: Recipe, options: RunOptions) -> None:
    """Refuse a folder that no run left, and one that overlaps the source or a hub cache."""
    if read_record(folder) is None:
        is_checkpoint = (folder / MANIFEST).exists()
        check_target(folder, source, overwrite=options.overwrite and not is_checkpoint)
    for name, _ in recipe.named_steps():
        check_target(folder / name / RUN_FILE, source, overwrite=False)
