"""Text classification: how often the class that a model finds likeliest is the label."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from compressor.data.dataset import Dataset
from compressor.errors import InputError, listing
from compressor.measure.batches import Rows
from compressor.measure.constant import Constant
from compressor.measure.distance import kl
from compressor.measure.divergence import PositionQuantile
from compressor.measure.evidence import Answers, Metric, Task
from compressor.measure.flips import flips
from compressor.measure.loaded import Kind, Loaded, Preparation, Preparations
from compressor.measure.sequences import Sequences, longest, preparations, read, sequences
from compressor.measure.statistics import Floats, Mean
from compressor.measure.tokens import described, require_embedded, tokenizer

Numbers: TypeAlias = NDArray[np.int64]


def fits(kind: Kind, dataset: Dataset) -> bool:
    """Whether the task can be asked: labelled texts, or pairs of them, for a classifier."""
    return kind == "text-classification" and "text" in dataset.roles and "label" in dataset.roles


@final
@dataclass(frozen=True)
class Classification(Task):
    """How often a classifier names the label of a text, or of a pair of texts."""

    kind: ClassVar[str] = "classification"

    dataset: Dataset

    @property
    def data(self) -> str:
        return self.dataset.name

    @property
    def count(self) -> int:
        return len(self.dataset.values["label"])

    def answers(self, model: Loaded) -> Answers:
        labels, how = classes(self.dataset.values["label"], model.config.id2label, self.data)
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
            _collapse(logits, labels),
        )

    def preparations(self, model: Loaded) -> Preparations:
        own = tokenizer(model.folder)
        length = longest(model, own)
        _, how = classes(self.dataset.values["label"], model.config.id2label, self.data)
        items = self._sequences(own, length.tokens)
        return [
            *preparations(model, own, length, items),
            Preparation("labels", how, "config.json, key id2label"),
        ]

    def metrics(self, answers: Answers) -> Iterator[Metric]:
        logits, labels = answers.arrays["logits"], answers.arrays["labels"]
        yield Metric(
            "accuracy",
            Mean(_right(answers)),
            f"share of items whose label is the likeliest class; {answers.definition}",
            "higher",
            is_headline=True,
        )
        value = macro_f1(logits.argmax(axis=1), labels) if np.isfinite(logits).all() else np.nan
        yield Metric(
            "macro-f1",
            Constant(value, self.count),
            "mean F1 of the classes that are a label or were named; no interval; "
            f"{answers.definition}",
        )

    def distances(self, dense: Answers, other: Answers) -> Iterator[Metric]:
        one, two = dense.arrays["logits"], other.arrays["logits"]
        if one.shape == two.shape:
            with np.errstate(invalid="ignore"):
                apart = kl(one, two)
            agrees = (one.argmax(axis=1) == two.argmax(axis=1)).astype(np.float64)
            of = f"KL from the dense model over {one.shape[1]} classes, in nats"
            yield Metric("kl", Mean(apart), f"mean {of}", "lower")
            for name, probability in (("kl-p50", 0.5), ("kl-p99", 0.99)):
                quantile = PositionQuantile(apart, np.arange(len(apart)), len(apart), probability)
                yield Metric(name, quantile, f"quantile {probability} of the {of}", "lower")
            yield Metric(
                "top1-agreement",
                Mean(np.where(np.isfinite(apart), agrees, np.nan)),
                "share of items for which both models find the same class likeliest",
                "higher",
            )
        yield flips(_right(dense), _right(other))

    def _sequences(self, own: Any, length: int) -> Sequences:
        values = self.dataset.values
        second = values["text2"] if "text2" in self.dataset.roles else None
        return sequences(own, length, values["text"], second)


def classes(labels: Sequence[Any], names: Mapping[int, str], at: str) -> tuple[Numbers, str]:
    """The class of each label, and how they were matched: one way for all, names before numbers."""
    texts = [str(label).strip() for label in labels]
    plain: Callable[[str], str] = str
    ways: Sequence[tuple[str, Callable[[str], str], Mapping[str, int]]] = (
        ("by name", plain, {name: number for number, name in names.items()}),
        (
            "by name, whatever the case",
            str.casefold,
            {name.casefold(): number for number, name in names.items()},
        ),
        ("as LABEL_k", str.casefold, {f"label_{number}": number for number in names}),
        ("by number", plain, {str(number): number for number in names}),
    )
    for how, spelled, known in ways:
        found = [known.get(spelled(text)) for text in texts]
        # Two classes of one name, or of names that differ in their case only, have no meaning.
        if len(known) == len(names) > 1 and None not in found:
            return np.asarray(found, dtype=np.int64), how
    raise InputError(
        "DATA-LABELS",
        "the labels of the data are not the classes of the model",
        at=at,
        found=f"labels {listing(dict.fromkeys(texts))}; expected classes "
        f"{listing(names.values())}, or their numbers from 0",
        do="write the labels as the model's classes, or give a model with these classes",
    )


def macro_f1(predicted: Numbers, labels: Numbers) -> float:
    """The mean over classes of `2 TP / (2 TP + FP + FN)`, of classes that occur on either side."""
    present = np.union1d(predicted, labels)
    hits = [int(((predicted == each) & (labels == each)).sum()) for each in present]
    sizes = [int((predicted == each).sum() + (labels == each).sum()) for each in present]
    return float(np.mean([2 * hit / size for hit, size in zip(hits, sizes, strict=True)]))


def _right(answers: Answers) -> Floats:
    """1 where the label is the likeliest class, else 0; NaN where a logit is not finite."""
    logits, labels = answers.arrays["logits"], answers.arrays["labels"]
    found: Floats = np.where(
        np.isfinite(logits).all(axis=1), logits.argmax(axis=1) == labels, np.nan
    )
    return found


def _collapse(logits: NDArray[Any], labels: Numbers) -> str:
    """Why these answers are those of a broken classifier, or nothing."""
    if not np.isfinite(logits).all():
        return "some logits are not finite"
    if len(np.unique(logits.argmax(axis=1))) == 1 and len(np.unique(labels)) > 1:
        return f"it names one class for all {len(labels)} items, which have several labels"
    return ""
