"""The command line that makes a report again, read off its step."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic.fields import FieldInfo

from compressor.errors import printable
from compressor.report import Report
from compressor.steps import STEPS


def command_line(report: Report) -> str:
    """As a user would type it; a local folder is named without its path, which no report holds."""
    fields = {**report.step}
    name = str(fields.pop("step"))
    words = ["compressor", name]
    if name == "run":
        words += [str(fields.pop("recipe"))]
        known: Mapping[str, FieldInfo] = {}
    else:
        kind = STEPS.get(name)
        known = {} if kind is None else kind.model_fields
        if kind is None or kind.argument is not None:
            words += [_model(report)]
    places = [field for field in fields if _is_place(known.get(field))]
    for field in places:
        value = fields.pop(field)
        words += [str(each) for each in (value if isinstance(value, list) else [value])]
    for field, value in fields.items():
        words += _option("--" + field.replace("_", "-"), value)
    return " ".join(shlex.quote(printable(word, 400)) for word in words)


def _model(report: Report) -> str:
    """The first model; the source of a bench of several is its last one."""
    models: list[Any] = list(report.tables.get("models", ()))
    asked = [row["model"] for row in models if row.get("role") != "dense"]
    if report.step.get("models") and asked:
        return str(asked[0])
    source = report.source
    if source.get("id") is None:
        return str(source.get("name", "MODEL"))
    revision = f"@{source['revision']}" if source.get("revision") else ""
    return f"{source['id']}{revision}"


def _is_place(field: FieldInfo | None) -> bool:
    extra = None if field is None else field.json_schema_extra
    return isinstance(extra, dict) and "argument" in extra


def _option(flag: str, value: object) -> Iterator[str]:
    if isinstance(value, bool):
        yield flag if value else f"--no-{flag[2:]}"
    elif isinstance(value, list):
        for each in value:
            yield from (flag, str(each))
    elif value is not None:
        yield from (flag, str(value))
