"""A recipe is data: a source, and the steps that are done to it, each checked before any runs.

Text becomes nodes that know their place (`yaml`), nodes become values by the type of their field
(`fields`), and here they become steps and the gates that decide over them. A field that names a
model (`marks`) may say `source`, or the name of an earlier step, and stands for the checkpoint as
it was after that step; one that names data may say an entry of `data`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any, Final, Literal, TypeAlias, get_origin

from pydantic import BaseModel, ConfigDict, Field, InstanceOf, WithJsonSchema
from pydantic.json_schema import models_json_schema

from compressor.errors import UsageError, listing, printable
from compressor.measure.judgement.gates import Gate
from compressor.recipe.datasets import require_specs
from compressor.recipe.fields import unknown_key, validated
from compressor.recipe.gates import PlacedGate, read_gates, require_measured
from compressor.recipe.marks import marked
from compressor.recipe.overrides import overridden
from compressor.recipe.references import found_by, put_in, references, taken_out
from compressor.recipe.shipped import find
from compressor.recipe.yaml import Items, Node, Table, Text, parse
from compressor.step import Step
from compressor.steps import COMMANDS_ONLY, STEPS

Catalogue: TypeAlias = Mapping[str, type[Step]]

_NUMBERED: Final = re.compile(r"(\d+)-([a-z]+)")


class Recipe(BaseModel):
    """What a recipe file says, once all of it is known to be right."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = Field(description="The version of the recipe format.")
    source: str = Field(min_length=1, description="A folder, `org/name@rev`, or `package:NAME`.")
    data: dict[str, str] = Field(
        default={}, description="Data sets by name, each as `path:key=column,…`."
    )
    steps: tuple[InstanceOf[Step], ...] = Field(min_length=1, description="What to do, in order.")
    gates: tuple[Annotated[InstanceOf[PlacedGate], WithJsonSchema({})], ...] = Field(
        default=(), description="What must hold for the run to pass; without it, checks decide."
    )

    def named_steps(self) -> Iterator[tuple[str, Step]]:
        """Each step with the name of its folder: `1-inspect`, `2-prune`."""
        for number, step in enumerate(self.steps, 1):
            yield f"{number}-{step.step}", step


def load(name: str, overrides: Iterable[str] = (), catalogue: Catalogue = STEPS) -> Recipe:
    """The recipe in the file `name`, or the shipped one of that name, with `--set` applied."""
    text, file = find(name)
    table = parse(text, file)
    for override in overrides:
        table = overridden(table, override, catalogue)
    return recipe_of(table, catalogue)


def recipe_of(table: Table, catalogue: Catalogue = STEPS) -> Recipe:
    """The recipe that a parsed file is; every error names its place."""
    rest = {key: node for key, node in table.values.items() if key not in ("steps", "gates")}
    if "steps" not in table.values:
        return validated(Recipe, replace(table, values=rest))
    steps = _steps(table.values["steps"], catalogue)
    gates = read_gates(table.values["gates"]) if "gates" in table.values else ()
    done = tuple(step for step, _ in steps)
    recipe = validated(Recipe, replace(table, values=rest), {"steps": done, "gates": gates})
    _require_order(steps, _in_recipes(catalogue))
    require_specs(recipe.data, table.values.get("data"), steps)
    require_measured(gates, done, recipe.data)
    return recipe


def reference(text: str, steps: Iterable[str]) -> int | None:
    """Which step `text` names, counted from 0: `prune` where one has this name, or `2-prune`."""
    names = list(steps)
    numbered = _NUMBERED.fullmatch(text)
    if numbered is None:
        return names.index(text) if names.count(text) == 1 else None
    number = int(numbered[1]) - 1
    return number if number in range(len(names)) and names[number] == numbered[2] else None


def earlier(text: str, steps: Iterable[str]) -> int:
    """The same of a reference that was checked, so that it names a step."""
    found = reference(text, steps)
    assert found is not None, "references are checked before anything runs"
    return found


def json_schema(catalogue: Catalogue = STEPS) -> dict[str, Any]:
    """The JSON schema of recipes, for editors: every step is a key with its fields below it."""
    kinds = {name: catalogue[name] for name in _in_recipes(catalogue)}
    models: list[type[BaseModel]] = [*kinds.values(), Gate]
    _, shared = models_json_schema([(model, "validation") for model in models])
    definitions = shared["$defs"]
    for model in models:
        properties = definitions[model.__name__]["properties"]
        properties.pop("step", None)
        for field in properties.values():
            _welcome_numbers(field)
        for name in set(properties) & {name for kind in kinds.values() for name in kind.finds}:
            properties[name] = _or_found(properties[name], found_by(kinds, name))
        dashed = {name.replace("_", "-"): field for name, field in properties.items()}
        properties |= dashed
    for kind in kinds.values():
        for name in _several(kind):
            definitions[kind.__name__]["properties"][name]["type"] = ["array", "string"]
    schema = Recipe.model_json_schema()
    schema["properties"]["steps"] |= {
        "items": {
            "oneOf": [
                {
                    "type": "object",
                    "properties": {
                        name: {"anyOf": [{"$ref": f"#/$defs/{kind.__name__}"}, {"type": "null"}]}
                    },
                    "required": [name],
                    "additionalProperties": False,
                }
                for name, kind in kinds.items()
            ]
        }
    }
    schema["properties"]["gates"] |= {"items": {"$ref": "#/$defs/Gate"}, "minItems": 1}
    draft = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": draft, **schema, "$defs": definitions}


