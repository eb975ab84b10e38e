import dataclasses
import math

import numpy as np
import pytest
import torch
from transformers import (
    PatchTSMixerConfig,
    PatchTSMixerForPrediction,
    PatchTSTConfig,
    PatchTSTForPrediction,
    TimeSeriesTransformerConfig,
    TimeSeriesTransformerForPrediction,
)

from compressor.data.dataset import Dataset
from compressor.data.spec import Spec
from compressor.errors import InputError
from compressor.measure.loaded import Loaded
from compressor.measure.tasks.forecasting import Forecast, fits

TIMES, CONTEXT, LENGTH = 103, 16, 4
FITTED = round(0.6 * TIMES)


def patches(**settings):
    torch.manual_seed(0)
    config = PatchTSTConfig(
        **{
            "num_input_channels": 3,
            "context_length": CONTEXT,
            "prediction_length": LENGTH,
            "patch_length": 4,
            "patch_stride": 4,
            "d_model": 16,
            "ffn_dim": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            **settings,
        }
    )
    return loaded(PatchTSTForPrediction(config))


def mixer(**settings):
    torch.manual_seed(0)
    config = PatchTSMixerConfig(
        num_input_channels=3,
        context_length=CONTEXT,
        prediction_length=LENGTH,
        patch_length=4,
        patch_stride=4,
        d_model=16,
        num_layers=2,
        **settings,
    )
    return loaded(PatchTSMixerForPrediction(config))


def loaded(model):
    return Loaded("planted", None, "forecasting", model.eval(), model.config, "cpu", 3, None)


def table(times=TIMES, channels=3):
    steps = np.arange(times)[:, None] / 7 + np.arange(channels)
    noise = np.random.default_rng(0).normal(size=(times, channels))
    return (np.sin(steps) + 0.1 * noise) * (1 + 10 * np.arange(channels)) + 5


def forecast(numbers):
    return Forecast(
        Dataset(
            name="waves",
            spec=Spec("waves", "waves", {}),
            roles={"target": "a+b+c"},
            values={"target": numbers},
            digest="",
            count=len(numbers),
            total=len(numbers),
            notes=(),
        )
    )


def by_hand(model, numbers):
    """Forecasts and truths of each window, one window at a time."""
    scaled = (numbers - numbers[:FITTED].mean(axis=0)) / numbers[:FITTED].std(axis=0)
    found, truths = [], []
    start = FITTED
    while start + LENGTH <= len(numbers):
        past = torch.tensor(scaled[None, start - CONTEXT : start], dtype=torch.float32)
        with torch.no_grad():
            found.append(model.model(past_values=past).prediction_outputs[0].double().numpy())
        truths.append(scaled[start : start + LENGTH])
        start += LENGTH
    return np.stack(found), np.stack(truths)


def asked(task, model):
    with torch.inference_mode():
        return task.answers(model)


def values(metrics):
    return {metric.name: metric.statistic.value for metric in metrics}


def test_it_fits_a_table_of_numbers_of_a_forecasting_model():
    data = forecast(table()).dataset

    assert fits("forecasting", data)
    assert not fits("embedding", data)
    assert not fits("forecasting", dataclasses.replace(data, roles={"text": "a"}))


@pytest.mark.parametrize("make", [patches, mixer])
def test_errors_are_those_of_a_loop_over_windows(make):
    model, task = make(), forecast(table())

    found = values(task.metrics(asked(task, model)))

    made, truths = by_hand(model, table())
    assert len(made) == 10
    # fp32 forecasts of size 1 in batches of another shape.
    assert found["mse"] == pytest.approx(((made - truths) ** 2).mean(), rel=1e-5)
    assert found["mae"] == pytest.approx(np.abs(made - truths).mean(), rel=1e-5)


def test_an_item_is_a_window():
    task = forecast(table())

    for metric in task.metrics(asked(task, patches())):
        assert metric.statistic.size == 10
        assert metric.better == "lower"
        assert "10 windows of the last 40% of 103 times, context 16" in metric.definition


def test_the_unit_of_a_column_changes_nothing():
    model, numbers = patches(), table()

    one, other = (
        values(forecast(each).metrics(asked(forecast(each), model)))
        for each in (numbers, numbers * (1000.0, 1.0, 0.01) + 3)
    )

    # Standardised in fp64, rounded to fp32 before the model.
    assert one["mse"] == pytest.approx(other["mse"], rel=1e-5)


def test_no_forecast_is_told_what_it_forecasts():
    model, numbers = patches(), table()
    changed = numbers.copy()
    changed[99:] += 100

    one, other = (asked(forecast(each), model).arrays for each in (numbers, changed))

    # The last window begins at 62 + 9 * 4 = 98, so only its truth has changed.
    np.testing.assert_array_equal(one["forecast"], other["forecast"])
    assert (one["target"][-1] != other["target"][-1]).any()


def test_the_size_of_a_batch_changes_nothing():
    model, task = patches(), forecast(table())

    one, other = (asked(task, dataclasses.replace(model, batch_size=size)) for size in (1, 100))

    assert one.items == other.items
    np.testing.assert_allclose(one.arrays["forecast"], other.arrays["forecast"], atol=1e-5)
    assert one.hidden.keys() == other.hidden.keys()
    for layer, states in one.hidden.items():
        np.testing.assert_allclose(states, other.hidden[layer], atol=1e-5)


