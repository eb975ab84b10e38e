"""One word and one sentence over all gates: `ACCEPT` only where every one of them passes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, final

from compressor.errors import printable
from compressor.measure.judgement.gates import Gate, GateResult, judge
from compressor.measure.judgement.readback import BenchTables, read_back
from compressor.tolerance import Drop

Word: TypeAlias = Literal["ACCEPT", "REGRESSION", "INCONCLUSIVE", "ANOMALOUS"]


@final
@dataclass(frozen=True)
class Verdict:
    """The answer over everything that was measured; only `ACCEPT` is a yes."""

    word: Word
    sentence: str


def over(results: Sequence[GateResult], anomalies: Sequence[str]) -> Verdict:
    """The verdict over these gates; one of severity `warn` has no say in it.

    What cannot be believed outranks what is bad: a missing or non-finite number, a broken model
    and unequal items are `ANOMALOUS`, whatever the gates say. A measured miss is a `REGRESSION`.
    """
    asked = [result for result in results if result.severity == "error"]
    strange = [printable(each, 300) for each in anomalies]
    strange += [_said(each, asked) for each in asked if each.error_id]
    if strange:
        more = f" There are {len(strange) - 1} more such faults." if len(strange) > 1 else ""
        return Verdict("ANOMALOUS", f"These numbers prove nothing: {_ended(strange[0])}{more}")
    if failed := [each for each in asked if each.status == "fail"]:
        worst = _said(max(failed, key=_distance), asked)
        return Verdict("REGRESSION", _counted(failed, asked, "fails", "fail", "the worst", worst))
    if undecided := [each for each in asked if each.status == "inconclusive"]:
        worst = _said(max(undecided, key=_missing_items), asked)
        counted = _counted(
            undecided, asked, "is open", "are open", "the furthest from an answer", worst
        )
        return Verdict("INCONCLUSIVE", counted)
    if not asked:
        return Verdict("ACCEPT", "No gate was asked for, and nothing is anomalous.")
    nearest = _said(min(asked, key=_distance), asked)
    return Verdict("ACCEPT", _counted(asked, asked, "passes", "pass", "the closest", nearest))


def headline_gates(benches: Sequence[BenchTables], max_drop: Drop) -> list[Gate]:
    """A gate on each headline metric that has a better direction, where models are compared."""
    names = [
        row.name
        for bench in benches
        for row in bench.metrics
        if row.headline and row.better is not None and row.model in bench.compared
    ]
    return [Gate(metric=name, max_drop=max_drop) for name in dict.fromkeys(names)]


def of_bench(tables: Mapping[str, Any], max_drop: Drop, anomalies: Sequence[str]) -> Verdict | None:
    """The verdict of a comparison by itself; None where nothing is compared and nothing strange."""
    bench = read_back(tables)
    results = judge(headline_gates([bench], max_drop), [bench])
    return over(results, anomalies) if results or anomalies else None


def _counted(
    these: Sequence[GateResult],
    asked: Sequence[GateResult],
    one: str,
    several: str,
    which: str,
    said: str,
) -> str:
    """How many of the gates these are, and what is said of the one that matters most."""
    if len(asked) == 1:
        return said
    if len(these) == 1:
        return f"1 of {len(asked)} checks {one}: {said}"
    share = f"All {len(asked)}" if len(these) == len(asked) else f"{len(these)} of {len(asked)}"
    return f"{share} checks {several}; {which}: {said}"


def _said(result: GateResult, asked: Sequence[GateResult]) -> str:
    """The reason, with the model where there are several."""
    is_alone = len({each.model for each in asked}) == 1
    return (
        result.reason
        if is_alone or not result.model
        else f"{printable(result.model)}: {result.reason}"
    )


def _ended(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


def _distance(result: GateResult) -> float:
    """How far the nearer end of the interval is from the limit, in shares of the limit."""
    if result.limit is None or result.low is None or result.high is None:
        return math.inf
    nearer = min(abs(result.low - result.limit), abs(result.high - result.limit))
    return nearer / (abs(result.limit) or 1.0)


def _missing_items(result: GateResult) -> float:
    return math.inf if result.more_items is None else result.more_items
