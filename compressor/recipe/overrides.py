"""`--set key=value`: one value of a recipe, replaced before the recipe is checked.

A key is `source`, `data.NAME`, `steps.1.prune.sparsity` (counted from 0, as in JSON paths),
`2-prune.sparsity` (the name of the step's folder), or `prune.sparsity` where one step has the name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from compressor.errors import UsageError, listing, printable
from compressor.recipe.fields import closest
from compressor.recipe.yaml import Items, Node, Table, Text
from compressor.step import Step

Path: TypeAlias = Sequence[str | int]


def overridden(table: Table, override: str, catalogue: Mapping[str, type[Step]]) -> Table:
    """The recipe with the one value replaced; the value is read like plain text of the file."""
    key, separator, value = override.partition("=")
    paths = dict(_paths(table, catalogue))
    if not separator or key not in paths:
        nearest = closest(key, paths)
        raise UsageError(
            "RECIPE-SET",
            "--set names nothing in this recipe" if separator else "--set needs a key and a value",
            at=f"--set {printable(override)}",
            found=f"`{printable(key)}`, expected one of: {listing(paths, 20)}"
            if separator
            else "no `=`, expected key=value",
            do=f"did you mean `{nearest}`?" if nearest else "write it as --set source=org/name",
        )
    changed = _replaced(table, paths[key], Text(f"--set {printable(override)}", value))
    assert isinstance(changed, Table)
    return changed


def _paths(table: Table, catalogue: Mapping[str, type[Step]]) -> Iterator[tuple[str, Path]]:
    """Every key that `--set` takes, with its place among the nodes; malformed steps have none."""
    yield "source", ["source"]
    data, steps = table.values.get("data"), table.values.get("steps")
    if isinstance(data, Table):
        for name in data.values:
            yield f"data.{name}", ["data", name]
    names = [
        next(iter(item.values), "") if isinstance(item, Table) else ""
        for item in (steps.items if isinstance(steps, Items) else ())
    ]
    for position, name in enumerate(names):
        if name not in catalogue:
            continue
        for field in catalogue[name].model_fields:
            if field == "step":
                continue
            path: Path = ["steps", position, name, field]
            if names.count(name) == 1:
                yield f"{name}.{field}", path
            yield f"{position + 1}-{name}.{field}", path
            yield f"steps.{position}.{name}.{field}", path


def _replaced(node: Node, path: Path, value: Text) -> Node:
    if not path:
        return value
    first, *rest = path
    if isinstance(node, Items):
        items = [
            _replaced(item, rest, value) if position == first else item
            for position, item in enumerate(node.items)
        ]
        return Items(node.at, tuple(items))
    table = node if isinstance(node, Table) else Table(node.at, {}, {})
    key = str(first)
    below = _replaced(table.values.get(key, value), rest, value)
    return Table(table.at, {**table.values, key: below}, {**table.keys, key: value.at})
