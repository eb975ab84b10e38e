"""One pass of a model over inputs made up from its config, and whether the outputs are numbers."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any, Final

from compressor.checkpoint.verify.finding import Finding, failed, ok, skipped
from compressor.model.load import first_line, quiet

LEVEL: Final = 11
TOKENS: Final = 8
SAMPLES: Final = 4000
"""A quarter of a second: more than the field of any stack of convolutions over a waveform."""


def check_forward(model: Any, at: str) -> Finding:
    """Whether a forward pass gives finite outputs; skipped where no input can be made up for it."""
    import torch

    refusals = []
    for inputs in made_up_inputs(model):
        try:
            with quiet(), torch.no_grad(), torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                output = model(**inputs)
        except Exception as error:  # what a model lacks, it says in any kind of error
            refusals.append(first_line(error))
            continue
        outputs = dict(_floats(output))
        bad = sorted(name for name, value in outputs.items() if not torch.isfinite(value).all())
        given = ", ".join(inputs)
        if not outputs:
            return skipped(LEVEL, f"no floating outputs from {given}", at)
        if bad:
            detail = f"{', '.join(bad)} hold NaN or infinity, from made-up {given}"
            return failed(LEVEL, "FORWARD-NONFINITE", detail, at)
        return ok(LEVEL, f"{', '.join(sorted(outputs))}: finite, from made-up {given}", at)
    reason = refusals[0] if refusals else f"`{model.main_input_name}` is none we know"
    return skipped(LEVEL, f"no input could be made up for `{type(model).__name__}`: {reason}", at)


def made_up_inputs(
    model: Any, batch: int = 1, length: int = TOKENS, seed: int = 0
) -> Iterator[dict[str, Any]]:
    """The main input, with what a decoder begins from; then all that can be made up at once.

    `length` is that of a text, in tokens; every other size is read off the config.
    """
    made = _inputs(model, batch, length, seed)
    parameters = inspect.signature(model.forward).parameters
    known = [name for name in made if name in parameters]
    main = model.main_input_name
    wanted = {main, "decoder_input_ids"} if model.config.is_encoder_decoder else {main}
    if main in known:
        yield {name: made[name] for name in known if name in wanted}
    if any(name not in wanted for name in known):
        yield {name: made[name] for name in known}


def _inputs(model: Any, batch: int, length: int, seed: int) -> dict[str, Any]:
    import torch

    settings = model.config.to_dict()
    dtype = next((each.dtype for each in model.parameters() if each.is_floating_point()), None)
    random = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> Any:
        return torch.randn((batch, *shape), generator=random).to(dtype)

    ids = torch.arange(length) % max(1, _size(settings, "vocab_size", default=TOKENS))
    ids = ids.repeat(batch, 1)
    mels = _size(settings, "num_mel_bins", default=80)
    spectrum = _size(settings, "max_length", default=0)
    context = _size(settings, "context_length", default=32)
    channels = _size(settings, "num_input_channels", default=0)
    return {
        "input_ids": ids,
        "decoder_input_ids": ids,
        "pixel_values": noise(_size(settings, "num_channels", default=3), *_image(settings)),
        "input_features": noise(mels, 2 * _size(settings, "max_source_positions", default=1500)),
        "input_values": noise(spectrum, mels)
        if settings.get("model_type") == "audio-spectrogram-transformer"
        else noise(SAMPLES),
        "past_values": noise(context, channels) if channels else noise(context),
    }


def _size(settings: Mapping[str, Any], name: str, *, default: int) -> int:
    """A whole number of the config, or of one nested in it."""
    for inner in _nested(settings):
        if type(inner.get(name)) is int:
            return int(inner[name])
    return default


def _image(settings: Mapping[str, Any]) -> tuple[int, int]:
    """Height and width."""
    for inner in _nested(settings):
        match inner.get("image_size"):
            case int(size) if size > 0:
                return size, size
            case [int(height), int(width)]:
                return height, width
            case {"height": int(height), "width": int(width)}:
                return height, width
    return 64, 64


def _nested(settings: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield settings
    for value in settings.values():
        if isinstance(value, dict):
            yield from _nested(value)


def _floats(output: Any, name: str = "output") -> Iterator[tuple[str, Any]]:
    """The floating tensors of an output, by name: its logits alone where it has some."""
    import torch

    if isinstance(output, torch.Tensor):
        if output.is_floating_point():
            yield name, output
    elif isinstance(output, dict):
        named = {"logits": output["logits"]} if "logits" in output else output
        for key, value in named.items():
            yield from _floats(value, key)
    elif isinstance(output, list | tuple):
        for number, value in enumerate(output):
            yield from _floats(value, f"{name}[{number}]")
