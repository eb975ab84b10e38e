"""What a sweep recommends, as a recipe that `compressor run` takes: prune, ask again, decide."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from compressor.data.spec import Spec
from compressor.errors import printable

if TYPE_CHECKING:
    from compressor.steps.sweep import Sweep

RECIPE_FILE: Final = "recommended.yaml"

_ASKED_ALIKE: Final = ("num_samples", "max_length", "batch_size", "seed", "device", "dtype")


def recommended(
    step: Sweep, model: str, specs: Sequence[Spec], summary: Mapping[str, Any], name: str
) -> str:
    """The recipe as text. Paths stand in it as they were given to the sweep."""
    given = step.as_dict()
    prune = {"sparsity": summary["recommended"]}
    if summary["method"] != "magnitude":
        prune |= {"method": summary["method"], "seed": str(step.seed)}
    if summary["scope"] != "global":
        prune["scope"] = summary["scope"]
    prune |= {key: _list(given[key]) for key in ("only", "skip") if key in given}
    bench = {"against": "source", "data": _list([str(spec) for spec in specs])}
    bench |= {
        key.replace("_", "-"): json.dumps(given[key], ensure_ascii=False)
        for key in _ASKED_ALIKE
        if key in given
    }
    bench["speed"] = "false"
    gate = {"metric": _text(str(summary["metric"])), "max-drop": str(summary["drop"])}
    lines = [
        f"# {printable(summary['recommended'])} of the weights of {printable(name)} can be zero: "
        "what a sweep found (Jaiswal et al., 2023), and a gate on the same data",
        "version: 1",
        f"source: {_text(model)}",
        "steps:",
        f"  - prune: {_flow(prune)}",
        f"  - bench: {_flow(bench)}",
        "gates:",
        f"  - {_flow(gate)}",
    ]
    return "\n".join(lines) + "\n"


def _flow(fields: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{key}: {value}" for key, value in fields.items()) + "}"


def _list(texts: Sequence[str]) -> str:
    return "[" + ", ".join(map(_text, texts)) + "]"


def _text(text: str) -> str:
    """Quoted: JSON's text is YAML's too, whatever stands in it."""
    return json.dumps(text, ensure_ascii=False)
