"""A distance of each item as three metrics: its mean, its median and its 99th percentile."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from compressor.measure.evidence import Metric, Unit
from compressor.measure.statistics import Floats, Mean, Quantile

_PERCENTILES: Final = ((50, 0.5), (99, 0.99))


def mean_and_percentiles(
    name: str, values: Floats, unit: Unit, definition: str
) -> Iterator[Metric]:
    """`name`, `name-p50` and `name-p99`; none is a number where a value is not finite."""
    yield Metric(name, Mean(values), unit, f"mean {definition}", "lower")
    for percent, probability in _PERCENTILES:
        what = f"{percent}th percentile over the items of {definition}"
        yield Metric(f"{name}-p{percent}", Quantile(values, probability), unit, what, "lower")
