from __future__ import annotations

from compressor.measure.speed.rows import Sample, speed_rows


def turn(milliseconds: float, rate: float) -> list[Sample]:
    return [Sample("forward", 4, "ms", milliseconds), Sample("forward", 4, "items/s", rate)]


def test_a_ratio_is_taken_round_by_round_and_above_one_is_faster() -> None:
    turns = {
        "dense": [turn(10, 100), turn(20, 50), turn(40, 25)],
        "small": [turn(5, 200), turn(20, 50), turn(10, 100)],
    }

    dense_time, dense_rate, time, rate = speed_rows(turns)

    assert dense_time["ratio"] is None
    assert dense_rate["ratio_low"] is None
    assert (time["median"], time["low"], time["high"], time["runs"]) == (10, 5, 20, 3)
    assert (time["ratio"], time["ratio_low"], time["ratio_high"]) == (2, 1, 4)
    assert (rate["ratio"], rate["ratio_low"], rate["ratio_high"]) == (2, 1, 4)


def test_what_the_first_model_does_not_do_has_no_ratio() -> None:
    turns = {"dense": [[]], "other": [[Sample("decode", 1, "ms/token", 3.0)]]}

    (row,) = speed_rows(turns)

    assert row["median"] == 3.0
    assert row["ratio"] is None
    assert row["ratio_high"] is None
