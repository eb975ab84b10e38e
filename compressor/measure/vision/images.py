"""From images to the pixels that a model sees: its own image processor, stated and checked.

transformers' processor does the work. What it was told in `preprocessor_config.json`, and what is
merely assumed, is said here: published accuracies moved by up to 32 points for want of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from compressor.checkpoint.read.strict_json import MalformedJson, parse_object
from compressor.errors import InputError, RefusedError, printable
from compressor.measure.loaded import Loaded, Preparation
from compressor.measure.vision.image_shape import channel_count, image_size
from compressor.model.load import first_line, quiet

Image: TypeAlias = NDArray[np.uint8]
Settings: TypeAlias = Mapping[str, Any]

FILE: Final = "preprocessor_config.json"
_DEPTH: Final = 64
_FILTERS: Final = ("nearest", "Lanczos", "bilinear", "bicubic", "box", "Hamming")
"""By Pillow's numbers, which the files hold."""
_WARPED_FROM: Final = 384
"""Edge from which ConvNeXT resizes without a crop."""


@final
@dataclass(frozen=True)
class Preprocessing:
    """What happens to an image before one model sees it."""

    processor: Any
    settings: Settings
    """What the processor does."""
    stated: Settings
    """What `preprocessor_config.json` says of it; the rest is assumed."""
    channels: int
    channels_origin: str
    image_size: tuple[int, int] | None
    """Height and width that the model's config names."""

    def pixels(self, images: Sequence[Image], at: str) -> NDArray[np.float32]:
        """`(images, channels, height, width)` fp32, as the model sees them."""
        given = [_channelled(image, self.channels) for image in images]
        made = [
            np.asarray(each, np.float32)
            for each in self.processor(
                given, input_data_format="channels_first", do_convert_rgb=False
            )["pixel_values"]
        ]
        sizes = sorted({each.shape[1:] for each in made})
        if len(sizes) > 1:
            raise InputError(
                "DATA-TYPE",
                "the images are of different sizes, and nothing resizes them to one",
                at=at,
                found=f"{_by(sizes[0])} and {_by(sizes[-1])} px; expected images of one size",
                do=f"resize the images, or add a {FILE} with a size to the model",
            )
        return np.stack(made)

    @property
    def description(self) -> str:
        """In one line, in the order in which it happens."""
        steps = (self._resize(), self._crop(), self._units(), self._normalisation())
        return ", ".join([_channels(self.channels), *filter(None, steps)])

    def preparations(self, images: Sequence[Image]) -> list[Preparation]:
        """One line for each thing that happens, in order, with a warning where the data misfit."""
        of_data = [image.shape[:2] for image in images]
        resized = self._resize() or "as they are"
        lines = [
            Preparation(
                "channels", _channels(self.channels), self.channels_origin, self._recoloured(images)
            ),
            Preparation(
                "image size",
                f"{_range(of_data)} px, {resized}",
                self._origin("size" if self.settings.get("do_resize") else "do_resize"),
                self._enlarged(of_data),
            ),
        ]
        if crop := self._crop():
            lines.append(Preparation("crop", crop, self._origin("crop_size", "crop_pct")))
        return [
            *lines,
            Preparation(
                "pixel values",
                self._units() or "0 to 255 as they are",
                self._origin("rescale_factor", "do_rescale"),
                self._other_units(images),
            ),
            Preparation(
                "normalisation",
                self._normalisation(),
                self._origin("image_mean", "image_std", "do_normalize"),
                self._unstated(),
            ),
        ]

    def _origin(self, *keys: str) -> str:
        return FILE if any(key in self.stated for key in keys) else "assumed"

    def _edge(self) -> int:
        """The shorter edge after resizing."""
        size = self.settings["size"]
        edge = size["shortest_edge"] if "shortest_edge" in size else min(size.values())
        share = self.settings.get("crop_pct")
        is_widened = share is not None and edge < _WARPED_FROM
        return int(edge / share) if is_widened else int(edge)

    def _resize(self) -> str:
        if not self.settings.get("do_resize"):
            return ""
        size, to = self.settings["size"], f"shorter edge {self._edge()}"
        if "height" in size:
            to = _by((size["height"], size["width"]))
        return f"resized to {to} px ({_FILTERS[int(self.settings['resample'])]})"

    def _crop(self) -> str:
        size = self.settings.get("crop_size")
        if self.settings.get("do_center_crop") and size:
            return f"centre {_by((size['height'], size['width']))} px"
        edge = self.settings["size"].get("shortest_edge") if self.settings.get("size") else None
        if self.settings.get("crop_pct") and edge is not None and edge < _WARPED_FROM:
            return f"centre {_by((edge, edge))} px"
        return ""

    def _units(self) -> str:
        said = ""
        if self.settings.get("do_rescale"):
            offset = " less 1" if self.settings.get("rescale_offset") else ""
            said = f"divided by {1 / float(self.settings['rescale_factor']):.6g}{offset}"
        is_flipped = self.settings.get("do_flip_channel_order")
        return f"{said}, channels as blue, green, red".lstrip(", ") if is_flipped else said

    def _normalisation(self) -> str:
        if not self.settings.get("do_normalize"):
            return "no normalisation"
        mean, spread = self.settings["image_mean"], self.settings["image_std"]
        return f"mean {_numbers(mean)}, standard deviation {_numbers(spread)}"

    def _recoloured(self, images: Sequence[Image]) -> str:
        grey = sum(image.ndim == 2 for image in images)
        coloured = len(images) - grey
        if self.channels == 1 and coloured:
            return f"{coloured} of {len(images)} images have colours, of which the model sees none"
        if self.channels == 3 and grey:
            return (
                f"{grey} of {len(images)} images are greyscale, "
                "repeated for each of the model's 3 channels"
            )
        return ""

    def _enlarged(self, of_data: Sequence[tuple[int, ...]]) -> str:
        edge = min(min(size) for size in of_data)
        if self.settings.get("do_resize") and self._edge() > edge:
            return (
                f"images of {edge} px are enlarged {self._edge() / edge:.3g} times to "
                f"{self._edge()} px: the model may have been trained on sharper ones"
            )
        if not self.stated and self.image_size is None:
            return f"no {FILE}, and no image_size in config.json: the images are taken as they are"
        return "" if self.stated else f"no {FILE}: the size is config.json's"

    def _other_units(self, images: Sequence[Image]) -> str:
        if not self.stated:
            return f"no {FILE}: division by 255 is assumed"
        if max(int(image.max()) for image in images) <= 1:
            return "no pixel is above 1 of 255: the data may be in other units"
        return ""

    def _unstated(self) -> str:
        if not self.stated:
            return f"no {FILE}: pixels are not normalised, whatever the model was trained with"
        is_given = "image_mean" in self.stated and "image_std" in self.stated
        if self.settings.get("do_normalize") and not is_given:
            return f"{FILE} names no image_mean and image_std: those of its class are used"
        return ""


