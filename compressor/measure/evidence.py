"""What a task asks of a model, and what comes of it: answers, scores, distance to dense.

A task knows its items and not the models. It is asked once per model, for `Answers`; metrics and
distances are computed from answers alone, so that one model is in memory at a time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal, TypeAlias, final

from numpy.typing import NDArray

from compressor.data.dataset import Dataset
from compressor.measure.loaded import Loaded, Preparations
from compressor.measure.statistics import Statistic

Better: TypeAlias = Literal["higher", "lower"]
Unit: TypeAlias = Literal["share", "perplexity", "nats", "bits", "squared", "plain"]
"""What a number counts; `share` is of one, as accuracies, cosines and correlations are."""

_POINTS: Final[Mapping[Unit, float | None]] = {
    "share": 0.01,
    "perplexity": 1.0,
    "nats": None,
    "bits": None,
    "squared": None,
    "plain": None,
}


@final
@dataclass(frozen=True)
class Metric:
    """One number about one model on one data set, with the per-item values that carry it."""

    name: str
    """As gates name it behind the data set: `spearman` of `sts/spearman`."""
    statistic: Statistic
    unit: Unit
    definition: str
    """Everything that a reader needs to compare it: `context 512, stride 512, no BOS, …`."""
    better: Better | None = None
    """None: reported, never judged."""
    is_headline: bool = False
    """Whether a verdict rests on it; one or two for each task."""

    @property
    def point(self) -> float | None:
        """What one point (`1pt`) is: 0.01 of a share, 1 of a perplexity; else there are none."""
        return _POINTS[self.unit]


@final
@dataclass(frozen=True)
class Answers:
    """What one model answered: arrays by name, items along the first axis."""

    items: str
    """Digest of the items as the model saw them (token ids, pixels): equal, or not comparable."""
    arrays: Mapping[str, NDArray[Any]]
    hidden: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """Mean hidden state of each item by layer, `(items, width)` fp32, for linear CKA."""
    definition: str = ""
    """How the model was asked: `context 512, stride 512, no BOS`. Stands in every metric."""
    collapse: str = ""
    """Why the answers are those of a broken model; empty where they are not."""
    preparations: Preparations = ()
    """How an item became what this model saw, with a warning where they do not fit."""


class Task(ABC):
    """One question about one data set: final, frozen, in `compressor.measure.tasks`."""

    kind: ClassVar[str]
    """As `--tasks` names it: `perplexity`, `sts`, `knn`."""

    @property
    @abstractmethod
    def data(self) -> str:
        """The name of the data set: `sts` of `sts/spearman`."""

    @property
    @abstractmethod
    def count(self) -> int:
        """How many items there are."""

    @abstractmethod
    def answers(self, model: Loaded) -> Answers:
        """The model's answers to every item. Tells `model.observe` how far it is."""

    @abstractmethod
    def preparations(self, model: Loaded) -> Preparations:
        """How an item becomes what this model sees, with a warning where they do not fit."""

    @abstractmethod
    def metrics(self, answers: Answers) -> Iterator[Metric]:
        """The scores of one model."""

    @abstractmethod
    def distances(self, dense: Answers, other: Answers) -> Iterator[Metric]:
        """How far the answers of `other` are from those of `dense`; needs no labels."""


@dataclass(frozen=True)
class DataTask(Task):
    """A question about each row of a data set."""

    dataset: Dataset

    @property
    def data(self) -> str:
        return self.dataset.name

    @property
    def count(self) -> int:
        return self.dataset.count
