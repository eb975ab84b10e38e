"""Time-series forecasting: the error of forecasts over the last part of a table of numbers.

The table is standardised by its first part, so that errors of unlike columns can be averaged; a
window of the last part is forecast from the times before it, and no two forecasts overlap.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, TypeAlias, final

import numpy as np
import torch
from blake3 import blake3
from numpy.typing import NDArray

from compressor.data.dataset import Dataset, too_small
from compressor.errors import InputError, printable
from compressor.measure.batches import HIDDEN_ITEMS, Rows
from compressor.measure.distance import cosine_distance
from compressor.measure.evidence import Answers, Metric, Task
from compressor.measure.loaded import Kind, Loaded, Preparation, Preparations
from compressor.measure.percentiles import mean_and_percentiles
from compressor.measure.statistics import Floats, Mean, Ratio

Array: TypeAlias = NDArray[Any]

FITTED: Final = 0.6
"""Share of the times, from the start, whose mean and deviation standardise all of them."""
_MODELS: Final = ("patchtst", "patchtsmixer")
"""Model types whose one forward pass gives the whole forecast."""


def fits(kind: Kind, dataset: Dataset) -> bool:
    """Whether the task can be asked: a table of numbers for a model that forecasts."""
    return kind == "forecasting" and "target" in dataset.roles


@final
@dataclass(frozen=True)
class _Windows:
    """Which times are forecast, and from how many before them."""

    starts: Sequence[int]
    """The first time of each forecast."""
    context: int
    length: int

    def before(self, table: Floats, numbers: Sequence[int]) -> Floats:
        """What the model sees, `(windows, context, channels)`."""
        starts = [self.starts[number] for number in numbers]
        return np.stack([table[start - self.context : start] for start in starts])

    def after(self, table: Floats) -> Floats:
        """What was to be forecast, `(windows, length, channels)`."""
        return np.stack([table[start : start + self.length] for start in self.starts])


@final
@dataclass(frozen=True)
class Forecast(Task):
    """The next values of a table of numbers, window by window."""

    kind: ClassVar[str] = "forecast"

    dataset: Dataset

    @property
    def data(self) -> str:
        return self.dataset.name

    @property
    def count(self) -> int:
        """The times that are held out; how many windows they hold, each model says."""
        return self._times - self._fitted

    @property
    def _times(self) -> int:
        return len(self.dataset.values["target"])

    @property
    def _fitted(self) -> int:
        return round(FITTED * self._times)

    def answers(self, model: Loaded) -> Answers:
        table, windows = self._standardised(), self._windows(model)
        shown = _shown(model, table.shape[1], self.data)
        rows, size, done = Rows(len(windows.starts)), model.batch_size, 0
        for start in range(0, len(windows.starts), size):
            numbers = range(start, min(start + size, len(windows.starts)))
            is_opened = start < HIDDEN_ITEMS and not _is_split(model, table.shape[1])
            output, given = _forecast(model, windows.before(table, numbers), is_opened=is_opened)
            rows.put(numbers, {"forecast": given})
            if output.hidden_states is not None:
                rows.put_hidden(numbers, [_by_time(each) for each in output.hidden_states], None)
            model.observe(len(numbers) * windows.length)
            done += len(numbers) * windows.length
        model.observe(self.count - done)
        wanted = windows.after(table)[:, :, shown]
        forecast = rows.arrays["forecast"].astype(np.float64)
        return Answers(
            _digest(table, windows, shown),
            {"forecast": forecast, "target": wanted},
            rows.hidden,
            f"{len(windows.starts)} windows of the last {1 - FITTED:.0%} of {self._times} times, "
            f"context {windows.context}, length and stride {windows.length}, {len(shown)} channels "
            f"standardised by the first {FITTED:.0%}, intervals over windows as if independent",
            _collapse(forecast, wanted),
            self.preparations(model),
        )

    def preparations(self, model: Loaded) -> Preparations:
        channels = self.dataset.values["target"].shape[1]  # type: ignore[attr-defined]  # of `target`, the one array
        flat = int((self._spread() == 0).sum())
        return [
            Preparation(
                "standardisation",
                f"mean and standard deviation of the first {self._fitted} of {self._times} times",
                "assumed",
                f"{flat} of {channels} columns do not vary there" if flat else "",
            ),
            Preparation("context", f"{model.config.context_length} times", "config.json"),
            Preparation("forecast", f"{model.config.prediction_length} times", "config.json"),
            Preparation(
                "channels",
                f"{channels}, each as a series of its own"
                if _is_split(model, channels)
                else f"{channels}",
                "config.json",
            ),
        ]

    def metrics(self, answers: Answers) -> Iterator[Metric]:
        with np.errstate(over="ignore", invalid="ignore"):
            error = answers.arrays["forecast"] - answers.arrays["target"]
            squared, absolute = (error**2).mean(axis=(1, 2)), np.abs(error).mean(axis=(1, 2))
        said = f"of forecast and truth; {answers.definition}"
        what = f"mean squared difference {said}"
        yield Metric("mse", Mean(squared), "squared", what, "lower", is_headline=True)
        yield Metric("mae", Mean(absolute), "plain", f"mean absolute difference {said}", "lower")

    def distances(self, dense: Answers, other: Answers) -> Iterator[Metric]:
        one, two = dense.arrays["forecast"], other.arrays["forecast"]
        truth = dense.arrays["target"]
        if one.shape != two.shape:
            return
        with np.errstate(over="ignore", invalid="ignore"):
            apart = ((two - one) ** 2).mean(axis=(1, 2))
            turned = cosine_distance(one.reshape(len(one), -1), two.reshape(len(two), -1))
        # A forecast of NaN has no direction, which a row of zeros would pass for.
        cosines: Floats = np.where(np.isfinite(apart), turned, np.nan)
        spread = ((truth - truth.mean(axis=(0, 1))) ** 2).mean(axis=(1, 2))
        what = "mean squared difference to the dense forecast over the variance of the truth"
        yield Metric(
            "forecast-distance",
            Ratio(apart, spread),
            "plain",
            f"{what}; {dense.definition}",
            "lower",
        )
        what = f"1 - cosine to the dense forecast of a window; {dense.definition}"
        yield from mean_and_percentiles("cosine-distance", cosines, "share", what)

    def _spread(self) -> Floats:
        found: Floats = self._table()[: self._fitted].std(axis=0)
        return found

    def _table(self) -> Floats:
        table: Floats = np.asarray(self.dataset.values["target"], np.float64)
        bad = np.argwhere(~np.isfinite(table))
        if len(bad):
            row, column = bad[0]
            raise InputError(
                "DATA-TYPE",
                "the table holds values that are not finite numbers",
                at=f"{self.data}, row {row + 1}, column {column + 1} of those taken",
                found=f"{table[row, column]}, one of {len(bad)}; expected finite numbers only",
                do="fill the gaps, or name columns without them: --data FILE:target=column",
            )
        return table

    def _standardised(self) -> Floats:
        table, spread = self._table(), self._spread()
        found: Floats = (table - table[: self._fitted].mean(axis=0)) / np.where(spread, spread, 1.0)
        return found

    def _windows(self, model: Loaded) -> _Windows:
        context, length = model.config.context_length, model.config.prediction_length
        first = max(self._fitted, context)
        starts = range(first, self._times - length + 1, length)
        if not starts:
            # The held-out part has to hold a forecast, and the times before it a context.
            need = max(context + length, int(np.ceil(length / (1 - FITTED))))
            raise too_small(self.data, need, self._times, "times")
        return _Windows(starts, context, length)


def _shown(model: Loaded, channels: int, at: str) -> list[int]:
    """The channels that are forecast; refuses a model that does not fit the table."""
    config = model.config
    if config.model_type not in _MODELS:
        raise InputError(
            "CONFIG-MODEL-TYPE",
            "the forecasts of this kind of model are samples that cannot be compared exactly",
            at=model.name,
            found=f"`{printable(config.model_type)}`; expected one of: {', '.join(_MODELS)}",
            do="leave --data out to measure its speed alone",
        )
    if config.num_input_channels not in (1, channels):
        raise InputError(
            "DATA-COLUMN",
            "the table has not as many numeric columns as the model has channels",
            at=at,
            found=f"{channels} columns; expected {config.num_input_channels}",
            do="name the columns: --data FILE:target=first+second",
        )
    if _is_split(model, channels) or config.model_type == "patchtst":
        return list(range(channels))
    return list(config.prediction_channel_indices or range(channels))


def _is_split(model: Loaded, channels: int) -> bool:
    """Whether each column is a series of its own to the model."""
    return bool(model.config.num_input_channels == 1 and channels > 1)


def _forecast(model: Loaded, before: Floats, *, is_opened: bool) -> tuple[Any, torch.Tensor]:
    """The model's output, and its forecast `(windows, length, channels)`: a mean where it is one.

    `before` is `(windows, context, channels)`. The output has hidden states if it `is_opened`.
    """
    windows, context, channels = before.shape
    given = torch.from_numpy(before).to(model.device, model.model.dtype)
    is_split = _is_split(model, channels)
    if is_split:
        given = given.transpose(1, 2).reshape(windows * channels, context, 1)
    output: Any = model.model(past_values=given, output_hidden_states=is_opened)
    if model.model.distribution_output:
        found = model.model.distribution_output.distribution(
            output.prediction_outputs, loc=output.loc, scale=output.scale
        ).mean
    else:
        found = output.prediction_outputs
    if is_split:
        found = found.reshape(windows, channels, -1).transpose(1, 2)
    return output, found


def _by_time(state: torch.Tensor) -> torch.Tensor:
    """Hidden states `(windows, channels, patches, width)` with channels and patches as one axis."""
    return state.flatten(1, 2) if state.dim() == 4 else state


def _digest(table: Floats, windows: _Windows, shown: Sequence[int]) -> str:
    """A digest of what models have to see and answer alike: the numbers, and how they are cut."""
    seen = blake3(f"{table.shape} {windows} {shown}".encode())
    seen.update(np.ascontiguousarray(table).tobytes())
    return str(seen.hexdigest())


def _collapse(forecast: Array, wanted: Array) -> str:
    """Why these are the forecasts of a broken model, or nothing."""
    broken = int((~np.isfinite(forecast).all(axis=(1, 2))).sum())
    if broken:
        return f"its forecasts are not finite numbers in {broken} of {len(forecast)} windows"
    if np.ptp(forecast) == 0 and np.ptp(wanted) > 0:
        return f"it forecasts {forecast.flat[0]:.6g} at every time of all {len(forecast)} windows"
    return ""
