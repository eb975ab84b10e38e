"""A tokenizer is the checkpoint's own or an error; a model takes what its config says."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import tinylanguage as tiny

from compressor.errors import CompressorError
from compressor.measure.language.tokens import (
    any_start,
    collapse,
    digest,
    longest_input,
    own_start,
    places,
    plain,
    require_embedded,
    tokenizer,
)

CONFIG = {"config.json": json.dumps({"model_type": "gpt2"})}


@pytest.mark.parametrize(
    ("files", "id"),
    [
        ({}, "TOKENIZER-UNREADABLE"),
        # transformers builds one of its special tokens only, and says nothing.
        (CONFIG, "TOKENIZER-UNREADABLE"),
        ({"config.json": json.dumps({"model_type": "bert"})}, "TOKENIZER-UNREADABLE"),
        (CONFIG | {"tokenizer.json": ""}, "TOKENIZER-UNREADABLE"),
        (CONFIG | {"tokenizer.json": '{"model": {"vocab": '}, "TOKENIZER-UNREADABLE"),
        (CONFIG | {"tokenizer.json": '{"version": "1.0"}'}, "TOKENIZER-UNREADABLE"),
        (
            {
                "config.json": json.dumps({"model_type": "own"}),
                "tokenizer_config.json": json.dumps({"auto_map": {"AutoTokenizer": ["a.B", None]}}),
                "a.py": "raise SystemExit('this code ran')",
            },
            "REMOTE-CODE",
        ),
    ],
)
def test_a_folder_without_a_whole_tokenizer_is_refused(
    tmp_path: Path, files: dict[str, str], id: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)

    with pytest.raises(CompressorError) as caught:
        tokenizer(tmp_path)

    assert caught.value.id == id


def test_the_tokenizer_of_a_folder_is_the_one_that_was_saved(tmp_path: Path) -> None:
    saved = tiny.save_tokenizer(tmp_path)

    found = tokenizer(tmp_path)

    assert plain(found, tiny.TEXTS[:3]) == [saved(text)["input_ids"] for text in tiny.TEXTS[:3]]
    assert plain(found, []) == []


def test_a_start_is_what_the_tokenizer_adds_by_itself(tmp_path: Path) -> None:
    bare = tiny.save_tokenizer(tmp_path)
    starts = tiny.save_tokenizer(tmp_path, adds_start=True)

    assert own_start(bare) == []
    assert own_start(starts) == any_start(bare) == [tiny.START]
    assert plain(starts, ["one two"]) == plain(bare, ["one two"])
    bare.bos_token = None
    assert any_start(bare) == [tiny.END]
    bare.eos_token = None
    assert any_start(bare) == []


@pytest.mark.parametrize("asked", [None, 16, 1000])
def test_the_input_is_as_long_as_asked_and_never_longer_than_the_model_takes(
    tmp_path: Path, asked: int | None
) -> None:
    model = tiny.ready(tiny.gpt2(positions=64), tmp_path, max_length=asked)

    assert places(model) == 64
    assert longest_input(model) == min(asked or 512, 64)


def test_a_model_without_positions_takes_any_length(tmp_path: Path) -> None:
    from transformers import MambaConfig, MambaForCausalLM

    config = MambaConfig(vocab_size=96, hidden_size=32, num_hidden_layers=1, state_size=4)
    model = tiny.ready(MambaForCausalLM(config), tmp_path)

    assert places(model) == math.inf
    assert longest_input(model) == 512


def test_a_token_without_an_embedding_is_refused(tmp_path: Path) -> None:
    model = tiny.ready(tiny.gpt2(96), tmp_path)
    require_embedded([[0, 95], []], model)

    with pytest.raises(CompressorError) as caught:
        require_embedded([[0, 95], [96]], model)

    assert caught.value.id == "TOKENIZER-VOCAB"


def test_a_digest_tells_apart_where_one_text_ends_and_what_is_done_with_it() -> None:
    texts = [[[1, 2], [3]], [[1], [2, 3]], [[1, 2, 3]], [[1, 2], [3], []]]

    found = [digest(each, "context 8") for each in texts]

    assert len(set(found)) == 4
    assert digest(texts[0], "context 9") not in found
    assert digest([[1, 2], [3]], "context 8") == found[0]


@pytest.mark.parametrize(
    ("perplexity", "is_broken"),
    [(95.9, False), (96.0, True), (1e30, True), (math.inf, True), (math.nan, True)],
)
def test_a_perplexity_no_better_than_a_guess_is_a_collapse(
    tmp_path: Path, perplexity: float, is_broken: bool
) -> None:
    model = tiny.ready(tiny.gpt2(96), tmp_path)

    assert bool(collapse(perplexity, model)) == is_broken
