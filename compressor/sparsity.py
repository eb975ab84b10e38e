"""How sparse, as one value: a fraction of zeros, N:M, or N:M shared by a block of rows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction
from typing import TypeAlias, final

from compressor.errors import printable

MAX_GROUP = 64

_DIGITS = Context(prec=40)


class OutOfRange(ValueError):
    """A number, but not one that can be a sparsity."""


@final
@dataclass(frozen=True)
class Unstructured:
    """A fraction of zeros. `zeros(count)` is exact: the fraction is kept as it was written."""

    fraction: Fraction

    def __post_init__(self) -> None:
        if not 0 <= self.fraction < 1:
            raise OutOfRange(f"a fraction of zeros lies in [0, 1), found `{self}`")

    def zeros(self, count: int) -> int:
        """How many of `count` weights become zero: rounded half to even."""
        return round(self.fraction * count)

    def __str__(self) -> str:
        return str(
            _DIGITS.divide(Decimal(self.fraction.numerator), Decimal(self.fraction.denominator))
        )


@final
@dataclass(frozen=True)
class NM:
    """`n` weights kept of every `m` consecutive inputs."""

    n: int
    m: int

    def __post_init__(self) -> None:
        if not 1 <= self.n < self.m <= MAX_GROUP:
            raise OutOfRange(f"N:M needs 1 ≤ N < M ≤ {MAX_GROUP}, found `{self}`")

    @property
    def fraction(self) -> Fraction:
        """The share of zeros that the pattern asks for."""
        return Fraction(self.m - self.n, self.m)

    def __str__(self) -> str:
        return f"{self.n}:{self.m}"


@final
@dataclass(frozen=True)
class VectorNM:
    """`n` columns kept of every `m`, the same for each block of `rows` consecutive outputs."""

    n: int
    m: int
    rows: int

    def __post_init__(self) -> None:
        if not 1 <= self.n < self.m <= MAX_GROUP:
            raise OutOfRange(f"N:M needs 1 ≤ N < M ≤ {MAX_GROUP}, found `{self}`")
        if not 1 <= self.rows <= 4096:
            raise OutOfRange(f"a block has 1 to 4096 rows, found `{self}`")

    @property
    def fraction(self) -> Fraction:
        """The share of zeros that the pattern asks for."""
        return Fraction(self.m - self.n, self.m)

    def __str__(self) -> str:
        return f"vector:{self.n}:{self.m}:{self.rows}"


Sparsity: TypeAlias = Unstructured | NM | VectorNM

_FRACTION = re.compile(r"[0-9]{0,20}\.?[0-9]{1,40}(?:[eE][+-]?[0-9]{1,3})?|[0-9]{1,20}\.")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?(?:e[+-]?[0-9]+)?|nan|inf)", re.IGNORECASE)
_NM = re.compile(r"([0-9]{1,3}):([0-9]{1,3})")
_VECTOR = re.compile(r"vector:([0-9]{1,3}):([0-9]{1,3}):([0-9]{1,5})")


def parse(text: str) -> Sparsity:
    """`0.5`, `2:4` or `vector:2:4:64` as a value; `ValueError` says what was expected."""
    text = text.strip()
    if match := _NM.fullmatch(text):
        return NM(*map(int, match.groups()))
    if match := _VECTOR.fullmatch(text):
        return VectorNM(*map(int, match.groups()))
    if _FRACTION.fullmatch(text):
        return Unstructured(Fraction(text))
    kind = OutOfRange if _NUMBER.fullmatch(text) else ValueError
    raise kind(
        "expected a fraction such as `0.5`, N:M such as `2:4`, or `vector:2:4:64`, "
        f"found `{printable(text, 40)}`"
    )