def preprocessing(model: Loaded) -> Preprocessing:
    """How the checkpoint wants its images; nothing is fetched and no foreign code runs."""
    config: Settings = model.config.to_dict()
    named = channel_count(config)
    size, stated = image_size(config), _stated(model)
    processor = _processor(model) if stated else _plain_processor(size)
    found = Preprocessing(
        processor,
        processor.to_dict(),
        stated,
        3 if named is None else named,
        "assumed" if named is None else "config.json",
        size,
    )
    _require_channels(found, model.name)
    return found


def _stated(model: Loaded) -> Settings:
    path = model.folder / FILE
    if not path.is_file():
        return {}
    try:
        return parse_object(path.read_bytes(), _DEPTH, is_strict=False)
    except MalformedJson as error:
        raise _unreadable(model, printable(error)) from error


def _processor(model: Loaded) -> Any:
    from transformers import AutoImageProcessor

    try:
        with quiet():
            return AutoImageProcessor.from_pretrained(  # type: ignore[no-untyped-call]  # transformers has no annotation
                str(model.folder), backend="pil", local_files_only=True, trust_remote_code=False
            )
    except Exception as error:  # whatever the file makes a loader raise
        if "trust_remote_code" in str(error):
            raise RefusedError(
                "REMOTE-CODE",
                "the image processor needs code that comes with its checkpoint, which is never run",
                at=f"{model.name}/{FILE}, key auto_map",
                found="an image processor of its own, expected one that transformers has",
                do=f"name one of transformers' classes as image_processor_type in {FILE}",
            ) from error
        raise _unreadable(model, first_line(error)) from error


def _plain_processor(size: tuple[int, int] | None) -> Any:
    """Where nothing is said: bilinear to the size in the config, and pixels from 0 to 1."""
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    height, width = size or (1, 1)
    return ViTImageProcessorPil(
        do_resize=size is not None, size={"height": height, "width": width}, do_normalize=False
    )


def _require_channels(found: Preprocessing, at: str) -> None:
    """Refuse a model of other than 1 or 3 channels, and statistics for other channels."""
    statistics = {1}
    if found.settings.get("do_normalize"):
        given = (found.settings["image_mean"], found.settings["image_std"])
        statistics = {np.size(each) for each in given}
    if found.channels in (1, 3) and statistics <= {1, found.channels}:
        return
    raise InputError(
        "PREPROCESSOR-CHANNELS",
        "images cannot be made into the channels that this model takes",
        at=at,
        found=f"{found.channels} channels in config.json, statistics for "
        f"{sorted(statistics)} in {FILE}; expected 1 or 3 channels, and as many statistics",
        do=f"correct image_mean and image_std in {FILE}, or num_channels in config.json",
    )


def _unreadable(model: Loaded, found: str) -> InputError:
    return InputError(
        "PREPROCESSOR-UNREADABLE",
        "the checkpoint's description of its images cannot be read",
        at=f"{model.name}/{FILE}",
        found=f"{found}; expected what an image processor of transformers saves",
        do=f"fetch {FILE} again from the model's provider",
    )


def _channelled(image: Image, channels: int) -> Image:
    """`(channels, height, width)`: grey repeated, colours to their luminance (ITU-R 601)."""
    from PIL import Image as pillow

    if image.ndim == 2:
        return np.repeat(image[None], channels, axis=0)
    if channels == 3:
        return np.moveaxis(image, -1, 0)
    return np.asarray(pillow.fromarray(image).convert("L"))[None]


def _channels(count: int) -> str:
    return "1 channel" if count == 1 else f"{count} channels"


def _numbers(values: float | Sequence[float]) -> str:
    texts = [f"{value:.6g}" for value in np.atleast_1d(values)]
    return texts[0] if len(set(texts)) == 1 else f"({', '.join(texts)})"


def _by(size: Sequence[int]) -> str:
    return f"{size[0]}×{size[1]}"


def _range(sizes: Sequence[Sequence[int]]) -> str:
    least, most = np.min(sizes, axis=0), np.max(sizes, axis=0)
    return _by(least) if (least == most).all() else f"{_by(least)} to {_by(most)}"
