"""Models are asked one after the other, and others are held against what the dense one said."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
import pytest
import tinyencoders as encoders

from compressor.checkpoint.pipeline import Progress
from compressor.checkpoint.read.reader import open_checkpoint
from compressor.measure.accuracy import Asked, Subject, ask
from compressor.measure.evidence import Answers, Metric, Task
from compressor.measure.loaded import Loaded, Preparation, Preparations
from compressor.measure.opening import Setting
from compressor.measure.statistics import Mean
from compressor.measure.tasks.plan import Planned

NAMES = ("dense", "copy", "redrawn")
SETTING = Setting("cpu", "float32", batch_size=8, max_length=None, threads=1)


@final
@dataclass(frozen=True)
class Weights(Task):
    """Asks a model for a matrix of its own, and remembers who was asked while who was there."""

    kind: ClassVar[str] = "weights"
    name: str
    own_items: str = ""
    """The model that sees other items than the rest."""
    seen: list[tuple[str, str, int]] = field(default_factory=list)
    models: list[Any] = field(default_factory=list)

    @property
    def data(self) -> str:
        return self.name

    @property
    def count(self) -> int:
        return 4

    def answers(self, model: Loaded) -> Answers:
        alive = sum(each() not in (None, model.model) for each in self.models)
        self.seen.append((model.name, self.name, alive))
        self.models.append(weakref.ref(model.model))
        for _ in range(2):
            model.observe(2)
        rows = model.model.embeddings.word_embeddings.weight.numpy().copy()
        hidden = {"0": rows} if model.name == self.own_items else {"0": rows, "1": rows[:, ::-1]}
        items = "others" if model.name == self.own_items else "same"
        return Answers(
            items,
            {"rows": rows},
            hidden,
            collapse="is one" * (model.name == "copy"),
            preparations=self.preparations(model),
        )

    def preparations(self, model: Loaded) -> Preparations:
        return [Preparation("model", model.name, "here")]

    def metrics(self, answers: Answers) -> Iterator[Metric]:
        norms = np.linalg.norm(answers.arrays["rows"], axis=1)
        yield Metric("norm", Mean(norms), "plain", "a norm")

    def distances(self, dense: Answers, other: Answers) -> Iterator[Metric]:
        apart = np.abs(dense.arrays["rows"] - other.arrays["rows"]).max(axis=1)
        yield Metric("apart", Mean(apart), "plain", "largest difference")


@pytest.fixture(scope="module")
def subjects(tmp_path_factory: pytest.TempPathFactory) -> list[Subject]:
    root: Path = tmp_path_factory.mktemp("models")
    for name in NAMES:
        encoders.encoder(seed=int(name == "redrawn")).save_pretrained(root / name)
    return [Subject(name, open_checkpoint(root / name)) for name in NAMES]


def asked(
    subjects: list[Subject],
    *tasks: Weights,
    has_dense: bool = True,
    told: list[Progress] | None = None,
) -> list[Asked]:
    progress: list[Progress] = [] if told is None else told
    planned = [Planned(task, task.name) for task in tasks]
    return ask(subjects, planned, SETTING, progress.append, has_dense=has_dense)


def test_one_model_is_in_memory_at_a_time_and_answers_everything(subjects: list[Subject]) -> None:
    one = Weights("one")
    two = Weights("two", seen=one.seen, models=one.models)

    found = asked(subjects, one, two)

    assert one.seen == [(name, data, 0) for name in NAMES for data in ("one", "two")]
    assert [(each.model, each.planned.task.data) for each in found] == [
        (name, data) for name in NAMES for data in ("one", "two")
    ]
    assert [each() for each in one.models] == [None] * 6


def test_each_model_is_held_against_the_dense_one(subjects: list[Subject]) -> None:
    dense, copy, redrawn = asked(subjects, Weights("data"))

    assert (list(dense.distances), dict(dense.cka)) == ([], {})
    assert copy.distances[0].statistic.value == 0
    assert copy.cka == {"0": pytest.approx(1), "1": pytest.approx(1)}
    assert redrawn.distances[0].statistic.value > 0
    assert all(value < 0.9 for value in redrawn.cka.values())
    assert dense.metrics[0].statistic.value == copy.metrics[0].statistic.value
    assert [each.collapse for each in (dense, copy, redrawn)] == ["", "is one", ""]
    assert [each.preparations[0].value for each in (dense, copy, redrawn)] == list(NAMES)


def test_a_model_that_saw_other_items_has_scores_and_no_distances(subjects: list[Subject]) -> None:
    _, copy, redrawn = asked(subjects, Weights("data", own_items="redrawn"))

    assert (copy.is_comparable, redrawn.is_comparable) == (True, False)
    assert (redrawn.items, list(redrawn.distances), dict(redrawn.cka)) == ("others", [], {})
    assert np.isfinite(redrawn.metrics[0].statistic.value)


def test_without_a_dense_model_nothing_is_held_against_the_first(subjects: list[Subject]) -> None:
    found = asked(subjects, Weights("data", own_items="dense"), has_dense=False)

    assert [(each.is_comparable, list(each.distances)) for each in found] == [(True, [])] * 3


def test_progress_counts_items_of_all_models_and_data_sets(subjects: list[Subject]) -> None:
    told: list[Progress] = []

    asked(subjects, Weights("one"), Weights("two"), told=told)

    done = [each.done for each in told]
    assert done == sorted(done)
    assert {(each.total, each.unit) for each in told} == {(24, "items")}
    assert (done[0], done[-1]) == (0, 24)
    assert list(dict.fromkeys(each.tensor for each in told)) == [
        f"{name}: {data}" for name in NAMES for data in ("one", "two")
    ]
