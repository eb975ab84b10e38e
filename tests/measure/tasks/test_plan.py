"""Each data set gets the task that its columns and the models' kind allow, or an error says why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

import pytest
import tinylanguage as tiny

from compressor.data.dataset import Dataset
from compressor.errors import CompressorError, InputError, UsageError
from compressor.measure.loaded import Kind
from compressor.measure.tasks.perplexity import Perplexity
from compressor.measure.tasks.plan import TASKS, Asking, planned, unit_for

LETTERS = ["a", "b", "c"]
COLUMNS = {
    "texts": {"text": LETTERS},
    "labelled": {"text": LETTERS, "label": LETTERS},
    "pairs": {"text": LETTERS, "text2": LETTERS, "score": [1.0, 2.0, 3.0]},
    "all": {"text": LETTERS, "text2": LETTERS, "score": [1.0, 2.0, 3.0], "label": LETTERS},
    "choices": {"query": LETTERS, "choices": [["x", "y"]] * 3, "gold": [0, 1, 0]},
    "images": {"image": LETTERS, "label": LETTERS},
}


def data(name: str) -> Dataset:
    """A data set with these columns, called like them."""
    return replace(tiny.dataset(COLUMNS[name]), name=name)


def kinds(kind: Kind, names: Sequence[str], *wanted: str) -> list[tuple[str, str]]:
    """Which task each data set got, in order."""
    found = planned(kind, [data(name) for name in names], wanted, Asking())
    return [(each.task.data, each.task.kind) for each in found]


@pytest.mark.parametrize(
    ("kind", "columns", "task"),
    [
        ("causal-lm", "texts", "perplexity"),
        ("causal-lm", "labelled", "perplexity"),
        ("causal-lm", "choices", "choice"),
        ("masked-lm", "texts", "pseudo-perplexity"),
        ("embedding", "pairs", "sts"),
        ("embedding", "labelled", "knn"),
        ("embedding", "all", "sts"),
        ("text-classification", "labelled", "classification"),
        ("image-classification", "images", "images"),
    ],
)
def test_a_data_set_gets_the_first_task_that_fits(kind: Kind, columns: str, task: str) -> None:
    assert kinds(kind, [columns]) == [(columns, task)]


def test_a_task_that_is_wanted_is_asked_instead_of_the_first_that_fits() -> None:
    assert kinds("embedding", ["all"], "knn") == [("all", "knn")]
    assert kinds("embedding", ["labelled", "pairs"], "knn", "sts") == [
        ("labelled", "knn"),
        ("pairs", "sts"),
    ]


def test_two_tasks_of_one_data_set_would_give_metrics_of_one_name() -> None:
    error = refused("embedding", ["all"], "knn", "sts")

    assert isinstance(error, UsageError)
    assert error.id == "DATA-SPEC"
    assert error.found == "sts, knn of `all`, expected one task for a name"
    assert error.do.endswith("--tasks sts")


@pytest.mark.skipif(find_spec("lm_eval") is None, reason="lm-eval is an extra")
def test_a_data_set_called_like_a_task_of_lm_eval_has_to_be_renamed(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"text": "a"}\n')
    task = tmp_path / "texts.yaml"
    task.write_text(
        f"task: texts\ndataset_path: json\ntest_split: test\n"
        f"dataset_kwargs: {{data_files: {{test: {tmp_path / 'rows.jsonl'}}}}}\n"
        f"output_type: loglikelihood_rolling\ndoc_to_text: ''\n"
        f"doc_to_target: '{{{{text}}}}'\nmetric_list: [{{metric: word_perplexity}}]\n"
    )

    error = refused("causal-lm", ["texts"], "perplexity", f"lm-eval:{task}")

    assert error.id == "DATA-SPEC"
    assert "lm-eval" in error.found
    assert error.do.endswith("FILE:name=other")


def test_several_data_sets_keep_their_order() -> None:
    expected = [("labelled", "knn"), ("pairs", "sts")]

    assert kinds("embedding", ["labelled", "pairs"]) == expected


def test_what_the_data_are_goes_with_the_task() -> None:
    given = replace(data("pairs"), notes=("a note",))

    (found,) = planned("embedding", [given], [], Asking())

    assert (found.digest, found.notes) == (given.digest, ("a note",))
    assert found.columns == "text=text, text2=text2, score=score"
    assert found.task.count == 3


def test_how_the_user_wants_to_be_asked_reaches_the_task() -> None:
    (found,) = planned("causal-lm", [data("texts")], [], Asking(stride=7, bos=True))

    assert isinstance(found.task, Perplexity)
    assert (found.task.stride, found.task.bos) == (7, True)


def refused(kind: Kind, names: Sequence[str], *wanted: str) -> CompressorError:
    with pytest.raises(CompressorError) as caught:
        kinds(kind, names, *wanted)
    return caught.value


@pytest.mark.parametrize("wanted", [["spearman"], ["sts", "PPL"], ["\x1b[31m"]])
def test_an_unknown_task_is_named_beside_those_that_exist(wanted: list[str]) -> None:
    error = refused("embedding", ["pairs"], *wanted)

    assert isinstance(error, UsageError)
    assert error.id == "TASK"
    assert all(offer.kind in error.found for offer in TASKS)
    assert all(line.isprintable() for line in error.lines())


@pytest.mark.parametrize(
    ("kind", "columns"),
    [
        ("causal-lm", "images"),
        ("masked-lm", "choices"),
        ("embedding", "texts"),
        ("text-classification", "texts"),
        ("image-classification", "labelled"),
        ("forecasting", "texts"),
        ("other", "all"),
    ],
)
def test_columns_that_nothing_can_be_asked_about_are_an_error(kind: Kind, columns: str) -> None:
    error = refused(kind, [columns])

    assert isinstance(error, InputError)
    assert (error.id, error.at) == ("DATA-COLUMN", columns)
    assert f"kind {kind}" in error.message
    assert all(role in error.found for role in COLUMNS[columns])


def test_a_wanted_task_that_does_not_fit_says_what_does() -> None:
    error = refused("embedding", ["pairs"], "knn")

    assert error.id == "DATA-COLUMN"
    assert "what fits is sts" in error.found


def test_two_data_sets_of_one_name_are_refused() -> None:
    error = refused("embedding", ["pairs", "labelled", "pairs"])

    assert isinstance(error, UsageError)
    assert error.id == "DATA-SPEC"
    assert error.found == "pairs twice, expected a name for each"


def test_tasks_without_data_would_measure_nothing() -> None:
    assert refused("embedding", [], "sts").id == "BENCH-NOTHING"
    assert kinds("embedding", []) == []


@pytest.mark.parametrize("kind", [each for each in get_args(Kind) if each != "causal-lm"])
def test_tasks_of_lm_eval_are_for_causal_models(kind: Kind) -> None:
    assert refused(kind, [], "lm-eval:piqa").id == "TASK"


@pytest.mark.parametrize("kind", get_args(Kind))
def test_only_a_causal_model_reads_a_file_as_documents(kind: Kind) -> None:
    assert unit_for(kind) == ("document" if kind == "causal-lm" else "line")
