"""A kind is what transformers' own tables say of the class, for every family of the zoo."""

from __future__ import annotations

import json
from pathlib import Path

import badinputs as bad
import pytest
import zoo
from transformers.models.auto import modeling_auto as auto

from compressor.checkpoint.read.reader import Checkpoint, open_checkpoint
from compressor.errors import InputError
from compressor.measure.kinds import kind_of, measured_component
from compressor.measure.loaded import Kind

TABLES: dict[Kind, dict[str, str | tuple[str, ...]]] = {
    "causal-lm": auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    "masked-lm": auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    "text-classification": auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
    "image-classification": auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES,
    "forecasting": auto.MODEL_FOR_TIME_SERIES_PREDICTION_MAPPING_NAMES,
}
UNNAMED: dict[str, Kind] = {
    "BertForPreTraining": "embedding",
    "ElectraForPreTraining": "embedding",
    "MPNetModel": "embedding",
    "XLMRobertaForTokenClassification": "embedding",
    "PatchTSTForPrediction": "forecasting",
    "TimeSeriesTransformerForPrediction": "forecasting",
}
"""Classes of the zoo that stand in none of these tables: of all others only speed is measured."""

SPEECH = auto.MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING_NAMES


def classes(table: dict[str, str | tuple[str, ...]]) -> set[str]:
    """The names in a table, those that stand several in a row apart."""
    return {
        name for names in table.values() for name in ((names,) if isinstance(names, str) else names)
    }


def checkpoint(folder: Path, model_type: str, *architectures: str) -> Checkpoint:
    """A folder with some weights, whose config names this class."""
    bad.write_model(folder)
    config = {"model_type": model_type, "architectures": list(architectures)}
    (folder / "config.json").write_text(json.dumps(config))
    return open_checkpoint(folder)


@pytest.mark.parametrize("model_type", zoo.FAMILIES)
def test_a_family_has_the_kind_that_its_class_justifies(model_type: str, tmp_path: Path) -> None:
    architecture = zoo.FAMILIES[model_type][0]

    found = kind_of(checkpoint(tmp_path, model_type, architecture))

    named = {kind for kind, table in TABLES.items() if architecture in classes(table)}
    assert {found} == (named or {UNNAMED.get(architecture, "other")})


def test_a_classifier_of_sounds_is_no_classifier_of_texts(tmp_path: Path) -> None:
    found = {
        name: kind_of(checkpoint(tmp_path / name, name, str(architecture)))
        for name, architecture in SPEECH.items()
    }

    assert set(found.values()) == {"other"}


def test_no_class_is_taken_for_what_another_table_says_it_is(tmp_path: Path) -> None:
    wrong = {}
    for kind, table in TABLES.items():
        for name in classes(table):
            found = kind_of(checkpoint(tmp_path / name, "any", name))
            own = {each for each, other in TABLES.items() if name in classes(other)}
            if found not in {*own, "other"}:
                wrong[name] = (found, kind)

    assert wrong == {}


@pytest.mark.parametrize(
    ("model_type", "kind"), [("bert", "embedding"), ("llama", "other"), ("t5", "other")]
)
def test_a_class_that_is_not_named_is_what_its_type_is(
    model_type: str, kind: Kind, tmp_path: Path
) -> None:
    assert kind_of(checkpoint(tmp_path, model_type)) == kind


def test_a_list_of_modules_makes_a_chain_that_embeds(tmp_path: Path) -> None:
    checkpoint(tmp_path, "llama", "LlamaForCausalLM")
    (tmp_path / "modules.json").write_text("[]")

    assert kind_of(open_checkpoint(tmp_path)) == "embedding"


def test_a_folder_without_a_model_of_transformers_has_nothing_to_measure(tmp_path: Path) -> None:
    found = checkpoint(tmp_path, "")

    with pytest.raises(InputError) as caught:
        measured_component(found)

    assert (caught.value.id, caught.value.exit_code) == ("CONFIG-MODEL-TYPE", 3)
    assert caught.value.found == "0 of 1 parts (./), expected 1"
