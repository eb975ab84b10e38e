"""What a number must be for a run to pass, and what reports say about it.

Pass, fail or inconclusive for each model; a missing or non-finite number, and one that stands on
other items than the dense model's, is never a pass.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, final

from pydantic import BaseModel, ConfigDict, Field, model_validator

from compressor.errors import listing, printable
from compressor.measure.interval import CONFIDENCE, Interval
from compressor.measure.judgement.judging import (
    Comparison,
    Judgement,
    Measured,
    Status,
    counted,
    judged,
)
from compressor.measure.judgement.pairing import MISSING, NONFINITE, Fault, alone, ratio, worsening
from compressor.measure.judgement.readback import BenchTables, MetricRow, read_back
from compressor.measure.judgement.wording import no_points, of_change, of_number
from compressor.report import Report
from compressor.tolerance import DropField

Severity: TypeAlias = Literal["error", "warn"]


@final
class Gate(BaseModel):
    """A requirement on one metric: how far it may drop, or what it must be."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    id: str | None = Field(
        None, pattern=r"^[a-z0-9-]+$", max_length=80, description="A name; default the metric's."
    )
    metric: str = Field(
        pattern=r"^.+/.+$",
        max_length=300,
        description="DATA/METRIC of a bench, such as sts/spearman, or STEP/KEY: prune/sparsity.",
    )
    max_drop: DropField | None = Field(
        None, description="How much worse than dense it may be: 1pt, or 1% of the dense value."
    )
    op: Comparison | None = Field(None, description="How it must compare with `value`.")
    value: float | None = Field(None, description="The limit, or a ratio to the dense value.")
    relative_to: Literal["absolute", "baseline"] = Field(
        "absolute", description="Whether `value` is the limit, or how many times the dense value."
    )
    confidence: float = Field(
        CONFIDENCE, ge=0.5, le=0.999, description="Of the interval that must hold; default 0.95."
    )
    severity: Severity = Field("error", description="Whether a miss fails the run or is told only.")

    @model_validator(mode="after")
    def _one_requirement(self) -> Gate:
        if (self.op is None) != (self.value is None):
            raise ValueError("expected `op` and `value` together, found only one of them")
        if (self.max_drop is None) == (self.op is None):
            raise ValueError("expected either `max_drop`, or `op` and `value`")
        if self.max_drop is not None and self.relative_to == "baseline":
            raise ValueError("a `max_drop` is relative to the dense value already")
        return self

    @property
    def name(self) -> str:
        """The id that was given, or one made of the metric: `sts-spearman`."""
        made = re.sub(r"[^a-z0-9]+", "-", self.metric.lower()).strip("-")
        return self.id or made[:80] or "gate"


@final
@dataclass(frozen=True)
class GateResult:
    """The answer of one gate for one model. All numbers are on the scale of the metric.

    `low` and `high` bound the model's value as the gate sees it: for a comparison with the dense
    model, its value and the interval of the difference.
    """

    id: str
    metric: str
    model: str
    """Empty for a number of a step, which is no model's."""
    status: Status
    reason: str
    """One plain sentence with the numbers."""
    value: float | None = None
    limit: float | None = None
    baseline: float | None = None
    low: float | None = None
    high: float | None = None
    more_items: int | None = None
    """How many more items would decide, where it is inconclusive."""
    severity: Severity = "error"
    error_id: Literal["GATE-MISSING", "GATE-NONFINITE", ""] = ""


def evaluate(gates: Sequence[Gate], reports: Sequence[Report]) -> list[GateResult]:
    """Every gate, for every model that it speaks about; none stops at the first that fails.

    A metric is looked up in the reports of `bench`, and else, as STEP/KEY, in the summary of the
    last such step.
    """
    benches = [read_back(report.tables) for report in reports if report.name == "bench"]
    return judge(gates, benches, reports)


def judge(
    gates: Sequence[Gate], benches: Sequence[BenchTables], steps: Sequence[Report] = ()
) -> list[GateResult]:
    """Every gate, for every model of these comparisons, or for the summary of a step."""
    return [result for gate in gates for result in _answers(gate, benches, steps)]


def _answers(
    gate: Gate, benches: Sequence[BenchTables], steps: Sequence[Report]
) -> Iterator[GateResult]:
    if found := [bench for bench in benches if gate.metric in bench.names()]:
        yield from (_judged(gate, bench, model) for bench in found for model in bench.subjects)
        return
    step, _, key = gate.metric.partition("/")
    if summaries := [each.summary for each in steps if each.name == step and key in each.summary]:
        yield _of_step(gate, summaries[-1][key])
        return
    names = listing(dict.fromkeys(name for bench in benches for name in bench.names()))
    known = f"; what was measured is {names}" if names else ""
    yield _faulty(gate, "", Fault(MISSING, f"was not measured{known}"))


