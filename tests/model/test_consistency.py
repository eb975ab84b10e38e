"""Configs that do not fit the tensors beside them, and configs that do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import zoo

from compressor.checkpoint.read.reader import Component
from compressor.errors import InputError
from compressor.model.consistency import TIED_BY_DEFAULT, check, tied_pair

CONFIG = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "num_hidden_layers": 4,
    "vocab_size": 96,
    "tie_word_embeddings": False,
}


def llama(layers: range = range(4), head: bool = True, **changes: Any) -> Component:
    shapes = {"model.embed_tokens.weight": (96, 32)}
    shapes |= {f"model.layers.{layer}.mlp.up_proj.weight": (48, 32) for layer in layers}
    if head:
        shapes["lm_head.weight"] = (96, 32)
    return zoo.component(shapes, CONFIG | changes)


def refusal(component: Component) -> InputError:
    with pytest.raises(InputError) as caught:
        check(component)
    assert 10 <= len(caught.value.message) <= 160
    assert caught.value.do
    return caught.value


@pytest.mark.parametrize("family", zoo.FAMILIES)
def test_no_checkpoint_of_the_zoo_is_refused_or_remarked_on(family: str, tmp_path: Path) -> None:
    zoo.build(family, tmp_path)

    assert check(zoo.read(tmp_path)) == []


@pytest.mark.parametrize("family", ["llama", "gpt2", "mpt", "bert", "distilbert", "t5", "whisper"])
def test_one_layer_more_or_less_in_the_config_is_noticed(family: str, tmp_path: Path) -> None:
    zoo.build(family, tmp_path)
    component = zoo.read(tmp_path)
    keys = {"n_layer", "n_layers", "num_hidden_layers", "num_layers", "decoder_layers"}
    key = sorted(keys & set(component.config or {}))[0]
    layers = (component.config or {})[key]

    more = refusal(
        Component("", {**(component.config or {}), key: layers + 1}, component.shards, None)
    )
    less = refusal(
        Component("", {**(component.config or {}), key: layers - 1}, component.shards, None)
    )

    assert more.id == "CKPT-MISSING-TENSOR"
    assert f"`{key}` says {layers + 1}" in more.found
    assert less.id == "CKPT-UNEXPECTED-TENSOR"


def test_layers_that_the_config_counts_must_be_stored() -> None:
    error = refusal(llama(num_hidden_layers=20_000))

    assert error.id == "CKPT-MISSING-TENSOR"
    assert "missing: 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, and 19986 more" in error.found


def test_a_gap_between_layers_is_noticed() -> None:
    error = refusal(llama(layers=range(0, 4, 2)))

    assert error.id == "CKPT-MISSING-TENSOR"
    assert error.found == "2 layers, `num_hidden_layers` says 4; missing: 1, 3"


def test_layers_beyond_the_config_are_noticed() -> None:
    error = refusal(llama(num_hidden_layers=2))

    assert error.id == "CKPT-UNEXPECTED-TENSOR"
    assert "beyond it: 2, 3" in error.found


def test_layers_that_predict_further_tokens_are_noted() -> None:
    notes = check(llama(num_hidden_layers=3, num_nextn_predict_layers=1))

    assert notes == ["`model.layers` holds layers that predict ahead: 3"]


@pytest.mark.parametrize("prefixes", [("a.", "b."), ("a.encoder.", "b.encoder.")])
def test_a_second_stack_of_the_same_kind_is_not_counted(prefixes: tuple[str, str]) -> None:
    shapes = {f"{prefix}layers.0.fc.weight": (4, 4) for prefix in prefixes}
    config = {"model_type": "bart", "num_hidden_layers": 7, "encoder_layers": 7}

    assert check(zoo.component(shapes, config)) == []


def test_a_decoder_alone_is_counted_by_the_value_for_decoders() -> None:
    shapes = {"model.decoder.layers.0.fc1.weight": (4, 4)}
    config = {"model_type": "bart", "num_hidden_layers": 12, "decoder_layers": 1}

    assert check(zoo.component(shapes, config)) == []


def test_a_decoder_may_have_a_vocabulary_of_its_own() -> None:
    shapes = {
        "model.encoder.embed_tokens.weight": (96, 32),
        "model.decoder.embed_tokens.weight": (50, 32),
    }
    config = {"model_type": "marian", "vocab_size": 96, "decoder_vocab_size": 50}

    assert check(zoo.component(shapes, config)) == []


def test_a_layer_number_of_ten_thousand_digits_is_no_layer() -> None:
    component = llama()
    name = f"model.layers.{'9' * 10_000}.mlp.up_proj.weight"
    shapes = {tensor.name: tensor.shape for _, tensor in component.tensors()} | {name: (48, 32)}

    assert check(zoo.component(shapes, component.config)) == []


def test_the_nested_config_counts_the_layers_of_its_sub_tree(tmp_path: Path) -> None:
    zoo.build("llava", tmp_path)
    component = zoo.read(tmp_path)
    config = dict(component.config or {})
    config["vision_config"] = {**config["vision_config"], "num_hidden_layers": 3}

    error = refusal(Component("", config, component.shards, None))

    assert error.id == "CKPT-MISSING-TENSOR"
    assert error.at == "vision_tower.encoder.layers"


@pytest.mark.parametrize("vocab_size", [95, 97])
def test_the_token_embedding_has_a_row_for_each_token(vocab_size: int) -> None:
    error = refusal(llama(vocab_size=vocab_size))

    assert error.id == "CKPT-SHAPE"
    assert error.at == "model.embed_tokens.weight"
    assert error.found == f"96 rows, `vocab_size` says {vocab_size}"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("hidden_size", -64),
        ("hidden_size", "64"),
        ("hidden_size", 64.5),
        ("hidden_size", True),
        ("num_attention_heads", 0),
        ("num_attention_heads", [4, 0]),
        ("intermediate_size", 10**9),
        ("num_hidden_layers", -1),
        ("num_hidden_layers", 10**9),
        ("vocab_size", {"size": 96}),
    ],
)
def test_a_value_that_no_model_has_is_refused(key: str, value: Any) -> None:
    error = refusal(llama(**{key: value}))

    assert error.id == "CONFIG-VALUE"
    assert error.at == f"config.json: {key}"
    assert repr(value) in error.found


def test_a_value_in_a_nested_config_is_named_with_its_place() -> None:
    error = refusal(llama(text_config={"hidden_size": -1}))

    assert error.at == "config.json: text_config.hidden_size"


def test_values_may_be_absent_null_or_one_per_layer() -> None:
    assert check(llama(num_key_value_heads=None, intermediate_size=[48] * 4)) == []


def test_an_untied_model_must_store_its_head() -> None:
    error = refusal(llama(head=False))

    assert error.id == "CKPT-MISSING-TENSOR"
    assert "lm_head.weight" in error.found


@pytest.mark.parametrize(
    "changes",
    [
        {"tie_word_embeddings": True},
        {"architectures": ["LlamaModel"]},
        {"architectures": []},
        {"architectures": None},
    ],
)
def test_a_tied_model_or_one_without_a_head_need_not_store_it(changes: dict[str, Any]) -> None:
    assert check(llama(head=False, **changes)) == []


@pytest.mark.parametrize(
    "component",
    [
        llama(num_hidden_layers=2, model_type="never-seen"),
        llama(vocab_size=7, model_type="never-seen"),
        llama(hidden_size=-1, model_type="never-seen"),
        llama(head=False, model_type="never-seen"),
    ],
)
def test_of_an_unknown_type_the_same_is_a_note(component: Component) -> None:
    assert len(check(component)) == 1


def test_a_checkpoint_without_a_config_has_nothing_to_disagree_with() -> None:
    component = llama()

    assert check(Component("", None, component.shards, None)) == []
    assert tied_pair(Component("", None, component.shards, None)) is None


def test_a_tied_pair_is_the_table_and_the_head_where_both_are_stored() -> None:
    pair = ("model.embed_tokens.weight", "lm_head.weight")

    assert tied_pair(llama(tie_word_embeddings=True)) == pair
    assert tied_pair(llama(tie_word_embeddings=True, head=False)) is None
    assert tied_pair(llama(tie_word_embeddings=False)) is None


@pytest.mark.parametrize("name", ["cls.predictions.decoder.weight", "lm_head.decoder.weight"])
def test_a_tied_pair_is_found_by_the_default_of_the_type(name: str) -> None:
    shapes = {"bert.embeddings.word_embeddings.weight": (96, 32), name: (96, 32)}

    pair = tied_pair(zoo.component(shapes, {"model_type": "bert"}))

    assert pair == ("bert.embeddings.word_embeddings.weight", name)


def test_a_tied_encoder_decoder_ties_the_shared_table() -> None:
    names = ["decoder.embed_tokens", "encoder.embed_tokens", "lm_head", "shared"]
    shapes = {f"{name}.weight": (96, 32) for name in names}

    pair = tied_pair(zoo.component(shapes, {"model_type": "t5", "tie_word_embeddings": True}))

    assert pair == ("shared.weight", "lm_head.weight")


def test_the_types_that_tie_by_default_are_those_of_transformers() -> None:
    import transformers

    defaults = {}
    for family, (architecture, _) in zoo.FAMILIES.items():
        default = getattr(transformers, architecture).config_class().to_dict()
        defaults[family] = default.get("tie_word_embeddings", False)

    assert {family for family, is_tied in defaults.items() if is_tied} == TIED_BY_DEFAULT
