"""From YAML to typed values: no coercion, every refusal at its place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recipe_steps import Look, Required

from compressor.errors import UsageError
from compressor.recipe.fields import closest, edits, validated
from compressor.recipe.yaml import parse


def look(field: str, written: str) -> object:
    fields = validated(Look, parse(f"{field}: {written}", "recipe.yaml"), {"step": "look"})
    return getattr(fields, field)


def refusal(field: str, written: str) -> UsageError:
    with pytest.raises(UsageError) as caught:
        look(field, written)
    return caught.value


@pytest.mark.parametrize(
    ("field", "written", "value"),
    [
        ("whole", "0", 0),
        ("whole", "1000", 1000),
        ("fraction", "1e-3", 0.001),
        ("fraction", "0.5", 0.5),
        ("fraction", ".5", 0.5),
        ("fraction", "0", 0.0),
        ("is_fast", "true", True),
        ("is_fast", "false", False),
        ("label", "no", "no"),
        ("label", "010", "010"),
        ("label", "2024-01-01", "2024-01-01"),
        ("label", '"0.5"', "0.5"),
        ("method", "random", "random"),
        ("only", "[a, '1']", ("a", "1")),
        ("limit", "null", None),
        ("limit", "3", 3),
        ("weights", "{a: 0.25, b: 1}", {"a": 0.25, "b": 1.0}),
        ("parsed", "half", 50),
        ("parsed", "~", None),
    ],
)
def test_plain_text_becomes_what_the_field_asks_for(
    field: str, written: str, value: object
) -> None:
    found = look(field, written)

    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("field", "written", "id"),
    [
        pytest.param("fraction", '"0.5"', "TYPE", id="F06 quoted"),
        pytest.param("fraction", "true", "TYPE", id="F06 true"),
        pytest.param("fraction", "50", "RANGE", id="F06 fifty"),
        pytest.param("fraction", "50%", "TYPE", id="F06 percent"),
        pytest.param("fraction", ".nan", "TYPE", id="F06 nan"),
        pytest.param("fraction", "nan", "TYPE", id="F06 nan in words"),
        pytest.param("fraction", ".inf", "TYPE", id="F06 inf"),
        pytest.param("fraction", "1e400", "RANGE", id="F06 too large"),
        pytest.param("fraction", "-1e400", "RANGE", id="F06 too small"),
        pytest.param("fraction", "1_0", "TYPE", id="F06 underscore"),
        pytest.param("parsed", '"half"', "TYPE", id="F06 quoted, parsed by its field"),
        pytest.param("parsed", "1e400", "RANGE", id="F06 too large, parsed by its field"),
        pytest.param("parsed", "1e3", "RANGE", id="F06 a number that its field refuses"),
        pytest.param("parsed", "third", "TYPE", id="F06 a word that its field refuses"),
        pytest.param("whole", "9" * 5000, "RANGE", id="F07 long integer"),
        pytest.param("whole", "0x" + "f" * 6000, "RANGE", id="F07 long hexadecimal"),
        pytest.param("parsed", "9" * 5000, "RANGE", id="F07 long, parsed by its field"),
        pytest.param("whole", "0x1f", "TYPE", id="F08 hexadecimal"),
        pytest.param("whole", "010", "TYPE", id="F08 octal"),
        pytest.param("whole", "1:30", "TYPE", id="F08 sexagesimal"),
        pytest.param("whole", "2024-01-01", "TYPE", id="F08 date"),
        pytest.param("whole", "1.0", "TYPE", id="F08 fraction for an integer"),
        pytest.param("is_fast", "no", "TYPE", id="F08 no"),
        pytest.param("is_fast", "on", "TYPE", id="F08 on"),
        pytest.param("is_fast", "True", "TYPE", id="F08 capital"),
        pytest.param("is_fast", "1", "TYPE", id="F08 one for true"),
        pytest.param("is_fast", '"true"', "TYPE", id="F08 quoted true"),
        pytest.param("whole", "-1", "RANGE", id="F25 below"),
        pytest.param("whole", "1" + "0" * 23, "RANGE", id="F25 far above"),
        pytest.param("method", "wanda", "TYPE", id="not a choice"),
        pytest.param("only", "a", "TYPE", id="text for a list"),
        pytest.param("only", "[[a]]", "TYPE", id="list in a list"),
        pytest.param("label", "[a]", "TYPE", id="list for text"),
        pytest.param("label", "{a: b}", "TYPE", id="mapping for text"),
        pytest.param("label", "", "TYPE", id="nothing for text"),
        pytest.param("weights", "{a: b}", "TYPE", id="text in a mapping of numbers"),
    ],
)
def test_nothing_is_coerced(field: str, written: str, id: str) -> None:
    error = refusal(field, written)

    assert (error.exit_code, error.id) == (2, f"RECIPE-{id}")
    assert error.at.startswith("recipe.yaml:1:")
    assert f"`{field}`" in error.message or error.message.startswith("`a`")
    assert 10 <= len(error.message) <= 160
    assert len("\n".join(error.lines())) < 1000


def test_an_error_stands_at_the_item_that_is_wrong() -> None:
    assert refusal("only", "[a, {b: c}]").at == "recipe.yaml:1:11"
    assert refusal("weights", "{a: 1, b: x}").at == "recipe.yaml:1:20"


def test_a_bidirectional_value_is_escaped_where_it_is_shown() -> None:
    error = refusal("fraction", "0.5\u202e")

    assert "\\u202e" in error.found
    assert "\u202e" not in "\n".join(error.lines())


def test_an_unknown_key_is_refused_at_the_key_with_the_nearest_one() -> None:
    error = refusal("sparcity", "0.5")
    assert error.do == "remove it, or correct its spelling"

    error = refusal("fractoin", "0.5")
    assert (error.id, error.at) == ("RECIPE-UNKNOWN-KEY", "recipe.yaml:1:1")
    assert error.do == "did you mean `fraction`?"


def test_the_name_of_the_step_is_no_field() -> None:
    with pytest.raises(UsageError, match="RECIPE-UNKNOWN-KEY"):
        validated(Look, parse("step: look", "recipe.yaml"), {"step": "look"})


def test_a_required_field_that_is_missing_is_named() -> None:
    with pytest.raises(UsageError) as caught:
        validated(Required, parse("{}", "recipe.yaml"), {"step": "required"})

    assert (caught.value.id, caught.value.at) == ("RECIPE-MISSING-KEY", "recipe.yaml:1:1")
    assert "`sparsity`" in caught.value.found


def test_fields_that_do_not_agree_are_refused_at_their_step() -> None:
    with pytest.raises(UsageError) as caught:
        validated(Required, parse("sparsity: 2", "recipe.yaml"), {"step": "required"})

    assert (caught.value.id, caught.value.at) == ("RECIPE-TYPE", "recipe.yaml:1:1")
    assert caught.value.message == "the fields of a step do not fit together"
    assert caught.value.found == "expected sparsity <= upper, found 2.0 > 1.0"


@pytest.mark.parametrize(
    ("word", "nearest"),
    [
        ("sparcity", "sparsity"),
        ("saprsity", "sparsity"),
        ("sparsit", "sparsity"),
        ("sparrsityy", "sparsity"),
        ("density", None),
        ("xy", None),
        ("", None),
        ("s" * 100_000, None),
    ],
)
def test_the_nearest_word_is_at_most_two_typing_errors_away(word: str, nearest: str | None) -> None:
    assert closest(word, ["sparsity", "method", "scope", "ab"]) == nearest


WORDS = st.text("abc", max_size=6)


@given(WORDS, st.data())
def test_one_typing_error_is_one_edit(word: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(word)))
    mistyped = {
        word[:place] + "x" + word[place:],
        word[:place] + word[place + 1 :],
        word[:place] + "x" + word[place + 1 :],
        word[:place] + word[place : place + 2][::-1] + word[place + 2 :],
    }

    for other in mistyped - {word}:
        assert edits(word, other) == edits(other, word) == 1


@given(WORDS, WORDS)
def test_edits_are_those_of_the_recursive_definition(word: str, other: str) -> None:
    assert edits(word, other) == recursive_edits(word, other)


def recursive_edits(word: str, other: str) -> int:
    if not word or not other:
        return len(word) + len(other)
    ways = [
        recursive_edits(word[1:], other) + 1,
        recursive_edits(word, other[1:]) + 1,
        recursive_edits(word[1:], other[1:]) + (word[0] != other[0]),
    ]
    if len(word) > 1 and len(other) > 1 and word[:2] == other[1::-1]:
        ways.append(recursive_edits(word[2:], other[2:]) + 1)
    return min(ways)
