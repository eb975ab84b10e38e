"""What a checkpoint folder holds, in every layout found on the hub, and how it is opened."""

from __future__ import annotations

import json
from pathlib import Path

import badinputs as bad
import numpy as np
import pytest
from badinputs import CONFIG, FIRST, INDEX, SECOND, llama

from compressor.checkpoint.read.limits import Limits
from compressor.checkpoint.read.reader import open_checkpoint
from compressor.errors import InputError, RefusedError, ResourceError

WEIGHTS = {"w.weight": np.ones((4, 4), "float32")}


def text_of(notes: tuple[str, ...]) -> str:
    return " ".join(notes)


def test_a_single_file_is_one_component_with_its_config(tmp_path: Path) -> None:
    folder = bad.write_model(tmp_path / "model")

    checkpoint = open_checkpoint(folder)

    (component,) = checkpoint.components
    assert (component.prefix, component.config, component.index) == ("", CONFIG, None)
    assert [shard.name for shard in component.shards] == ["model.safetensors"]
    assert {tensor.name for _, tensor in component.tensors()} == set(llama())
    assert checkpoint.companions == ("config.json",)
    assert checkpoint.notes == ()


def test_shards_come_in_the_order_of_their_names_and_tensors_as_they_lie(tmp_path: Path) -> None:
    folder = bad.write_sharded(tmp_path / "model", 3)

    (component,) = open_checkpoint(folder).components

    names = [f"model-{number:05}-of-00003.safetensors" for number in (1, 2, 3)]
    assert [shard.name for shard in component.shards] == names
    assert component.index == INDEX
    found = {tensor.name: shard.name for shard, tensor in component.tensors()}
    assert found == json.loads((folder / INDEX).read_bytes())["weight_map"]
    for shard in component.shards:
        starts = [tensor.start for tensor in shard.header.tensors]
        assert starts == sorted(starts)
        assert shard.size == (folder / shard.name).stat().st_size


def test_a_bare_file_is_a_component_without_config(tmp_path: Path) -> None:
    folder = bad.write_model(tmp_path / "model")
    bad.add("vocab.txt", "other.safetensors")(folder)

    checkpoint = open_checkpoint(folder / "model.safetensors")

    assert checkpoint.folder == folder
    assert [shard.name for shard in checkpoint.shards()] == ["model.safetensors"]
    assert checkpoint.components[0].config is None
    assert (checkpoint.companions, dict(checkpoint.left_out)) == ((), {})
    assert "model.safetensors alone" in text_of(checkpoint.notes)


def test_a_file_of_another_name_without_config_is_accepted_with_a_note(tmp_path: Path) -> None:
    bad.save(tmp_path / "flux1-dev.safetensors", WEIGHTS)

    checkpoint = open_checkpoint(tmp_path)

    assert checkpoint.components[0].config is None
    assert "flux1-dev.safetensors alone" in text_of(checkpoint.notes)


def test_two_files_of_other_names_are_ambiguous(tmp_path: Path) -> None:
    bad.save(tmp_path / "a.safetensors", WEIGHTS)
    bad.save(tmp_path / "b.safetensors", WEIGHTS)

    with pytest.raises(InputError, match="CKPT-AMBIGUOUS") as caught:
        open_checkpoint(tmp_path)
    assert "a.safetensors, b.safetensors" in caught.value.found


@pytest.mark.parametrize(
    "other",
    [
        "model.fp16.safetensors",
        "model-00001-of-00002.fp16.safetensors",
        "model.fp16-00001-of-00002.safetensors",
        "consolidated.safetensors",
        "consolidated-00001-of-00002.safetensors",
        "adapter_model.safetensors",
        "extra.safetensors",
    ],
)
def test_the_plain_set_wins_and_other_weights_are_left_out_with_a_reason(
    tmp_path: Path, other: str
) -> None:
    folder = bad.write_model(tmp_path / "model")
    bad.save(folder / other, WEIGHTS)

    checkpoint = open_checkpoint(folder)

    assert [shard.name for shard in checkpoint.shards()] == ["model.safetensors"]
    assert checkpoint.left_out[other]
    assert other in text_of(checkpoint.notes)


