"""What building, loading, comparing and running a model finds; a sound one raises no alarm."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import badinputs as bad
import numpy as np
import pytest
import zoo
from safetensors.numpy import load_file, save_file

from compressor.checkpoint.read.reader import open_checkpoint
from compressor.checkpoint.verify.finding import Finding
from compressor.errors import CompressorError
from compressor.model.deep import compare, deep_findings
from compressor.model.diffusion import is_installed
from compressor.model.load import load

TINY = ("qwen2", "roberta", "gpt2")
"""Tied embeddings; a classifier; a decoder with transposed linears."""


def built(model_type: str, folder: Path) -> Path:
    zoo.build(model_type, folder)
    return folder


def look(folder: Path) -> list[Finding]:
    return deep_findings(open_checkpoint(folder))


def failures(folder: Path) -> list[tuple[int, str]]:
    return [(each.level, each.id) for each in look(folder) if each.status == "failed"]


def change(folder: Path, make: Callable[[dict[str, Any]], object]) -> None:
    """Other tensors in the weight file."""
    arrays = load_file(folder / "model.safetensors")
    make(arrays)
    save_file(arrays, folder / "model.safetensors", {"format": "pt"})


def configure(folder: Path, **values: object) -> None:
    config = json.loads((folder / "config.json").read_bytes())
    bad.write_json(folder / "config.json", {**config, **values})


@pytest.mark.parametrize("model_type", [*TINY, "mixtral", "t5", "vit", "wav2vec2", "clip"])
def test_a_sound_model_holds_bit_for_bit_and_runs(tmp_path: Path, model_type: str) -> None:
    folder = built(model_type, tmp_path / "model")

    findings = look(folder)

    assert [(each.level, each.status) for each in findings] == [(9, "ok"), (10, "ok"), (11, "ok")]
    count = len(load_file(folder / "model.safetensors"))
    assert findings[1].detail == f"{count} tensors hold the bits of the files"


@pytest.mark.parametrize("model_type", TINY)
def test_a_renamed_tensor_is_missing_and_unexpected(tmp_path: Path, model_type: str) -> None:
    folder = built(model_type, tmp_path / "model")
    name = sorted(load_file(folder / "model.safetensors"))[0]
    change(folder, lambda arrays: arrays.update({name[:-1] + "u": arrays.pop(name)}))

    findings = look(folder)

    assert failures(folder) == [(9, "CKPT-MISSING-TENSOR"), (9, "CKPT-UNEXPECTED-TENSOR")]
    assert [each.status for each in findings[2:]] == ["skipped", "skipped"]
    with pytest.raises(CompressorError) as caught:
        load(folder)
    assert (caught.value.id, caught.value.exit_code) == ("CKPT-MISSING-TENSOR", 3)


def stale_head(arrays: dict[str, Any]) -> None:
    arrays["lm_head.weight"] = arrays["model.embed_tokens.weight"] + 1


def surplus(arrays: dict[str, Any]) -> None:
    arrays["model.extra.weight"] = np.zeros((2, 2), "float32")


def reshaped(arrays: dict[str, Any]) -> None:
    arrays["model.norm.weight"] = arrays["model.norm.weight"][:-2].copy()


def nearly_reshaped(arrays: dict[str, Any]) -> None:
    """A wrong shape with as many weights as before, so that only the loader can tell."""
    weight = arrays["model.layers.0.mlp.up_proj.weight"]
    arrays["model.layers.0.mlp.up_proj.weight"] = weight.reshape(weight.shape[::-1]).copy()


@pytest.mark.parametrize(
    ("spoil", "id"),
    [
        (surplus, "CKPT-UNEXPECTED-TENSOR"),
        (reshaped, "CKPT-MISSING-TENSOR"),
        (nearly_reshaped, "CKPT-SHAPE"),
    ],
)
def test_tensors_that_do_not_fit_are_an_error_of_load_and_a_finding(
    tmp_path: Path, spoil: Callable[[dict[str, Any]], object], id: str
) -> None:
    folder = built("qwen2", tmp_path / "model")
    change(folder, spoil)

    assert failures(folder) == [(9, id)]
    with pytest.raises(CompressorError) as caught:
        load(folder)
    assert caught.value.id == id


def test_a_stale_copy_of_a_tied_head_is_held_as_it_is_stored(tmp_path: Path) -> None:
    folder = built("qwen2", tmp_path / "model")
    change(folder, stale_head)

    model = load(folder)

    assert failures(folder) == []
    stored = load_file(folder / "model.safetensors")["lm_head.weight"]
    assert np.array_equal(model.lm_head.weight.detach().numpy(), stored)


def test_one_bit_that_the_model_holds_otherwise_is_found(tmp_path: Path) -> None:
    import torch

    folder = built("mixtral", tmp_path / "model")
    checkpoint = open_checkpoint(folder)
    model = load(folder)
    experts = model.model.layers[1].mlp.experts.down_proj
    with torch.no_grad():
        experts.view(torch.int32)[2, 0, 0] ^= 1

    (finding,) = compare(checkpoint, checkpoint.components[0], model, "here")

    assert (finding.level, finding.id) == (10, "VERIFY-LOADED")
    assert "1 hold other bits" in finding.detail
    assert "layers.1" in finding.detail
    assert "experts.2" in finding.detail


def test_a_weight_that_the_cast_on_loading_makes_infinite_is_found(tmp_path: Path) -> None:
    folder = built("roberta", tmp_path / "model")
    change(folder, lambda arrays: arrays["classifier.out_proj.bias"].fill(1e5))
    configure(folder, dtype="float16")

    assert failures(folder)[0] == (10, "WEIGHT-OVERFLOW")


def test_more_layers_in_the_config_are_refused_before_they_are_filled(tmp_path: Path) -> None:
    folder = built("qwen2", tmp_path / "model")
    configure(folder, num_hidden_layers=300, layer_types=None)

    (finding,) = [each for each in look(folder) if each.status == "failed"]

    assert (finding.level, finding.id) == (9, "CKPT-MISSING-TENSOR")
    assert "parameters" in finding.detail


@pytest.mark.parametrize(
    "values", [{"hidden_act": "__import__('os')"}, {"num_attention_heads": 0}, {"hidden_size": -8}]
)
def test_a_config_that_builds_nothing_is_a_finding(
    tmp_path: Path, values: Mapping[str, object]
) -> None:
    folder = built("bert", tmp_path / "model")
    configure(folder, **values)

    assert [level for level, _ in failures(folder)] == [9]


def test_a_model_that_computes_no_number_fails_the_forward(tmp_path: Path) -> None:
    folder = built("roberta", tmp_path / "model")
    change(folder, lambda arrays: arrays["classifier.dense.bias"].fill(10))
    change(folder, lambda arrays: arrays["classifier.out_proj.weight"].fill(3e38))

    assert failures(folder) == [(11, "FORWARD-NONFINITE")]


def test_a_model_that_nothing_can_be_made_up_for_is_skipped_with_the_reason(tmp_path: Path) -> None:
    findings = look(built("time_series_transformer", tmp_path / "model"))

    assert [each.status for each in findings] == ["ok", "ok", "skipped"]
    assert "past_time_features" in findings[2].detail


def test_a_cast_on_loading_is_told(tmp_path: Path) -> None:
    folder = built("bert", tmp_path / "model")
    configure(folder, dtype="bfloat16")

    findings = look(folder)

    assert findings[1].status == "ok"
    assert "after a cast" in findings[1].detail


def test_what_the_class_ignores_by_declaration_is_told(tmp_path: Path) -> None:
    folder = built("bert", tmp_path / "model")
    name = "bert.embeddings.position_ids"
    change(folder, lambda arrays: arrays.update({name: np.arange(64)[None]}))

    findings = look(folder)

    assert findings[1].status == "ok"
    assert f"ignored by declaration: {name}" in findings[1].detail


@pytest.mark.parametrize(
    ("values", "id", "code"),
    [
        ({"model_type": "never-heard-of"}, "CONFIG-MODEL-TYPE", 3),
        ({"model_type": "new", "auto_map": {"AutoModel": "evil.Model"}}, "REMOTE-CODE", 4),
        ({"architectures": ["Nope"]}, "CONFIG-ARCH", 3),
        ({"architectures": ["PreTrainedModel"]}, "CONFIG-ARCH", 3),
        ({"architectures": ["LlamaModel"]}, "CONFIG-ARCH", 3),
        ({"architectures": ["E"], "auto_map": {"AutoModel": "evil.E"}}, "REMOTE-CODE", 4),
    ],
)
def test_a_config_that_names_no_class_of_transformers_is_refused(
    tmp_path: Path, values: Mapping[str, object], id: str, code: int
) -> None:
    folder = built("bert", tmp_path / "model")
    marker = tmp_path / "marker"
    (folder / "evil.py").write_text(f"open({str(marker)!r}, 'w')\nE = Model = None\n")
    configure(folder, **values)

    for act in (look, load):
        with pytest.raises(CompressorError) as caught:
            act(folder)
        assert (caught.value.id, caught.value.exit_code) == (id, code)
    assert not marker.exists()


def test_code_beside_a_known_type_is_left_alone(tmp_path: Path) -> None:
    folder = built("bert", tmp_path / "model")
    marker = tmp_path / "marker"
    (folder / "evil.py").write_text(f"open({str(marker)!r}, 'w')\n")
    configure(folder, auto_map={"AutoModelForSequenceClassification": "evil.Model"})

    assert failures(folder) == []
    assert not marker.exists()


def test_without_architectures_it_is_the_base_model(tmp_path: Path) -> None:
    folder = built("dinov2", tmp_path / "model")
    configure(folder, architectures=None)

    assert type(load(folder)).__name__ == "Dinov2Model"
    assert failures(folder) == []


@pytest.mark.skipif(is_installed(), reason="diffusers is here: the part is built")
def test_a_part_of_a_pipeline_is_skipped_where_its_library_is_missing(tmp_path: Path) -> None:
    bad.write_json(tmp_path / "model_index.json", {"_class_name": "SomePipeline"})
    bad.write_model(tmp_path / "unet", config={"_class_name": "UNet2DModel"})

    findings = look(tmp_path)

    assert [each.level for each in findings] == [9, 10, 11]
    assert {(each.status, each.detail) for each in findings} == {
        ("skipped", "a model of diffusers, which is not installed")
    }


@pytest.mark.skipif(not is_installed(), reason="diffusers is not installed")
def test_a_part_of_a_pipeline_is_loaded_by_its_own_class(tmp_path: Path) -> None:
    diffusers = pytest.importorskip("diffusers")
    bad.write_json(tmp_path / "model_index.json", {"_class_name": "DDPMPipeline"})
    sizes = {"sample_size": 8, "block_out_channels": (32, 32), "layers_per_block": 1}
    blocks = {"down_block_types": ["DownBlock2D"] * 2, "up_block_types": ["UpBlock2D"] * 2}
    diffusers.UNet2DModel(**sizes, **blocks, norm_num_groups=8).save_pretrained(tmp_path / "unet")

    assert [each.status for each in look(tmp_path)] == ["ok", "ok", "skipped"]


@pytest.mark.parametrize("model_type", TINY)
def test_load_gives_the_class_of_the_config_in_eval_and_in_the_stored_dtype(
    tmp_path: Path, model_type: str
) -> None:
    folder = built(model_type, tmp_path / "model")

    model = load(folder)

    assert type(model).__name__ == zoo.FAMILIES[model_type][0]
    assert not model.training
    held = model.state_dict()
    for name, array in load_file(folder / "model.safetensors").items():
        assert np.array_equal(held[name].numpy(), array)


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = built("gpt2", tmp_path / "model")
    capfd.readouterr()

    look(folder)

    assert capfd.readouterr().out == ""