def _welcome_numbers(field: dict[str, Any]) -> None:
    """Editors read plain `0.5` as a number: text that has such an example may be one."""
    for each in [field, *field.get("anyOf", [])]:
        if each.get("type") == "string" and any(
            text[:1].isdigit() for text in each.get("examples", [])
        ):
            each["type"] = ["number", "string"]


def _or_found(field: dict[str, Any], finders: Iterable[str]) -> dict[str, Any]:
    """A field whose value an earlier step may find."""
    names = "|".join(finders)
    source = {"type": "string", "pattern": rf"^([0-9]+-)?({names})$"}
    found = {
        "type": "object",
        "properties": {"from": source},
        "required": ["from"],
        "additionalProperties": False,
    }
    said = {key: field[key] for key in field if key in ("description", "title")}
    return {**said, "anyOf": [{key: field[key] for key in field if key not in said}, found]}


def _steps(node: Node, catalogue: Catalogue) -> list[tuple[Step, Table]]:
    if node in (Text(node.at, ""), Items(node.at, ())):
        raise UsageError(
            "RECIPE-EMPTY",
            "the recipe has no steps",
            at=node.at,
            found="nothing below `steps`, expected at least one step",
            do="add one, such as: - inspect:",
        )
    if not isinstance(node, Items):
        raise _shape(node.at, "`steps` is not a list", "expected lines such as `- inspect:`")
    return [_step(item, catalogue) for item in node.items]


def _step(item: Node, catalogue: Catalogue) -> tuple[Step, Table]:
    if isinstance(item, Text):
        found = f"`{printable(item.text)}` without a colon, expected `- {printable(item.text)}:`"
        raise _shape(item.at, "a step is a key with its fields below it", found)
    if not isinstance(item, Table) or len(item.values) != 1:
        count = len(item.values) if isinstance(item, Table) else "a list, not"
        raise _shape(item.at, "a step has one name", f"{count} keys, expected exactly one")
    [(name, node)] = item.values.items()
    at = item.keys[name]
    if name in COMMANDS_ONLY:
        raise UsageError(
            "RECIPE-UNKNOWN-KEY",
            f"`{name}` is a command, and no step of a recipe",
            at=at,
            found=f"`{name}`, expected one of: {listing(_in_recipes(catalogue))}",
            do=f"remove it, and run it on its own: compressor {name}",
        )
    if name not in catalogue:
        raise unknown_key(name, _in_recipes(catalogue), at)
    if isinstance(node, Text) and node.is_plain and node.text in ("", "~", "null"):
        node = Table(at, {}, {})
    if not isinstance(node, Table):
        raise _shape(node.at, f"`{name}` needs its fields by name", "expected `name: value` pairs")
    kind = catalogue[name]
    node, waiting = taken_out(kind, _with_lists(kind, node), catalogue)
    return put_in(validated(kind, node, {"step": name}), waiting), node


def _with_lists(kind: type[Step], table: Table) -> Table:
    """A field that takes several data sets or models may be given one, without brackets."""
    values = dict(table.values)
    for key, node in table.values.items():
        if isinstance(node, Text) and key.replace("-", "_") in _several(kind):
            values[key] = Items(node.at, (node,))
    return replace(table, values=values)


def _several(kind: type[Step]) -> list[str]:
    """The fields that take several data sets or models."""
    return [
        name
        for name in (*marked(kind, "data"), *marked(kind, "model"))
        if get_origin(kind.model_fields[name].annotation) is tuple
    ]


def _require_order(steps: list[tuple[Step, Table]], known: list[str]) -> None:
    """A step names earlier steps only, and each so that one is meant."""
    names = [step.step for step, _ in steps]
    for position, (step, table) in enumerate(steps):
        for field, waiting in references(step).items():
            if not waiting.key or reference(waiting.step, names[:position]) is None:
                finders = listing(found_by(STEPS, field))
                raise UsageError(
                    "RECIPE-ORDER",
                    f"`{step.step}` takes a value from what is not exactly one earlier step",
                    at=waiting.at,
                    found=f"`{printable(waiting.step)}`, expected one earlier step of: {finders}",
                    do="put that step before this one, or give the value itself",
                )
        for node in _models(step, table):
            if node.text == "source":
                continue
            numbered = _NUMBERED.fullmatch(node.text)
            if (numbered[2] if numbered else node.text) not in known:
                continue
            named = reference(node.text, names[:position])
            if named is None:
                earlier = [f"{number}-{name}" for number, name in enumerate(names[:position], 1)]
                raise UsageError(
                    "RECIPE-ORDER",
                    f"`{step.step}` names a step that is not exactly one earlier step",
                    at=node.at,
                    found=f"`{printable(node.text)}`, expected `source`"
                    + (f" or one of: {listing(earlier)}" if earlier else ""),
                    do=f"move the step up, or write a folder as ./{printable(node.text)}",
                )


def _models(step: Step, table: Table) -> Iterator[Text]:
    """What a step names as models, with its places."""
    for field in marked(step, "model"):
        node = table.values.get(field, table.values.get(field.replace("_", "-")))
        nodes = node.items if isinstance(node, Items) else (node,)
        yield from (each for each in nodes if isinstance(each, Text))


def _in_recipes(catalogue: Catalogue) -> list[str]:
    return [name for name in catalogue if name not in COMMANDS_ONLY]


def _shape(at: str, message: str, found: str) -> UsageError:
    do = "write it as in: compressor recipe cp quickstart"
    return UsageError("RECIPE-TYPE", message, at=at, found=found, do=do)
