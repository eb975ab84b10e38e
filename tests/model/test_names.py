"""What a name alone decides: whole parts match, substrings do not."""

from __future__ import annotations

import pytest
import zoo

from compressor.model.roles import Classified, Layout, Role, classify


@pytest.mark.parametrize(
    "name",
    [
        "model.layers.0.multihead_attn.q_proj.weight",
        "model.layers.0.layernorm_mlp.fc1.weight",
        "model.layers.0.attn.in_proj_weight",
        "model.layers.0.attn.heads.1.key.weight",
        "model.layers.0.mlp_tokens.fc1.weight",
        "model.layers.0.clsx.weight",
        "model.layers.0.self_attn.k_proj.weight",
        "model.layers.0.routerless.weight",
        "model.layers.0.mlp.gate_proj.weight",
        "model.layers.0.underscored.weight",
        "encoder.layers.0.header.weight",
        "encoder.layers.0.remember.weight",
        "encoder.layers.0.bottleneck.weight",
        "embed_tokens_extend.image_embed.encoder.layers.0.fc1.weight",
    ],
)
def test_a_part_of_a_name_is_no_substring_match(name: str) -> None:
    found = classify(zoo.component({name: (32, 16)}))[name]

    assert found == Classified(Role.LINEAR, Layout.OUT_IN, "")


@pytest.mark.parametrize(
    ("name", "shape", "role"),
    [
        ("classifier.weight", (3, 16), Role.HEAD),
        ("lm_head.weight", (96, 16), Role.HEAD),
        ("cls.predictions.transform.dense.weight", (16, 16), Role.HEAD),
        ("classifier.1.weight", (3, 16), Role.HEAD),
        ("lm_heads.0.proj.weight", (96, 16), Role.HEAD),
        ("bert.pooler.dense.weight", (16, 16), Role.HEAD),
        ("decoder.bbox_embed.1.layers.0.weight", (16, 16), Role.HEAD),
        ("text_projection.weight", (8, 16), Role.HEAD),
        ("model.layers.9.shared_head.head.weight", (96, 16), Role.HEAD),
        ("model.layers.0.mlp.gate.weight", (4, 16), Role.ROUTER),
        ("model.layers.0.ffn.router.layer.weight", (4, 16), Role.ROUTER),
        ("block.0.SelfAttention.relative_attention_bias.weight", (32, 4), Role.EMBEDDING),
        ("layers.0.attn.relative_position_bias_table", (49, 2), Role.EMBEDDING),
        ("layers.0.self_attn.q_norm.weight", (4, 8), Role.NORM),
        ("layers.0.LayerNorm.gamma", (16,), Role.NORM),
        ("layers.0.LayerNorm.beta", (16,), Role.NORM),
        ("layers.0.fc1.bias", (16,), Role.BIAS),
        ("layers.0.experts.gate_up_proj_bias", (4, 16), Role.BIAS),
        ("layers.0.mixer.A_log", (16, 4), Role.OTHER),
        ("layers.0.conv.weight_v", (16, 16, 3), Role.OTHER),
        ("layers.0.conv.weight_g", (16, 1, 1), Role.OTHER),
        ("layers.0.conv.parametrizations.weight.original1", (16, 16, 3), Role.OTHER),
        ("layers.0.q_proj.lora_A.weight", (4, 16), Role.OTHER),
        ("multi_modal_projector.linear_1.weight", (16, 16), Role.OTHER),
        ("layers.0.mystery.weight", (4, 16, 16), Role.OTHER),
        ("layers.0.mystery.table", (4, 16), Role.OTHER),
        ("visual.patch_embed.proj.weight", (16, 3, 2, 8, 8), Role.EMBEDDING),
        ("resnet.embedder.embedder.convolution.weight", (8, 3, 7, 7), Role.EMBEDDING),
        ("feature_extractor.conv_layers.0.conv.weight", (8, 1, 3), Role.EMBEDDING),
        ("encoder.conv1.weight", (16, 8, 3), Role.EMBEDDING),
        ("layers.0.grn.weight", (1, 1, 1, 16), Role.OTHER),
        ("layers.0.norm.scale.weight", (4, 16), Role.NORM),
        ("mask_decoder.mask_tokens.weight", (4, 16), Role.EMBEDDING),
        ("scalar", (), Role.OTHER),
    ],
)  # fmt: skip
def test_what_is_no_weight_of_a_block_stays_dense_with_a_reason(
    name: str, shape: tuple[int, ...], role: Role
) -> None:
    found = classify(zoo.component({name: shape}))[name]

    assert found.role is role
    assert found.reason
