"""A model's `config.json` as untrusted data: read strictly, and relieved of what would run code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from compressor.checkpoint.read.limits import Limits
from compressor.checkpoint.read.strict_json import MalformedJson, parse_object
from compressor.errors import InputError, RefusedError, listing, printable

_ATTENTIONS: Final = frozenset(
    {"eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention"}
)
_EXPERTS: Final = frozenset({"eager", "batched_mm", "grouped_mm"})
_IMPLEMENTATIONS: Final[Mapping[str, frozenset[str]]] = {
    f"{prefix}{kind}_implementation{suffix}": allowed
    for prefix in ("", "_")
    for kind, allowed in (("attn", _ATTENTIONS), ("experts", _EXPERTS))
    for suffix in ("", "_internal")
}
"""Keys that choose the code of a layer; any other value than these names a kernel on the hub."""

_DTYPES: Final = frozenset(
    {
        "auto",
        "float64",
        "double",
        "float32",
        "float",
        "bfloat16",
        "float16",
        "half",
        "float8_e4m3fn",
        "float8_e4m3fnuz",
        "float8_e5m2",
        "float8_e5m2fnuz",
        "int64",
        "int32",
        "int16",
        "int8",
        "uint8",
        "bool",
    }
)


def parse_config(raw: bytes, at: str, limits: Limits) -> dict[str, Any]:
    """The config of a model; what a loader would run or look up by name is refused."""
    if len(raw) > limits.config:
        raise _unreadable(at, f"more than {limits.config} bytes")
    try:
        config = parse_object(raw, limits.depth, is_strict=False)
    except MalformedJson as error:
        raise _unreadable(at, str(error)) from error
    _, kernels = scrub(config)
    if kernels:
        raise RefusedError(
            "HUB-KERNEL",
            "the config names an implementation that would be fetched as code",
            at=at,
            found=f"{listing(kernels)}; expected a built-in one, such as `eager` or `sdpa`",
            do="remove the key from the config if you trust its other content",
        )
    _check_dtypes(config, at)
    return config


def missing_config(at: str) -> InputError:
    """The error for a model without `config.json`."""
    return _unreadable(at, "no such file")


def scrub(config: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """A copy without implementations that a loader would fetch from the hub, and what was removed.

    >>> scrub({"_attn_implementation": "org/kernel", "hidden_size": 8})
    ({'hidden_size': 8}, ('_attn_implementation: org/kernel',))
    """
    removed: list[str] = []
    scrubbed = dict(_scrubbed(config, removed))
    return scrubbed, tuple(removed)


def sub_configs(config: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The config itself and the model configs inside it, each with its path: `text_config.`."""
    yield "", config
    for key, value in config.items():
        if key.endswith("_config") and key != "quantization_config" and isinstance(value, dict):
            for path, inner in sub_configs(value):
                yield f"{key}.{path}", inner


def _scrubbed(config: Mapping[str, Any], removed: list[str]) -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        allowed = _IMPLEMENTATIONS.get(key)
        if allowed is not None and not _is_allowed(value, allowed):
            removed.append(f"{key}: {printable(value)}")
        else:
            yield key, _scrubbed_value(value, removed)


def _scrubbed_value(value: Any, removed: list[str]) -> Any:
    if isinstance(value, dict):
        return dict(_scrubbed(value, removed))
    if isinstance(value, list):
        return [_scrubbed_value(item, removed) for item in value]
    return value


def _is_allowed(value: object, allowed: frozenset[str]) -> bool:
    """A name, nothing, or one of these for each part of the model."""
    if isinstance(value, dict):
        return all(_is_allowed(item, allowed) for item in value.values())
    return value is None or (isinstance(value, str) and value in allowed)


def _check_dtypes(config: Mapping[str, Any], at: str) -> None:
    for path, inner in sub_configs(config):
        for key in ("dtype", "torch_dtype"):
            value = inner.get(key)
            named = value.values() if isinstance(value, dict) else [value]
            for name in named:
                is_known = isinstance(name, str) and name.removeprefix("torch.") in _DTYPES
                if name is not None and not is_known:
                    raise InputError(
                        "CONFIG-VALUE",
                        "the config names a dtype that does not exist",
                        at=f"{at}, key {path}{key}",
                        found=f"`{printable(name)}`, expected a name such as `bfloat16`",
                        do="correct the key in the config",
                    )


def _unreadable(at: str, found: str) -> InputError:
    return InputError(
        "CONFIG-UNREADABLE",
        "the model's config cannot be read",
        at=at,
        found=f"{found}, expected a JSON object in UTF-8",
        do="fetch config.json again from the model's provider",
    )
