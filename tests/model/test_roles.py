"""Roles and layouts, held against the modules that transformers builds for the same checkpoint."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import zoo

from compressor.model.roles import KNOWN, Classified, Layout, Role, classify, is_known
from compressor.model.subconfig import all_configs

DENSE_IN_LISTS: dict[str, str] = {
    "rt_detr": r"model\.decoder\.bbox_embed\..*|model\.backbone\.model\.embedder\..*",
    "segformer": r"decode_head\.linear_c\..*|segformer\.encoder\.patch_embeddings\..*",
    "speecht5": r"speech_decoder_postnet\..*",
    "wav2vec2": r"wav2vec2\.feature_extractor\..*",
    "hubert": r"hubert\.feature_extractor\..*",
    "qwen2_moe": r".*\.mlp\.shared_expert_gate\.weight",
}
"""Weights inside lists of modules that stay dense on purpose: heads, stems and a router."""


class Truth(NamedTuple):
    """What transformers instantiates for one stored tensor."""

    kind: str
    layout: Layout
    is_listed: bool


@cache
def built(model_type: str, root: Path) -> tuple[Path, Any]:
    """A checkpoint of the zoo and the model that transformers loads from it."""
    import transformers

    folder = root / model_type
    zoo.build(model_type, folder)
    model_class = getattr(transformers, zoo.FAMILIES[model_type][0])
    model, loading = model_class.from_pretrained(folder, output_loading_info=True)
    assert not loading["missing_keys"], loading
    return folder, model


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("zoo")


def truths(folder: Path, model: Any) -> dict[str, Truth]:
    """Every stored tensor with the module it becomes part of, found by name, else by its values."""
    from safetensors.torch import load_file

    owned = {
        f"{path}.{leaf}".lstrip("."): (path, module, tensor)
        for path, module in model.named_modules(remove_duplicate=False)
        for leaf, tensor in [
            *module.named_parameters(recurse=False),
            *module.named_buffers(recurse=False),
        ]
    }
    found = {}
    for name, stored in load_file(folder / "model.safetensors").items():
        path, module, _ = owned.get(name) or by_value(stored, list(owned.values()))
        found[name] = truth(model, path, module, stored, name.rpartition(".")[2])
    return found


def by_value(stored: Any, owned: list[Any]) -> Any:
    """The parameter that equals a stored tensor, or holds it as one expert's gate, up or down."""
    import torch

    for entry in owned:
        tensor = entry[2]
        if tensor.shape == stored.shape and torch.equal(tensor, stored):
            return entry
    for entry in owned:
        if entry[2].dim() == 3 and stored.dim() == 2 and entry[2].shape[2] == stored.shape[1]:
            pieces = [piece for expert in entry[2] for piece in expert.split(stored.shape[0])]
            if any(torch.equal(piece, stored) for piece in pieces):
                return entry
    raise AssertionError(f"no parameter holds {tuple(stored.shape)}")


def truth(model: Any, path: str, module: Any, stored: Any, leaf: str) -> Truth:
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    parents = path.split(".")[:-1]
    paths = [".".join(parents[: depth + 1]) for depth in range(len(parents))]
    is_listed = any(isinstance(model.get_submodule(above), nn.ModuleList) for above in paths[:-1])
    name = type(module).__name__
    kind, layout = "other", Layout.NONE
    if isinstance(module, nn.Embedding):
        kind, layout = "embedding", Layout.OUT_IN
    elif re.search(r"Norm(\d[dD])?$", name):
        kind = "norm"
    elif stored.dim() < 2:
        kind = "vector"
    elif name.endswith(("Router", "Gate")):
        kind = "router"
    elif name.endswith("Experts") and not leaf.endswith("bias"):
        transposed = stored.dim() == 3 and module.is_transposed
        kind, layout = "expert", Layout.IN_OUT if transposed else Layout.OUT_IN
    elif isinstance(module, Conv1D):
        kind, layout = "linear", Layout.IN_OUT
    elif isinstance(module, nn.Linear | nn.MultiheadAttention):
        kind, layout = "linear", Layout.OUT_IN
    elif isinstance(module, nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d):
        kind, layout = "convolution", Layout.CONVOLUTION_TRANSPOSED
    elif isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        kind, layout = "convolution", Layout.CONVOLUTION
    return Truth(kind, layout, is_listed)


@pytest.mark.parametrize("family", zoo.FAMILIES)
def test_what_is_pruned_is_what_transformers_builds_inside_its_lists_of_blocks(
    family: str, root: Path
) -> None:
    folder, model = built(family, root)

    roles = classify(zoo.read(folder))

    expected = truths(folder, model)
    assert roles.keys() == expected.keys()
    pruned = {name for name, found in roles.items() if not found.reason}
    wanted = {
        name
        for name, (kind, _, is_listed) in expected.items()
        if kind in {"linear", "convolution", "expert"}
        and is_listed
        and not re.fullmatch(DENSE_IN_LISTS.get(family, ""), name)
    }
    assert pruned == wanted
    assert pruned
    for name in pruned:
        assert (roles[name].role.value, roles[name].layout) == expected[name][:2], name


