"""Which stored tensors a step may touch, from names, shapes and config alone.

A step touches the weights inside numbered blocks: linears, convolutions, experts. Everything else
stays dense by default, with its reason. That goes for the convolutions that turn pixels, waveforms
and spectrograms into features too (ResNet's stem, wav2vec2's and Whisper's): they are few weights,
read before anything is abstract, and count as embeddings. What no rule knows stays dense.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, final

from compressor.checkpoint.read.header import TensorInfo
from compressor.checkpoint.read.reader import Component
from compressor.model import names
from compressor.model.layouts import Layout, fused_experts, layouts
from compressor.model.subconfig import all_configs, governing, model_type

__all__ = ["KNOWN", "Classified", "Layout", "Role", "classify", "is_known"]


class Role(str, Enum):
    """What a tensor is for."""

    LINEAR = "linear"
    CONVOLUTION = "convolution"
    EXPERT = "expert"
    EMBEDDING = "embedding"
    HEAD = "head"
    NORM = "norm"
    BIAS = "bias"
    ROUTER = "router"
    OTHER = "other"


@final
@dataclass(frozen=True)
class Classified:
    """A tensor's role and layout. `reason` says why it stays dense by default, else it is `""`."""

    role: Role
    layout: Layout
    reason: str


_KNOWN = """
albert bart beit bert bloom clip clip_text_model clip_vision_model codegen cohere convnext
deberta-v2 decision_transformer deepseek_v3 deit detr dinov2 distilbert electra falcon gemma
gemma2 gemma3_text gpt2 gpt_bigcode gpt_neo gpt_neox gpt_oss gptj granite granitemoe hubert
imagegpt llama llava mamba mamba2 marian mistral mixtral modernbert mpnet mpt olmo olmoe
openai-gpt opt patchtst pegasus phi phi3 qwen2 qwen2_moe qwen3 qwen3_moe regnet resnet roberta
rt_detr rt_detr_resnet segformer siglip siglip_text_model siglip_vision_model speecht5 stablelm
starcoder2 swin t5 table-transformer time_series_transformer timesfm vision-encoder-decoder vit
vits wav2vec2 whisper xlm-roberta
"""
KNOWN: Final = frozenset(_KNOWN.split())
"""The model types that the tests build and compare with what transformers instantiates."""

REASONS: Final[Mapping[Role, str]] = {
    Role.EMBEDDING: "an embedding: tokens, positions, patches or the input features",
    Role.HEAD: "a head: its rows are the outputs",
    Role.NORM: "a norm or a scale, one value per channel",
    Role.BIAS: "a bias",
    Role.ROUTER: "a router: few weights decide the path of every token",
}
OUTSIDE: Final = "lies outside the numbered blocks"
NOT_A_WEIGHT: Final = "no rule says that it is the weight of a linear or a convolution"
FACTOR: Final = "a factor of a weight: a zero in it would not be a zero of the weight"
NOT_FLOATING: Final = "holds integers, not weights"
UNKNOWN_EXPERTS: Final = "fused experts whose input axis is not known for this model type"

LINEAR_WEIGHTS: Final = frozenset(
    {"weight", "in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight"}
)
"""The parameters of `nn.Linear`, and of `nn.MultiheadAttention`."""

FUSED_WEIGHTS: Final = frozenset({"weight", "gate_up_proj", "gate_proj", "up_proj", "down_proj"})
FUSED_MODULES: Final = frozenset({"input_linear", "output_linear"})


def is_known(component: Component) -> bool:
    """Whether the model type, and those nested in it, are in the test matrix of `KNOWN`."""
    if component.config is None:
        return False
    found = {model_type(config) for _, config in all_configs(component.config)}
    return model_type(component.config) in KNOWN and found - {""} <= KNOWN


def classify(component: Component) -> dict[str, Classified]:
    """Role and layout of every tensor of the component, by name."""
    tensors = {tensor.name: tensor for _, tensor in component.tensors()}
    configs = {name: governing(component.config or {}, name) for name in tensors}
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    axes = layouts(shapes, configs, KNOWN)
    scales = {name.rpartition(".")[0] for name in tensors if _is_scale(tensors[name])}
    return {
        name: _classify(tensor, configs[name], axes.get(name, Layout.NONE), scales)
        for name, tensor in tensors.items()
    }


def _is_scale(tensor: TensorInfo) -> bool:
    """A one-dimensional `weight` (`gamma` in old checkpoints) belongs to a norm."""
    return len(tensor.shape) == 1 and tensor.name.endswith((".weight", ".gamma"))


def _classify(
    tensor: TensorInfo, config: Mapping[str, Any], layout: Layout, scales: set[str]
) -> Classified:
    parts = tensor.name.split(".")
    module, leaf = tensor.name.rpartition(".")[0], parts[-1]
    if module in scales:
        return _dense(Role.NORM)
    if tensor.dtype[0] in "BIU" and not tensor.dtype.startswith("BF"):
        return _other(NOT_FLOATING)
    if leaf == "bias" or leaf.endswith("_bias"):
        return _dense(Role.BIAS)
    if names.says(names.FACTOR, parts):
        return _other(FACTOR)
    if role := _by_name(parts):
        return _dense(role, layout)
    if "experts" in parts or (names.owner(parts) in FUSED_MODULES and len(tensor.shape) == 3):
        return _expert(parts, tensor.shape, config)
    return _by_shape(parts, tensor.shape, layout)


def _by_name(parts: list[str]) -> Role | None:
    if names.is_router(parts):
        return Role.ROUTER
    if names.is_head(parts):
        return Role.HEAD
    if names.is_embedding(parts):
        return Role.EMBEDDING
    return Role.NORM if names.is_norm(parts) else None


def _expert(parts: list[str], shape: tuple[int, ...], config: Mapping[str, Any]) -> Classified:
    if len(shape) == 2 and parts[-1] == "weight":
        return Classified(Role.EXPERT, Layout.OUT_IN, "")
    if len(shape) == 3 and parts[-1] in FUSED_WEIGHTS:
        layout = fused_experts(parts, shape, config)
        return Classified(Role.EXPERT, layout, UNKNOWN_EXPERTS if layout is Layout.NONE else "")
    return _other(NOT_A_WEIGHT)


def _by_shape(parts: list[str], shape: tuple[int, ...], layout: Layout) -> Classified:
    is_linear = len(shape) == 2 and parts[-1] in LINEAR_WEIGHTS
    if layout is Layout.NONE or (len(shape) == 2 and not is_linear):
        return _other(NOT_A_WEIGHT)
    if not names.in_block(parts):
        return Classified(Role.OTHER, layout, OUTSIDE)
    return Classified(Role.LINEAR if is_linear else Role.CONVOLUTION, layout, "")


def _dense(role: Role, layout: Layout = Layout.NONE) -> Classified:
    return Classified(role, layout, REASONS[role])


def _other(reason: str) -> Classified:
    return Classified(Role.OTHER, Layout.NONE, reason)
