"""Multiple choice: the answer that a causal model finds likeliest, as lm-eval scores it.

Contexts and answers are tokenised, cut and compared as in lm-eval 0.4.13, so that the numbers are
the same on the same items.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from compressor.data.dataset import Dataset
from compressor.data.spec import Role
from compressor.errors import InputError, printable
from compressor.measure.batches import Rows
from compressor.measure.distance import kl
from compressor.measure.evidence import Answers, DataTask, Metric
from compressor.measure.flips import flips
from compressor.measure.language.continuations import Reading, losses, scored_logits
from compressor.measure.language.tokens import (
    any_start,
    described,
    digest,
    longest_input,
    own_start,
    plain,
    preparations,
    require_embedded,
    tokenizer,
)
from compressor.measure.loaded import Kind, Loaded, Preparations
from compressor.measure.statistics import Floats, Mean

Numbers: TypeAlias = NDArray[np.int64]

DELIMITER: Final = " "
"""Between a context and an answer, as lm-eval's `target_delimiter`."""
_FORMS: Final[tuple[tuple[Role, ...], ...]] = (
    ("query", "choices", "gold"),
    ("contexts", "continuation", "gold"),
    ("good", "bad"),
)


def fits(kind: Kind, dataset: Dataset) -> bool:
    """Whether the task can be asked: questions with answers, for a causal language model."""
    return kind == "causal-lm" and any(
        all(role in dataset.roles for role in form) for form in _FORMS
    )


@final
@dataclass(frozen=True)
class Question:
    """Pairs of a context and an answer, of which the one at `gold` is right."""

    pairs: Sequence[tuple[str, str]]
    gold: int


@final
@dataclass(frozen=True)
class Choice(DataTask):
    """Which of some answers a causal model finds likeliest; pairs of sentences are two answers."""

    kind: ClassVar[str] = "choice"

    def answers(self, model: Loaded) -> Answers:
        questions = list(_questions(self.dataset))
        own = tokenizer(model.folder)
        pairs = [pair for question in questions for pair in question.pairs]
        length = longest_input(model)
        whole = list(_readings(own, pairs, self.data))
        require_embedded([each.tokens for each in whole], model)
        readings = [_cut(each, length) for each in whole]
        cut = sum(len(a.tokens) < len(b.tokens) for a, b in zip(readings, whole, strict=True))
        owners = np.repeat(np.arange(len(questions)), [len(each.pairs) for each in questions])
        likelihood, hidden = np.zeros(len(pairs)), Rows(len(pairs))
        left = np.bincount(owners)
        for number, logits in scored_logits(model, readings, hidden):
            loss = losses(logits, readings[number].targets).cpu().numpy()
            likelihood[number] = -loss.sum(dtype=np.float64)
            left[owners[number]] -= 1
            model.observe(int(not left[owners[number]]))
        return Answers(
            digest([[each.first, *each.tokens] for each in readings], "choices"),
            {"loglikelihood": likelihood, "owners": owners},
            hidden.hidden,
            f"tokenizer {described(own)}, log-likelihood of each answer after its context and a "
            f"space, context {length}, {cut} of {len(pairs)} cut from the left",
            "" if np.isfinite(likelihood).all() else "some log-likelihoods are not finite",
            preparations(model, own),
        )

    def preparations(self, model: Loaded) -> Preparations:
        return preparations(model, tokenizer(model.folder))

    def metrics(self, answers: Answers) -> Iterator[Metric]:
        questions = list(_questions(self.dataset))
        scores, how = _by_question(answers), answers.definition
        gold = [question.gold for question in questions]
        right = _right(scores, gold)
        likeliest = "share of questions whose right answer is the likeliest"
        yield Metric(
            "accuracy", Mean(right), "share", f"{likeliest}; {how}", "higher", is_headline=True
        )
        if "contexts" not in self.dataset.roles:
            lengths = [[len(text) for _, text in question.pairs] for question in questions]
            normal = [row / length for row, length in zip(scores, lengths, strict=True)]
            per = "the likeliest per character of the answer (acc_norm of lm-eval)"
            yield Metric(
                "accuracy-norm",
                Mean(_right(normal, gold)),
                "share",
                f"share of questions whose right answer is {per}; {how}",
                "higher",
            )
        margins = [
            row[right] - np.delete(row, right).max()
            for row, right in zip(scores, gold, strict=True)
        ]
        margin = "log-likelihood of the right answer, less that of the likeliest wrong one"
        yield Metric("margin", Mean(np.asarray(margins)), "nats", f"mean {margin}; {how}")

    def distances(self, dense: Answers, other: Answers) -> Iterator[Metric]:
        gold = [question.gold for question in _questions(self.dataset)]
        before, after = _by_question(dense), _by_question(other)
        was, now = _right(before, gold), _right(after, gold)
        yield flips(was, now)
        with np.errstate(invalid="ignore"):
            apart = [kl(one[None], two[None])[0] for one, two in zip(before, after, strict=True)]
        choices = "KL from the dense model over the answers of a question, in nats"
        yield Metric("kl", Mean(np.asarray(apart)), "nats", f"mean {choices}", "lower")


