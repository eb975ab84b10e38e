"""Several models, asked the same questions one after the other; the first may be the dense one.

One model is in memory at a time. Of the dense one its answers stay, of all of them their numbers.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, final

from compressor.checkpoint.pipeline import Observer, Progress
from compressor.checkpoint.read.reader import Checkpoint
from compressor.measure.distance import linear_cka
from compressor.measure.evidence import Answers, Metric
from compressor.measure.loaded import Preparations
from compressor.measure.opening import Setting, opened
from compressor.measure.tasks.plan import Planned

CanCompare: TypeAlias = Callable[[Answers, Answers], bool]


@final
@dataclass(frozen=True)
class Subject:
    """A model to be measured, under the name that it has in the report."""

    name: str
    checkpoint: Checkpoint


@final
@dataclass(frozen=True)
class Asked:
    """What one model made of one task."""

    planned: Planned
    model: str
    items: str
    """Digest of the items as this model saw them."""
    is_comparable: bool
    """Whether the dense model saw the same items."""
    collapse: str
    metrics: Sequence[Metric]
    distances: Sequence[Metric]
    cka: Mapping[str, float]
    """Linear CKA with the dense model, by layer."""
    preparations: Preparations


def ask(
    subjects: Sequence[Subject],
    planned: Sequence[Planned],
    setting: Setting,
    observe: Observer,
    *,
    has_dense: bool,
) -> list[Asked]:
    """What every model made of every task: model by model, the dense one first."""
    counter = Counter(len(subjects) * sum(each.task.count for each in planned), observe)
    dense: list[Answers] = []
    found = []
    for subject in subjects:
        with opened(subject.name, subject.checkpoint, setting, counter.add) as model:
            for position, each in enumerate(planned):
                counter.name = f"{subject.name}: {each.task.data}"
                counter.add(0)
                answers = each.task.answers(model)
                other = dense[position] if position < len(dense) else None
                found.append(asked(each, subject.name, answers, other, answers.preparations))
                if has_dense and subject is subjects[0]:
                    dense.append(answers)
        del model
        gc.collect()
    return found


def asked(
    planned: Planned, name: str, answers: Answers, dense: Answers | None, how: Preparations
) -> Asked:
    """The numbers that answers come to, by themselves and against those of the dense model."""
    is_same = dense is None or dense.items == answers.items
    pair = (dense, answers) if dense is not None and is_same else None
    return Asked(
        planned=planned,
        model=name,
        items=answers.items,
        is_comparable=is_same,
        collapse=answers.collapse,
        metrics=list(planned.task.metrics(answers)),
        distances=[] if pair is None else list(planned.task.distances(*pair)),
        cka={} if pair is None else _cka(*pair),
        preparations=how,
    )


def _cka(dense: Answers, other: Answers) -> dict[str, float]:
    return {
        layer: linear_cka(states, other.hidden[layer])
        for layer, states in dense.hidden.items()
        if layer in other.hidden and len(states) == len(other.hidden[layer])
    }


@final
class Counter:
    """Counts items over all models and tasks."""

    def __init__(self, total: int, observe: Observer) -> None:
        self.name = ""
        self._done, self._total, self._observe = 0, total, observe

    def expect(self, items: int) -> None:
        """So many items more are to be done than was thought."""
        self._total += items

    def add(self, items: int) -> None:
        """So many items more are done."""
        self._done += items
        self._observe(Progress(self._done, self._total, self.name, unit="items"))
