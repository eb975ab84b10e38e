"""Flips: how many answers changed between right and wrong, which an accuracy can hide."""

from __future__ import annotations

import numpy as np

from compressor.measure.evidence import Metric
from compressor.measure.statistics import Floats, Mean


def flips(was: Floats, now: Floats) -> Metric:
    """The share of items that changed; `was` and `now` are 1 where an answer is right, else 0."""
    lost, gained = int((was > now).sum()), int((now > was).sum())
    return Metric(
        "flips",
        Mean(np.where(np.isnan(was) | np.isnan(now), np.nan, was != now)),
        "share",
        f"share of items that changed: {lost} from right to wrong, {gained} from wrong to right",
        "lower",
    )
