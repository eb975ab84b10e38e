"""The knee, against planted bends, a brute-force fit, and the coverage of its interval."""

from __future__ import annotations

import numpy as np
import pytest

from compressor.measure.knee import knee, knee_of
from compressor.measure.statistics import Floats, Mean

PLACES = [tenths / 10 for tenths in range(10)]


def bent(places: list[float], at: float, slope: float = -1.0) -> Floats:
    """Two straight lines that meet at `at`."""
    x = np.array(places)
    return 0.9 - 0.05 * x + slope * np.maximum(0.0, x - at)


def alone(values: Floats) -> Floats:
    """One resample: the values themselves."""
    return values[None]


@pytest.mark.parametrize("at", [0.1, 0.23, 0.45, 0.6, 0.8])
def test_a_planted_bend_is_found(at: float) -> None:
    values = bent(PLACES, at)

    found = knee_of(PLACES, values, alone(values))

    assert found is not None
    assert found.at == pytest.approx(at, abs=1e-9)


def test_the_fit_is_that_of_least_squares_on_every_bend() -> None:
    random = np.random.default_rng(0)
    places = [0.0, 0.1, 0.2, 0.25, 0.3, 0.5, 0.7, 0.9]
    for _ in range(5):
        values = bent(places, 0.4) + 0.05 * random.standard_normal(len(places))

        found = knee_of(places, values, alone(values))

        x = np.array(places)
        best = None
        for bend in np.arange(10, 71) / 100:
            design = np.stack([np.ones_like(x), x, np.maximum(0.0, x - bend)], axis=1)
            fit, *_ = np.linalg.lstsq(design, values, rcond=None)
            rest = float(((values - design @ fit) ** 2).sum())
            best = min(best or (rest, bend), (rest, bend))
        assert found is not None
        assert best is not None
        assert found.at == pytest.approx(best[1])


def test_the_order_of_the_points_does_not_matter() -> None:
    values = bent(PLACES, 0.45) + 0.01 * np.random.default_rng(1).standard_normal(len(PLACES))
    order = np.random.default_rng(2).permutation(len(PLACES))

    shuffled = knee_of([PLACES[place] for place in order], values[order], alone(values[order]))

    assert shuffled == knee_of(PLACES, values, alone(values))


def test_what_has_no_bend_has_no_knee() -> None:
    flat, short = np.full(len(PLACES), 0.5), bent(PLACES[:4], 0.2)
    broken = bent(PLACES, 0.4)
    broken[-1] = np.nan

    assert knee_of(PLACES, flat, alone(flat)) is None
    assert knee_of(PLACES[:4], short, alone(short)) is None
    assert knee_of(PLACES, broken, alone(broken)) is None


def test_the_interval_covers_a_planted_knee_in_90_of_100_simulations() -> None:
    covered, widths = 0, []
    for seed in range(100):
        random = np.random.default_rng(seed)
        hard = 0.3 * random.standard_normal(60)  # what an item has in common at every point
        items = [
            Mean(height + hard + 0.15 * random.standard_normal(60)) for height in bent(PLACES, 0.45)
        ]

        found = knee(PLACES, items, seed=seed)

        assert found is not None
        covered += found.low <= 0.45 <= found.high
        widths.append(found.high - found.low)
    assert covered >= 90
    # An interval that holds everything would cover it too.
    assert np.median(widths) < 0.3
