"""The data sets of a recipe: named once, checked before anything runs, handed to steps as specs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

from compressor.data.files import kind_of, not_found
from compressor.data.hub import is_hub_id
from compressor.data.spec import Spec, parse_spec
from compressor.data.text import TOPICS
from compressor.errors import UsageError, printable
from compressor.recipe.fields import closest
from compressor.recipe.marks import marked, named
from compressor.recipe.record import identity
from compressor.recipe.yaml import Items, Node, Table, Text
from compressor.step import Step

Data: TypeAlias = Mapping[str, str]
"""What stands under `data:`, by name."""


def spec_of(text: str, data: Data) -> Spec:
    """The data set that a step means: one of the recipe's by its name, or a spec of its own."""
    return parse_spec(data[text], text) if text in data else parse_spec(text)


def specs_of(step: Step, data: Data) -> list[Spec]:
    """The data sets that a step reads."""
    return [spec_of(text, data) for text in named(step, "data")]


def require_specs(data: Data, node: Node | None, steps: Iterable[tuple[Step, Table]]) -> None:
    """Every entry of `data:` and of a step's data fields is a spec; an error names its place."""
    entries = node.values if isinstance(node, Table) else {}
    for name, text in data.items():
        _require_spec(text, name, entries[name].at)
    for step, table in steps:
        spelled = {key.replace("-", "_"): each for key, each in table.values.items()}
        for field in marked(step, "data"):
            for written in _texts(spelled.get(field)):
                if written.text not in data:
                    _require_spec(written.text, None, written.at)


def require_there(steps: Iterable[Step], data: Data) -> None:
    """Refuse local data that do not exist, before the first step has run for nothing."""
    for step in steps:
        for text in named(step, "data"):
            location = spec_of(text, data).location
            if location == TOPICS or kind_of(_path(location)) or is_hub_id(location):
                continue
            nearest = closest(text, data)
            raise not_found(
                f"`{printable(text)}` of the step {step.step}",
                f"nothing at `{printable(location)}`, expected a file or a folder",
                f"did you mean `{nearest}` of the recipe?" if nearest else "correct the path",
            )


def state(spec: Spec) -> list[str | int]:
    """What a rerun compares: the spec, and of local data their sizes and times."""
    path = _path(spec.location)
    match kind_of(path):
        case "folder":
            return [str(spec), identity(path)]
        case "file":
            status = path.stat()
            return [str(spec), status.st_size, status.st_mtime_ns]
        case None:
            return [str(spec)]


def _require_spec(text: str, name: str | None, at: str) -> None:
    try:
        parse_spec(text, name)
    except UsageError as error:
        raise UsageError(error.id, error.message, at=at, found=error.found, do=error.do) from None


def _texts(node: Node | None) -> list[Text]:
    nodes = node.items if isinstance(node, Items) else (node,)
    return [each for each in nodes if isinstance(each, Text)]


def _path(location: str) -> Path:
    return Path(location).expanduser()
