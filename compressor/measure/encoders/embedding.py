"""Sentence embeddings as a checkpoint means them, and how far those of two models are apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain as joined
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from compressor.measure.batches import Rows
from compressor.measure.distance import (
    NEIGHBOURS,
    cosine_distance,
    neighbour_overlap,
    rank_me,
    unit,
)
from compressor.measure.encoders.chain import Chain, read_chain
from compressor.measure.encoders.pooling import pooled
from compressor.measure.encoders.sequences import (
    Length,
    Sequences,
    longest,
    preparations,
    read,
    sequences,
)
from compressor.measure.evidence import Answers, Metric
from compressor.measure.language.tokens import described, require_embedded, tokenizer
from compressor.measure.loaded import Loaded, Preparation
from compressor.measure.statistics import Constant, Floats, Mean, Quantile

Array = NDArray[Any]

COLLAPSED: Final = 0.999
"""Mean cosine between different texts from which on they are hardly told apart."""

FEWEST_TEXTS: Final = 30
"""Texts of which the nearest are not most of all: of 11, any two models find the same 10."""


def embedded(model: Loaded, columns: Sequence[Sequence[str]]) -> Answers:
    """The embeddings of each item's texts, `(items, texts, width)`, one text from each column.

    Texts of the same tokens are read once, so that they have the same embedding to the last bit.
    """
    chain = read_chain(model.folder)
    own = tokenizer(chain.folder)
    length = longest(model, own, chain.max_length)
    items = sequences(own, length.tokens, _texts(chain, columns))
    require_embedded(items.tokens, model)
    places: dict[tuple[int, ...], int] = {}
    place = [places.setdefault(tuple(each), len(places)) for each in items.tokens]
    rows = Rows(len(places))
    times, done = np.bincount(place), 0
    distinct = Sequences(list(places), [], items.padding, items.cut, items.unknown)
    for batch in read(model, distinct):
        found = pooled(batch.output.last_hidden_state, batch.mask, chain.modes)
        if chain.is_normalised:
            found = torch.nn.functional.normalize(found, dim=1)
        rows.put(batch.numbers, {"embeddings": found})
        if batch.output.hidden_states is not None:
            rows.put_hidden(batch.numbers, batch.output.hidden_states, batch.mask)
        before, done = done, done + int(times[batch.numbers].sum())
        model.observe(done // len(columns) - before // len(columns))
    embeddings = rows.arrays["embeddings"]
    return Answers(
        items.digest,
        {"embeddings": embeddings[place].reshape(len(columns[0]), len(columns), -1)},
        rows.hidden,
        f"{chain}, tokenizer {described(own)}, at most {length.tokens} tokens, "
        f"{items.cut} of {len(place)} texts cut",
        _collapse(embeddings),
        list(_prepared(model, chain, own, length, items)),
    )


def embedding_preparations(
    model: Loaded, columns: Sequence[Sequence[str]]
) -> Iterator[Preparation]:
    """The tokenizer, the length, and how the states of tokens become one vector."""
    chain = read_chain(model.folder)
    own = tokenizer(chain.folder)
    length = longest(model, own, chain.max_length)
    items = sequences(own, length.tokens, _texts(chain, columns))
    yield from _prepared(model, chain, own, length, items)


def _prepared(
    model: Loaded, chain: Chain, own: Any, length: Length, items: Sequences
) -> Iterator[Preparation]:
    yield from preparations(model, own, length, items)
    yield Preparation("pooling", str(chain), chain.origin)
    if chain.lowers_case:
        yield Preparation("lower-casing", "before the tokenizer", "sentence_bert_config.json")
    if chain.prompts:
        yield Preparation(
            "prompts",
            "none",
            "config_sentence_transformers.json",
            f"the checkpoint has prompts ({', '.join(chain.prompts)}) that are not put before "
            "the texts",
        )


def rank_metric(answers: Answers) -> Metric:
    """The effective rank of the embeddings: reported, never judged."""
    rows = _flat(answers)
    is_finite = bool(np.isfinite(rows).all())
    value, centred = (
        (rank_me(rows), rank_me(rows - rows.mean(axis=0))) if is_finite else (np.nan, np.nan)
    )
    return Metric(
        "rank-me",
        Constant(value, len(rows)),
        "plain",
        f"RankMe, uncentred (centred {centred:.4g}), of {len(rows)} embeddings of width "
        f"{rows.shape[1]}; no interval; {answers.definition}",
    )


def embedding_distances(dense: Answers, other: Answers) -> Iterator[Metric]:
    """Cosine to the dense model's embedding of the same text, and the neighbours that both have.

    The texts of one item are drawn together in an interval.
    """
    one, two = _flat(dense), _flat(other)
    count, texts = dense.arrays["embeddings"].shape[:2]
    is_finite = np.isfinite(one).all(axis=1) & np.isfinite(two).all(axis=1)

    def mean(values: Floats) -> Mean:
        return Mean(np.where(is_finite, values, np.nan).reshape(count, texts).mean(axis=1))

    if one.shape == two.shape:
        cosine = np.where(is_finite, 1.0 - cosine_distance(one, two), np.nan)
        of = f"cosine to the dense model's embedding of the same text, over {len(one)} texts"
        yield Metric("cosine", mean(cosine), "share", f"mean {of}", "higher")
        owners = np.repeat(np.arange(count), texts) if texts > 1 else None
        for name, probability in (("cosine-p05", 0.05), ("cosine-p50", 0.5)):
            quantile = Quantile(cosine, probability, owners)
            yield Metric(name, quantile, "share", f"quantile {probability} of the {of}", "higher")
    if len(one) >= FEWEST_TEXTS:
        chance = NEIGHBOURS / (len(one) - 1)
        yield Metric(
            "neighbour-overlap",
            mean(neighbour_overlap(one, two)),
            "share",
            f"mean share of the {NEIGHBOURS} nearest of {len(one)} texts, by cosine, that the "
            f"dense model finds too; by chance {chance:.2g}",
            "higher",
        )


def cosines(rows: Array, others: Array) -> Floats:
    """The cosine of each pair of rows; NaN where one of them is not finite."""
    is_finite = np.isfinite(rows).all(axis=1) & np.isfinite(others).all(axis=1)
    found: Floats = np.where(is_finite, (unit(rows) * unit(others)).sum(axis=1), np.nan)
    return found


def _texts(chain: Chain, columns: Sequence[Sequence[str]]) -> list[str]:
    """The texts of the first item, of the second, and so on."""
    found = list(joined.from_iterable(zip(*columns, strict=True)))
    return [text.lower() for text in found] if chain.lowers_case else found


def _flat(answers: Answers) -> Array:
    embeddings = answers.arrays["embeddings"]
    return embeddings.reshape(-1, embeddings.shape[2])


def _collapse(embeddings: Array) -> str:
    """Why these embeddings of different texts are those of a broken model, or nothing."""
    if not np.isfinite(embeddings).all():
        return "some embeddings are not finite"
    count = len(embeddings)
    if count < 2:
        return ""
    if (empty := int((~embeddings.any(axis=-1)).sum())) > count / 2:
        return f"{empty} of its {count} embeddings are zero"
    # The sum over all pairs of unit vectors is the squared length of their sum.
    together = float((unit(embeddings).sum(axis=0) ** 2).sum())
    mean = (together - count) / (count * (count - 1))
    if mean > COLLAPSED:
        return f"its embeddings of different texts hardly differ: their mean cosine is {mean:.5f}"
    return ""
