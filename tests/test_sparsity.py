"""Sparsity as a value: what text means, what it refuses, and exact counts of zeros."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compressor.sparsity import NM, Sparsity, Unstructured, VectorNM, parse


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", Unstructured(Fraction(0))),
        ("0.5", Unstructured(Fraction(1, 2))),
        (".5", Unstructured(Fraction(1, 2))),
        ("0.", Unstructured(Fraction(0))),
        ("1e-3", Unstructured(Fraction(1, 1000))),
        ("0.1", Unstructured(Fraction(1, 10))),
        (" 2:4 ", NM(2, 4)),
        ("63:64", NM(63, 64)),
        ("vector:2:4:64", VectorNM(2, 4, 64)),
    ],
)
def test_text_means_a_value(text: str, value: Sparsity) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    "text",
    [
        *("nan", "inf", "1e999", "1e9999", "-0.1", "1", "1.0", "1.5", "50", "50%", "true", "half"),
        *("2:2", "4:2", "0:4", "1:65", "2:4:8", "-1:4", "2:", ":4", "2;4", "٢:٤", "٠.٥"),
        *("vector:2:4", "vector:2:4:0", "vector:2:4:4097", "vector:4:2:8", "vector:2:4:64:1"),
        *("", " ", ".", "e5", "0.5.5", "0x1", "1_0", "0." + "9" * 10**6, "9" * 10**6 + ":4"),
    ],
)
def test_anything_else_is_a_value_error_that_says_what_was_found(text: str) -> None:
    with pytest.raises(ValueError, match=r"found `") as caught:
        parse(text)

    assert len(str(caught.value)) < 200


def test_untrusted_text_is_made_safe_in_the_message() -> None:
    with pytest.raises(ValueError, match=r"found `\\x1b\[31m") as caught:
        parse("\x1b[31m")

    assert "\x1b" not in str(caught.value)


@given(st.decimals(0, "0.9999999999999999999", places=19))
def test_a_fraction_is_kept_as_it_was_written(number: Decimal) -> None:
    value = parse(f"{number:f}")

    assert isinstance(value, Unstructured)
    assert value.fraction == Fraction(number)
    assert parse(str(value)) == value


@given(st.integers(2, 64).flatmap(lambda m: st.tuples(st.integers(1, m - 1), st.just(m))))
def test_a_pattern_reads_back_as_itself(pair: tuple[int, int]) -> None:
    for value in (NM(*pair), VectorNM(*pair, rows=16)):
        assert parse(str(value)) == value
        assert value.fraction == 1 - Fraction(*pair)


@given(st.integers(0, 10**15), st.integers(0, 999))
def test_the_count_of_zeros_is_exact_and_halves_go_to_the_even(count: int, share: int) -> None:
    zeros = Unstructured(Fraction(share, 1000)).zeros(count)

    whole, rest = divmod(count * share, 1000)
    expected = whole if (rest, whole % 2) < (500, 1) and rest <= 500 else whole + 1
    assert zeros == expected


def test_a_tenth_is_no_float() -> None:
    tenth = parse("0.1")

    assert isinstance(tenth, Unstructured)
    assert tenth.zeros(10**18 * 5) == 5 * 10**17
