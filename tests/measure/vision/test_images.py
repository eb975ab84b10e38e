import json

import numpy as np
import pytest
import torch
from transformers import ConvNextConfig, ResNetConfig, ViTConfig

from compressor.errors import InputError, RefusedError
from compressor.measure.loaded import Loaded
from compressor.measure.vision.images import FILE, preprocessing

VIT = {
    "image_processor_type": "ViTImageProcessor",
    "size": {"height": 28, "width": 28},
    "resample": 2,
    "rescale_factor": 1 / 255,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.25, 0.25, 0.25],
}
CLIP = {
    "image_processor_type": "CLIPImageProcessor",
    "size": {"shortest_edge": 32},
    "crop_size": {"height": 28, "width": 28},
    "resample": 3,
    "rescale_factor": 1 / 255,
    "image_mean": [0.48, 0.46, 0.41],
    "image_std": [0.27, 0.26, 0.28],
}
CONVNEXT = {
    "image_processor_type": "ConvNextImageProcessor",
    "size": {"shortest_edge": 28},
    "crop_pct": 0.875,
    "resample": 3,
    "rescale_factor": 1 / 255,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}


def loaded(folder, config, stated=None):
    if stated is not None:
        (folder / FILE).write_text(json.dumps(stated))
    (folder / "config.json").write_text(config.to_json_string())
    return Loaded(
        "planted", folder, "image-classification", torch.nn.Identity(), config, "cpu", 4, None
    )


def vit(channels=3):
    return ViTConfig(image_size=28, num_channels=channels)


def colours(height, width, count=2):
    generator = np.random.default_rng(0)
    return [generator.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(count)]


def said(model, images):
    return {each.what: each for each in preprocessing(model).preparations(images)}


def warned(model, images):
    return {what for what, each in said(model, images).items() if each.warning}


def test_what_a_vit_file_says_is_stated_in_the_order_in_which_it_happens(tmp_path):
    model = loaded(tmp_path, vit(), VIT)

    found = [(each.what, each.value) for each in said(model, colours(40, 30)).values()]

    assert found == [
        ("channels", "3 channels"),
        ("image size", "40×30 px, resized to 28×28 px (bilinear)"),
        ("pixel values", "divided by 255"),
        ("normalisation", "mean 0.5, standard deviation 0.25"),
    ]


def test_a_crop_after_the_shorter_edge_is_stated(tmp_path):
    model = loaded(tmp_path, vit(), CLIP)

    found = said(model, colours(64, 48))

    assert found["image size"].value == "64×48 px, resized to shorter edge 32 px (bicubic)"
    assert found["crop"].value == "centre 28×28 px"
    assert found["normalisation"].value == (
        "mean (0.48, 0.46, 0.41), standard deviation (0.27, 0.26, 0.28)"
    )
    assert preprocessing(model).pixels(colours(64, 48), "data").shape == (2, 3, 28, 28)


def test_a_share_that_is_cropped_widens_the_shorter_edge(tmp_path):
    model = loaded(tmp_path, ConvNextConfig(image_size=28), CONVNEXT)

    found = said(model, colours(64, 48))

    assert "shorter edge 32 px" in found["image size"].value
    assert found["crop"].value == "centre 28×28 px"
    assert preprocessing(model).pixels(colours(64, 48), "data").shape == (2, 3, 28, 28)


def test_without_a_file_everything_is_assumed_and_warned_of(tmp_path):
    model = loaded(tmp_path, vit())

    found = said(model, colours(28, 28))

    assert found["image size"].value == "28×28 px, resized to 28×28 px (bilinear)"
    assert found["pixel values"].value == "divided by 255"
    assert found["normalisation"].value == "no normalisation"
    for what in ("image size", "pixel values", "normalisation"):
        assert found[what].origin == "assumed"
        assert FILE in found[what].warning


def test_without_a_file_pixels_are_divided_by_255_and_no_more(tmp_path):
    images = colours(28, 28)

    found = preprocessing(loaded(tmp_path, vit())).pixels(images, "data")

    expected = np.stack(images).transpose(0, 3, 1, 2).astype(np.float64) / 255
    # One rounding to fp32 of numbers up to 1.
    np.testing.assert_allclose(found, expected, rtol=0, atol=2**-23)


