"""The honest sentence: what a checkpoint's format can speed up, and what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from compressor.measure.speed.rows import SpeedRow

FEW_ROUNDS: Final = 6
"""With fewer, all rounds lie on one side by chance too often: with 5 once in 16 times."""

SOME_ZEROS: Final = 0.01
"""From this share on, zeros were put there: dense weights hold a few by chance."""


def speed_sentence(
    name: str, facts: Mapping[str, Any], dense: str, dense_facts: Mapping[str, Any], row: SpeedRow
) -> str:
    """Why this model could or could not be faster than `dense`, and whether it was.

    `row` is the row of the speed table that is spoken of.
    """
    size, device = _size(facts["bytes_on_disk"], dense_facts["bytes_on_disk"]), facts["device"]
    zeros = 1 - facts["nonzero_parameters"] / facts["parameters"]
    is_dense = facts["parameters"] == dense_facts["parameters"]
    has_zeros = is_dense and zeros >= SOME_ZEROS
    if has_zeros:
        reason = (
            f"{zeros:.0%} of its weights are zeros stored densely: {size} and the same dense "
            f"kernels, so nothing on this {device} can run faster"
        )
    elif is_dense:
        reason = f"it has as many weights, all of them stored densely: {size}"
    else:
        change = facts["parameters"] / dense_facts["parameters"] - 1
        more_or_less = "more" if change > 0 else "fewer"
        reason = f"it has {abs(change):.1%} {more_or_less} weights: {size}"
    return f"{name}: {reason}; {_measured(dense, row, can_be_faster=not has_zeros)}."


def spoken_of(rows: Sequence[SpeedRow], name: str) -> SpeedRow | None:
    """The latency that matters most: of a new token, else of a forward, of the least batch."""
    for what in ("decode", "prefill", "forward"):
        found = [
            row
            for row in rows
            if row["model"] == name
            and row["what"] == what
            and row["ratio"] is not None
            and not row["unit"].endswith("/s")
        ]
        if found:
            return min(found, key=lambda row: int(row["batch"]))
    return None


def _size(own: int, dense: int) -> str:
    change = own / dense - 1
    # A header names the same tensors in other words: a thousandth is no saving.
    if abs(change) < 0.001:
        return "the same bytes"
    return f"{abs(change):.1%} {'more' if change > 0 else 'fewer'} bytes"


def _measured(dense: str, row: SpeedRow, *, can_be_faster: bool) -> str:
    rounds = f"{row['runs']} round{'s' if row['runs'] > 1 else ''}"
    found = (
        f"measured {row['ratio']:.2f}× {dense} in {row['what']} at batch {row['batch']} "
        f"({row['ratio_low']:.2f} to {row['ratio_high']:.2f} over {rounds})"
    )
    if row["runs"] < FEW_ROUNDS:
        return f"{found}, too few rounds to tell a difference"
    if row["ratio_low"] <= 1 <= row["ratio_high"]:
        return f"{found}, no measurable difference"
    if row["ratio_high"] < 1:
        return f"{found}, {1 / row['ratio']:.2f}× slower"
    if not can_be_faster:
        return f"{found}, a difference that its format does not explain: other work disturbed it"
    return f"{found}, {row['ratio']:.2f}× faster"
