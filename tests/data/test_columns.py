"""Columns are taken as named, else by name, else by what they hold; and it is said which."""

from __future__ import annotations

from typing import Any

import pytest

from compressor.data.columns import take
from compressor.data.rows import Row
from compressor.data.spec import Role
from compressor.errors import InputError

LONG = "A sentence of some length."


def taken(
    first: dict[str, Any], *more: dict[str, Any], named: dict[Role, str] | None = None
) -> dict[str, str]:
    rows = [Row(f"row {place}", cells) for place, cells in enumerate((first, *more), start=1)]
    found = take(named or {}, rows, "x", is_typed=False)
    return {role: "+".join(names) for role, names in found.columns.items()}


@pytest.mark.parametrize(
    ("row", "roles"),
    [
        ({"text": "a", "category": "b"}, {"text": "text", "label": "category"}),
        ({"Sentence1": "a", "Sentence2": "b", "Similarity Score": 4.5}, None),
        (
            {"sentence1": "a", "sentence2": "b", "label": 3.5},
            {"text": "sentence1", "text2": "sentence2", "score": "label"},
        ),
        (
            {"premise": "a", "hypothesis": "b", "label": 1},
            {"text": "premise", "text2": "hypothesis", "label": "label"},
        ),
        (
            {"query": "a", "choices": ["b", "c"], "gold": 0},
            {"query": "query", "choices": "choices", "gold": "gold"},
        ),
        (
            {"context_options": ["a", "b"], "continuation": "c", "gold": 1},
            {"contexts": "context_options", "continuation": "continuation", "gold": "gold"},
        ),
        (
            {"sentence_good": "a", "sentence_bad": "b", "UID": "c"},
            {"good": "sentence_good", "bad": "sentence_bad"},
        ),
        ({"query": "a", "intent": "b"}, {"text": "query", "label": "intent"}),
        ({"img": b"a", "fine_label": 3}, {"image": "img", "label": "fine_label"}),
        ({"file_name": "a.png", "label": "b"}, {"image": "file_name", "label": "label"}),
        ({"id": 7, "text": "a"}, {"text": "text"}),
    ],
)
def test_names_tell(row: dict[str, Any], roles: dict[str, str] | None) -> None:
    names = list(row)
    assert taken(row) == (roles or dict(zip(("text", "text2", "score"), names, strict=True)))


@pytest.mark.parametrize(
    ("rows", "roles"),
    [
        ([{"1": "a", "2": "b", "3": "4.5"}], {"text": "1", "text2": "2", "score": "3"}),
        ([{"1": "a", "2": "x"}, {"1": "b", "2": "x"}], {"text": "1", "label": "2"}),
        ([{"1": "a", "2": "x"}, {"1": "b", "2": "y"}], {"text": "1", "text2": "2"}),
        ([{"1": "a", "2": "3"}], {"text": "1", "label": "2"}),
        ([{"1": "a", "2": "3.5"}], {"text": "1"}),
        ([{"a": "1", "b": "2.5"}], {"target": "a+b"}),
        ([{"date": "2016-07-01", "a": "1", "b": "2"}], {"target": "a+b", "time": "date"}),
        ([{"1": "a", "2": "b", "3": "c", "4": 1}], None),
    ],
)
def test_values_tell_where_names_do_not(
    rows: list[dict[str, Any]], roles: dict[str, str] | None
) -> None:
    if roles is None:
        with pytest.raises(InputError, match="DATA-COLUMN"):
            taken(*rows)
    else:
        assert taken(*rows) == roles


def test_digits_are_numbers_only_where_all_is_text() -> None:
    rows = [Row("row 1", {"1": "7", "2": "8"})]

    assert take({}, rows, "x", is_typed=False).columns == {"target": ("1", "2")}
    assert take({}, rows, "x", is_typed=True).columns == {"text": ("1",), "text2": ("2",)}


def test_what_the_user_names_goes_before_what_names_tell() -> None:
    row = {"text": "a", "body": "b", "label": "c", "intent": "d"}

    assert taken(row, named={"text": "body"}) == {"text": "body", "label": "label"}
    assert taken(row, named={"label": "intent"}) == {"text": "text", "label": "intent"}
    pair = {"text": "a", "text2": "b", "label": "c"}
    assert taken(pair, named={"label": "label"}) == {"label": "label", "text": "text"}
    assert taken(row, named={"text": "body", "label": "intent"}) == {
        "text": "body",
        "label": "intent",
    }


def test_a_series_can_be_of_named_columns() -> None:
    row = {"date": "x", "a": 1.0, "b": 2.0}

    assert taken(row, named={"target": "b"}) == {"target": "b", "time": "date"}
    assert taken({**row, "b+a": 3.0}, named={"target": "b+a"}) == {"target": "b+a", "time": "date"}
    columns = [
        take({"target": "b+a"}, [Row("row 1", cells)], "x", is_typed=True).columns["target"]
        for cells in (row, {**row, "b+a": 3.0})
    ]
    assert columns == [("b", "a"), ("b+a",)]


def test_a_column_that_is_not_there_is_told_what_was_meant() -> None:
    with pytest.raises(InputError) as caught:
        taken({"text": "a", "label": "b"}, named={"text": "txet"})

    assert (caught.value.id, caught.value.do) == ("DATA-COLUMN", "did you mean `text`?")
    assert "`txet`, expected one of: text, label" in caught.value.found


def test_what_was_found_by_looking_is_said() -> None:
    rows = [Row("row 1", {"text": "a", "category": "b"})]

    named: dict[Role, str] = {"text": "text", "label": "category"}

    assert take({}, rows, "x", is_typed=True).notes == ("columns found by looking: label=category",)
    assert take(named, rows, "x", is_typed=True).notes == ()


def test_a_column_that_only_later_rows_have_is_found() -> None:
    assert taken({"text": "a"}, {"text": "b", "label": "c"}) == {"text": "text", "label": "label"}
