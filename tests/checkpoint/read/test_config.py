"""A config keeps what a loader reads, and loses what a loader would fetch as code."""

from __future__ import annotations

import copy

import pytest

from compressor.checkpoint.read.config import scrub, sub_configs

KEYS = [
    "attn_implementation",
    "_attn_implementation",
    "_attn_implementation_internal",
    "experts_implementation",
    "_experts_implementation",
]


@pytest.mark.parametrize("key", KEYS)
def test_an_unlisted_implementation_is_removed_at_any_depth(key: str) -> None:
    config = {"a": 1, key: "x/y", "b": [{key: "x/y", "c": {key: "x/y"}}], "d": {key: "eager"}}
    before = copy.deepcopy(config)

    scrubbed, removed = scrub(config)

    assert scrubbed == {"a": 1, "b": [{"c": {}}], "d": {key: "eager"}}
    assert removed == (f"{key}: x/y",) * 3
    assert config == before


@pytest.mark.parametrize(
    "value", ["x/y", ["eager"], 1, {"text_config": "x/y"}, "kernels-community/a"]
)
def test_only_listed_names_are_kept(value: object) -> None:
    assert scrub({"_attn_implementation": value})[0] == {}


def test_a_config_without_such_keys_is_unchanged() -> None:
    config = {"hidden_size": 8, "text_config": {"layers": [1, 2]}, "attn_config": {"impl": "x"}}

    assert scrub(config) == (config, ())


def test_the_configs_of_the_parts_are_found_with_their_path() -> None:
    inner = {"dtype": "float32"}
    config = {"text_config": {"audio_config": inner}, "quantization_config": {}, "x": {}}

    assert [path for path, _ in sub_configs(config)] == [
        "",
        "text_config.",
        "text_config.audio_config.",
    ]
