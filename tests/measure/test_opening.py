"""A model that is opened has the tensors of its file and no others, and is gone afterwards."""

from __future__ import annotations

import gc
import json
import re
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import badinputs as bad
import numpy as np
import psutil
import pytest
import tinyencoders as encoders
import tinylanguage as tiny
import torch
from safetensors.torch import load_file, save_file

from compressor.checkpoint.read.reader import open_checkpoint
from compressor.errors import CompressorError, InputError, UsageError
from compressor.measure.loaded import Loaded
from compressor.measure.opening import (
    Setting,
    opened,
    require_one_kind,
    resolve_device,
    resolve_dtype,
)

SETTING = Setting("cpu", "float32", batch_size=8, max_length=None, threads=1)


def pretrained() -> Any:
    """A BERT with both heads of its training, and a pooler."""
    from transformers import BertForPreTraining

    torch.manual_seed(3)
    return BertForPreTraining(encoders.config())


def token_classifier() -> Any:
    """A BERT with a head that labels tokens, and no pooler."""
    from transformers import BertForTokenClassification

    torch.manual_seed(3)
    return BertForTokenClassification(encoders.config())


def pooled() -> Any:
    """A BERT without a head, with its pooler."""
    from transformers import BertModel

    torch.manual_seed(3)
    return BertModel(encoders.config())


def open_once(folder: Path, look: Callable[[Loaded], Any], setting: Setting = SETTING) -> Any:
    with opened("it", open_checkpoint(folder), setting, lambda items: None) as model:
        return look(model)


def tensors(model: Loaded) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.model.state_dict().items()}


def edit_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize("is_chain", [False, True])
@pytest.mark.parametrize(
    "make", [encoders.encoder, pooled, pretrained, token_classifier], ids=lambda make: make.__name__
)
def test_an_encoder_has_the_tensors_of_its_file(
    make: Callable[[], Any], is_chain: bool, tmp_path: Path
) -> None:
    make().save_pretrained(tmp_path)
    if is_chain:
        encoders.save_chain(tmp_path, {"pooling_mode": "mean"})
    stored = load_file(tmp_path / "model.safetensors")
    stored = {name.removeprefix("bert."): tensor for name, tensor in stored.items()}

    kind, found = open_once(tmp_path, lambda model: (model.kind, tensors(model)))

    assert kind == "embedding"
    assert found
    assert all(torch.equal(tensor, stored[name]) for name, tensor in found.items())
    heads = {name for name in stored if name not in found}
    assert all(re.match(r"(cls|classifier)\.", name) for name in heads)


@pytest.mark.parametrize("make", [encoders.encoder, pretrained, tiny.gpt2])
def test_a_config_that_is_deeper_than_its_file_is_refused_before_it_takes_memory(
    make: Callable[[], Any], tmp_path: Path
) -> None:
    make().save_pretrained(tmp_path)
    layers = "n_layer" if make is tiny.gpt2 else "num_hidden_layers"
    width = {"n_inner": 1 << 20} if make is tiny.gpt2 else {"intermediate_size": 1 << 20}
    # 8 blocks of 2 matrices of 32 by 2**20 in fp32 are 2 GiB.
    edit_config(tmp_path, **{layers: 8}, **width)
    before = psutil.Process().memory_info().rss

    with pytest.raises(InputError) as caught:
        open_once(tmp_path, tensors)

    assert (caught.value.id, caught.value.exit_code) == ("CKPT-MISSING-TENSOR", 3)
    assert psutil.Process().memory_info().rss - before < 1 << 29


@pytest.mark.parametrize(
    ("change", "id"),
    [
        (lambda stored: stored.pop("encoder.layer.1.output.dense.bias"), "CKPT-MISSING-TENSOR"),
        (
            lambda stored: stored.update({"encoder.layer.2.output.dense.bias": torch.ones(32)}),
            "CKPT-UNEXPECTED-TENSOR",
        ),
        (
            lambda stored: stored.update({"encoder.layer.1.output.dense.bias": torch.ones(64)}),
            "CKPT-SHAPE",
        ),
    ],
)
def test_an_encoder_whose_file_does_not_fit_is_refused(
    change: Callable[[dict[str, torch.Tensor]], Any], id: str, tmp_path: Path
) -> None:
    encoders.encoder().save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    stored = load_file(path)
    change(stored)
    save_file(stored, path, metadata={"format": "pt"})

    with pytest.raises(CompressorError) as caught:
        open_once(tmp_path, tensors)

    assert caught.value.id == id


