"""What a checkpoint's model does, read off its config: it decides what can be asked of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from compressor.checkpoint.read.reader import Checkpoint, Component
from compressor.errors import InputError, listing
from compressor.measure.loaded import Kind
from compressor.model.load import is_transformers
from compressor.model.subconfig import model_type

_BY_CLASS: Final[Mapping[str, Kind]] = {
    "ForCausalLM": "causal-lm",
    "WithLMHeadModel": "masked-lm",
    "LMHeadModel": "causal-lm",
    "ForMaskedLM": "masked-lm",
    "ForSequenceClassification": "text-classification",
    "ForImageClassification": "image-classification",
    "ForImageClassificationWithTeacher": "image-classification",
    "ForPrediction": "forecasting",
}
"""How the name of a class ends, and what such a class does; the first that fits."""

_SPEECH: Final = frozenset(
    {
        "data2vec-audio",
        "hubert",
        "sew",
        "sew-d",
        "unispeech",
        "unispeech-sat",
        "wav2vec2",
        "wav2vec2-bert",
        "wav2vec2-conformer",
        "wavlm",
    }
)
"""Model types that hear: the sequence that they classify is no text."""

_ENCODERS: Final = frozenset(
    {
        "albert",
        "bert",
        "camembert",
        "convbert",
        "deberta",
        "deberta-v2",
        "distilbert",
        "electra",
        "ernie",
        "eurobert",
        "modernbert",
        "mpnet",
        "nomic_bert",
        "nystromformer",
        "roberta",
        "squeezebert",
        "xlm-roberta",
    }
)
"""Model types whose bare encoder gives one vector per text, by the mean over its tokens."""


def measured_component(checkpoint: Checkpoint) -> Component:
    """The one model of a checkpoint that transformers can build."""
    found = [each for each in checkpoint.components if is_transformers(each)]
    if len(found) == 1:
        return found[0]
    names = listing(each.prefix or "./" for each in checkpoint.components)
    raise InputError(
        "CONFIG-MODEL-TYPE",
        "there is not exactly one model of transformers in this folder to measure",
        at=checkpoint.folder.name,
        found=f"{len(found)} of {len(checkpoint.components)} parts ({names}), expected 1",
        do="name the folder of one model; a pipeline of several is measured by its own library",
    )


def kind_of(checkpoint: Checkpoint) -> Kind:
    """The kind of model that the folder holds; `other` has a speed and no accuracy here."""
    component = measured_component(checkpoint)
    config = component.config or {}
    if "modules.json" in checkpoint.companions:
        return "embedding"
    if model_type(config) in _SPEECH:
        return "other"
    names = config.get("architectures")
    name = str(names[0]) if isinstance(names, list) and names else ""
    for ending, kind in _BY_CLASS.items():
        if name.endswith(ending):
            return kind
    return "embedding" if model_type(config) in _ENCODERS else "other"
