"""Which axis is the input: declared, or shown by a bias or by the sizes in the config."""

from __future__ import annotations

from typing import Any

import pytest
import zoo

from compressor.model.roles import Classified, Layout, Role, classify

SIZES = {"model_type": "never-seen", "hidden_size": 16, "moe_intermediate_size": 48}


def roles_of(
    shapes: dict[str, tuple[int, ...]], config: dict[str, Any] | None = None
) -> dict[str, Classified]:
    return classify(zoo.component(shapes, config))


def test_a_bias_shows_the_layout_of_a_model_without_a_config_and_square_matrices_follow() -> None:
    block = {
        "h.0.attn.c_attn.weight": (16, 48),
        "h.0.attn.c_attn.bias": (48,),
        "h.0.attn.c_proj.weight": (16, 16),
        "h.0.attn.c_proj.bias": (16,),
        "tower.layers.0.fc1.weight": (64, 16),
        "tower.layers.0.fc1.bias": (64,),
        "tower.layers.0.out.weight": (16, 16),
        "tower.layers.0.out.bias": (16,),
    }

    roles = roles_of(block)

    assert roles["h.0.attn.c_attn.weight"].layout is Layout.IN_OUT
    assert roles["h.0.attn.c_proj.weight"].layout is Layout.IN_OUT
    assert roles["tower.layers.0.fc1.weight"].layout is Layout.OUT_IN
    assert roles["tower.layers.0.out.weight"].layout is Layout.OUT_IN


def test_a_declared_layout_holds_in_its_own_sub_tree_only() -> None:
    config = {
        "model_type": "llava",
        "text_config": {"model_type": "gpt2"},
        "vision_config": {"model_type": "clip_vision_model"},
    }

    roles = roles_of(
        {
            "language_model.transformer.h.0.mlp.c_proj.weight": (16, 16),
            "vision_tower.layers.0.mlp.c_proj.weight": (16, 16),
        },
        config,
    )

    assert [found.layout for found in roles.values()] == [Layout.IN_OUT, Layout.OUT_IN]


@pytest.mark.parametrize(
    ("model_type", "layout"),
    [
        ("gpt_oss", Layout.IN_OUT),
        ("llama4_text", Layout.IN_OUT),
        ("granitemoe", Layout.OUT_IN),
    ],
)
def test_fused_experts_have_the_declared_layout(model_type: str, layout: Layout) -> None:
    name = "model.layers.0.mlp.experts.gate_up_proj"

    found = roles_of({name: (4, 16, 96)}, {"model_type": model_type})[name]

    assert found == Classified(Role.EXPERT, layout, "")


@pytest.mark.parametrize(
    ("leaf", "shape", "layout"),
    [
        ("gate_up_proj", (4, 96, 16), Layout.OUT_IN),
        ("gate_up_proj", (4, 16, 96), Layout.IN_OUT),
        ("down_proj", (4, 16, 48), Layout.OUT_IN),
        ("down_proj", (4, 48, 16), Layout.IN_OUT),
    ],
)
def test_the_sizes_in_the_config_show_the_layout_of_fused_experts(
    leaf: str, shape: tuple[int, ...], layout: Layout
) -> None:
    name = f"model.layers.0.mlp.experts.{leaf}"

    found = roles_of({name: shape}, SIZES)[name]

    assert found == Classified(Role.EXPERT, layout, "")


@pytest.mark.parametrize(
    ("leaf", "shape", "width"),
    [
        ("down_proj", (4, 16, 16), 48),
        ("down_proj", (4, 16, 24), 48),
        ("down_proj", (4, 48, 24), 48),
        ("down_proj", (4, 16, 16), 16),
        ("gate_up_proj", (4, 16, 16), 8),
    ],
)
def test_fused_experts_whose_input_is_not_sure_stay_dense(
    leaf: str, shape: tuple[int, ...], width: int
) -> None:
    name = f"model.layers.0.mlp.experts.{leaf}"

    found = roles_of({name: shape}, SIZES | {"moe_intermediate_size": width})[name]

    assert found.role is Role.EXPERT
    assert found.layout is Layout.NONE
    assert "not known" in found.reason


def test_three_dimensions_are_a_convolution_where_the_bias_says_so() -> None:
    roles = roles_of({"layers.0.query.weight": (16, 4, 1), "layers.0.query.bias": (16,)})

    found = roles["layers.0.query.weight"]

    assert found == Classified(Role.CONVOLUTION, Layout.CONVOLUTION, "")


def test_a_transposed_convolution_is_shown_by_its_bias_or_its_name() -> None:
    roles = roles_of(
        {
            "ups.0.conv_up.weight": (32, 16, 4),
            "ups.0.conv_up.bias": (16,),
            "ups.0.conv.weight": (32, 16, 4),
            "ups.0.conv.bias": (32,),
            "ups.0.deconv.weight": (16, 16, 4, 4),
        }
    )

    assert roles["ups.0.conv_up.weight"].layout is Layout.CONVOLUTION_TRANSPOSED
    assert roles["ups.0.conv.weight"].layout is Layout.CONVOLUTION
    assert roles["ups.0.deconv.weight"].layout is Layout.CONVOLUTION_TRANSPOSED
