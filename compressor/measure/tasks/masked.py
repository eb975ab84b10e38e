"""Pseudo-perplexity of a masked language model: each token masked in turn, guessed from the rest.

(Salazar et al., 2020, Masked Language Model Scoring, eq. 2 and 3.) It compares models of one
tokenizer; it is no perplexity, and smaller than one would be.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from compressor.data.dataset import Dataset
from compressor.errors import InputError
from compressor.measure.batches import HIDDEN_ITEMS, Rows, by_length, padded
from compressor.measure.evidence import Answers, DataTask, Metric
from compressor.measure.language.continuations import losses
from compressor.measure.language.divergence import divergence
from compressor.measure.language.guesses import logits_at
from compressor.measure.language.kept import KeptLogits
from compressor.measure.language.tokens import (
    collapse,
    described,
    digest,
    longest_input,
    plain,
    preparations,
    require_embedded,
    tokenizer,
)
from compressor.measure.language.windows import Blocks, Finished, blocks, pieces
from compressor.measure.loaded import Kind, Loaded, Preparations
from compressor.measure.statistics import Ratio

Arrays: TypeAlias = dict[str, NDArray[Any]]


def fits(kind: Kind, dataset: Dataset) -> bool:
    """Whether the task can be asked: texts for a masked language model."""
    return kind == "masked-lm" and "text" in dataset.roles


@final
@dataclass(frozen=True)
class _Frame:
    """The special tokens around a text, `[CLS] … [SEP]`, and the two that stand for others."""

    before: Sequence[int]
    after: Sequence[int]
    mask: int
    padding: int

    def around(self, tokens: Sequence[int]) -> list[int]:
        """The text as the model sees it."""
        return [*self.before, *tokens, *self.after]


@final
@dataclass(frozen=True)
class PseudoPerplexity(DataTask):
    """How well a masked model guesses each token of a text from all the others."""

    kind: ClassVar[str] = "pseudo-perplexity"

    def answers(self, model: Loaded) -> Answers:
        own = tokenizer(model.folder)
        frame = _frame(own, model)
        length = min(longest_input(model), own.model_max_length)
        size = max(1, length - len(frame.around([])))
        documents = plain(own, self.dataset.values["text"])
        require_embedded(documents, model)
        items = blocks(
            [
                window
                for number, tokens in enumerate(documents)
                for window in pieces(number, len(tokens), size)
            ],
            self.data,
            size,
        )
        model.observe(self.count - len({window.document for window in items.windows}))
        texts = [documents[each.document][each.start : each.end] for each in items.windows]
        arrays = _scored(model, items, texts, frame)
        return Answers(
            digest(documents, f"masked, pieces of {size}"),
            arrays,
            _hidden(model, texts, frame),
            f"tokenizer {described(own)}, each token masked in turn, texts in pieces of at most "
            f"{size} tokens between their special tokens, {int(items.tokens.sum())} tokens scored, "
            f"{items}",
            collapse(Ratio(arrays["loss"], arrays["tokens"], is_exponent=True).value, model),
            preparations(model, own),
        )

    def preparations(self, model: Loaded) -> Preparations:
        return preparations(model, tokenizer(model.folder))

    def metrics(self, answers: Answers) -> Iterator[Metric]:
        found = answers.arrays
        yield Metric(
            "pseudo-perplexity",
            Ratio(found["loss"], found["tokens"], is_exponent=True),
            "perplexity",
            f"exp of the mean loss per masked token; {answers.definition}",
            "lower",
            is_headline=True,
        )

    def distances(self, dense: Answers, other: Answers) -> Iterator[Metric]:
        one, two = dense.arrays, other.arrays
        return divergence(
            one["logits"], two["logits"], one["positions"], len(one["loss"]), dense.definition
        )


def _frame(own: Any, model: Loaded) -> _Frame:
    if own.mask_token_id is None:
        raise InputError(
            "TOKENIZER",
            "the tokenizer of a masked language model has no mask token",
            at=model.name,
            found=f"{described(own)} without one; expected one such as [MASK]",
            do="fetch tokenizer_config.json again from the model's provider",
        )
    added: list[int] = own("")["input_ids"]
    padding = 0 if own.pad_token_id is None else own.pad_token_id
    return _Frame(added[:1], added[1:], own.mask_token_id, padding)


def _scored(model: Loaded, items: Blocks, texts: Sequence[Sequence[int]], frame: _Frame) -> Arrays:
    """The loss of each item, and some of the logits behind it."""
    masked = [(window, place) for window, text in enumerate(texts) for place in range(len(text))]
    windows = np.asarray([window for window, _ in masked])
    loss, kept = np.zeros(len(masked)), KeptLogits([1] * len(masked))
    left, done = np.bincount(windows), Finished(items.windows)
    for batch in by_length([len(texts[window]) for window, _ in masked], model.batch_size):
        asked = []
        for number in batch:
            window, place = masked[number]
            asked.append(frame.around([*texts[window]]))
            asked[-1][len(frame.before) + place] = frame.mask
        tokens, mask = padded(asked, frame.padding, model.device)
        places = [len(frame.before) + masked[number][1] for number in batch]
        logits = logits_at(model, tokens, mask, places).float()
        targets = [texts[window][place] for window, place in (masked[number] for number in batch)]
        loss[batch] = losses(logits, targets).cpu().numpy()
        for row, number in enumerate(batch):
            window, _ = masked[number]
            kept.put(number, logits[row : row + 1])
            left[window] -= 1
            if not left[window]:
                model.observe(done.after(window))
    return {
        "loss": items.summed(np.bincount(windows, loss).tolist()),
        "tokens": items.tokens,
        "logits": kept.array,
        "positions": items.items[windows[kept.sequences]],
    }


def _hidden(
    model: Loaded, texts: Sequence[Sequence[int]], frame: _Frame
) -> dict[str, NDArray[Any]]:
    """Mean hidden states of the first pieces, with nothing masked."""
    whole = [frame.around(text) for text in texts[:HIDDEN_ITEMS]]
    found = Rows(len(whole))
    for batch in by_length([len(text) for text in whole], model.batch_size):
        tokens, mask = padded([whole[number] for number in batch], frame.padding, model.device)
        output: Any = model.model(
            input_ids=tokens, attention_mask=mask.long(), output_hidden_states=True
        )
        found.put_hidden(batch, output.hidden_states, mask)
    return found.hidden
