"""Errors: the shape of a message, its exit codes, and untrusted text made harmless."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compressor import errors
from compressor.errors import CompressorError, InputError, listing, printable

CODES = {
    "CheckFailed": 1,
    "UsageError": 2,
    "InputError": 3,
    "RefusedError": 4,
    "OutputError": 5,
    "ResourceError": 6,
    "NetworkError": 7,
}


def test_every_kind_has_the_exit_code_of_the_manual() -> None:
    kinds = {kind.__name__: kind.exit_code for kind in CompressorError.__subclasses__()}

    assert kinds == CODES
    assert CompressorError.exit_code == 70
    assert all(vars(errors)[name].__doc__ for name in CODES)


def test_a_message_says_what_where_found_do_and_the_output() -> None:
    error = InputError("CKPT-EMPTY", "a file is empty", at="a.bin", found="0 bytes", do="fetch it")

    assert error.lines() == [
        "error[CKPT-EMPTY]: a file is empty",
        "  at:    a.bin",
        "  found: 0 bytes",
        "  do:    fetch it",
        "  nothing was written",
    ]
    assert str(error) == "CKPT-EMPTY: a file is empty (at: a.bin; found: 0 bytes; do: fetch it)"


def test_json_says_the_same() -> None:
    error = InputError("CKPT-EMPTY", "a file is empty", at="a.bin", found="0 bytes", do="fetch it")

    assert json.loads(json.dumps(error.as_json(), allow_nan=False)) == {
        "message_type": "exit_error",
        "code": 3,
        "id": "CKPT-EMPTY",
        "message": "a file is empty",
        "at": "a.bin",
        "found": "0 bytes",
        "do": "fetch it",
        "output": "nothing was written",
    }


@given(st.text(st.characters(exclude_categories=()), max_size=300), st.integers(1, 150))
def test_printable_text_is_printable_and_short(text: str, limit: int) -> None:
    safe = printable(text, limit)

    assert safe.isprintable()
    assert len(safe) <= limit
    assert printable(safe, limit) == safe


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\nb", "a\\nb"),
        ("\u202eevil", "\\u202eevil"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("half \ud800", "half \\ud800"),
        ("größe 模型", "größe 模型"),
    ],
)
def test_control_and_bidi_characters_become_escapes(text: str, safe: str) -> None:
    assert printable(text) == safe


def test_a_place_is_made_safe() -> None:
    error = InputError("CKPT-EMPTY", "a file is empty", at="\x1b[2J" + "x" * 1000, do="fetch it")

    assert error.at.startswith("\\x1b[2J")
    assert len(error.at) == 400


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, ""), (1, "t0"), (3, "t0, t1, t2"), (5, "t0, t1, t2, and 2 more")],
)
def test_a_list_counts_what_it_does_not_show(count: int, text: str) -> None:
    assert listing((f"t{place}" for place in range(count)), shown=3) == text
