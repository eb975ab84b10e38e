"""A value that an earlier step finds: `sparsity: {from: sweep}`, checked before anything runs.

Until that step is done, its place is held by the reference itself; then the step is validated once
more with the value, which is part of what a rerun compares.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, final

from compressor.errors import CheckFailed, UsageError, printable
from compressor.recipe.yaml import Node, Table, Text
from compressor.report import Report
from compressor.step import Step, parsed

_STAND_IN: Final = "0.5"
"""What is validated in the place of a value that is not known yet."""


@final
@dataclass(frozen=True)
class Reference:
    """The step that finds a value, and the key of its summary that holds it."""

    step: str
    key: str
    at: str

    def __str__(self) -> str:
        return f"{{from: {self.step}}}"


def found_by(catalogue: Mapping[str, type[Step]], field: str) -> Mapping[str, str]:
    """The steps that find a value for a field of this name, each with the key of its summary."""
    return {name: kind.finds[field] for name, kind in catalogue.items() if field in kind.finds}


def taken_out(
    kind: type[Step], table: Table, catalogue: Mapping[str, type[Step]]
) -> tuple[Table, dict[str, Reference]]:
    """The fields of a step with a stand-in for each reference, and the references."""
    values, found = dict(table.values), {}
    for key, node in table.values.items():
        field = key.replace("-", "_")
        finders = found_by(catalogue, field)
        if isinstance(node, Table) and field in kind.model_fields and finders:
            step = _named(node, finders)
            found[field] = Reference(step.text, finders.get(_bare(step.text), ""), step.at)
            values[key] = Text(node.at, _STAND_IN)
    return replace(table, values=values), found


def put_in(step: Step, found: Mapping[str, Reference]) -> Step:
    """The step with its references in the places of the values that they stand for."""
    return step.model_copy(update=dict(found))


def references(step: Step) -> dict[str, Reference]:
    """What a step waits for, by field."""
    return {name: value for name, value in step if isinstance(value, Reference)}


def settled(step: Step, report_of: Callable[[str], Report]) -> Step:
    """The step with the values that were found; one that was not is a no, and no value."""
    waiting = references(step)
    if not waiting:
        return step
    given = step.model_fields_set - waiting.keys()
    known: dict[str, Any] = {name: value for name, value in step if name in given}
    for field, reference in waiting.items():
        report = report_of(reference.step)
        value = report.summary[reference.key]
        if value is None:
            raise CheckFailed(
                "NOTHING-FOUND",
                f"`{printable(reference.step, 40)}` found no value that a later step waits for",
                at=reference.at,
                found=f"no {reference.key} {field}: {printable(report.summary['sentence'], 250)}",
                do="allow a larger drop, ask more items, or give the value itself",
            )
        known[field] = value
    return parsed(type(step), known)


def _named(node: Table, finders: Mapping[str, str]) -> Text:
    """The step that `{from: STEP}` names."""
    source: Node | None = node.values.get("from")
    if len(node.values) != 1 or not isinstance(source, Text):
        raise UsageError(
            "RECIPE-TYPE",
            "a value that an earlier step finds is written as {from: STEP}",
            at=node.at,
            found=f"the keys {printable(', '.join(node.values)) or 'none'}, expected only `from` "
            "with the name of a step",
            do=f"write it as {{from: {next(iter(finders))}}}",
        )
    return source


def _bare(name: str) -> str:
    """`sweep` of `1-sweep`."""
    return name.rpartition("-")[2]
