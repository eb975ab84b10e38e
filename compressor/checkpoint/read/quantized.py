"""Whether weights are codes of another number format, which arithmetic would take for values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from compressor.checkpoint.read.config import sub_configs
from compressor.checkpoint.read.header import TensorInfo
from compressor.errors import InputError, listing, printable

_METHODS: Final = frozenset(
    {
        "aqlm",
        "auto-round",
        "awq",
        "bitnet",
        "bitsandbytes",
        "bitsandbytes_4bit",
        "bitsandbytes_8bit",
        "compressed-tensors",
        "compressor",
        "eetq",
        "exl2",
        "fbgemm_fp8",
        "fp8",
        "fp_quant",
        "gguf",
        "gptq",
        "higgs",
        "hqq",
        "modelopt",
        "mxfp4",
        "nvfp4",
        "quanto",
        "quark",
        "sinq",
        "spqr",
        "torchao",
        "vptq",
    }
)
_CODES: Final = re.compile(r"I8|F4|F6_\w+|F8_\w+")
_PARTS: Final = re.compile(
    r"(?:^|\.)(?:qweight|qzeros|q_weight|q_scale|g_idx|weight_scale|weight_scale_inv|weight_packed"
    r"|weight_zero_point|weight_shape|SCB|weight_format"
    r"|weight\.(?:absmax|quant_map|nested_absmax|nested_quant_map|quant_state\..+))$"
)
_MASKS: Final = re.compile(r"mask|(?:^|\.)bias$", re.IGNORECASE)
"""Old causal masks are stored as bytes: `h.0.attn.bias`."""

_DO: Final = "start from the unquantised checkpoint of the same model"


def refuse_quantized(
    config: Mapping[str, Any] | None, tensors: Iterable[TensorInfo], at: str
) -> None:
    """Refuse a component whose config or tensors say that it is quantised."""
    for path, inner in sub_configs(config or {}):
        for key in ("quantization_config", "compression_config"):
            if inner.get(key):
                _refuse_method(inner[key], f"{at}config.json, key {path}{key}")
    if found := [tensor for tensor in tensors if _is_quantized(tensor)]:
        shown = listing(f"{tensor.name} ({tensor.dtype})" for tensor in found)
        raise InputError(
            "QUANT-DETECTED",
            "the weights are quantised, though no config says so",
            at=at or "the checkpoint",
            found=f"{len(found)} tensors of codes or scales: {shown}; expected numbers",
            do=_DO,
        )


def _refuse_method(settings: object, at: str) -> None:
    method = _method(settings)
    if method in _METHODS:
        raise InputError(
            "QUANT-UNSUPPORTED",
            "the weights are quantised, and cannot be compressed in that form",
            at=at,
            found=f"the method `{method}`, expected unquantised weights",
            do=_DO,
        )
    shown = printable(settings if method is None else method)
    raise InputError(
        "QUANT-UNKNOWN",
        "the weights are quantised by a method that is not known",
        at=at,
        found=f"`{shown}`, expected unquantised weights",
        do=_DO,
    )


def _method(settings: object) -> str | None:
    if not isinstance(settings, dict):
        return None
    if settings.get("load_in_8bit") is True or settings.get("load_in_4bit") is True:
        return "bitsandbytes"
    method = settings.get("quant_method", settings.get("quant_type"))
    return method if isinstance(method, str) else None


def _is_quantized(tensor: TensorInfo) -> bool:
    if _CODES.fullmatch(tensor.dtype) or _PARTS.search(tensor.name):
        return True
    return tensor.dtype == "U8" and _MASKS.search(tensor.name) is None