def test_data_that_fit_the_model_are_not_warned_of(tmp_path):
    assert not warned(loaded(tmp_path, vit(), VIT), colours(28, 28))
    assert not warned(loaded(tmp_path, vit(), VIT), colours(200, 300))


def test_small_images_are_warned_of_with_the_factor(tmp_path):
    found = said(loaded(tmp_path, vit(), VIT), colours(8, 8))

    assert "enlarged 3.5 times" in found["image size"].warning
    assert warned(loaded(tmp_path, vit(), VIT), colours(8, 8)) == {"image size"}


def test_grey_images_of_a_model_with_colours_are_repeated_with_a_warning(tmp_path):
    model, grey = loaded(tmp_path, vit(), VIT), [image[:, :, 0] for image in colours(28, 28)]

    pixels = preprocessing(model).pixels(grey, "data")

    assert warned(model, grey) == {"channels"}
    assert (pixels[:, 0] == pixels[:, 1]).all()
    assert (pixels[:, 0] == pixels[:, 2]).all()


def test_colours_for_a_grey_model_become_their_luminance_with_a_warning(tmp_path):
    stated = {**VIT, "image_mean": [0.0], "image_std": [1.0]}
    model, images = loaded(tmp_path, vit(1), stated), colours(28, 28)

    pixels = preprocessing(model).pixels(images, "data")

    assert warned(model, images) == {"channels"}
    expected = np.stack(images).astype(np.float64) @ (0.299, 0.587, 0.114) / 255
    # Pillow rounds the luminance to one of 256 levels.
    np.testing.assert_allclose(pixels[:, 0], expected, rtol=0, atol=1 / 255)


def test_a_file_without_statistics_is_warned_of(tmp_path):
    stated = {key: VIT[key] for key in VIT if key not in ("image_mean", "image_std")}
    model = loaded(tmp_path, vit(), stated)

    assert warned(model, colours(28, 28)) == {"normalisation"}


def test_pixels_in_other_units_are_warned_of(tmp_path):
    dark = [image // 128 for image in colours(28, 28)]

    assert warned(loaded(tmp_path, vit(), VIT), dark) == {"pixel values"}


def test_images_of_several_sizes_that_nothing_resizes_are_refused(tmp_path):
    model = loaded(tmp_path, ResNetConfig())

    with pytest.raises(InputError, match="DATA-TYPE"):
        preprocessing(model).pixels([*colours(8, 8), *colours(9, 8)], "data")


def test_statistics_for_other_channels_are_refused(tmp_path):
    with pytest.raises(InputError, match="PREPROCESSOR-CHANNELS"):
        preprocessing(loaded(tmp_path, vit(1), VIT))


def test_a_model_of_many_channels_is_refused(tmp_path):
    with pytest.raises(InputError, match="PREPROCESSOR-CHANNELS"):
        preprocessing(loaded(tmp_path, vit(13)))


@pytest.mark.parametrize("text", ["{", "[]", '{"image_processor_type": "NoSuchProcessor"}'])
def test_a_file_that_cannot_be_read_is_refused(tmp_path, text):
    model = loaded(tmp_path, ResNetConfig(model_type="no-such-model"), VIT)
    (tmp_path / FILE).write_text(text)
    (tmp_path / "config.json").write_text('{"model_type": "no-such-model"}')

    with pytest.raises(InputError, match="PREPROCESSOR-UNREADABLE"):
        preprocessing(model)


def test_code_that_comes_with_a_checkpoint_is_refused(tmp_path):
    stated = {"auto_map": {"AutoImageProcessor": "foreign.Processor"}}
    model = loaded(tmp_path, vit(), stated)
    (tmp_path / "foreign.py").write_text("raise SystemExit('it ran')")
    (tmp_path / "config.json").write_text('{"model_type": "no-such-model"}')

    with pytest.raises(RefusedError, match="REMOTE-CODE"):
        preprocessing(model)
