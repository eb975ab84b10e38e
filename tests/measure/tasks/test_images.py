import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    ResNetConfig,
    ResNetForImageClassification,
    ViTConfig,
    ViTForImageClassification,
)

from compressor.data.dataset import Dataset
from compressor.data.spec import Spec
from compressor.errors import InputError
from compressor.measure.loaded import Loaded
from compressor.measure.tasks.images import ImageClassification, fits
from compressor.measure.vision.images import FILE

MEAN, SPREAD = (0.5, 0.4, 0.3), (0.25, 0.5, 0.2)
STATED = {
    "image_processor_type": "CLIPImageProcessor",
    "size": {"shortest_edge": 20},
    "crop_size": {"height": 16, "width": 16},
    "resample": 3,
    "rescale_factor": 1 / 255,
    "image_mean": MEAN,
    "image_std": SPREAD,
}
NAMES = {number: f"class {number}" for number in range(7)}


def tiny(cls, folder, stated=STATED):
    settings = {
        ViTForImageClassification: ViTConfig(
            image_size=16,
            patch_size=8,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            id2label=NAMES,
        ),
        ResNetForImageClassification: ResNetConfig(
            embedding_size=8,
            hidden_sizes=[8, 16],
            depths=[1, 1],
            layer_type="basic",
            id2label=NAMES,
        ),
    }
    torch.manual_seed(0)
    model = cls(settings[cls]).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
        # No class is likelier over all images, so that the likeliest differs from one to another.
        [*_, bias] = model.parameters()
        bias.sub_(model(pixel_values=by_hand(noise())).logits.mean(dim=0))
    (folder / FILE).write_text(json.dumps(stated))
    return Loaded("planted", folder, "image-classification", model, model.config, "cpu", 4, None)


def noise(count=24):
    generator = np.random.default_rng(1)
    coarse = generator.integers(0, 256, (count, 3, 3, 3), dtype=np.uint8)
    return [np.asarray(Image.fromarray(each).resize((36, 24))) for each in coarse]


def by_hand(images):
    """The pixels that `STATED` means, by Pillow and numpy alone."""
    found = []
    for image in images:
        resized = Image.fromarray(image).resize((30, 20), Image.Resampling.BICUBIC)
        cropped = np.asarray(resized.crop((7, 2, 23, 18)), np.float64)
        found.append(((cropped / 255 - MEAN) / SPREAD).transpose(2, 0, 1))
    return torch.tensor(np.stack(found), dtype=torch.float32)


def labelled(images, labels):
    return Dataset(
        name="noise",
        spec=Spec("noise", "noise", {}),
        roles={"image": "image", "label": "label"},
        values={"image": images, "label": labels},
        digest="",
        count=len(images),
        total=None,
        notes=(),
    )


def planted(model, images):
    """A data set that the model answers without a mistake."""
    with torch.no_grad():
        likeliest = model.model(pixel_values=by_hand(images)).logits.argmax(dim=1)
    return labelled(images, [NAMES[number] for number in likeliest.tolist()])


def asked(task, model):
    with torch.inference_mode():
        return task.answers(model)


def values(metrics):
    return {metric.name: metric.statistic.value for metric in metrics}


def test_it_fits_labelled_images_of_an_image_classifier():
    data = labelled(noise(1), ["class 0"])

    assert fits("image-classification", data)
    assert not fits("text-classification", data)
    assert not fits("image-classification", dataclasses.replace(data, roles={"image": "image"}))


@pytest.mark.parametrize("cls", [ViTForImageClassification, ResNetForImageClassification])
def test_a_model_is_right_about_labels_from_pixels_made_by_hand(tmp_path, cls):
    model = tiny(cls, tmp_path)
    task = ImageClassification(planted(model, noise()))

    answers = asked(task, model)

    assert len(set(answers.arrays["labels"].tolist())) > 1
    assert set(values(task.metrics(answers)).values()) == {1.0}
    with torch.no_grad():
        expected = model.model(pixel_values=by_hand(noise())).logits.numpy()
    # The pixels differ by the rounding of fp32 alone: 2^-24 over a few thousand operations.
    np.testing.assert_allclose(answers.arrays["logits"], expected, rtol=1e-4, atol=1e-4)


