"""Classification by nearest neighbours: whether texts of one label lie together, nothing trained.

Each item in turn is the query and all others are the references (leave-one-out), so that a data set
needs no split.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from compressor.data.dataset import Dataset
from compressor.errors import InputError
from compressor.measure.distance import nearest
from compressor.measure.encoders.embedding import (
    embedded,
    embedding_distances,
    embedding_preparations,
    rank_metric,
)
from compressor.measure.evidence import Answers, DataTask, Metric
from compressor.measure.flips import flips
from compressor.measure.loaded import Kind, Loaded, Preparations
from compressor.measure.statistics import Floats, Mean

Numbers: TypeAlias = NDArray[np.int64]

NEIGHBOURS: Final = 5


def fits(kind: Kind, dataset: Dataset) -> bool:
    """Whether the task can be asked: labelled texts for a model that embeds."""
    return kind == "embedding" and "text" in dataset.roles and "label" in dataset.roles


@final
@dataclass(frozen=True)
class Neighbours(DataTask):
    """How often the label of most of an item's nearest neighbours is its own."""

    kind: ClassVar[str] = "knn"

    def answers(self, model: Loaded) -> Answers:
        if self.count <= NEIGHBOURS:
            raise InputError(
                "DATA-TOO-SMALL",
                "there are too few items for each to have its neighbours among the others",
                at=self.data,
                found=f"{self.count} items, expected at least {NEIGHBOURS + 1}",
                do="give more items, or a larger --num-samples",
            )
        return embedded(model, self._columns)

    def preparations(self, model: Loaded) -> Preparations:
        return list(embedding_preparations(model, self._columns))

    def metrics(self, answers: Answers) -> Iterator[Metric]:
        labels = self._labels
        most = int(np.bincount(labels).max()) / self.count
        yield Metric(
            "accuracy",
            Mean(self._right(answers)),
            "share",
            f"share of items whose label is that of most of the {NEIGHBOURS} nearest of the other "
            f"{self.count - 1} (leave-one-out), by cosine, ties to the nearest; "
            f"{labels.max() + 1} labels, the commonest {most:.1%}; {answers.definition}",
            "higher",
            is_headline=True,
        )
        yield rank_metric(answers)

    def distances(self, dense: Answers, other: Answers) -> Iterator[Metric]:
        yield from embedding_distances(dense, other)
        yield flips(self._right(dense), self._right(other))

    @property
    def _columns(self) -> Sequence[Sequence[str]]:
        return [self.dataset.values["text"]]

    @property
    def _labels(self) -> Numbers:
        values: Any = [str(label) for label in self.dataset.values["label"]]
        codes: Numbers = np.unique(values, return_inverse=True)[1]
        return codes

    def _right(self, answers: Answers) -> Floats:
        """1 where an item's neighbours name its label, else 0; NaN where there are no cosines."""
        embeddings = answers.arrays["embeddings"][:, 0]
        if not np.isfinite(embeddings).all():
            return np.full(len(embeddings), np.nan)
        found: Floats = (nearest_labels(embeddings, self._labels) == self._labels).astype(
            np.float64
        )
        return found


def nearest_labels(rows: NDArray[Any], labels: Numbers, neighbours: int = NEIGHBOURS) -> Numbers:
    """The label of most of the nearest other rows, by cosine; of tied ones that of the nearest."""
    near = labels[np.stack(list(nearest(rows, neighbours)))]
    # How many neighbours share the label of each; the first of the most is the nearest.
    votes = (near[:, :, None] == near[:, None, :]).sum(axis=2)  # (rows, neighbours)
    found: Numbers = near[np.arange(len(rows)), votes.argmax(axis=1)]
    return found
