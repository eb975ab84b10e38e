"""The gates of a recipe: read with their places, checked against its steps, and judged at the end.

Whether a metric can exist at all is known before anything runs: a gate on what no step of the
recipe measures is a mistake in the recipe, and no failed measurement.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, final

from compressor.errors import UsageError, listing, printable
from compressor.measure.judgement import gates, verdict
from compressor.measure.judgement.gates import Gate
from compressor.measure.judgement.verdict import Verdict
from compressor.recipe.datasets import Data, specs_of
from compressor.recipe.fields import closest, validated
from compressor.recipe.record import GateRecord
from compressor.recipe.yaml import Items, Node, Table
from compressor.report import Report
from compressor.step import Step

_HARNESS: Final = "lm-eval:"
_EXAMPLE: Final = "write it as in: - {metric: sts/spearman, max-drop: 1pt}"
_NOT_REACHED: Final = "the run ended with an error before this was measured"


@final
@dataclass(frozen=True)
class PlacedGate:
    """A gate, and where it stands: `recipe.yaml:14:5`."""

    gate: Gate
    at: str = field(compare=False)


def read_gates(node: Node) -> tuple[PlacedGate, ...]:
    """The gates of a recipe that has the key; a wrong one is refused at its place."""
    if not isinstance(node, Items) or not node.items:
        found = "an empty list" if isinstance(node, Items) else "no list"
        raise _refused(
            "the recipe has the key `gates` and no gate",
            node.at,
            f"{found}, expected at least one gate",
            f"remove the key, or {_EXAMPLE}",
        )
    placed = tuple(_read(item) for item in node.items)
    first: dict[str, PlacedGate] = {}
    for each in placed:
        other = first.setdefault(each.gate.name, each)
        if other is not each:
            raise _refused(
                "two gates have the same id",
                each.at,
                f"`{each.gate.name}` here and at {other.at}, expected one of each",
                "give one of them an id of its own: id: …",
            )
    return placed


def require_measured(placed: Sequence[PlacedGate], steps: Sequence[Step], data: Data) -> None:
    """Refuse a gate on a number that no step of this recipe can give."""
    names = [step.step for step in steps]
    measured = list(_measured(steps, data))
    for each in placed:
        first = each.gate.metric.partition("/")[0]
        if any(each.gate.metric.startswith(f"{name}/") for name in measured):
            continue
        if first in names and first != "bench":
            if each.gate.op is None or each.gate.relative_to == "baseline":
                raise _refused(
                    "a number of a step has no dense value to compare it with",
                    each.at,
                    f"`{printable(each.gate.metric)}` with a drop or a baseline, expected a limit",
                    "give op and value instead",
                )
            continue
        known = sorted({*measured, *names} - {"bench"})
        nearest = closest(first, known)
        if "bench" not in names:
            found = f"`{printable(each.gate.metric)}`, and no step `bench` that could measure it"
        else:
            found = f"`{printable(first)}`, expected one of: {listing(known)}"
        raise _refused(
            "a gate asks for what no step of the recipe measures",
            each.at,
            found,
            f"did you mean `{nearest}`?" if nearest else "name data of a bench, or a step",
        )


def no_gates(name: str) -> UsageError:
    """What is said where gates are required, and the recipe has none."""
    return UsageError(
        "RECIPE-GATES",
        "the recipe has no gates, and gates are required",
        at=name,
        found="no key `gates`, expected at least one gate",
        do="add one, such as: - {metric: sts/spearman, max-drop: 1pt}",
    )


def judged(
    placed: Sequence[PlacedGate], reports: Sequence[Report], *, is_complete: bool
) -> tuple[list[GateRecord], Verdict | None]:
    """Every gate's answers, and the verdict over them; none where the run ended with an error."""
    if not placed:
        return [], None
    results = gates.evaluate([each.gate for each in placed], reports)
    if is_complete:
        answer = verdict.over(results, [fault for each in reports for fault in _anomalies(each)])
    else:
        answer = None
        results = [each for each in results if each.error_id != "GATE-MISSING"]
    records = []
    for each in placed:
        own = [asdict(result) for result in results if result.id == each.gate.name]
        records += [GateRecord(**answers, at=each.at) for answers in own or [_unanswered(each)]]
    return records, answer


def _read(node: Node) -> PlacedGate:
    if not isinstance(node, Table):
        raise _refused(
            "a gate is a mapping", node.at, "text or a list, expected `metric: …`", _EXAMPLE
        )
    try:
        return PlacedGate(validated(Gate, node), node.at)
    except UsageError as error:
        if error.id == "RECIPE-UNKNOWN-KEY":
            raise
        raise _refused("a gate cannot be used as it is written", error.at, error.found) from None


def _measured(steps: Sequence[Step], data: Data) -> Iterator[str]:
    """What stands before the `/` in a metric of the benches of a recipe."""
    for step in steps:
        if step.step == "bench":
            yield from (spec.name for spec in specs_of(step, data))
            for task in step.as_dict().get("tasks", ()):
                if task.startswith(_HARNESS):
                    yield _harness_name(task.removeprefix(_HARNESS))


def _harness_name(task: str) -> str:
    return Path(task).stem if task.endswith((".yaml", ".yml")) else task


def _anomalies(report: Report) -> list[str]:
    found = report.summary.get("anomalies")
    return [str(each) for each in found] if isinstance(found, list) else []


def _unanswered(placed: PlacedGate) -> dict[str, Any]:
    gate = placed.gate
    return {
        "id": gate.name,
        "metric": gate.metric,
        "model": "",
        "status": "not_reached",
        "reason": _NOT_REACHED,
        "severity": gate.severity,
    }


def _refused(message: str, at: str, found: str, do: str = _EXAMPLE) -> UsageError:
    return UsageError("RECIPE-GATES", message, at=at, found=found, do=do)
