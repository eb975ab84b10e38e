"""`compressor bench`: models that are planted as equal, worse or broken get the word they earn."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tinyencoders as encoders
import tinylanguage as tiny
import torch
from command import Ended, command
from jsonschema import Draft202012Validator
from scipy.stats import binomtest

import compressor
from compressor.report import Report

SCHEMA = Path(__file__).parents[2] / "docs/schema/report.schema.json"
CLASSES = ("art", "law", "sea")
TEXTS = encoders.texts(120)
PAIRS = list(zip(TEXTS[:40], TEXTS[40:80], strict=True))
WRONG = 12
"""Texts whose label is not what the dense classifier says."""


def saved(model: Any, folder: Path, **tokenizer: Any) -> Any:
    """The model as a checkpoint with its tokenizer, which is returned."""
    model.save_pretrained(folder)
    return tiny.save_tokenizer(folder, **tokenizer)


def rows(path: Path, items: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(item) + "\n" for item in items))


def save_encoders(root: Path) -> None:
    """Two equal encoders and another one, and pairs scored by the cosine of the first."""
    dense = encoders.encoder()
    tokenizer = saved(dense, root / "dense", frames=True)
    saved(dense, root / "copy", frames=True)
    saved(encoders.encoder(seed=1), root / "redrawn", frames=True)

    def mean(text: str) -> torch.Tensor:
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        states: torch.Tensor = dense(ids).last_hidden_state
        return states[0].mean(dim=0)

    cosine = [float(torch.cosine_similarity(mean(a), mean(b), dim=0)) for a, b in PAIRS]
    scored = zip(PAIRS, cosine, strict=True)
    rows(root / "sts.jsonl", [{"text": a, "text2": b, "score": y} for (a, b), y in scored])
    drawn = np.random.default_rng(0).standard_normal(len(PAIRS)).tolist()
    noise = zip(PAIRS, drawn, strict=True)
    rows(root / "noise.jsonl", [{"text": a, "text2": b, "score": y} for (a, b), y in noise])


def save_classifiers(root: Path) -> None:
    """A classifier whose accuracy is known, one that is worse, and two that are broken."""
    dense = encoders.classifier(CLASSES)
    tokenizer = saved(dense, root / "says", frames=True)
    logits = [dense(torch.tensor([tokenizer(text)["input_ids"]])).logits[0] for text in TEXTS]
    said = [int(each.argmax()) for each in logits]
    labels = [(one + (place < WRONG)) % 3 for place, one in enumerate(said)]
    labelled = zip(TEXTS, labels, strict=True)
    rows(root / "topics.jsonl", [{"text": text, "label": CLASSES[n]} for text, n in labelled])
    saved(encoders.classifier(CLASSES, seed=1), root / "says-other", frames=True)
    dense.classifier.bias.copy_(torch.tensor([0.0, 1e4, 0.0]))
    saved(dense, root / "says-one", frames=True)
    dense.classifier.bias.fill_(torch.nan)
    saved(dense, root / "says-nothing", frames=True)


def save_languages(root: Path) -> None:
    """A language model, one that reads other tokens, and texts for them."""
    word = tiny.save_tokenizer(root / "lm")(TEXTS[0])["input_ids"][-1]
    for name, vocabulary in (("lm", 384), ("lm-other-tokens", 300)):
        saved(tiny.always(word, by=3.0), root / name, vocabulary=vocabulary)
    rows(root / "docs.jsonl", [{"text": text} for text in TEXTS[:40]])


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    with torch.no_grad():
        save_encoders(root)
        save_classifiers(root)
        save_languages(root)
    deep = root / "deeper"
    saved(encoders.encoder(), deep, frames=True)
    config = json.loads((deep / "config.json").read_text())
    (deep / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    return root


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the models, by their names: what is written goes to a folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    for path in models.iterdir():
        Path(path.name).symlink_to(path)


def bench(*words: object, speed: bool = False) -> Ended:
    return command("bench", *words, *([] if speed else ["--no-speed"]))


def measured(*words: object) -> dict[str, Any]:
    """The report of a bench that went well: strict JSON that fits the published schema."""
    ended = bench(*words, "-o", "out", "--overwrite")
    assert ended.code == 0, ended.err
    assert ended.out.splitlines()[-1] == str(Path("out/report.json"))
    return read(Path("out/report.json"))


def read(path: Path) -> dict[str, Any]:
    def refused(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    found: dict[str, Any] = json.loads(path.read_text(), parse_constant=refused)
    Draft202012Validator(json.loads(SCHEMA.read_text())).validate(found)
    return found


def cells(report: Mapping[str, Any], metric: str, table: str = "metrics") -> dict[str, Any]:
    """The rows of one metric, by model."""
    return {row["model"]: row for row in report["tables"][table] if row["metric"] == metric}


def test_a_copy_is_accepted_with_a_difference_of_nothing() -> None:
    report = measured("copy", "--against", "dense", "--data", "sts.jsonl")

    assert report["summary"]["verdict"] == "ACCEPT"
    found = cells(report, "spearman")
    assert list(found) == ["dense", "copy"]
    assert found["dense"]["value"] == found["copy"]["value"] == 1.0
    names = ("difference", "difference_low", "difference_high")
    assert [found["copy"][name] for name in names] == [0.0, 0.0, 0.0]
    assert [found["dense"][name] for name in names] == [None, None, None]
    assert cells(report, "cosine", "distances")["copy"]["value"] == pytest.approx(1, abs=1e-12)
    assert [row["cka"] for row in report["tables"]["layers"]] == pytest.approx([1.0] * 3)


@pytest.mark.parametrize(
    ("data", "word"), [("sts.jsonl", "REGRESSION"), ("noise.jsonl", "INCONCLUSIVE")]
)
def test_redrawn_weights_lose_what_the_dense_model_knew(data: str, word: str) -> None:
    report = measured("redrawn", "--against", "dense", "--data", data, "--max-drop", "10pt")

    row = cells(report, "spearman")["redrawn"]
    assert report["summary"]["verdict"] == word
    assert ("more items would" in report["summary"]["sentence"]) == (word == "INCONCLUSIVE")
    assert row["difference"] == row["value"] - row["dense_value"]
    assert row["difference_low"] < row["difference"] < row["difference_high"]


def test_a_planted_accuracy_is_measured_and_flips_are_tested_exactly() -> None:
    report = measured("says-other", "--against", "says", "--data", "topics.jsonl")

    found = cells(report, "accuracy")
    assert found["says"]["value"] == pytest.approx(1 - WRONG / len(TEXTS), abs=1e-12)
    items = {
        row["model"]: np.array(row["statistic"]["values"])
        for row in report["tables"]["items"]
        if row["metric"] == "accuracy"
    }
    lost = int((items["says"] > items["says-other"]).sum())
    gained = int((items["says"] < items["says-other"]).sum())
    assert found["says-other"]["difference"] == pytest.approx((gained - lost) / len(TEXTS))
    assert found["says-other"]["p"] == pytest.approx(binomtest(gained, gained + lost).pvalue)
    assert report["summary"]["verdict"] == "REGRESSION"


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("says-nothing", "its logits are not finite numbers for 120 of 120 items"),
        ("says-one", "it names class 1 for all 120 items of 3 classes"),
    ],
)
def test_a_broken_model_is_anomalous_and_never_passes(model: str, reason: str) -> None:
    report = measured(model, "--against", "says", "--data", "topics.jsonl", "--max-drop", "100pt")

    assert report["summary"]["verdict"] == "ANOMALOUS"
    assert f"{model} on topics: {reason}" in report["summary"]["anomalies"]
    assert command("gate", "out", "--max-drop", "100pt").code == 1


def test_a_number_that_is_none_is_null_in_the_report() -> None:
    report = measured("says-nothing", "--against", "says", "--data", "topics.jsonl")

    row = cells(report, "accuracy")["says-nothing"]
    empty = ("value", "low", "high", "difference", "difference_low", "difference_high", "p")
    assert [row[name] for name in empty] == [None] * len(empty)
    assert row["note"] == "not a finite number"
    assert cells(report, "accuracy")["says"]["value"] is not None


def test_models_that_see_other_tokens_are_not_compared() -> None:
    report = measured("lm-other-tokens", "--against", "lm", "--data", "docs.jsonl")

    seen = {row["model"]: row["digest"] for row in report["tables"]["items"]}
    assert seen["lm"] != seen["lm-other-tokens"]
    assert report["summary"]["verdict"] == "ANOMALOUS"
    assert report["summary"]["anomalies"] == [
        "lm-other-tokens on docs: it saw other items than the dense model"
    ]
    assert cells(report, "perplexity")["lm-other-tokens"]["difference"] is None
    assert report["tables"]["distances"] == []


def test_the_same_command_gives_the_same_bytes() -> None:
    words = ("copy", "redrawn", "--against", "dense", "--data", "sts.jsonl")

    first = bench(*words, "-o", "first"), Path("first/report.json").read_bytes()
    second = bench(*words, "-o", "second"), Path("second/report.json").read_bytes()

    assert (first[0].code, second[0].code) == (0, 0)
    assert first[1] == second[1]
    assert str(Path.cwd()).encode() not in first[1]


def test_a_batch_changes_no_number_but_for_rounding() -> None:
    alone, together = (
        measured("lm", "--data", "docs.jsonl", "--batch-size", size)["tables"]["metrics"]
        for size in (1, 64)
    )

    # A loss is a mean of logits of about 1, each a sum of 32 products in fp32 after two blocks:
    # 300 roundings of 6e-8. Padding that leaks into a text changes a perplexity by more than 1e-2.
    for one, other in zip(alone, together, strict=True):
        assert one["value"] == pytest.approx(other["value"], rel=2e-5)
        assert one["items"] == other["items"] == 40


def test_a_report_is_kept_and_replaced_only_if_asked() -> None:
    words = ("copy", "--against", "dense", "--data", "sts.jsonl", "--num-samples", "8")

    first = bench(*words)
    kept = Path("copy-bench/report.json")
    before = kept.read_bytes()
    second = bench(*words, "--seed", "7")
    third = bench(*words, "--seed", "7", "--overwrite")

    assert [each.code for each in (first, second, third)] == [0, 5, 0]
    assert Path(first.out.splitlines()[-1]) == Path.cwd() / kept
    assert "error[OUT-EXISTS]" in second.err
    assert second.out == ""
    assert read(kept)["step"]["seed"] == 7
    assert kept.read_bytes() != before
    assert [path.name for path in kept.parent.iterdir()] == ["report.json"]


def test_the_dense_model_stands_first_and_every_model_has_a_name_of_its_own() -> None:
    for folder in ("old", "new"):
        Path(folder).mkdir()
        saved(encoders.encoder(seed=len(folder)), Path(folder, "same"), frames=True)

    report = measured(
        *("old/same", "new/same", "old/same", "--against", "dense", "--data", "sts.jsonl")
    )

    found = cells(report, "spearman")
    assert len(found) == 4
    assert [row["model"] for row in report["tables"]["models"]] == list(found)
    assert next(iter(found)).endswith("/dense")
    assert list(found)[1:] == ["old/same#1", "new/same", "old/same#2"]
    assert found["old/same#1"]["value"] == found["old/same#2"]["value"]
    roles = [row["role"] for row in report["tables"]["models"]]
    assert roles == ["dense", "candidate", "candidate", "candidate"]


def test_a_folder_that_is_called_like_a_number_takes_no_name_from_another() -> None:
    Path("many").mkdir()
    for name in ("m", "m#1"):
        saved(encoders.encoder(), Path("many", name), frames=True)

    report = measured("many/m", "many/m", "./many/m#1", "--data", "sts.jsonl")

    assert len({row["model"] for row in report["tables"]["models"]}) == 3


def test_all_models_see_the_items_that_the_seed_draws() -> None:
    words = ("copy", "--against", "dense", "--data", "sts.jsonl", "--num-samples", "7", "--seed")

    drawn = {seed: measured(*words, seed) for seed in (3, 4)}

    scores = [json.loads(line)["score"] for line in Path("sts.jsonl").read_text().splitlines()]
    digests = set()
    for seed, report in drawn.items():
        assert (report["step"]["num_samples"], report["step"]["seed"]) == (7, seed)
        (data,) = report["tables"]["data"]
        items = [row for row in report["tables"]["items"] if row["metric"] == "spearman"]
        assert [row["model"] for row in items] == ["dense", "copy"]
        assert data["items"] == 7
        assert items[0]["statistic"]["second"] == items[1]["statistic"]["second"]
        assert set(items[0]["statistic"]["second"]) < set(scores)
        assert {row["data_digest"] for row in items} == {data["digest"]}
        digests.add(data["digest"])
    assert len(digests) == 2


REFUSED = [
    ("deeper", 2, "BENCH-NOTHING"),
    ("deeper --tasks sts", 2, "BENCH-NOTHING"),
    ("deeper ./nothing --data sts.jsonl", 3, "CKPT-NOT-FOUND"),
    ("deeper --against ./nothing --data sts.jsonl", 3, "CKPT-NOT-FOUND"),
    ("deeper lm --data sts.jsonl", 3, "BENCH-KINDS"),
    ("deeper --data sts.jsonl --tasks spearman", 2, "TASK"),
    ("deeper --tasks lm-eval:piqa", 2, "TASK"),
    ("deeper --data sts.jsonl --tasks knn", 3, "DATA-COLUMN"),
    ("deeper --data docs.jsonl", 3, "DATA-COLUMN"),
    ("deeper --data sts.jsonl --data noise.jsonl:name=sts", 2, "DATA-SPEC"),
    ("deeper --data missing.jsonl", 3, "DATA-NOT-FOUND"),
    ("deeper --data sts.jsonl --device abacus", 2, "DEVICE"),
    ("deeper --data sts.jsonl --device meta", 2, "DEVICE"),
    ("deeper --data sts.jsonl --dtype int8", 2, "USAGE"),
    ("deeper --data sts.jsonl --max-drop lots", 2, "USAGE"),
    ("deeper --data sts.jsonl --batch-size 0", 2, "RANGE"),
    ("deeper --data sts.jsonl -o sts.jsonl", 5, "OUT-NOT-DIR"),
    ("deeper --data sts.jsonl", 3, "CKPT-MISSING-TENSOR"),
]
"""A model that cannot be built stands first: whatever is refused before it, computed nothing."""


@pytest.mark.parametrize(("line", "code", "id"), REFUSED, ids=[case[0] for case in REFUSED])
def test_what_cannot_be_measured_is_refused_before_anything_is(
    line: str, code: int, id: str
) -> None:
    ended = bench(*line.split())

    assert f"error[{id}]" in ended.err
    assert (ended.code, ended.out) == (code, "")
    assert not list(Path().glob("*-bench"))


def test_a_call_reports_what_the_command_does_and_keeps_it_only_if_asked() -> None:
    fields: dict[str, Any] = {"against": Path("dense"), "data": "sts.jsonl", "speed": False}

    shown = compressor.bench(Path("copy"), "redrawn", **fields)
    kept = compressor.bench("copy", "redrawn", **fields, output="called")

    bench("copy", "redrawn", "--against", "dense", "--data", "sts.jsonl", "-o", "commanded")
    assert (shown.kept, kept.kept) == (None, Path("called/report.json"))
    assert shown == kept
    assert Path("called/report.json").read_text() == Path("commanded/report.json").read_text()
    assert not Path("copy-bench").exists()
    assert Report.from_dict(read(Path("called/report.json"))).tables == shown.tables


def test_speed_alone_is_measured_without_data_and_without_a_verdict() -> None:
    ended = bench("dense", "--rounds", "1", "--max-length", "8", "-o", "out", speed=True)

    assert ended.code == 0, ended.err
    report = read(Path("out/report.json"))
    facts, tables = report["summary"], report["tables"]
    assert (facts["verdict"], tables["metrics"]) == (None, [])
    assert {row["runs"] for row in tables["speed"]} == {1}
    assert {row["batch"] for row in tables["speed"]} >= {1, 8, 32}
    assert all(row["low"] <= row["median"] <= row["high"] for row in tables["speed"])
    (model,) = tables["models"]
    assert model["bytes"] == Path("dense/model.safetensors").stat().st_size
    assert 0 < model["nonzero_parameters"] <= model["parameters"]
    assert facts["speed"] in ended.out