def _of_step(gate: Gate, value: object) -> GateResult:
    """A number that a step counted: it has no interval."""
    if gate.op is None or gate.value is None or gate.relative_to == "baseline":
        return _faulty(gate, "", Fault(MISSING, "is no model's, so that it has no dense value"))
    if isinstance(value, bool) or not isinstance(value, int | float):
        found = f"is no number but `{printable(value, 40)}`"
        return _faulty(gate, "", Fault(NONFINITE if value is None else MISSING, found))
    if not math.isfinite(value):
        return _faulty(gate, "", Fault(NONFINITE, "is not a finite number"))
    measured = counted(float(value))
    judgement = judged(measured, gate.op, gate.value)
    reason = of_number(gate.metric, measured, gate.op, gate.value, judgement, gate.confidence)
    return _result(gate, "", judgement, reason, measured, limit=gate.value)


def _judged(gate: Gate, bench: BenchTables, model: str) -> GateResult:
    row = bench.rows(gate.metric).get(model)
    if row is None:
        return _faulty(gate, model, Fault(MISSING, "was not measured of this model"))
    if gate.max_drop is not None:
        return _dropped(gate, bench, row)
    if gate.relative_to == "baseline":
        return _related(gate, bench, row)
    measured = alone(bench, row, gate.confidence)
    if isinstance(measured, Fault):
        return _faulty(gate, model, measured, row)
    assert gate.op is not None, "a gate without a drop compares"
    assert gate.value is not None, "a gate that compares has a limit"
    judgement = judged(measured, gate.op, gate.value)
    reason = of_number(gate.metric, measured, gate.op, gate.value, judgement, gate.confidence)
    return _result(gate, model, judgement, reason, measured, limit=gate.value)


def _dropped(gate: Gate, bench: BenchTables, row: MetricRow) -> GateResult:
    assert gate.max_drop is not None, "asked for by its drop"
    worse = worsening(bench, row, gate.confidence)
    if isinstance(worse, Fault):
        return _faulty(gate, row.model, worse, row)
    if gate.max_drop.unit == "%" and row.dense_value == 0:
        fault = Fault(NONFINITE, "has a dense value of 0, of which no share can be taken")
        return _faulty(gate, row.model, fault, row)
    if gate.max_drop.unit == "pt" and row.point is None:
        return _faulty(gate, row.model, Fault(MISSING, no_points(row, gate.max_drop)), row)
    margin = gate.max_drop.margin(row.dense_value, row.point)
    judgement = judged(worse, "<=", margin)
    reason = of_change(row, worse, margin, judgement, gate.confidence)
    ends = [_away(row, worse.interval.low), _away(row, worse.interval.high)]
    shown = Measured(row.value, _interval(ends), row.items)
    limit = _away(row, margin)
    return _result(gate, row.model, judgement, reason, shown, limit, row.dense_value)


def _related(gate: Gate, bench: BenchTables, row: MetricRow) -> GateResult:
    assert gate.op is not None, "a gate without a drop compares"
    assert gate.value is not None, "a gate that compares has a limit"
    found = ratio(bench, row, gate.confidence)
    if isinstance(found, Fault):
        return _faulty(gate, row.model, found, row)
    judgement = judged(found, gate.op, gate.value)
    times = " times the dense value"
    reason = of_number(gate.metric, found, gate.op, gate.value, judgement, gate.confidence, times)
    dense = row.dense_value
    ends = [found.interval.low * dense, found.interval.high * dense]
    shown = Measured(row.value, _interval(ends), row.items)
    return _result(gate, row.model, judgement, reason, shown, gate.value * dense, dense)


def _away(row: MetricRow, worse: float) -> float:
    """The value that is worse than the dense one by so much."""
    return row.dense_value + (-worse if row.better == "higher" else worse)


def _interval(ends: Sequence[float]) -> Interval:
    is_known = all(map(math.isfinite, ends))
    return Interval(min(ends), max(ends)) if is_known else Interval(math.nan, math.nan)


def _result(
    gate: Gate,
    model: str,
    judgement: Judgement,
    reason: str,
    shown: Measured,
    limit: float,
    baseline: float | None = None,
) -> GateResult:
    is_nonfinite = judgement.status == "fail" and not shown.is_finite
    return GateResult(
        id=gate.name,
        metric=gate.metric,
        model=model,
        status=judgement.status,
        reason=reason,
        value=shown.value,
        limit=limit,
        baseline=baseline,
        low=_finite(shown.interval.low),
        high=_finite(shown.interval.high),
        more_items=judgement.more_items,
        severity=gate.severity,
        error_id=NONFINITE if is_nonfinite else "",
    )


def _faulty(gate: Gate, model: str, fault: Fault, row: MetricRow | None = None) -> GateResult:
    return GateResult(
        id=gate.name,
        metric=gate.metric,
        model=model,
        status="fail",
        reason=f"{printable(gate.metric)} {fault.reason}.",
        value=None if row is None else _finite(row.value),
        baseline=None if row is None else _finite(row.dense_value),
        severity=gate.severity,
        error_id=fault.error_id,
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
