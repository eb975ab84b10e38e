"""How much worse a number may become, as one value: points of it, or per cent of the dense one."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Final, Literal, final

from pydantic import BeforeValidator, InstanceOf, PlainSerializer, WithJsonSchema

from compressor.errors import printable

_WRITTEN: Final = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,12})?) ?(pt|%)")


@final
@dataclass(frozen=True)
class Drop:
    """`1pt` is one point of the metric, `1%` one per cent of what the dense model has."""

    amount: Decimal
    """As it was written: never rounded."""
    unit: Literal["pt", "%"]

    def __post_init__(self) -> None:
        if not (self.amount.is_finite() and self.amount >= 0):
            raise ValueError(f"a drop is a finite number and at least 0, found `{self}`")

    def margin(self, dense_value: float, point: float | None) -> float:
        """How far the metric may go, in its own unit; 0 for a share of a dense value of 0.

        NaN for points of a metric that has none, such as an error: no drop is within it.
        """
        if self.unit == "pt":
            if point is None:
                return math.nan
            return float(self.amount * Decimal(repr(float(point))))
        return float(self.amount * abs(Decimal(dense_value)) / 100)

    def __str__(self) -> str:
        return f"{self.amount}{self.unit}"


def parse(text: str) -> Drop:
    """`1pt`, `0.5pt` or `1%` as a value; `ValueError` says what was expected."""
    match = _WRITTEN.fullmatch(text.strip())
    if match is None:
        raise ValueError(
            f"expected a drop such as `1pt`, `0.5pt` or `1%`, found `{printable(text, 40)}`"
        )
    return Drop(Decimal(match[1]), "%" if match[2] == "%" else "pt")


DropField = Annotated[
    InstanceOf[Drop],
    BeforeValidator(lambda value: parse(value) if isinstance(value, str) else value),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["1%", "1pt", "0.5pt"]}),
]
"""A drop as a field of a step or a gate, written as text."""
