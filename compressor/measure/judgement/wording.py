"""A judgement as one plain sentence, with the number, its interval and the limit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from compressor.errors import printable
from compressor.measure.evidence import Unit
from compressor.measure.judgement.judging import (
    FEWEST_ITEMS,
    Comparison,
    Judgement,
    Measured,
    too_few,
)
from compressor.measure.judgement.readback import MetricRow
from compressor.tolerance import Drop

_REQUIRED: Final[Mapping[Comparison, str]] = {
    "<=": "at most",
    ">=": "at least",
    "==": "exactly",
    "<": "below",
    ">": "above",
}

_COUNTED: Final[Mapping[Unit, str]] = {
    "share": "a share",
    "perplexity": "a perplexity",
    "nats": "counted in nats",
    "bits": "counted in bits",
    "squared": "a squared error",
    "plain": "a number without a unit",
}


_WORDS: Final[Mapping[Unit, str]] = {"nats": " nats", "bits": " bits"}


def no_points(row: MetricRow, drop: Drop) -> str:
    """Why a drop in points says nothing of this metric."""
    return (
        f"is {_COUNTED[row.unit]}, which has no points, so that `{drop}` is no limit; "
        "write a share of the dense value, such as `1%`"
    )


def of_change(
    row: MetricRow, worse: Measured, margin: float, judgement: Judgement, confidence: float
) -> str:
    """`sts/spearman fell by 0.8 points (95 % interval 0.3 to 1.3), within the allowed 1 point.`"""
    allowed = f"the allowed {_points(margin, row.unit)}"
    if judgement.status == "pass":
        size = _points(margin, row.unit)
        end = f", within {allowed}" if worse.value > 0 else f"; {size} for the worse is allowed"
    elif judgement.status == "fail":
        end = f", more than {allowed}"
    else:
        end = _undecided(worse, judgement, f"whether that is within {allowed}")
    return f"{printable(row.name)} {_change(row, worse, confidence)}{end}."


def of_number(
    name: str,
    measured: Measured,
    comparison: Comparison,
    limit: float,
    judgement: Judgement,
    confidence: float,
    unit: str = "",
) -> str:
    """`wiki/token_ppl is 1.07 times the dense value (…), where at most 1.05 is required.`"""
    required = f"{_REQUIRED[comparison]} {limit:.6g}"
    if judgement.status == "inconclusive":
        end = _undecided(measured, judgement, f"whether it is {required}, as required")
    else:
        verb = "is" if judgement.status == "pass" else "was"
        end = f", and {required} {verb} required"
    low, high = f"{measured.interval.low:.4g}", f"{measured.interval.high:.4g}"
    within = (
        f" ({100 * confidence:g} % interval {low} to {high})"
        if measured.items is not None and measured.interval.is_finite
        else ""
    )
    return f"{printable(name)} is {measured.value:.6g}{unit}{within}{end}."


def _undecided(measured: Measured, judgement: Judgement, question: str) -> str:
    more = judgement.more_items
    if not measured.interval.is_finite and not too_few(measured):
        return ", but its interval is not known from these items, so that it proves nothing"
    if too_few(measured):
        return (
            f", but {measured.items} items do not decide {question}: "
            f"it takes at least {FEWEST_ITEMS}, which is {more} more"
        )
    if more is None:
        return f", but no number of items decides {question}: it lies on the limit itself"
    return f", which does not decide {question}; about {more:,} more items would"


def _change(row: MetricRow, worse: Measured, confidence: float) -> str:
    if worse.value == 0:
        said = "did not change"
    else:
        has_fallen = (worse.value > 0) == (row.better == "higher")
        size = _points(abs(worse.value), row.unit)
        said = f"{'fell' if has_fallen else 'rose'} by {size}"
    if not worse.interval.is_finite:
        return said
    return f"{said} ({100 * confidence:g} % interval {_range(worse, row.unit)})"


def _range(worse: Measured, unit: Unit) -> str:
    """Both ends in the direction of the change; where they lie on two sides, with their sides."""
    scale = 100 if unit == "share" else 1
    low, high = worse.interval.low * scale, worse.interval.high * scale
    if worse.value >= 0 and low >= 0:
        return f"{low:.3g} to {high:.3g}"
    if worse.value <= 0 and high <= 0:
        return f"{abs(high):.3g} to {abs(low):.3g}"
    return f"from {_side(low)} to {_side(high)}"


def _side(worse: float) -> str:
    return f"{abs(worse):.3g} {'worse' if worse > 0 else 'better'}" if worse else "0"


def _points(size: float, unit: Unit) -> str:
    """A size of change in points where the metric is a share, else in its own unit."""
    if unit != "share":
        return f"{size:.3g}{_WORDS.get(unit, '')}"
    said = f"{100 * size:.3g}"
    return f"{said} {'point' if said == '1' else 'points'}"
