"""Texts are read as the tokenizer frames them; what is cut or unknown is counted and said."""

from __future__ import annotations

from pathlib import Path

import pytest
import tinyencoders as encoders
import tinylanguage as tiny

from compressor.errors import InputError
from compressor.measure.encoders.sequences import Length, longest, preparations, sequences


def test_a_text_keeps_its_frame_when_it_is_cut(tmp_path: Path) -> None:
    tokenizer = tiny.save_tokenizer(tmp_path, frames=True)

    found = sequences(tokenizer, 6, ["a", "value " * 20])

    assert found.cut == 1
    assert len(found.tokens[1]) == 6
    assert all((each[0], each[-1]) == (tiny.START, tiny.END) for each in found.tokens)
    assert found.tokens[1][:-1] == tokenizer("value " * 20)["input_ids"][:5]


def test_the_least_of_the_limits_is_taken_and_named(tmp_path: Path) -> None:
    tokenizer = tiny.save_tokenizer(tmp_path)
    model = encoders.encoder()

    def found(asked: int | None, meant: int | None = None) -> Length:
        return longest(tiny.ready(model, tmp_path, "embedding", max_length=asked), tokenizer, meant)

    assert found(None) == Length(64, "config.json")
    assert found(None, 32) == Length(32, "sentence_bert_config.json")
    assert found(16, 32) == Length(16, "--max-length")
    assert found(128) == Length(64, "config.json")


def test_texts_that_are_cut_are_a_warning_with_their_count(tmp_path: Path) -> None:
    tokenizer = tiny.save_tokenizer(tmp_path, frames=True)
    model = tiny.ready(encoders.encoder(), tmp_path, "embedding", max_length=8)
    items = sequences(tokenizer, 8, ["a", "value " * 20, "name " * 30])

    found = list(preparations(model, tokenizer, Length(8, "--max-length"), items))

    assert [(each.what, each.value) for each in found][1] == ("sequence length", "8 tokens")
    assert found[0].warning == ""
    assert found[1].warning == "2 of 3 texts are longer, and were cut"


def test_unknown_tokens_are_a_warning_with_their_share(tmp_path: Path) -> None:
    tokenizer = tiny.save_tokenizer(tmp_path, frames=True)
    model = tiny.ready(encoders.encoder(), tmp_path, "embedding")
    items = sequences(tokenizer, 64, ["<unk>a", "<unk>b"])

    found = next(iter(preparations(model, tokenizer, Length(64, "config.json"), items)))

    assert items.unknown == 0.5
    assert found.warning == "50% of the tokens are unknown to the tokenizer"


def test_other_tokens_or_another_order_give_another_digest(tmp_path: Path) -> None:
    tokenizer = tiny.save_tokenizer(tmp_path)

    digests = [
        sequences(tokenizer, 64, texts).digest
        for texts in (["a b", "c"], ["c", "a b"], ["a", "b c"], ["a b", "c"])
    ]

    assert len(set(digests)) == 3
    assert digests[0] == digests[3]


def test_a_text_without_a_token_is_refused(tmp_path: Path) -> None:
    tokenizer = tiny.save_tokenizer(tmp_path)

    with pytest.raises(InputError, match="item 2") as refused:
        sequences(tokenizer, 64, ["a", ""])

    assert refused.value.id == "DATA-EMPTY"
