"""Text classification: how often the class that a model finds likeliest is the label."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, final

from compressor.data.dataset import Dataset
from compressor.measure.batches import Rows
from compressor.measure.classes import class_numbers, collapse, distances, scores
from compressor.measure.encoders.sequences import (
    Length,
    Sequences,
    longest,
    preparations,
    read,
    sequences,
)
from compressor.measure.evidence import Answers, DataTask, Metric
from compressor.measure.language.tokens import described, require_embedded, tokenizer
from compressor.measure.loaded import Kind, Loaded, Preparation, Preparations


def fits(kind: Kind, dataset: Dataset) -> bool:
    """Whether the task can be asked: labelled texts, or pairs of them, for a classifier."""
    return kind == "text-classification" and "text" in dataset.roles and "label" in dataset.roles


@final
@dataclass(frozen=True)
class Classification(DataTask):
    """How often a classifier names the label of a text, or of a pair of texts."""

    kind: ClassVar[str] = "classification"

    def answers(self, model: Loaded) -> Answers:
        labels, how = class_numbers(self.dataset.values["label"], model.config.id2label, self.data)
        own = tokenizer(model.folder)
        length = longest(model, own)
        items = self._sequences(own, length.tokens)
        require_embedded(items.tokens, model)
        rows = Rows(self.count)
        for batch in read(model, items):
            rows.put(batch.numbers, {"logits": batch.output.logits})
            if batch.output.hidden_states is not None:
                rows.put_hidden(batch.numbers, batch.output.hidden_states, batch.mask)
            model.observe(len(batch.numbers))
        logits = rows.arrays["logits"]
        return Answers(
            items.digest,
            {"logits": logits, "labels": labels},
            rows.hidden,
            f"{logits.shape[1]} classes, labels {how}, tokenizer {described(own)}, at most "
            f"{length.tokens} tokens, {items.cut} of {self.count} cut",
            collapse(logits, labels),
            _prepared(model, own, length, items, how),
        )

    def preparations(self, model: Loaded) -> Preparations:
        own = tokenizer(model.folder)
        length = longest(model, own)
        _, how = class_numbers(self.dataset.values["label"], model.config.id2label, self.data)
        items = self._sequences(own, length.tokens)
        return _prepared(model, own, length, items, how)

    def metrics(self, answers: Answers) -> Iterator[Metric]:
        found = answers.arrays
        return scores(found["logits"], found["labels"], answers.definition)

    def distances(self, dense: Answers, other: Answers) -> Iterator[Metric]:
        one, two = dense.arrays, other.arrays
        return distances(one["logits"], two["logits"], one["labels"], dense.definition)

    def _sequences(self, own: Any, length: int) -> Sequences:
        values = self.dataset.values
        second = values["text2"] if "text2" in self.dataset.roles else None
        return sequences(own, length, values["text"], second)


def _prepared(
    model: Loaded, own: Any, length: Length, items: Sequences, how: str
) -> list[Preparation]:
    """What becomes of a text, and how its label became a class."""
    labels = Preparation("labels", how, "config.json, key id2label")
    return [*preparations(model, own, length, items), labels]
