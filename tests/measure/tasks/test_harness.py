"""A task of lm-eval gives lm-eval's own numbers, item by item; without lm-eval, what to install."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import tinylanguage as tiny

from compressor.errors import CompressorError
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
def test_a_limit_takes_the_first_items(task: str, tmp_path: Path) -> None:
    tiny.save_tokenizer(tmp_path)
    told: list[int] = []
    asked = harness(task, limit=5)

    answers = asked.answers(tiny.ready(tiny.gpt2(), tmp_path, observe=told.append))

    assert asked.count == sum(told) == 5
    assert all(each.statistic.size == 5 for each in asked.metrics(answers))


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
