"""Values are of the kind that their role promises; the row that is not is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datafiles import loaded, refused, written


def jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    return written(path, "".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.parametrize("place", [0, 1, 150])
@pytest.mark.parametrize("value", [7, 1.5, True, ["a"], {"a": 1}])
def test_text_that_is_none_is_named_by_its_row(tmp_path: Path, value: Any, place: int) -> None:
    rows: list[dict[str, Any]] = [{"text": f"text {number}"} for number in range(200)]
    rows[place]["text"] = value

    error = refused(jsonl(tmp_path / "x.jsonl", rows), "DATA-TYPE", 3, "text=text")

    assert error.at == f"x.jsonl, line {place + 1}"


def test_text_that_is_none_is_found_in_row_200_001(tmp_path: Path) -> None:
    path = written(tmp_path / "x.jsonl", '{"text": "a"}\n' * 200_000 + '{"text": 5}\n')

    assert refused(path, "DATA-TYPE", 3).at == "x.jsonl, line 200001"


@pytest.mark.parametrize("score", ["nan", "inf", "-Infinity", "1e999", "much", "1_0", str(2**63)])
def test_a_score_of_a_csv_that_is_no_number_is_named(tmp_path: Path, score: str) -> None:
    path = written(tmp_path / "x.csv", f"text,text2,score\na,b,1.5\nc,d,{score}\n")
    keys = "text=text,text2=text2,score=score"

    if score == str(2**63):
        assert loaded(path, keys).values["score"] == [1.5, float(2**63)]
    else:
        assert refused(path, "DATA-TYPE", 3, keys).at == "x.csv, row 2"


@pytest.mark.parametrize("score", ["1e999", str(2**63), str(-(2**63) - 1), "true", '"1.5"', "[1]"])
def test_a_score_of_json_that_is_no_number_is_named(tmp_path: Path, score: str) -> None:
    path = written(tmp_path / "x.jsonl", f'{{"a": "a", "b": "b", "c": {score}}}\n')

    assert refused(path, "DATA-TYPE", 3, "text=a,text2=b,score=c").at == "x.jsonl, line 1"


def test_the_largest_integers_are_numbers(tmp_path: Path) -> None:
    rows = [{"text": "a", "label": 2**63 - 1}, {"text": "b", "label": -(2**63)}]

    assert loaded(jsonl(tmp_path / "x.jsonl", rows)).values["label"] == [2**63 - 1, -(2**63)]


@pytest.mark.parametrize("label", [2**63, 0.5, "a", ["a"]])
def test_a_label_of_another_kind_is_named(tmp_path: Path, label: Any) -> None:
    rows = [{"text": "a", "label": 1}, {"text": "b", "label": label}]
    path = jsonl(tmp_path / "x.jsonl", rows)

    assert refused(path, "DATA-TYPE", 3, "text=text,label=label").at == "x.jsonl, line 2"


@pytest.mark.parametrize(
    ("cells", "labels"),
    [
        (("0", "12"), [0, 12]),
        (("-1", "1"), [-1, 1]),
        (("0", "a"), ["0", "a"]),
        (("007", "7"), ["007", "7"]),
        (("1.0", "2.0"), ["1.0", "2.0"]),
    ],
)
def test_labels_of_a_csv_are_numbers_where_all_are(
    tmp_path: Path, cells: tuple[str, str], labels: list[Any]
) -> None:
    path = written(tmp_path / "x.csv", f"text,label\na,{cells[0]}\nb,{cells[1]}\n")

    assert loaded(path, "text=text,label=label,header=yes").values["label"] == labels


def test_half_a_character_is_no_text(tmp_path: Path) -> None:
    path = written(tmp_path / "x.jsonl", '{"text": "a"}\n{"text": "b \\ud800"}\n')

    error = refused(path, "DATA-ENCODING", 3)

    assert error.at == "x.jsonl, line 2"
    assert "U+D800 at character 2" in error.found


@pytest.mark.parametrize("choices", [["a"], [], "ab", ["a", 1], ["a", None]])
def test_choices_are_texts_and_at_least_two(tmp_path: Path, choices: Any) -> None:
    rows = [{"query": "q", "choices": choices, "gold": 0}]
    keys = "query=query,choices=choices,gold=gold"

    refused(jsonl(tmp_path / "x.jsonl", rows), "DATA-TYPE", 3, keys)


@pytest.mark.parametrize("gold", [-1, "0", 0.5])
def test_the_right_choice_is_an_index(tmp_path: Path, gold: Any) -> None:
    rows = [{"query": "q", "choices": ["a", "b"], "gold": gold}]
    keys = "query=query,choices=choices,gold=gold"

    refused(jsonl(tmp_path / "x.jsonl", rows), "DATA-TYPE", 3, keys)


@pytest.mark.parametrize("gold", [2, 70])
def test_the_right_choice_is_one_of_them(tmp_path: Path, gold: int) -> None:
    good = {"query": "q", "choices": ["a", "b"], "gold": 1}

    error = refused(jsonl(tmp_path / "x.jsonl", [good, {**good, "gold": gold}]), "DATA-TYPE", 3)

    assert error.at == "x.jsonl, line 2"


def test_a_series_stands_in_its_order(tmp_path: Path) -> None:
    lines = "\n".join(f"2016-07-{day:02},{day},{day / 4}" for day in range(1, 29))
    path = written(tmp_path / "x.csv", f"date,a,b\n{lines}\n")

    found = loaded(path, count=5)

    target = found.values["target"]
    assert isinstance(target, np.ndarray)
    assert target.dtype == np.float64
    assert target.tolist() == [[day, day / 4] for day in range(1, 29)]
    assert found.values["time"][0] == "2016-07-01"
    assert found.count == 28
    assert any("not sampled" in note for note in found.notes)


def test_a_gap_in_a_series_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "x.csv", "date,a\nx,1\ny,nan\n")
    uneven = written(tmp_path / "x.jsonl", '{"a": [1, 2]}\n{"a": [1]}\n')

    assert refused(path, "DATA-TYPE", 3, "target=a").at == "x.csv, row 2"
    assert refused(uneven, "DATA-TYPE", 3, "target=a").at == "x.jsonl, line 2"


def test_a_series_without_numbers_is_none(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "x.jsonl", [{"a": []}, {"a": []}])

    assert "no numbers" in refused(path, "DATA-TYPE", 3, "target=a").found