def test_a_variant_that_stands_alone_is_the_model(tmp_path: Path) -> None:
    folder = bad.write_model(tmp_path / "model")
    bad.rename("model.safetensors", "model.fp16.safetensors")(folder)

    checkpoint = open_checkpoint(folder)

    assert [shard.name for shard in checkpoint.shards()] == ["model.fp16.safetensors"]


def test_pickles_beside_safetensors_are_noted_and_never_copied(tmp_path: Path) -> None:
    folder = bad.write_model(tmp_path / "model")
    bad.add("pytorch_model.bin", "training_args.bin")(folder)

    checkpoint = open_checkpoint(folder)

    assert checkpoint.left_out["pytorch_model.bin"] == "pickle: never copied"
    assert "pytorch_model.bin" not in checkpoint.companions
    assert "pytorch_model.bin" in text_of(checkpoint.notes)


def test_allowing_pickles_does_not_make_the_reader_read_one(tmp_path: Path) -> None:
    folder = bad.write_model(tmp_path / "model")
    bad.only("pytorch_model.bin")(folder)

    with pytest.raises(InputError, match="PICKLE-UNCONVERTED"):
        open_checkpoint(folder, allow_pickle=True)


def test_a_wrong_total_size_is_a_note(tmp_path: Path) -> None:
    folder = bad.write_sharded(tmp_path / "model")
    bad.index(lambda content: content["metadata"].update(total_size=1))(folder)

    checkpoint = open_checkpoint(folder)

    total = sum(array.nbytes for array in llama().values())
    assert f"total_size of 1; the tensors take {total} bytes" in text_of(checkpoint.notes)


@pytest.mark.parametrize("metadata", [{"format": "tf"}, None])
def test_another_format_in_the_metadata_is_a_note(
    tmp_path: Path, metadata: dict[str, str] | None
) -> None:
    folder = bad.write_model(tmp_path / "model")
    content = {"a": bad.entry([1], 0, 4)} | ({"__metadata__": metadata} if metadata else {})
    bad.header(content, 4)(folder)

    assert "format: pt" in text_of(open_checkpoint(folder).notes)


@pytest.mark.parametrize(
    "changes",
    [
        {"_attn_implementation": "sdpa"},
        {"attn_implementation": {"text_config": "flash_attention_2", "vision_config": None}},
        {"dtype": None, "torch_dtype": "torch.bfloat16"},
        {"quantization_config": None},
        {"time_step_limit": [0.0, float("inf")]},
        {"text_config": {"dtype": "float16"}},
    ],
)
def test_what_sound_configs_say_is_accepted(tmp_path: Path, changes: dict[str, object]) -> None:
    folder = bad.write_model(tmp_path / "model", config=CONFIG | changes)

    assert open_checkpoint(folder).components[0].config == CONFIG | changes


def test_a_pipeline_has_a_component_for_each_folder_with_weights(tmp_path: Path) -> None:
    bad.write_json(tmp_path / "model_index.json", {"_class_name": "StableDiffusionPipeline"})
    bad.add("scheduler/scheduler_config.json", "tokenizer/vocab.json", content=b"{}")(tmp_path)
    for name, file in [("unet", "diffusion_pytorch_model"), ("text_encoder", "model")]:
        bad.add(f"{name}/config.json", content=b"{}")(tmp_path)
        bad.save(tmp_path / name / f"{file}.safetensors", WEIGHTS)
        bad.save(tmp_path / name / f"{file}.fp16.safetensors", WEIGHTS)
    bad.save(tmp_path / "v1-5-pruned.safetensors", WEIGHTS)

    checkpoint = open_checkpoint(tmp_path)

    assert [component.prefix for component in checkpoint.components] == ["text_encoder/", "unet/"]
    assert [shard.name for shard in checkpoint.shards()] == [
        "text_encoder/model.safetensors",
        "unet/diffusion_pytorch_model.safetensors",
    ]
    assert set(checkpoint.left_out) == {
        "text_encoder/model.fp16.safetensors",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "v1-5-pruned.safetensors",
    }
    assert set(checkpoint.companions) == {
        "model_index.json",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "tokenizer/vocab.json",
        "unet/config.json",
    }