def test_a_model_of_one_channel_takes_each_column_as_a_series():
    joint, alone = patches(), patches(num_input_channels=1)
    alone.model.load_state_dict(joint.model.state_dict())
    task = forecast(table())

    one, other = (asked(task, model).arrays["forecast"] for model in (joint, alone))

    # PatchTST shares its weights among channels and mixes none of them.
    np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("distribution", ["student_t", "normal"])
def test_a_distribution_is_forecast_by_its_mean(distribution):
    model, task = patches(loss="nll", distribution_output=distribution), forecast(table())

    found = asked(task, model).arrays["forecast"][0]

    numbers = table()
    scaled = (numbers - numbers[:FITTED].mean(axis=0)) / numbers[:FITTED].std(axis=0)
    past = torch.tensor(scaled[None, FITTED - CONTEXT : FITTED], dtype=torch.float32)
    torch.manual_seed(0)
    model.config.num_parallel_samples = model.model.config.num_parallel_samples = 20_000
    with torch.no_grad():
        samples = model.model.generate(past_values=past).sequences[0].double()
    error = samples.std(dim=0).numpy() / math.sqrt(20_000)
    # Six standard errors of a mean of samples.
    assert (np.abs(samples.mean(dim=0).numpy() - found) < 6 * error).all()


def test_channels_that_are_not_forecast_are_not_judged():
    model, task = mixer(prediction_channel_indices=[2, 0]), forecast(table())

    answers = asked(task, model)

    made, truths = by_hand(model, table())
    shown = model.config.prediction_channel_indices
    expected = ((made - truths[:, :, shown]) ** 2).mean()
    assert values(task.metrics(answers))["mse"] == pytest.approx(expected, rel=1e-5)
    assert answers.items != asked(task, mixer()).items


def test_distances_against_a_loop_over_windows():
    task, dense, other = forecast(table()), patches(), mixer()

    found = values(task.distances(asked(task, dense), asked(task, other)))

    one, truths = by_hand(dense, table())
    two, _ = by_hand(other, table())
    spread = ((truths - truths.mean(axis=(0, 1))) ** 2).mean()
    assert found["forecast-distance"] == pytest.approx(((one - two) ** 2).mean() / spread, rel=1e-4)
    angles = [
        1 - (a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b)
        for a, b in zip(one, two, strict=True)
    ]
    assert found["cosine-distance"] == pytest.approx(np.mean(angles), rel=1e-4)
    assert found["cosine-distance-p99"] == pytest.approx(max(angles), rel=1e-4)


def test_every_held_out_time_is_told_once():
    told, task = [], forecast(table())

    asked(task, dataclasses.replace(patches(), observe=told.append))

    assert sum(told) == task.count == TIMES - FITTED


def test_nan_weights_never_give_a_number():
    model, task = patches(), forecast(table())
    dense = asked(task, model)
    with torch.no_grad():
        model.model.head.projection.weight[0, 0] = math.nan

    broken = asked(task, model)

    found = [*task.metrics(broken), *task.distances(dense, broken)]
    assert [metric.name for metric in found if math.isfinite(metric.statistic.value)] == []
    assert "not finite numbers in 10 of 10 windows" in broken.collapse


def test_a_column_that_does_not_vary_is_warned_of_and_stays_finite():
    numbers, model = table(), patches()
    numbers[:, 1] = 4.0
    task = forecast(numbers)

    assert math.isfinite(values(task.metrics(asked(task, model)))["mse"])
    assert "1 of 3 columns" in task.preparations(model)[0].warning
    assert not [each for each in forecast(table()).preparations(model) if each.warning]


@pytest.mark.parametrize("times", [1, 8, 19])
def test_a_table_without_a_window_is_refused(times):
    with pytest.raises(InputError, match="DATA-TOO-SMALL") as error:
        asked(forecast(table(times)), patches())

    assert "expected at least 20" in error.value.found


def test_a_table_of_the_size_that_the_error_asks_for_is_enough():
    assert len(asked(forecast(table(20)), patches()).arrays["forecast"]) == 1


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_table_with_a_gap_is_refused(value):
    numbers = table()
    numbers[4, 1] = value

    with pytest.raises(InputError, match="DATA-TYPE") as error:
        asked(forecast(numbers), patches())

    assert "row 5, column 2" in error.value.at


def test_another_number_of_columns_is_refused():
    with pytest.raises(InputError, match="DATA-COLUMN") as error:
        asked(forecast(table(channels=2)), patches())

    assert error.value.found == "2 columns; expected 3"


def test_a_model_that_samples_its_forecasts_is_refused():
    config = TimeSeriesTransformerConfig(
        prediction_length=4, context_length=8, d_model=16, input_size=3
    )
    model = loaded(TimeSeriesTransformerForPrediction(config))

    with pytest.raises(InputError, match="CONFIG-MODEL-TYPE"):
        asked(forecast(table()), model)