@pytest.mark.parametrize("family", zoo.FAMILIES)
def test_roles_and_layouts_of_what_stays_dense_fit_the_modules(family: str, root: Path) -> None:
    folder, model = built(family, root)

    roles = classify(zoo.read(folder))

    for name, (kind, layout, _) in truths(folder, model).items():
        found = roles[name]
        if kind in {"embedding", "norm", "router"}:
            assert found.role.value == kind, name
        if kind in {"embedding", "linear", "convolution", "expert"} and name.endswith("weight"):
            assert found.layout in {layout, Layout.NONE}, name
        if kind == "linear" and found.reason:
            assert found.role in {Role.HEAD, Role.ROUTER, Role.EMBEDDING, Role.OTHER}, name


@pytest.mark.parametrize(
    "family", [family for family, (name, _) in zoo.FAMILIES.items() if "ForCausalLM" in name]
)
def test_what_transformers_calls_the_output_embeddings_is_a_head(family: str, root: Path) -> None:
    folder, model = built(family, root)

    roles = classify(zoo.read(folder))

    stored = stored_as(folder, model.get_output_embeddings().weight)
    role = Role.EMBEDDING if model.config.tie_word_embeddings else Role.HEAD
    assert [roles[name].role for name in stored] == [role]


def stored_as(folder: Path, parameter: Any) -> list[str]:
    """The names under which a parameter lies in the file."""
    import torch
    from safetensors.torch import load_file

    stored = load_file(folder / "model.safetensors").items()
    return [name for name, tensor in stored if torch.equal(tensor, parameter)]


def test_the_known_types_are_those_that_the_zoo_builds(root: Path) -> None:
    found = set()
    for family in zoo.FAMILIES:
        folder, _ = built(family, root)
        config = json.loads((folder / "config.json").read_text())
        found |= {part["model_type"] for _, part in all_configs(config)}
        assert is_known(zoo.read(folder)), family

    assert found == KNOWN


def roles_of(
    shapes: dict[str, tuple[int, ...]], config: dict[str, Any] | None = None
) -> dict[str, Classified]:
    return classify(zoo.component(shapes, config))


def test_integers_are_never_weights() -> None:
    name = "model.layers.0.mlp.up_proj.weight"

    found = classify(zoo.component({name: (64, 16)}, dtypes={name: "U8"}))[name]

    assert found.role is Role.OTHER
    assert found.layout is Layout.NONE
    assert "integers" in found.reason


@pytest.mark.parametrize("config", [None, {}, {"model_type": "never-seen"}, {"model_type": 7}])
def test_an_unknown_model_goes_by_the_generic_rules(config: dict[str, Any] | None) -> None:
    component = zoo.component(
        {
            "net.embed_tokens.weight": (96, 16),
            "net.stages.0.mixer.proj.weight": (16, 16),
            "net.stages.0.mixer.conv.weight": (16, 4, 3, 3),
            "net.stages.0.norm.weight": (16,),
            "net.final.weight": (16, 16),
        },
        config,
    )

    roles = classify(component)

    assert not is_known(component)
    assert [name for name, found in roles.items() if not found.reason] == [
        "net.stages.0.mixer.proj.weight",
        "net.stages.0.mixer.conv.weight",
    ]


def test_a_diffusers_unet_goes_by_the_generic_rules() -> None:
    roles = roles_of(
        {
            "conv_in.weight": (32, 4, 3, 3),
            "time_embedding.linear_1.weight": (64, 32),
            "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.weight": (32, 32),
            "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_out.0.weight": (32, 32),
            "down_blocks.0.resnets.0.conv1.weight": (32, 32, 3, 3),
            "down_blocks.0.resnets.0.norm1.weight": (32,),
            "mid_block.resnets.0.conv2.weight": (32, 32, 3, 3),
            "up_blocks.0.upsamplers.0.conv.weight": (32, 32, 3, 3),
            "conv_out.weight": (4, 32, 3, 3),
        },
        {"_class_name": "UNet2DConditionModel", "block_out_channels": [32]},
    )

    dense = [name for name, found in roles.items() if found.reason]
    assert dense == [
        "conv_in.weight",
        "time_embedding.linear_1.weight",
        "down_blocks.0.resnets.0.norm1.weight",
        "conv_out.weight",
    ]


def test_experts_stored_one_by_one_are_pruned_and_a_shared_expert_is_a_linear() -> None:
    roles = roles_of(
        {
            "model.layers.0.block_sparse_moe.experts.3.w1.weight": (48, 16),
            "model.layers.0.mlp.shared_experts.up_proj.weight": (48, 16),
        }
    )

    assert list(roles.values()) == [
        Classified(Role.EXPERT, Layout.OUT_IN, ""),
        Classified(Role.LINEAR, Layout.OUT_IN, ""),
    ]


def test_roles_are_read_without_torch() -> None:
    heavy = "{'torch', 'transformers'}"
    code = f"import sys, compressor.model.consistency; assert not {heavy} & set(sys.modules)"

    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