def test_a_chain_has_the_root_and_each_module_with_weights(tmp_path: Path) -> None:
    folder = bad.write_model(tmp_path / "model")
    bad.write_json(folder / "modules.json", [])
    bad.add("1_Pooling/config.json", "2_Dense/config.json", content=b"{}")(folder)
    bad.save(folder / "2_Dense" / "model.safetensors", WEIGHTS)
    bad.add("checkpoint-500/config.json")(folder)
    bad.save(folder / "checkpoint-500" / "model.safetensors", WEIGHTS)

    checkpoint = open_checkpoint(folder)

    assert [component.prefix for component in checkpoint.components] == ["", "2_Dense/"]
    assert "checkpoint-500/model.safetensors" in checkpoint.left_out
    assert "1_Pooling/config.json" in checkpoint.companions


@pytest.mark.parametrize("listed", ["modules.json", "model_index.json"])
def test_a_component_with_pickles_only_is_refused_and_not_dropped(
    tmp_path: Path, listed: str
) -> None:
    folder = bad.write_model(tmp_path / "model")
    bad.add(listed, "2_Dense/pytorch_model.bin")(folder)

    with pytest.raises(RefusedError, match="PICKLE-REFUSED") as caught:
        open_checkpoint(folder)
    assert caught.value.at == "2_Dense/"


def test_a_sharded_component_keeps_the_path_of_its_index(tmp_path: Path) -> None:
    bad.add("model_index.json", content=b"{}")(tmp_path)
    bad.write_sharded(tmp_path / "text_encoder")

    (component,) = open_checkpoint(tmp_path).components

    assert component.index == f"text_encoder/{INDEX}"
    assert [shard.name for shard in component.shards] == [
        f"text_encoder/{FIRST}",
        f"text_encoder/{SECOND}",
    ]


def test_tensors_are_counted_over_all_shards(tmp_path: Path) -> None:
    folder = bad.write_sharded(tmp_path / "model")
    count = len(llama())

    assert open_checkpoint(folder, Limits(tensors=count))
    with pytest.raises(ResourceError, match="LIMIT-TENSORS"):
        open_checkpoint(folder, Limits(tensors=count - 1))


@pytest.mark.parametrize(("limit", "file"), [("index", INDEX), ("config", "config.json")])
def test_an_index_and_a_config_may_be_as_long_as_their_limit(
    tmp_path: Path, limit: str, file: str
) -> None:
    folder = bad.write_sharded(tmp_path / "model")
    size = (folder / file).stat().st_size

    assert open_checkpoint(folder, Limits(**{limit: size}))
    with pytest.raises(InputError, match=r"CKPT-INDEX|CONFIG-UNREADABLE"):
        open_checkpoint(folder, Limits(**{limit: size - 1}))


def test_a_config_may_be_as_deep_as_the_limit(tmp_path: Path) -> None:
    nested: object = 1
    for _ in range(9):
        nested = [nested]
    folder = bad.write_model(tmp_path / "model", config=CONFIG | {"x": nested})

    assert open_checkpoint(folder, Limits(depth=10))
    with pytest.raises(InputError, match="CONFIG-UNREADABLE"):
        open_checkpoint(folder, Limits(depth=9))


def test_five_thousand_tensors_in_ten_shards_are_all_found(tmp_path: Path) -> None:
    weight_map = {}
    for shard in range(10):
        file = f"model-{shard + 1:05}-of-00010.safetensors"
        names = [f"model.layers.{shard}.experts.{number}.weight" for number in range(500)]
        bad.save(tmp_path / file, {name: np.ones((1, 1), "float32") for name in names})
        weight_map |= dict.fromkeys(names, file)
    bad.write_index(tmp_path, {"weight_map": weight_map})
    bad.write_json(tmp_path / "config.json", CONFIG)

    (component,) = open_checkpoint(tmp_path).components

    assert {tensor.name: shard.name for shard, tensor in component.tensors()} == weight_map