@pytest.mark.parametrize(
    ("sizes", "dtype"),
    [
        ({"F32": 3, "BF16": 2}, "float32"),
        ({"F32": 2, "BF16": 3}, "bfloat16"),
        ({"F16": 5, "F32": 2, "BF16": 4}, "float16"),
        ({"F64": 2, "I64": 9}, "float64"),
        ({"F32": 2, "F16": 2}, "float32"),
        ({"I64": 3}, "float32"),
    ],
)
def test_the_dtype_is_that_of_most_weights(
    sizes: dict[str, int], dtype: str, tmp_path: Path
) -> None:
    names = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}
    names |= {"F64": torch.float64, "I64": torch.int64}
    bad.write_model(tmp_path)
    stored = {kind: torch.ones(size, dtype=names[kind]) for kind, size in sizes.items()}
    save_file(stored, tmp_path / "model.safetensors")

    assert resolve_dtype("auto", open_checkpoint(tmp_path)) == dtype
    assert resolve_dtype("float16", open_checkpoint(tmp_path)) == "float16"


def test_weights_are_counted_and_not_tensors(tmp_path: Path) -> None:
    bad.write_model(tmp_path)
    biases = {f"bias.{number}": torch.ones(2) for number in range(9)}
    stored = {"weight": torch.ones(20, dtype=torch.bfloat16), **biases}
    save_file(stored, tmp_path / "model.safetensors")

    assert resolve_dtype("auto", open_checkpoint(tmp_path)) == "bfloat16"


def test_all_weights_are_computed_with_in_the_dtype_that_was_resolved(tmp_path: Path) -> None:
    encoders.encoder().save_pretrained(tmp_path)
    setting = Setting("cpu", "bfloat16", 8, None, 1)

    found = open_once(tmp_path, tensors, setting)

    stored = load_file(tmp_path / "model.safetensors")
    assert {tensor.dtype for tensor in found.values() if tensor.is_floating_point()} == {
        torch.bfloat16
    }
    name = "encoder.layer.0.output.dense.weight"
    assert torch.equal(found[name], stored[name].bfloat16())


def test_a_model_is_let_go_of_after_its_block(tmp_path: Path) -> None:
    encoders.encoder().save_pretrained(tmp_path)

    reference = open_once(tmp_path, lambda model: weakref.ref(model.model))
    gc.collect()

    assert reference() is None


def test_what_fails_inside_the_block_is_not_hidden(tmp_path: Path) -> None:
    encoders.encoder().save_pretrained(tmp_path)

    def fail(model: Loaded) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        open_once(tmp_path, fail)
    assert torch.ones(1, requires_grad=True).sum().requires_grad


def test_a_model_that_is_opened_does_not_drop_anything_out(tmp_path: Path) -> None:
    encoders.encoder().train().save_pretrained(tmp_path)

    def twice(model: Loaded) -> list[Any]:
        ids = torch.arange(10)[None]
        return [model.model(ids).last_hidden_state.numpy() for _ in range(2)]

    one, two = open_once(tmp_path, twice)

    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    "name", ["abacus", "meta", "", "CPU", "cpu ", "cuda:99", "hpu", "xla", "[/x]\x1b[31m"]
)
def test_a_device_that_gives_no_number_back_is_refused(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve_device(name)

    assert (caught.value.id, caught.value.at) == ("DEVICE", "--device")
    assert all(line.isprintable() for line in caught.value.lines())


def test_the_device_that_is_asked_for_is_the_one_that_is_used() -> None:
    assert resolve_device("cpu") == "cpu"
    assert resolve_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")


def test_models_that_do_different_things_are_not_compared() -> None:
    assert require_one_kind({"a": "embedding", "b": "embedding"}) == "embedding"
    with pytest.raises(InputError) as caught:
        require_one_kind({"a": "embedding", "b": "causal-lm"})

    assert caught.value.id == "BENCH-KINDS"
    assert caught.value.found == "a: embedding, b: causal-lm; expected one"
