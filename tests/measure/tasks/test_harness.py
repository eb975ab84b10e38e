"""A task of lm-eval gives lm-eval's own numbers, item by item; without lm-eval, what to install."""

from __future__ import annotations

import importlib.util
import json
import math
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import tinylanguage as tiny
from huggingface_hub import constants

from compressor.errors import CompressorError
from compressor.measure.evidence import Answers
from compressor.measure.tasks.choice import Choice
from compressor.measure.tasks.harness import harness

needs_lm_eval = pytest.mark.skipif(
    importlib.util.find_spec("lm_eval") is None, reason="lm-eval is an extra"
)

ROWS = [
    {"query": text[:40].strip(), "choices": [text[40:60], text[60:75], "a tuple"], "gold": gold}
    for text, gold in zip(tiny.TEXTS[:12], [0, 1, 2] * 4, strict=True)
]
TASK = """
task: tiny_choice
dataset_path: json
dataset_kwargs: {{data_files: {{test: {rows}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{query}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: "{{{{gold}}}}"
metric_list:
  - {{metric: acc, aggregation: mean, higher_is_better: true}}
  - {{metric: acc_norm, aggregation: mean, higher_is_better: true}}
"""


@pytest.fixture
def task(tmp_path: Path) -> str:
    """A task that lm-eval reads from a file, over rows in a file."""
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    path = tmp_path / "tiny_choice.yaml"
    path.write_text(TASK.format(rows=rows))
    return str(path)


@needs_lm_eval
def test_its_numbers_are_those_of_our_own_task_on_the_same_rows(task: str, tmp_path: Path) -> None:
    tiny.save_tokenizer(tmp_path)
    model = tiny.ready(tiny.gpt2(spread=8.0), tmp_path)
    own = Choice(tiny.dataset({key: [row[key] for row in ROWS] for key in ROWS[0]}))
    theirs = harness(task)

    found = {each.name: each for each in theirs.metrics(theirs.answers(model))}

    ours = {each.name: each for each in own.metrics(own.answers(model))}
    assert theirs.count == 12
    assert theirs.data == "tiny_choice"
    for name, same in (("acc", "accuracy"), ("acc-norm", "accuracy-norm")):
        assert found[name].statistic.as_columns() == ours[same].statistic.as_columns()
    assert [name for name, each in found.items() if each.is_headline] == ["acc"]
    assert found["acc"].better == "higher"


@needs_lm_eval
def test_two_models_answer_the_same_items_and_are_compared_on_them(
    task: str, tmp_path: Path
) -> None:
    tiny.save_tokenizer(tmp_path)
    asked = harness(task)
    one, other = (
        asked.answers(tiny.ready(tiny.gpt2(seed=seed, spread=8.0), tmp_path)) for seed in (1, 2)
    )

    apart = {each.name: each.statistic.value for each in asked.distances(one, other)}
    own = {each.name: each.statistic.value for each in asked.distances(one, one)}

    assert one.items == other.items
    assert set(apart) == {"acc-flips", "acc-norm-flips"}
    assert apart["acc-norm-flips"] > 0
    assert set(own.values()) == {0.0}


@needs_lm_eval
def test_some_items_are_drawn_by_the_seed(task: str, tmp_path: Path) -> None:
    tiny.save_tokenizer(tmp_path)
    told: list[int] = []
    model = tiny.ready(tiny.gpt2(spread=8.0), tmp_path, observe=told.append)
    whole = harness(task).answers(tiny.ready(model.model, tmp_path))
    asked = harness(task, 5, seed=1)
    drawn = (asked.chosen or {})["tiny_choice"]

    answers = asked.answers(model)

    assert asked.count == sum(told) == len(drawn) == 5
    assert list(drawn) != list(range(5))
    assert harness(task, 5, seed=1).chosen == asked.chosen != harness(task, 5, seed=2).chosen
    for name, values in answers.arrays.items():
        assert values.tolist() == whole.arrays[name][list(drawn)].tolist()
    assert "0-shot, 5 items" in answers.definition
    assert "drawn with seed 1" in answers.definition
    assert "0-shot, all items" in whole.definition


@needs_lm_eval
def test_more_items_than_there_are_is_all_of_them(task: str) -> None:
    assert harness(task, 100).count == 12


@needs_lm_eval
def test_offline_a_task_whose_data_are_not_in_the_cache_asks_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    path = tmp_path / "tiny_choice.yaml"
    text = TASK.format(rows="none").replace("dataset_path: json", "dataset_path: org/name")
    path.write_text("\n".join(line for line in text.split("\n") if "dataset_kwargs" not in line))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *address, **_: asked.append(address))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)

    with pytest.raises(CompressorError) as caught:
        harness(str(path), is_offline=True)

    assert caught.value.id == "DATA-UNREADABLE"
    assert asked == []


@needs_lm_eval
def test_a_task_without_a_known_metric_is_judged_by_its_first(task: str, tmp_path: Path) -> None:
    asked = harness(task)
    values = np.array([1.0, 0.0])
    better = {"one": {"acc": "higher"}, "two": {"rouge": "higher", "bleu": "higher"}, "three": {}}
    columns = ("one:bleu:none", "one:acc:none", "two:rouge:none", "two:bleu:none", "three:x:none")
    group = replace(asked, better=better, items=dict.fromkeys(better, 2))

    found = list(group.metrics(Answers("items", dict.fromkeys(columns, values))))

    assert [each.name for each in found if each.is_headline] == ["one-acc", "two-rouge"]


@needs_lm_eval
def test_an_item_without_a_score_leaves_no_share_of_flips(task: str) -> None:
    before = Answers("items", {"tiny_choice:acc:none": np.array([1.0, 0.0])})
    after = Answers("items", {"tiny_choice:acc:none": np.array([1.0, math.nan])})

    (found,) = harness(task).distances(before, after)

    assert found.name == "acc-flips"
    assert math.isnan(found.statistic.value)


@needs_lm_eval
def test_nothing_of_it_reaches_the_terminal(
    task: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    tiny.save_tokenizer(tmp_path)

    harness(task).answers(tiny.ready(tiny.gpt2(), tmp_path))

    assert capfd.readouterr() == ("", "")
    assert not caplog.records


@needs_lm_eval
@pytest.mark.parametrize("name", ["no_such_task", "missing.yaml"])
def test_a_task_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(CompressorError) as caught:
        harness(name)

    assert caught.value.id == "TASK-UNKNOWN"
    assert name in caught.value.at


@needs_lm_eval
def test_data_that_cannot_be_read_are_an_error_of_input(task: str, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").unlink()

    with pytest.raises(CompressorError) as caught:
        harness(task)

    assert caught.value.id == "DATA-UNREADABLE"


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    found: Any = importlib.util.find_spec

    def without(name: str, package: str | None = None) -> Any:
        return None if name == "lm_eval" else found(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", without)

    with pytest.raises(CompressorError) as caught:
        harness("arc_easy")

    assert caught.value.id == "EXTRA-MISSING"
    assert 'pip install "compressor[lm-eval]"' in caught.value.do
