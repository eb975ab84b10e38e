"""A chain is read as sentence-transformers means it, and what is not known is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tinyencoders as tiny

from compressor.errors import InputError
from compressor.measure.encoders.chain import Chain, read_chain


def test_without_a_chain_the_mean_over_tokens_is_assumed(tmp_path: Path) -> None:
    found = read_chain(tmp_path)

    assert found == Chain(tmp_path, ("mean",), False, "assumed")
    assert str(found) == "mean pooling, not normalised"


@pytest.mark.parametrize(
    ("pooling", "modes"),
    [
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, ("mean",)),
        ({"pooling_mode_lasttoken": True, "pooling_mode_cls_token": True}, ("cls", "lasttoken")),
        ({"pooling_mode": "weightedmean"}, ("weightedmean",)),
        ({"pooling_mode": ["max", "mean_sqrt_len_tokens"]}, ("max", "mean_sqrt_len_tokens")),
        ({}, ("mean",)),
    ],
)
def test_poolings_are_read_from_old_and_new_files(
    tmp_path: Path, pooling: dict[str, Any], modes: tuple[str, ...]
) -> None:
    tiny.save_chain(tmp_path, pooling)

    assert read_chain(tmp_path).modes == modes


def test_length_lower_casing_and_normalisation_are_read(tmp_path: Path) -> None:
    tiny.save_chain(
        tmp_path,
        {"pooling_mode": "cls"},
        ("Transformer", "Pooling"),
        {"max_seq_length": 48, "do_lower_case": True},
    )

    found = read_chain(tmp_path)

    assert (found.max_length, found.lowers_case, found.is_normalised) == (48, True, False)
    assert found.origin == "1_Pooling/config.json"


def test_prompts_that_would_change_a_text_are_named(tmp_path: Path) -> None:
    tiny.save_chain(tmp_path, {})
    prompts = {"query": "query: ", "document": "", "other": None}
    (tmp_path / "config_sentence_transformers.json").write_text(json.dumps({"prompts": prompts}))

    assert read_chain(tmp_path).prompts == ("query",)


@pytest.mark.parametrize(
    "kinds",
    [
        ("Transformer", "Pooling", "Dense", "Normalize"),
        ("Transformer", "Dense"),
        ("Transformer",),
        ("WordEmbeddings", "Pooling"),
    ],
)
def test_another_chain_is_refused(tmp_path: Path, kinds: tuple[str, ...]) -> None:
    tiny.save_chain(tmp_path, {}, (*kinds, "Normalize") if len(kinds) == 1 else kinds)

    with pytest.raises(InputError) as refused:
        read_chain(tmp_path)

    assert refused.value.id == "CHAIN-MODULES"
    assert kinds[-1] in refused.value.found


def test_a_module_outside_the_checkpoint_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    tiny.save_chain(folder, {})
    outside = (folder / "modules.json").read_text().replace("1_Pooling", "../elsewhere")
    (folder / "modules.json").write_text(outside)

    with pytest.raises(InputError, match="elsewhere") as refused:
        read_chain(folder)

    assert refused.value.id == "CHAIN-MODULES"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("modules.json", "[{"),
        ("modules.json", '{"path": ""}'),
        ("1_Pooling/config.json", '{"pooling_mode": "median"}'),
        ("1_Pooling/config.json", "[]"),
        ("sentence_bert_config.json", '{"max_seq_length": "many"}'),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, text: str) -> None:
    tiny.save_chain(tmp_path, {})
    (tmp_path / name).write_text(text)

    with pytest.raises(InputError) as refused:
        read_chain(tmp_path)

    assert refused.value.id == "CONFIG-UNREADABLE"
    assert refused.value.at.endswith(name)


def test_a_pooling_without_its_file_is_an_error(tmp_path: Path) -> None:
    tiny.save_chain(tmp_path, {})
    (tmp_path / "1_Pooling" / "config.json").unlink()

    with pytest.raises(InputError) as refused:
        read_chain(tmp_path)

    assert refused.value.id == "CONFIG-UNREADABLE"
