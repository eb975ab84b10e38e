"""Semantic similarity: whether the cosine of two embeddings ranks pairs of texts as people do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from compressor.data.dataset import Dataset
from compressor.measure.encoders.embedding import (
    cosines,
    embedded,
    embedding_distances,
    embedding_preparations,
    rank_metric,
)
from compressor.measure.evidence import Answers, DataTask, Metric
from compressor.measure.loaded import Kind, Loaded, Preparations
from compressor.measure.statistics import Spearman


def fits(kind: Kind, dataset: Dataset) -> bool:
    """Whether the task can be asked: scored pairs of texts for a model that embeds."""
    return kind == "embedding" and all(role in dataset.roles for role in ("text", "text2", "score"))


@final
@dataclass(frozen=True)
class Similarity(DataTask):
    """Rank correlation of the cosines of pairs of texts with the scores that people gave them."""

    kind: ClassVar[str] = "sts"

    def answers(self, model: Loaded) -> Answers:
        return embedded(model, self._columns)

    def preparations(self, model: Loaded) -> Preparations:
        return list(embedding_preparations(model, self._columns))

    def metrics(self, answers: Answers) -> Iterator[Metric]:
        embeddings = answers.arrays["embeddings"]
        scores = np.asarray(self.dataset.values["score"], dtype=np.float64)
        yield Metric(
            "spearman",
            Spearman(cosines(embeddings[:, 0], embeddings[:, 1]), scores),
            "share",
            f"Spearman of cosine and score over {self.count} pairs; {answers.definition}",
            "higher",
            is_headline=True,
        )
        yield rank_metric(answers)

    def distances(self, dense: Answers, other: Answers) -> Iterator[Metric]:
        return embedding_distances(dense, other)

    @property
    def _columns(self) -> Sequence[Sequence[str]]:
        return [self.dataset.values["text"], self.dataset.values["text2"]]
