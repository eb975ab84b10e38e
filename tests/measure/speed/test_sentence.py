from __future__ import annotations

from typing import Any

import pytest

from compressor.measure.speed.rows import SpeedRow
from compressor.measure.speed.sentence import speed_sentence, spoken_of

DENSE = {
    "parameters": 1000,
    "nonzero_parameters": 999,
    "bytes_on_disk": 100_000,
    "device": "CPU",
}


def row(ratio: float, low: float, high: float, **changes: Any) -> SpeedRow:
    fixed = {"model": "small", "what": "decode", "batch": 1, "unit": "ms/token", "runs": 7}
    return {**fixed, "ratio": ratio, "ratio_low": low, "ratio_high": high, **changes}


def said(spoken: SpeedRow, **facts: Any) -> str:
    return speed_sentence("small", {**DENSE, **facts}, "dense", DENSE, spoken)


def test_zeros_that_are_stored_cannot_make_a_model_faster() -> None:
    assert said(row(1.01, 0.97, 1.06), nonzero_parameters=500) == (
        "small: 50% of its weights are zeros stored densely: the same bytes and the same dense "
        "kernels, so nothing on this CPU can run faster; measured 1.01× dense in decode at "
        "batch 1 (0.97 to 1.06 over 7 rounds), no measurable difference."
    )


@pytest.mark.parametrize(
    ("parameters", "size", "told"),
    [
        (1000, 100_050, "it has as many weights, all of them stored densely: the same bytes;"),
        (1000, 50_000, "it has as many weights, all of them stored densely: 50.0% fewer bytes;"),
        (600, 60_000, "it has 40.0% fewer weights: 40.0% fewer bytes;"),
        (1100, 110_000, "it has 10.0% more weights: 10.0% more bytes;"),
    ],
)
def test_weights_and_bytes_are_compared(parameters: int, size: int, told: str) -> None:
    spoken = row(1.0, 0.9, 1.1)

    found = said(spoken, parameters=parameters, nonzero_parameters=parameters, bytes_on_disk=size)

    assert told in found


@pytest.mark.parametrize(
    ("spoken", "told"),
    [
        (row(1.5, 1.2, 1.8), ", 1.50× faster."),
        (row(0.5, 0.4, 0.9), ", 2.00× slower."),
        (row(1.2, 1.0, 1.8), ", no measurable difference."),
        (row(1.5, 1.2, 1.8, runs=5), "over 5 rounds), too few rounds to tell a difference."),
        (row(1.5, 1.5, 1.5, runs=1), "over 1 round), too few rounds to tell a difference."),
    ],
)
def test_a_difference_is_claimed_only_where_every_round_shows_it(
    spoken: SpeedRow, told: str
) -> None:
    assert said(spoken, parameters=600, nonzero_parameters=600).endswith(told)


def test_zeros_that_seem_faster_are_no_speed_up() -> None:
    found = said(row(1.2, 1.1, 1.3), nonzero_parameters=500)

    assert found.endswith(
        ", a difference that its format does not explain: other work disturbed it."
    )


def test_what_is_spoken_of_is_a_latency_of_the_least_batch() -> None:
    rows = [
        row(1, 1, 1, what="prefill", unit="ms"),
        row(1, 1, 1, batch=8),
        row(1, 1, 1, unit="tokens/s"),
        row(1, 1, 1),
        row(1, 1, 1, model="other"),
    ]

    assert spoken_of(rows, "small") is rows[3]
    assert spoken_of(rows, "nobody") is None
