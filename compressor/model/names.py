"""What the name of a tensor says, by its dotted parts: router, head, embedding, norm, block.

A part matches as a whole, never as a substring: `head` is not in `multihead_attn`, `norm` not in
`layernorm_mlp.fc1`. And place counts: `heads` before the first number is a model's, after it an
attention's.
"""

from __future__ import annotations

import re
from typing import Final

STACKS: Final = frozenset({"layers", "layer", "h", "blocks", "block", "encoders"})
"""What a list of numbered layers is called."""

ROUTER: Final = re.compile(r"(.*_)?router(_.*)?|gate|gating|wg|shared_experts?_gate")

HEAD: Final = re.compile(
    r"(.*_)?heads?|"
    r"(.*_)?classifier|(.*_)?pooler|(.*_)?predictions?|(.*_)?postnet|"
    r"cls|score|summary|seq_relationship|embed_out|qa_outputs|projector|"
    r"class_embed|bbox_embed|(.*_)?(bbox|class|mask)_predictor|predict_.*|"
    r"vocab_transform|vocab_projector|output_projection|logits_.*|parameter_projection|"
    r"(text|visual|vision|audio)_projection|project_q|project_hid|quantizer|horizon_ff_layer"
)

HEAD_IN_BLOCK: Final = frozenset({"head", "lm_head", "shared_head"})

EMBEDDING: Final = re.compile(
    r"(.*_)?(embed|embeds|embedding|embeddings|embedder|embedders)(_.*)?|(.*_)?emb|"
    r"wte|wpe|stem|conv_stem|conv_in|"
    r"relative_attention_bias|relative_position_bias(_table)?|"
    r"position_enc|(.*_)?positional_(encoder|encoding|embedding)"
)

NORM: Final = re.compile(
    r"(.*_)?(layer|batch|group|instance|rms)?_?norms?(alization)?_?\d*(_before|_after)?|"
    r"ln(_.*)?|bn\d*|scale|shift",
    re.IGNORECASE,
)

CONVOLUTION: Final = re.compile(r"(.*_)?(dw|pw|de)?conv(s|olution)?_?\d*d?(_.*)?")

TRANSPOSED: Final = re.compile(r"(.*_)?(deconv|upconv|convt|conv_?transposed?)_?\d*d?(_.*)?")

FACTOR: Final = re.compile(r"parametrizations|weight_g|weight_v|lora_(A|B|magnitude_vector)")


TOKEN: Final = re.compile(r"(.*_)?tokens?")

STEM_CONVOLUTIONS: Final = frozenset({"conv1", "conv2"})

WAVEFORM_STEMS: Final = frozenset({"feature_extractor", "feature_encoder"})


def owner(parts: list[str]) -> str:
    """The module that owns a parameter: `fc1` of `mlp.fc1.weight`, `ff` of `ff.0.weight`."""
    modules = [part for part in parts[:-1] if not part.isdigit()]
    return modules[-1] if modules else ""


def in_block(parts: list[str]) -> bool:
    """Whether a numbered block holds the module: `layers.0.fc1.weight`, not `classifier.1.weight`.

    A number right before the parameter counts the layers of a small sequence, not of a stack.
    """
    return any(part.isdigit() for part in parts[:-2])


def is_router(parts: list[str]) -> bool:
    """Whether the tensor chooses between experts."""
    return says(ROUTER, parts)


def is_head(parts: list[str]) -> bool:
    """Whether the tensor makes the outputs of the model."""
    numbers = [place for place, part in enumerate(parts) if part.isdigit()]
    before = parts[: numbers[0]] if numbers else parts
    return says(HEAD, before) or not HEAD_IN_BLOCK.isdisjoint(parts)


def is_embedding(parts: list[str]) -> bool:
    """Whether the tensor makes the inputs of the blocks: a table, a token, a stem.

    A whole tower may stand inside an embedding: only the parts below its numbered layers count.
    """
    stacked = [place for place, part in enumerate(parts) if part.isdigit() and place]
    inner = [place + 1 for place in stacked if parts[place - 1] in STACKS]
    below = parts[inner[-1] :] if inner else parts
    if says(EMBEDDING, below) or says(TOKEN, parts[-2:]) or parts[-2:-1] == ["shared"]:
        return True
    if "conv_layers" in parts:
        return not WAVEFORM_STEMS.isdisjoint(parts)
    return owner(parts) in STEM_CONVOLUTIONS and not in_block(parts)


def is_norm(parts: list[str]) -> bool:
    """Whether the owner of the tensor is a norm, whatever its shape."""
    return NORM.fullmatch(owner(parts)) is not None


def says(pattern: re.Pattern[str], parts: list[str]) -> bool:
    """Whether any whole part matches."""
    return any(pattern.fullmatch(part) for part in parts)
