"""From the turns of several models to the rows of a table: medians, spread, ratios by round."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, final


@final
@dataclass(frozen=True)
class Sample:
    """One number of one turn."""

    what: str
    batch: int | None
    unit: str
    value: float

    @property
    def key(self) -> tuple[str, int | None, str]:
        """Which number it is, in every turn of every model."""
        return self.what, self.batch, self.unit


Turn: TypeAlias = Sequence[Sample]
SpeedRow: TypeAlias = Mapping[str, Any]


def speed_rows(turns: Mapping[str, Sequence[Turn]]) -> list[SpeedRow]:
    """A row for each number of each model; the first model is what the others are compared with.

    A ratio above 1 is faster than the first model. It is taken round by round, so that what slows
    the machine down for a while slows down both of its sides.
    """
    first = next(iter(turns))
    base = _series(turns[first])
    return [
        _row(name, key, values, base[key] if name != first and key in base else None)
        for name, own in turns.items()
        for key, values in _series(own).items()
    ]


def _series(turns: Sequence[Turn]) -> dict[tuple[str, int | None, str], list[float]]:
    found: dict[tuple[str, int | None, str], list[float]] = {}
    for turn in turns:
        for sample in turn:
            found.setdefault(sample.key, []).append(sample.value)
    return found


def _row(
    model: str,
    key: tuple[str, int | None, str],
    values: Sequence[float],
    base: Sequence[float] | None,
) -> SpeedRow:
    what, batch, unit = key
    is_rate = unit.endswith("/s")
    pairs = [] if base is None else list(zip(values, base, strict=True))
    ratios = [own / other if is_rate else other / own for own, other in pairs]
    return {
        "model": model,
        "what": what,
        "batch": batch,
        "unit": unit,
        "median": statistics.median(values),
        "low": min(values),
        "high": max(values),
        "runs": len(values),
        "ratio": statistics.median(ratios) if ratios else None,
        "ratio_low": min(ratios, default=None),
        "ratio_high": max(ratios, default=None),
    }