def _questions(dataset: Dataset) -> Iterator[Question]:
    """The rows of the data set, in whichever of the three forms it has."""
    values = dataset.values
    if "good" in dataset.roles:
        for good, bad in zip(values["good"], values["bad"], strict=True):
            yield Question([("", good), ("", bad)], 0)
        return
    if "query" in dataset.roles:
        rows = [
            [(query, choice) for choice in choices]
            for query, choices in zip(values["query"], values["choices"], strict=True)
        ]
    else:
        rows = [
            [(context, after) for context in contexts]
            for contexts, after in zip(values["contexts"], values["continuation"], strict=True)
        ]
    for number, (pairs, gold) in enumerate(zip(rows, values["gold"], strict=True), start=1):
        yield Question(pairs, _gold(gold, len(pairs), f"{dataset.name}, row {number}"))


def _gold(value: Any, count: int, at: str) -> int:
    """The position of the right answer, from 0, and at least one wrong one beside it."""
    text = str(value).strip()
    if text.isdecimal() and int(text) < count and count > 1:
        return int(text)
    raise InputError(
        "DATA-TYPE",
        "the right answer is not one of several",
        at=at,
        found=f"`{printable(value)}` of {count} answers; expected a position from 0 to {count - 1}",
        do="number the answers from 0 in the column of gold",
    )


def _readings(own: Any, pairs: Sequence[tuple[str, str]], data: str) -> Iterator[Reading]:
    """What the model reads for each pair of context and answer, the answer scored.

    Spaces at the end of a context go to the answer, and both are tokenised as one text, which is
    split where the tokens of the context alone end (lm-eval, `_encode_pair`).
    """
    start = own_start(own)
    joined = [f"{context}{DELIMITER}{answer}" for context, answer in pairs]
    contexts = [context.rstrip() for context, _ in pairs]
    both = zip(plain(own, joined), plain(own, contexts), strict=True)
    for number, (tokens, context) in enumerate(both):
        if known := len(start) + len(context):
            reading = Reading([*start, *tokens], known)
        else:
            before = any_start(own)
            reading = Reading(tokens if before == tokens[:1] else [*before, *tokens], 1)
        if not reading.first < len(reading.tokens):
            raise InputError(
                "DATA-NO-TARGETS",
                "an answer has no token of its own to be scored",
                at=data,
                found=f"`{printable(pairs[number][1])}`; expected at least one token",
                do="leave the question out, or write its answer out",
            )
        yield reading


def _cut(reading: Reading, length: int) -> Reading:
    """The last `length` tokens to read and the one that they predict: cut from the left."""
    surplus = max(0, len(reading.tokens) - (length + 1))
    return Reading(reading.tokens[surplus:], max(1, reading.first - surplus))


def _by_question(answers: Answers) -> list[Floats]:
    owners: Numbers = answers.arrays["owners"]
    ends = np.cumsum(np.bincount(owners))[:-1]
    return np.split(answers.arrays["loglikelihood"], ends)


def _right(scores: Sequence[Floats], gold: Sequence[int]) -> Floats:
    """1 where the right answer scores highest, of equal ones the first; NaN where a score is."""
    return np.asarray(
        [
            float(np.argmax(row) == right) if np.isfinite(row).all() else np.nan
            for row, right in zip(scores, gold, strict=True)
        ]
    )
