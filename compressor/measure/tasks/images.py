"""Image classification: whether the likeliest class of an image is the one that it bears."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
import torch
from blake3 import blake3

from compressor.data.dataset import Dataset
from compressor.errors import InputError
from compressor.measure import classes
from compressor.measure.batches import HIDDEN_ITEMS, Rows
from compressor.measure.evidence import Answers, DataTask, Metric
from compressor.measure.loaded import Kind, Loaded, Preparations
from compressor.measure.vision.images import FILE, preprocessing
from compressor.model.load import first_line


def fits(kind: Kind, dataset: Dataset) -> bool:
    """Whether the task can be asked: labelled images for a classifier of images."""
    return kind == "image-classification" and {"image", "label"} <= set(dataset.roles)


@final
@dataclass(frozen=True)
class ImageClassification(DataTask):
    """The class of each image, from pixels made as the checkpoint says."""

    kind: ClassVar[str] = "images"

    def answers(self, model: Loaded) -> Answers:
        images = self.dataset.values["image"]
        names = model.config.id2label
        labels, _ = classes.class_numbers(self.dataset.values["label"], names, self.data)
        prepared, rows, seen = preprocessing(model), Rows(self.count), blake3()
        for start in range(0, self.count, model.batch_size):
            indices = range(start, min(start + model.batch_size, self.count))
            pixels = prepared.pixels([images[index] for index in indices], self.data)
            for image in pixels:
                seen.update(np.asarray(image.shape, np.int64).tobytes() + image.tobytes())
            output = _asked(model, torch.from_numpy(pixels), is_opened=start < HIDDEN_ITEMS)
            rows.put(indices, {"logits": output.logits})
            if output.hidden_states is not None:
                rows.put_hidden(indices, output.hidden_states, None)
            model.observe(len(indices))
        logits = rows.arrays["logits"]
        return Answers(
            seen.hexdigest(),
            {"logits": logits, "labels": labels},
            rows.hidden,
            prepared.description,
            classes.collapse(logits, labels),
            prepared.preparations(images),
        )

    def preparations(self, model: Loaded) -> Preparations:
        return preprocessing(model).preparations(self.dataset.values["image"])

    def metrics(self, answers: Answers) -> Iterator[Metric]:
        found = answers.arrays
        return classes.scores(found["logits"], found["labels"], answers.definition)

    def distances(self, dense: Answers, other: Answers) -> Iterator[Metric]:
        one, two = dense.arrays, other.arrays
        return classes.distances(one["logits"], two["logits"], one["labels"], dense.definition)


def _asked(model: Loaded, pixels: torch.Tensor, *, is_opened: bool) -> Any:
    """What the model gives for a batch, its hidden states too if it `is_opened`."""
    try:
        return model.model(
            pixel_values=pixels.to(model.device, model.model.dtype), output_hidden_states=is_opened
        )
    except ValueError as error:  # how transformers says that sizes or channels do not fit
        raise InputError(
            "PREPROCESSOR-SIZE",
            "the model does not take images as its own preprocessing makes them",
            at=f"{model.name}/{FILE}",
            found=f"{tuple(pixels.shape[1:])} (channels, height, width); {first_line(error)}",
            do=f"correct size and crop_size in {FILE} to image_size of config.json",
        ) from error
