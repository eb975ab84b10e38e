"""Bars of size and speed: a panel for each quantity, lengths and words from the rows."""

from __future__ import annotations

from typing import Any

from compressor.view.plots.bars import bars

MODELS = [
    {"model": "dense", "role": "dense", "bytes": 90_868_376, "peak_memory": 5_000_000},
    {"model": "pruned", "role": "candidate", "bytes": 45_000_000},
]


def timed(model: str, what: str, batch: int | None, median: float, **more: Any) -> dict[str, Any]:
    row = {"model": model, "what": what, "batch": batch, "unit": "ms", "median": median}
    return row | {"low": median - 1, "high": median + 2, "ratio": None} | more


def test_each_quantity_of_each_model_is_said_with_its_unit() -> None:
    speed = [
        timed("dense", "forward", 1, 12.5),
        timed("pruned", "forward", 1, 10.0, ratio=1.25),
        timed("pruned", "forward", 1, 80.0, unit="items/s"),
        timed("dense", "load", None, 3.0, unit="s"),
    ]

    drawing = bars(MODELS, speed)

    rows = [
        (row["what"], row["model"], row["median"], row["range"]) for row in drawing.numbers.rows
    ]
    assert rows == [
        ("size on disk", "dense", "90.9 MB", "–"),
        ("size on disk", "pruned", "45.0 MB", "–"),
        ("peak memory", "dense", "5.0 MB", "–"),
        ("forward, batch 1", "dense", "12.5 ms", "11.5 to 14.5"),
        ("forward, batch 1", "pruned", "10 ms (1.25× dense)", "9 to 12"),
        ("load", "dense", "3 s", "2 to 5"),
    ]
    for _, _, median, _ in rows:
        assert median in drawing.says
        assert median in drawing.svg


def test_without_speed_nothing_is_said_of_rounds() -> None:
    assert "round" not in bars(MODELS, []).says


def test_a_hundred_bars_are_cut_in_the_picture_and_not_in_the_table() -> None:
    speed = [timed(f"m{place}", f"work {place // 10}", 1, 5.0) for place in range(100)]

    drawing = bars(MODELS, speed)

    assert len(drawing.numbers.rows) == 103
    assert drawing.svg.count("work ") < 5
