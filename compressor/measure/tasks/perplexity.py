"""Perplexity of a causal language model, with all that decides what the number means."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from compressor.data.dataset import Dataset
from compressor.errors import UsageError
from compressor.measure.batches import Rows
from compressor.measure.evidence import Answers, DataTask, Metric
from compressor.measure.language.continuations import Reading, losses, scored_logits
from compressor.measure.language.divergence import divergence
from compressor.measure.language.kept import KeptLogits
from compressor.measure.language.repetition import NEW_TOKENS, PROMPT, loops, prompts
from compressor.measure.language.tokens import (
    any_start,
    collapse,
    described,
    digest,
    longest_input,
    own_start,
    plain,
    preparations,
    require_embedded,
    tokenizer,
)
from compressor.measure.language.windows import Blocks, Finished, blocks, predicted
from compressor.measure.loaded import Kind, Loaded, Preparations
from compressor.measure.statistics import Mean, Ratio

Arrays: TypeAlias = dict[str, NDArray[Any]]


def fits(kind: Kind, dataset: Dataset) -> bool:
    """Whether the task can be asked: texts for a causal language model."""
    return kind == "causal-lm" and "text" in dataset.roles


@final
@dataclass(frozen=True)
class Perplexity(DataTask):
    """How well a causal model predicts the texts, each row a document by itself."""

    kind: ClassVar[str] = "perplexity"

    stride: int | None = None
    """New tokens of each window; None: as many as the context, so that windows do not overlap."""
    bos: bool | None = None
    """Whether a document begins with a token for that; None: what the tokenizer does by itself.

    True is the form of lm-eval, which scores the first token of the text after it.
    """

    def answers(self, model: Loaded) -> Answers:
        context = longest_input(model)
        stride = self._stride(context)
        own = tokenizer(model.folder)
        start = self._start(own)
        documents = [[*start, *tokens] for tokens in plain(own, self.dataset.values["text"])]
        require_embedded(documents, model)
        items = blocks(
            [
                window
                for number, tokens in enumerate(documents)
                for window in predicted(number, len(tokens), context, stride)
            ],
            self.data,
            context,
        )
        arrays, hidden = _scored(model, items, documents)
        model.observe(self.count - len({window.document for window in items.windows}))
        texts: Sequence[str] = self.dataset.values["text"]
        begun = prompts(
            documents, [documents[each.document][each.start : each.end] for each in items.windows]
        )
        arrays |= {
            "words": items.shared([len(text.split()) for text in texts]),
            "bytes": items.shared([len(text.encode()) for text in texts]),
            f"loops of {begun.begin}": loops(model, begun.tokens),
        }
        value = Ratio(arrays["loss"], arrays["tokens"], is_exponent=True).value
        return Answers(
            digest(documents, f"context {context}, stride {stride}"),
            arrays,
            hidden.hidden,
            ", ".join(_definition(own, start, context, stride, items, documents)),
            collapse(value, model),
            preparations(model, own),
        )

    def preparations(self, model: Loaded) -> Preparations:
        return preparations(model, tokenizer(model.folder))

    def metrics(self, answers: Answers) -> Iterator[Metric]:
        found, how = answers.arrays, answers.definition
        loss, words = found["loss"], found["words"]
        yield Metric(
            "perplexity",
            Ratio(loss, found["tokens"], is_exponent=True),
            "perplexity",
            f"exp of the mean loss per token; {how}",
            "lower",
            is_headline=True,
        )
        word = "exp of the loss per whitespace word of the raw text"
        each = Ratio(loss, words, is_exponent=True)
        yield Metric("word-perplexity", each, "perplexity", f"{word}; {how}", "lower")
        byte = "loss in bits per UTF-8 byte of the raw text"
        bits = Ratio(loss / math.log(2), found["bytes"])
        yield Metric("bits-per-byte", bits, "bits", f"{byte}; {how}", "lower")
        for begin in ("documents", "windows"):
            looped = found.get(f"loops of {begin}")
            if looped is not None and len(looped):
                greedy = (
                    f"share of {len(looped)} greedy continuations (the first {PROMPT} tokens of "
                    f"{begin}, then {NEW_TOKENS} new ones) that end in a loop; {how}"
                )
                yield Metric("greedy-repetition", Mean(looped), "share", greedy)

    def distances(self, dense: Answers, other: Answers) -> Iterator[Metric]:
        one, two = dense.arrays, other.arrays
        return divergence(
            one["logits"], two["logits"], one["positions"], len(one["loss"]), dense.definition
        )

    def _stride(self, context: int) -> int:
        stride = context if self.stride is None else self.stride
        if not 0 < stride <= context:
            raise UsageError(
                "RANGE",
                "a stride is at least one token, and at most the context",
                at="stride",
                found=f"{stride}; expected 1 to {context}",
                do="leave it out: windows then lie side by side",
            )
        return stride

    def _start(self, own: Any) -> list[int]:
        if self.bos is None:
            return own_start(own)
        return any_start(own) if self.bos else []


def _scored(model: Loaded, items: Blocks, documents: Sequence[list[int]]) -> tuple[Arrays, Rows]:
    """The loss of each item and some of the logits behind it, and the hidden states of windows."""
    windows = items.windows
    readings = [
        Reading(documents[each.document][each.start : each.end], each.first - each.start)
        for each in windows
    ]
    loss, hidden = np.zeros(len(windows)), Rows(len(windows))
    kept = KeptLogits([window.scored for window in windows])
    done = Finished(windows)
    for number, logits in scored_logits(model, readings, hidden):
        each = losses(logits, readings[number].targets).cpu().numpy()
        loss[number] = each.sum(dtype=np.float64)
        kept.put(number, logits)
        model.observe(done.after(number))
    return {
        "loss": items.summed(loss),
        "tokens": items.tokens,
        "logits": kept.array,
        "positions": items.items[kept.sequences],
    }, hidden


def _definition(
    own: Any,
    start: Sequence[int],
    context: int,
    stride: int,
    items: Blocks,
    documents: Sequence[list[int]],
) -> Iterator[str]:
    """What decides the number, in one line."""
    scored = {window.document for window in items.windows}
    yield f"tokenizer {described(own)}"
    yield f"context {context}"
    yield f"stride {stride}" + (" (windows side by side)" if stride == context else "")
    if start:
        yield f"begins with {own.convert_ids_to_tokens(start[0])}"
    else:
        yield "no BOS (a text's first token is read and not scored; its word and bytes count)"
    yield f"each document by itself, {len(scored)} of them"
    if empty := len(documents) - len(scored):
        yield f"{empty} more with nothing to score"
    yield f"{int(items.tokens.sum())} tokens scored"
    if unknown := sum(tokens[len(start) :].count(own.unk_token_id) for tokens in documents):
        yield f"{unknown} tokens unknown to the tokenizer"
    yield str(items)
