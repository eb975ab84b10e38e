"""Which axis of a weight is the input: declared per architecture, else shown by the bias.

Shape cannot tell the two axes of a square matrix apart. A wrong guess raises nothing: N:M groups
would run along the outputs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from compressor.model.names import CONVOLUTION, TRANSPOSED, says
from compressor.model.subconfig import model_type

Shapes = Mapping[str, tuple[int, ...]]


class Layout(str, Enum):
    """The axes of a stored weight."""

    OUT_IN = "out_in"
    """`(…, out, in)`: a linear, an embedding, fused experts."""
    IN_OUT = "in_out"
    """`(…, in, out)`: GPT-2's Conv1D, the experts of GPT-OSS."""
    CONVOLUTION = "convolution"
    """`(out, in / groups, *kernel)`."""
    CONVOLUTION_TRANSPOSED = "convolution_transposed"
    """`(in, out / groups, *kernel)`."""
    NONE = "none"
    """Not a matrix."""


CONV1D: Final[Mapping[str, frozenset[str]]] = {
    "gpt2": frozenset({"c_attn", "q_attn", "c_fc", "c_proj"}),
    "openai-gpt": frozenset({"c_attn", "c_fc", "c_proj"}),
    "imagegpt": frozenset({"c_attn", "q_attn", "c_fc", "c_proj"}),
    "decision_transformer": frozenset({"c_attn", "q_attn", "c_fc", "c_proj"}),
    "clvp": frozenset({"c_fc", "c_proj"}),
    "clvp_decoder": frozenset({"c_fc", "c_proj"}),
}
"""The modules of these types that transformers builds as `Conv1D`, stored `(in, out)`."""

FUSED_EXPERTS: Final[Mapping[str, Layout]] = {
    "gpt_oss": Layout.IN_OUT,
    "openai_privacy_filter": Layout.IN_OUT,
    "llama4": Layout.IN_OUT,
    "llama4_text": Layout.IN_OUT,
    "aria": Layout.IN_OUT,
    "aria_text": Layout.IN_OUT,
    "granitemoe": Layout.OUT_IN,
    "granitemoeshared": Layout.OUT_IN,
    "granitemoehybrid": Layout.OUT_IN,
    "jetmoe": Layout.OUT_IN,
}
"""How these types store all experts of a layer in one tensor, experts first."""

READS_HIDDEN: Final = {"gate_up_proj": 2, "input_linear": 2, "gate_proj": 1, "up_proj": 1}
"""Projections from `hidden_size` to so many times the experts' width."""
WRITES_HIDDEN: Final = frozenset({"down_proj", "output_linear"})


def fused_experts(parts: list[str], shape: tuple[int, ...], config: Mapping[str, Any]) -> Layout:
    """The layout of a layer's experts in one `(experts, …, …)` tensor; NONE where it is not sure.

    Of a type that is not declared, the sizes in the config decide, if they fit one way round only.
    """
    if declared := FUSED_EXPERTS.get(model_type(config)):
        return declared
    hidden = config.get("hidden_size")
    widths = [config.get("moe_intermediate_size"), config.get("intermediate_size")]
    expected: set[tuple[object, object]] = set()
    for width in (width for width in widths if isinstance(width, int)):
        expected |= {(READS_HIDDEN[part] * width, hidden) for part in parts if part in READS_HIDDEN}
        expected |= {(hidden, width) for part in parts if part in WRITES_HIDDEN}
    is_out_in, is_in_out = shape[1:] in expected, shape[:0:-1] in expected
    if is_out_in == is_in_out:
        return Layout.NONE
    return Layout.OUT_IN if is_out_in else Layout.IN_OUT


def layouts(
    shapes: Shapes, configs: Mapping[str, Mapping[str, Any]], known: frozenset[str]
) -> dict[str, Layout]:
    """The layout of every matrix and kernel that ends in `weight`, by name.

    Of a model type that is not known, a bias as long as one axis only shows which is the output.
    A square matrix follows the others of its stack if they agree: in `h.#`, all are `(in, out)`.
    """
    found: dict[str, Layout] = {}
    shown: dict[str, set[Layout]] = defaultdict(set)
    undecided = []
    for name, shape in shapes.items():
        bias = shapes.get(name.removesuffix("weight") + "bias", ())
        kind = model_type(configs[name])
        if not name.endswith("weight") or len(shape) < 2:
            continue
        if len(shape) > 2:
            found[name] = _kernel(name.split("."), shape, bias)
        elif kind in known or kind in CONV1D:
            found[name] = _declared(name.split("."), kind)
        elif shape[0] != shape[1] and bias in {shape[:1], shape[1:]}:
            found[name] = Layout.OUT_IN if bias == shape[:1] else Layout.IN_OUT
            shown[_stack(name)].add(found[name])
        elif bias:
            undecided.append(name)
        else:
            found[name] = Layout.OUT_IN
    for name in undecided:
        agreed = shown[_stack(name)] == {Layout.IN_OUT}
        found[name] = Layout.IN_OUT if agreed else Layout.OUT_IN
    return found


def _declared(parts: list[str], kind: str) -> Layout:
    is_conv1d = not CONV1D.get(kind, frozenset()).isdisjoint(parts[-2:-1])
    return Layout.IN_OUT if is_conv1d else Layout.OUT_IN


def _kernel(parts: list[str], shape: tuple[int, ...], bias: tuple[int, ...]) -> Layout:
    """Three dimensions may be fused experts: a convolution shows by its name or its bias."""
    is_named = says(CONVOLUTION, parts) or len(shape) > 3
    if shape[:2] == (1, 1) or not (is_named or bias == shape[:1]):
        return Layout.NONE
    shown_by_bias = len(bias) == 1 and bias != shape[:1]
    if shown_by_bias or says(TRANSPOSED, parts):
        return Layout.CONVOLUTION_TRANSPOSED
    return Layout.CONVOLUTION


def _stack(name: str) -> str:
    """Everything before the first number: `transformer.h.` of `transformer.h.0.mlp.c_fc.weight`."""
    parts = name.split(".")
    numbers = [place for place, part in enumerate(parts) if part.isdigit()]
    return ".".join(parts[: numbers[0]]) if numbers else name
