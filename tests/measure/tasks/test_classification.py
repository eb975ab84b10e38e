"""Accuracy is known in advance where the labels are made from what the model says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tinyencoders as encoders
import tinylanguage as tiny
import torch
from scipy.special import rel_entr, softmax
from sklearn.metrics import f1_score

from compressor.errors import InputError
from compressor.measure.classes import class_numbers
from compressor.measure.evidence import Answers
from compressor.measure.loaded import Loaded
from compressor.measure.tasks.classification import Classification, fits

# Logits of about 4 in fp32, through two blocks whose weights amplify rounding: 2e-5 was seen where
# batches differ. Padding that leaks changes a logit by more than 1.
CLOSE = 1e-4

NAMES = ["Negative", "neutral", "positive"]
NUMBERS = dict(enumerate(NAMES))
TEXTS = encoders.texts(60)


@torch.inference_mode()
def said(model: Any, tokenizer: Any, *pairs: tuple[str, ...]) -> np.ndarray[Any, Any]:
    """The logits of each text, or pair, in a batch of its own."""
    rows = []
    for pair in pairs:
        inputs = tokenizer(*pair, return_tensors="pt")
        rows.append(model(**inputs).logits[0].numpy())
    return np.array(rows)


@torch.inference_mode()
def asked(task: Classification, model: Loaded) -> Answers:
    return task.answers(model)


def task(labels: list[Any]) -> Classification:
    return Classification(tiny.dataset({"text": TEXTS, "label": labels}))


def value(question: Classification, answers: Answers, name: str = "accuracy") -> float:
    found = {metric.name: metric for metric in question.metrics(answers)}
    return found[name].statistic.value


def test_the_models_own_choices_are_all_right_and_permuted_ones_are_counted(
    tmp_path: Path,
) -> None:
    tokenizer = tiny.save_tokenizer(tmp_path, frames=True)
    model = encoders.classifier(NAMES)
    own = said(model, tokenizer, *((text,) for text in TEXTS)).argmax(axis=1)
    assert set(own) == {0, 1, 2}
    permuted = np.random.default_rng(0).permutation(own)
    ready = tiny.ready(model, tmp_path, "text-classification")
    planted, mixed = (task([NAMES[each] for each in labels]) for labels in (own, permuted))

    answers = asked(mixed, ready)

    assert value(planted, asked(planted, ready)) == 1.0
    assert value(mixed, answers) == sum(a == b for a, b in zip(own, permuted, strict=True)) / 60
    expected = f1_score(permuted, own, average="macro")
    assert value(mixed, answers, "macro-f1") == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_logits_are_those_of_each_text_alone(tmp_path: Path, batch_size: int) -> None:
    tokenizer = tiny.save_tokenizer(tmp_path, frames=True)
    model = encoders.classifier(NAMES)
    seen: list[int] = []
    ready = tiny.ready(
        model, tmp_path, "text-classification", batch_size=batch_size, observe=seen.append
    )

    found = asked(task([0, 1, 2] * 20), ready)

    expected = said(model, tokenizer, *((text,) for text in TEXTS))
    np.testing.assert_allclose(found.arrays["logits"], expected, atol=CLOSE)
    assert found.hidden["0"].shape == (60, 32)
    assert sum(seen) == 60


def test_a_pair_is_read_as_a_pair(tmp_path: Path) -> None:
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    tokenizer = tiny.save_tokenizer(tmp_path)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> $B:1 </s>:1",
        special_tokens=[("<s>", tiny.START), ("</s>", tiny.END)],
    )
    tokenizer.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    config["model_input_names"] = ["input_ids", "token_type_ids", "attention_mask"]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    saved = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    assert 1 in saved("a", "b")["token_type_ids"]
    model = encoders.classifier(NAMES)
    # A pair of whole texts can be longer than the model, and would be cut.
    short = [" ".join(text.split()[:4]) for text in TEXTS]
    values = {"text": short[:30], "text2": short[30:], "label": [0, 1, 2] * 10}
    question = Classification(tiny.dataset(values))

    found = asked(question, tiny.ready(model, tmp_path, "text-classification"))

    expected = said(model, saved, *zip(short[:30], short[30:], strict=True))
    np.testing.assert_allclose(found.arrays["logits"], expected, atol=CLOSE)


@pytest.mark.parametrize(
    ("labels", "names", "expected", "how"),
    [
        (["positive", "Negative"], NUMBERS, [2, 0], "by name"),
        (["POSITIVE", "negative"], NUMBERS, [2, 0], "by name, whatever the case"),
        (["LABEL_2", "label_0"], NUMBERS, [2, 0], "as LABEL_k"),
        ([2, 0], NUMBERS, [2, 0], "by number"),
        (["1", "0"], {0: "1", 1: "0"}, [0, 1], "by name"),
        (["a", "A"], {0: "A", 1: "a"}, [1, 0], "by name"),
    ],
)
def test_labels_are_matched_in_one_way_for_all(
    labels: list[Any], names: dict[int, str], expected: list[int], how: str
) -> None:
    found, said_how = class_numbers(labels, names, "rows")

    assert found.tolist() == expected
    assert said_how == how


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["positive", "sad"], NUMBERS),
        ([0, 3], NUMBERS),
        (["positive", 1], NUMBERS),
        (["A"], {0: "A", 1: "a", 2: "A"}),
        ([0, 0], {0: "LABEL_0"}),
    ],
)
def test_a_label_without_a_class_is_refused_with_both_vocabularies(
    labels: list[Any], names: dict[int, str]
) -> None:
    with pytest.raises(InputError) as refused:
        class_numbers(labels, names, "rows")

    assert refused.value.id == "DATA-LABELS"
    assert all(str(each) in refused.value.found for each in [*labels, *names.values()])


def by_hand(logits: Any, labels: Any) -> Answers:
    return Answers("items", {"logits": np.asarray(logits), "labels": np.asarray(labels)})


def test_distances_are_those_of_scipy_and_of_a_count() -> None:
    random = np.random.default_rng(0)
    one, labels = random.normal(size=(60, 3)), random.integers(0, 3, 60)
    two = one + random.normal(size=one.shape)

    question = task(labels.tolist())
    distances = question.distances(by_hand(one, labels), by_hand(two, labels))
    found = {each.name: each for each in distances}

    kl = rel_entr(softmax(one, axis=1), softmax(two, axis=1)).sum(axis=1)
    was, now = one.argmax(axis=1) == labels, two.argmax(axis=1) == labels
    values = {name: each.statistic.value for name, each in found.items()}
    assert values == pytest.approx(
        {
            "kl": kl.mean(),
            "kl-p50": sorted(kl)[29],
            "kl-p99": sorted(kl)[59],
            "top1-agreement": (one.argmax(axis=1) == two.argmax(axis=1)).mean(),
            "flips": (was != now).mean(),
        },
        abs=1e-12,
    )
    lost, gained = (was & ~now).sum(), (now & ~was).sum()
    assert f"{lost} from right to wrong, {gained} from wrong to right" in found["flips"].definition


def test_a_nan_is_a_collapse_and_no_number_hides_it(tmp_path: Path) -> None:
    tiny.save_tokenizer(tmp_path, frames=True)
    model, question = encoders.classifier(NAMES), task([0, 1, 2] * 20)
    dense = asked(question, tiny.ready(model, tmp_path, "text-classification"))
    with torch.no_grad():
        model.classifier.bias[0] = torch.nan

    broken = asked(question, tiny.ready(model, tmp_path, "text-classification"))

    assert "not finite numbers for 60 of 60 items" in broken.collapse
    numbers = [*question.metrics(broken), *question.distances(dense, broken)]
    assert np.isnan([each.statistic.value for each in numbers]).all()


def test_one_class_for_all_is_a_collapse_unless_the_labels_are_one(tmp_path: Path) -> None:
    tiny.save_tokenizer(tmp_path, frames=True)
    model = encoders.classifier(NAMES)
    with torch.no_grad():
        model.classifier.bias[1] = 1e4
    ready = tiny.ready(model, tmp_path, "text-classification")

    assert "it names class 1 for all 60 items" in asked(task([0, 1, 2] * 20), ready).collapse
    assert asked(task([1] * 60), ready).collapse == ""


def test_how_labels_were_matched_is_stated(tmp_path: Path) -> None:
    tiny.save_tokenizer(tmp_path, frames=True)
    ready = tiny.ready(encoders.classifier(NAMES), tmp_path, "text-classification")

    how = task([0, 1, 2] * 20).answers(ready).preparations

    found = {each.what: each.value for each in how}
    assert found["labels"] == "by number"
    assert found["sequence length"] == "64 tokens"


def test_it_fits_labelled_texts_and_a_classifier() -> None:
    assert fits("text-classification", task([0] * 60).dataset)
    assert not fits("embedding", task([0] * 60).dataset)
    assert not fits("text-classification", tiny.dataset({"text": TEXTS}))