def test_wrong_labels_are_counted(tmp_path):
    model, images = tiny(ViTForImageClassification, tmp_path), noise()
    right = planted(model, images).values["label"]
    labels = [
        label if place % 4 else f"class {(int(label[-1]) + 1) % 7}"
        for place, label in enumerate(right)
    ]
    task = ImageClassification(labelled(images, labels))

    assert values(task.metrics(asked(task, model)))["accuracy"] == 18 / 24


def test_other_statistics_give_other_items_and_other_answers(tmp_path):
    model = tiny(ViTForImageClassification, tmp_path)
    task = ImageClassification(planted(model, noise()))
    before = asked(task, model)
    (tmp_path / FILE).write_text(json.dumps({**STATED, "image_mean": [0.0, 0.0, 0.0]}))

    after = asked(task, model)

    assert after.items != before.items
    assert values(task.distances(before, after))["kl"] > 0


def test_the_size_of_a_batch_changes_nothing(tmp_path):
    model = tiny(ViTForImageClassification, tmp_path)
    task = ImageClassification(planted(model, noise()))

    one, other = (
        asked(task, dataclasses.replace(model, batch_size=size)) for size in (1, len(noise()))
    )

    assert one.items == other.items
    # Matrix products of other shapes sum in another order.
    np.testing.assert_allclose(one.arrays["logits"], other.arrays["logits"], rtol=1e-4, atol=1e-4)
    assert one.hidden.keys() == other.hidden.keys() == {"0", "1", "2"}
    for layer, states in one.hidden.items():
        np.testing.assert_allclose(states, other.hidden[layer], rtol=1e-4, atol=1e-4)


def test_every_item_is_told_once(tmp_path):
    told = []
    model = dataclasses.replace(tiny(ViTForImageClassification, tmp_path), observe=told.append)
    task = ImageClassification(planted(model, noise(7)))

    asked(task, model)

    assert sum(told) == task.count == 7


def test_the_definition_says_how_the_pixels_were_made(tmp_path):
    model = tiny(ViTForImageClassification, tmp_path)
    task = ImageClassification(planted(model, noise(4)))

    [accuracy, *_] = task.metrics(asked(task, model))

    assert accuracy.is_headline
    assert (
        "3 channels, resized to shorter edge 20 px (bicubic), centre 16×16 px, divided by 255, "
        "mean (0.5, 0.4, 0.3), standard deviation (0.25, 0.5, 0.2)"
    ) in accuracy.definition


def test_nan_weights_never_give_a_number(tmp_path):
    model = tiny(ViTForImageClassification, tmp_path)
    task = ImageClassification(planted(model, noise()))
    dense = asked(task, model)
    with torch.no_grad():
        model.model.classifier.weight[3, 2] = math.nan

    broken = asked(task, model)

    found = [*task.metrics(broken), *task.distances(dense, broken)]
    assert [metric.name for metric in found if math.isfinite(metric.statistic.value)] == []
    assert "not finite" in broken.collapse


def test_a_model_that_names_one_class_has_collapsed(tmp_path):
    model = tiny(ViTForImageClassification, tmp_path)
    task = ImageClassification(planted(model, noise()))
    with torch.no_grad():
        model.model.classifier.weight.zero_()

    assert "for all 24 items" in asked(task, model).collapse


def test_pixels_that_the_model_refuses_are_an_error_about_its_file(tmp_path):
    stated = {**STATED, "crop_size": {"height": 20, "width": 20}}
    model = tiny(ViTForImageClassification, tmp_path, stated)
    task = ImageClassification(labelled(noise(2), ["class 0", "class 1"]))

    with pytest.raises(InputError, match="PREPROCESSOR-SIZE") as error:
        asked(task, model)

    assert "(3, 20, 20)" in error.value.found
