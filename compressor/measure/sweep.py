"""One sweep: each model dense, then pruned step by step, asked the same items in every state."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import final

import torch

from compressor.checkpoint.digest import digest_of
from compressor.checkpoint.pipeline import Observer
from compressor.checkpoint.read.reader import Checkpoint
from compressor.checkpoint.stream import TensorJob
from compressor.checkpoint.write.companions import fingerprints, stamp
from compressor.checkpoint.write.manifest import tool
from compressor.data.dataset import load
from compressor.data.spec import Spec
from compressor.measure.accuracy import Asked, Counter, asked
from compressor.measure.bench import Measured, data_row, environment
from compressor.measure.curves import Swept, deciding, drop_of
from compressor.measure.evidence import Answers
from compressor.measure.kinds import kind_of
from compressor.measure.loaded import Loaded
from compressor.measure.opening import Setting, require_one_kind, resolve_device, resolve_dtype
from compressor.measure.points import (
    FOLDER,
    Curve,
    Place,
    Point,
    as_kept,
    read_point,
    write_point,
)
from compressor.measure.search import search
from compressor.measure.states import States, states
from compressor.measure.swept import report_of
from compressor.measure.tasks.plan import Asking, Planned, planned, unit_for
from compressor.sparsity import NM, Unstructured, VectorNM
from compressor.tolerance import Drop


@final
@dataclass(frozen=True)
class Subject:
    """A model to be swept, and the prune that makes a place of a curve out of it."""

    name: str
    checkpoint: Checkpoint
    prune: Callable[[Place], TensorJob]


@final
@dataclass(frozen=True)
class Request:
    """What is to be measured, and how; the same for every model."""

    data: Sequence[Spec]
    count: int | None
    max_length: int | None
    batch_size: int
    seed: int
    device: str
    dtype: str
    offline: bool
    workers: int
    curves: Sequence[Curve]
    grid: Sequence[Fraction]
    resolution: Fraction
    patterns: Sequence[NM | VectorNM]
    drop: Drop
    metric: str | None
    folder: Path | None
    """Where points are kept as soon as they are measured."""
    goes_on: bool
    """Whether points that lie there already are taken."""

    def places(self) -> Iterator[Place]:
        """Every place that is known before anything is measured."""
        for curve in self.curves:
            for point in self.grid:
                yield Place(curve, "grid", Unstructured(point))
        firsts = {curve.method: curve for curve in reversed(self.curves)}
        for method in dict.fromkeys(curve.method for curve in self.curves):
            # Chance is drawn as the control of the curves, where it has a scope.
            for pattern in self.patterns if method != "random" else ():
                yield Place(firsts[method], "pattern", pattern)


def sweep(subjects: Sequence[Subject], request: Request, observe: Observer) -> Measured:
    """Measure every model at every place, search where the drop passes its limit, and say so."""
    kind = require_one_kind({each.name: kind_of(each.checkpoint) for each in subjects})
    setting = Setting(
        device=resolve_device(request.device),
        dtype=resolve_dtype(request.dtype, subjects[0].checkpoint),
        batch_size=request.batch_size,
        max_length=request.max_length,
        threads=torch.get_num_threads(),
    )
    datasets = [
        load(
            spec,
            by_default=unit_for(kind),
            count=request.count,
            seed=request.seed,
            offline=request.offline,
        )
        for spec in request.data
    ]
    plan = planned(kind, datasets, (), Asking(request.count))
    items = sum(each.task.count for each in plan)
    counter = Counter(len(subjects) * items * (1 + len(list(request.places()))), observe)
    used: set[Path] = set()
    swept = []
    for number, subject in enumerate(subjects, 1):
        work = _Work(subject, number, plan, setting, request, counter)
        swept.append(work.swept())
        used |= work.files
    if request.folder is not None:
        for file in set((request.folder / FOLDER).glob("*.json")) - used:
            file.unlink()
    summary, tables, notes = report_of(
        swept, request.curves, request.drop, request.metric, request.seed, setting
    )
    tables["data"] = [data_row(each) for each in plan]
    facts = {"kind": kind, "models": len(subjects), **environment(setting)}
    return Measured({**summary, **facts}, tables, notes)


@final
@dataclass
class _Work:
    """One model at work: what is asked of it, in which state, and what is known already."""

    subject: Subject
    number: int
    plan: Sequence[Planned]
    setting: Setting
    request: Request
    counter: Counter
    files: set[Path] = field(default_factory=set)
    _dense: Sequence[Answers] | None = None

    def swept(self) -> Swept:
        """The model at every place, and at those where the search looks closer."""
        places = list(self.request.places())
        # Whatever a prune would refuse is refused before anything is measured.
        jobs = [self.subject.prune(place) for place in places]
        touched = {key for job in jobs for key in job.rewrites}
        rows = [row for row in jobs[0].plan.tables["tensors"] if not row["reason"]]
        with states(
            self.subject.name,
            self.subject.checkpoint,
            touched,
            self.setting,
            self.counter.add,
            self.request.workers,
        ) as own:
            first = Place(self.request.curves[0], "dense", Unstructured(Fraction(0)))
            dense = self._point(own, first)
            limit = deciding(dense, self.request.metric, self.request.drop).limit(self.request.drop)
            points = [
                point
                for curve in self.request.curves
                for point in self._curve(own, curve, dense, limit)
            ]
            points += [self._point(own, place) for place in places if place.kind == "pattern"]
        return Swept(
            model=self.subject.name,
            dense=dense,
            points=points,
            weights={str(row["name"]): int(str(row["weights"])) for row in rows},
            roles={
                str(row["name"]): str(row["role"])
                for job in jobs
                for row in job.plan.tables["tensors"]
            },
        )

    def _curve(self, own: States, curve: Curve, dense: Point, limit: float) -> list[Point]:
        found: dict[Fraction, Point] = {}
        metric = deciding(dense, self.request.metric, self.request.drop)

        def drop(sparsity: Fraction) -> float:
            is_known = sparsity in self.request.grid
            if not is_known:
                self.counter.expect(sum(each.task.count for each in self.plan))
            place = Place(curve, "grid" if is_known else "bisection", Unstructured(sparsity))
            found[sparsity] = self._point(own, place)
            return drop_of(found[sparsity], metric)

        search(drop, self.request.grid, limit, self.request.resolution)
        return [found[sparsity] for sparsity in sorted(found)]

    def _point(self, own: States, place: Place) -> Point:
        """The point at a place: as it was kept, or measured now."""
        job = None if place.kind == "dense" else self.subject.prune(place)
        key = self._key(job)
        file = self._file(place)
        if file is not None:
            self.files.add(file)
            if self.request.goes_on:
                known = read_point(file, key, place, self.plan)
                if known is not None:
                    self.counter.add(sum(each.task.count for each in self.plan))
                    return known
        dense = self._dense_answers(own)
        if job is None:
            with own.dense() as model:
                point = Point(place, {}, self._asked(model, dense, None))
        else:
            with own.pruned(job) as state:
                self.counter.name = f"{self.subject.name}: {place.curve}, {place.pattern}"
                answers = self._answers(state.model)
                point = Point(place, state.zeros, self._asked(state.model, answers, dense))
        if file is not None:
            write_point(point, file, key)
        return as_kept(point, self.plan)

    def _dense_answers(self, own: States) -> Sequence[Answers]:
        """Asked for once, and only where something is to be compared with them."""
        if self._dense is None:
            with own.dense() as model:
                self.counter.name = f"{self.subject.name}: dense"
                self._dense = self._answers(model)
        return self._dense

    def _answers(self, model: Loaded) -> list[Answers]:
        self.counter.add(0)
        return [each.task.answers(model) for each in self.plan]

    def _asked(
        self, model: Loaded, answers: Sequence[Answers], dense: Sequence[Answers] | None
    ) -> list[Asked]:
        return [
            asked(
                each,
                self.subject.name,
                own,
                None if dense is None else dense[position],
                each.task.preparations(model),
            )
            for position, (each, own) in enumerate(zip(self.plan, answers, strict=True))
        ]

    def _file(self, place: Place) -> Path | None:
        folder = self.request.folder
        return None if folder is None else folder / FOLDER / f"{self.number}-{place.file}.json"

    def _key(self, job: TensorJob | None) -> str:
        """What a point depends on: equal, or it is measured again."""
        return digest_of(
            [
                tool(),
                torch.__version__,
                version("transformers"),
                self.subject.name,
                stamp(fingerprints(self.subject.checkpoint)),
                [[each.task.kind, each.task.data, each.digest] for each in self.plan],
                [self.request.count, self.request.seed],
                asdict(self.setting),
                None if job is None else dict(job.step),
            ]
        )
