"""What JSON nests is known before it is parsed, and what is parsed is what `json` reads."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compressor.checkpoint.read.strict_json import (
    DuplicateKey,
    MalformedJson,
    is_deeper,
    parse_object,
    skeleton,
)

TEXTS = st.text('ab[]{},:"\\\n\u00e9', max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=30,
)


def depth(value: Any) -> int:
    inner = (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    )
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


@given(VALUES)
def test_nesting_is_counted_as_the_parsed_value_nests(value: Any) -> None:
    structure = skeleton(json.dumps(value).encode())
    levels = depth(value)

    assert not is_deeper(structure, levels)
    assert levels == 0 or is_deeper(structure, levels - 1)


@given(VALUES)
def test_a_skeleton_is_the_text_without_its_strings_and_numbers(value: Any) -> None:
    def outline(item: Any) -> str:
        if isinstance(item, dict):
            return "{" + ",".join(map(outline, item.values())) + "}"
        return "[" + ",".join(map(outline, item)) + "]" if isinstance(item, list) else ""

    assert skeleton(json.dumps(value, ensure_ascii=False).encode()).decode() == outline(value)


@pytest.mark.parametrize("text", [b"[" * 10**6, b"{" * 10**6, b'{"a":' * 10**6, b"[]]" + b"[" * 99])
def test_nesting_that_is_never_closed_is_too_deep(text: bytes) -> None:
    assert is_deeper(skeleton(text), 64)


@given(st.dictionaries(TEXTS, VALUES, max_size=4))
def test_an_object_is_read_as_json_reads_it(value: dict[str, Any]) -> None:
    text = json.dumps(value).encode()

    assert parse_object(text, 99, is_strict=True) == value


@given(st.binary(max_size=40) | st.text('{}[]",:\\0-1eE.', max_size=40).map(str.encode))
def test_any_bytes_give_an_object_or_a_reason_in_one_line(text: bytes) -> None:
    assert outcome(text).count("\n") == 0


def outcome(text: bytes) -> str:
    try:
        return json.dumps(parse_object(text, 64, is_strict=True))
    except MalformedJson as error:
        return str(error)


def test_a_key_that_stands_twice_is_named_only_when_strict() -> None:
    text = b'{"a": {"b": 1, "c": 2, "b": 3}}'

    assert parse_object(text, 9, is_strict=False) == {"a": {"b": 3, "c": 2}}
    with pytest.raises(DuplicateKey) as caught:
        parse_object(text, 9, is_strict=True)
    assert caught.value.key == "b"


def test_infinity_is_read_only_when_not_strict() -> None:
    assert parse_object(b'{"a": Infinity}', 9, is_strict=False) == {"a": math.inf}
    with pytest.raises(MalformedJson, match="Infinity"):
        parse_object(b'{"a": Infinity}', 9, is_strict=True)


def test_a_number_of_many_digits_is_a_reason_and_not_a_crash() -> None:
    with pytest.raises(MalformedJson, match="beyond what can be parsed"):
        parse_object(b'{"a": ' + b"9" * 100_000 + b"}", 9, is_strict=False)
