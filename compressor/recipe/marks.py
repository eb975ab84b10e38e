"""Fields of a step that name something outside of it: a model, or data.

A step declares them with `json_schema_extra={"model": True}` or `{"data": True}`; each holds one
name, several, or none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

from compressor.step import Step

Mark: TypeAlias = Literal["model", "data"]


def marked(step: Step | type[Step], mark: Mark) -> list[str]:
    """The fields of a step that bear this mark."""
    kind = step if isinstance(step, type) else type(step)
    return [
        name
        for name, field in kind.model_fields.items()
        if isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get(mark)
    ]


def named(step: Step, mark: Mark) -> list[str]:
    """What these fields name, in order."""
    return [text for field in marked(step, mark) for text in _texts(step, field)]


def renamed(step: Step, mark: Mark, rename: Callable[[str], str]) -> Step:
    """The step with every such name replaced."""
    update: dict[str, str | tuple[str, ...]] = {}
    for field in marked(step, mark):
        if texts := tuple(rename(text) for text in _texts(step, field)):
            update[field] = texts[0] if isinstance(_value(step, field), str) else texts
    return step.model_copy(update=update)


def _texts(step: Step, field: str) -> tuple[str, ...]:
    value = _value(step, field)
    if isinstance(value, str):
        return (value,)
    return value if isinstance(value, tuple) else ()


def _value(step: Step, field: str) -> object:
    return dict(step)[field]
