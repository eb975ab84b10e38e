"""A drop: written as text, kept exactly, and turned into a margin."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from compressor.tolerance import Drop, DropField, parse


@given(st.decimals(0, 999_999, places=4), st.sampled_from(["pt", "%"]))
def test_a_drop_reads_back_from_what_it_writes(amount: Decimal, unit: str) -> None:
    drop = parse(f"{abs(amount):f}{unit}")

    assert (drop.amount, drop.unit) == (amount, unit)
    assert parse(str(drop)) == drop


@pytest.mark.parametrize(
    ("text", "dense", "point", "margin"),
    [
        ("1pt", 0.8, 0.01, 0.01),
        ("1.7pt", 0.8, 0.01, 0.017),
        ("1 pt", 25.0, 1.0, 1.0),
        ("1%", 0.8, 0.01, 0.008),
        ("1%", -0.8, 0.01, 0.008),
        ("2.5%", 200.0, 1.0, 5.0),
        ("0pt", 0.8, 0.01, 0.0),
        ("1%", 0.0, 0.01, 0.0),
    ],
)
def test_the_margin_is_points_of_the_metric_or_a_share_of_the_dense_value(
    text: str, dense: float, point: float, margin: float
) -> None:
    # One rounding to the nearest double of a product of decimals: at most one part in 2**52.
    assert parse(text).margin(dense, point) == pytest.approx(margin, rel=2**-52, abs=0)


@pytest.mark.parametrize(
    "text", ["", "1", "pt", "-1pt", "nan%", "infpt", "1e2pt", "1pts", "1 %%", "٣pt", "1,5pt"]
)
def test_what_is_no_drop_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="expected a drop such as `1pt`"):
        parse(text)


@pytest.mark.parametrize("amount", ["-1", "NaN", "Infinity"])
def test_a_drop_is_finite_and_not_negative(amount: str) -> None:
    with pytest.raises(ValueError, match="finite number and at least 0"):
        Drop(Decimal(amount), "pt")


def test_a_field_takes_text_and_writes_it() -> None:
    field: TypeAdapter[Drop] = TypeAdapter(DropField)

    assert field.validate_python("0.50pt") == Drop(Decimal("0.5"), "pt")
    assert field.dump_python(parse("1%"), mode="json") == "1%"
    with pytest.raises(ValidationError):
        field.validate_python(1)


def test_no_drop_in_points_is_within_what_has_no_points() -> None:
    assert math.isnan(parse("1pt").margin(2.0, None))
    assert parse("1%").margin(2.0, None) == pytest.approx(0.02, rel=2**-52)
