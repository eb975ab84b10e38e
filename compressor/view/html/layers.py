"""Heat maps over the layers of a model, from the tables of the steps that have them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from compressor.view.plots.drawing import Drawing, name_of
from compressor.view.plots.heat import heat

_NUMBER: Final = re.compile(r"^(.*?)(?:^|\.)(\d+)(?:\.|$)")


def sparsity(tensors: Iterable[tuple[str, str, float, float]], where: str) -> Iterator[Drawing]:
    """Zeros by layer and role, of (tensor, role, zeros, weights); none where nothing is counted."""
    zeros: dict[tuple[str, str], float] = {}
    weights: dict[tuple[str, str], float] = {}
    listed = list(tensors)
    layers = _layers([name for name, _, _, _ in listed])
    for name, role, some, all_ in listed:
        key = layers[name], role
        zeros[key] = zeros.get(key, 0.0) + some
        weights[key] = weights.get(key, 0.0) + all_
    cells = {key: zeros[key] / count for key, count in weights.items() if count}
    if cells:
        yield heat(
            "sparsity",
            f"Sparsity of each layer, {where}",
            f"Share of zeros by layer and role, {where}: {_extremes(cells, percent=True)}.",
            cells,
            rows="layer",
            columns="role",
            scale="zeros, % of weights",
            is_percent=True,
        )


def damage(rows: Sequence[Mapping[str, Any]], columns: str, where: str) -> Iterator[Drawing]:
    """Linear CKA with the dense model by layer; each row names its column as `column`."""
    cells = {
        (str(row["layer"]), str(row["column"])): float(row["cka"])
        for row in rows
        if row["cka"] is not None
    }
    if cells:
        yield heat(
            "damage",
            f"Damage to each layer, {where}",
            "Linear CKA of the hidden states with those of the dense model: 1 is unharmed, and "
            f"the first dark layer is where it broke; {_extremes(cells, percent=False)}.",
            cells,
            rows="layer",
            columns=columns,
            scale="linear CKA with dense",
            is_percent=False,
        )


def _layers(names: Sequence[str]) -> dict[str, str]:
    """The layer of each tensor: its number, with what stands before it where stacks differ."""
    found = {name: _NUMBER.match(name) for name in names}
    stacks = {match[1] for match in found.values() if match is not None}
    return {
        name: "no layer"
        if match is None
        else match[2]
        if len(stacks) == 1
        else f"{match[1]}.{match[2]}".strip(".")
        for name, match in found.items()
    }


def _extremes(cells: Mapping[tuple[str, str], float], *, percent: bool) -> str:
    def said(key: tuple[str, str]) -> str:
        value = f"{100 * cells[key]:.2f} %" if percent else f"{cells[key]:.4g}"
        return f"{value} in layer {name_of(key[0], 60)}, {name_of(key[1], 60)}"

    low, high = min(cells, key=lambda key: cells[key]), max(cells, key=lambda key: cells[key])
    return f"from {said(low)}, to {said(high)}"
