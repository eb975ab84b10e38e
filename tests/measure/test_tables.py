"""The rows of a report hold what the statistics give when they are called one by one."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
import pytest
from scipy.stats import binomtest

from compressor.measure.accuracy import Asked
from compressor.measure.evidence import Answers, Better, Metric, Task, Unit
from compressor.measure.loaded import Loaded, Preparation, Preparations
from compressor.measure.opening import Setting
from compressor.measure.resampling import difference, interval
from compressor.measure.statistics import (
    Constant,
    Mean,
    Quantile,
    Ratio,
    Spearman,
    Statistic,
    from_columns,
)
from compressor.measure.tables import (
    MOST_KEPT,
    anomalies,
    distance_rows,
    item_rows,
    layer_rows,
    metric_rows,
    pairs,
    preparation_rows,
)
from compressor.measure.tasks.plan import Planned

ITEMS = 31
SEED = 5
RANDOM = np.random.default_rng(1)
SETTING = Setting("cpu", "float32", batch_size=8, max_length=None, threads=1)


def column(items: int = ITEMS) -> Any:
    return RANDOM.uniform(0.5, 1.5, items)


def right(items: int = ITEMS) -> Mean:
    return Mean(RANDOM.integers(0, 2, items).astype(float))


SCORES = column()
BY_MODEL: Mapping[str, Mapping[str, Statistic]] = {
    name: {
        "mean": Mean(column()),
        "share": right(),
        "ratio": Ratio(column(), column(), is_exponent=True),
        "rank": Spearman(column(), SCORES),
        "quantile": Quantile(column(), 0.9),
        "total": Constant(float(column(1)[0]), ITEMS),
        "fewer": Mean(column(17)),
    }
    for name in ("dense", "first", "second")
}
"""Statistics of several kinds over two numbers of items, for each of three models."""


@final
@dataclass(frozen=True)
class Question(Task):
    """A data set by its name; it is never asked."""

    kind: ClassVar[str] = "test"
    name: str = "data"

    @property
    def data(self) -> str:
        return self.name

    @property
    def count(self) -> int:
        return ITEMS

    def answers(self, model: Loaded) -> Answers:
        raise NotImplementedError

    def preparations(self, model: Loaded) -> Preparations:
        raise NotImplementedError

    def metrics(self, answers: Answers) -> Iterator[Metric]:
        raise NotImplementedError

    def distances(self, dense: Answers, other: Answers) -> Iterator[Metric]:
        raise NotImplementedError


def asked(
    model: str,
    statistics: Mapping[str, Statistic],
    *,
    data: str = "data",
    better: Better | None = "higher",
    **facts: Any,
) -> Asked:
    """What a model made of a data set, as metrics of these statistics."""
    given: dict[str, Any] = {
        "items": "seen",
        "is_comparable": True,
        "collapse": "",
        "distances": [],
        "cka": {},
        "preparations": [],
    }
    metrics = [Metric(name, each, "share", "how", better) for name, each in statistics.items()]
    return Asked(Planned(Question(data), "read"), model, metrics=metrics, **{**given, **facts})


def of(statistic: Statistic) -> dict[str, Any]:
    """The cells that one number has: itself and its interval; nothing where there is none."""
    found = interval(statistic, seed=SEED)
    cells = {"value": statistic.value, "low": found.low, "high": found.high}
    return {name: cell if math.isfinite(cell) else None for name, cell in cells.items()}


def strict(rows: Any) -> Any:
    """The rows as they are read back from strict JSON."""
    return json.loads(json.dumps(rows, allow_nan=False))


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    listed = pairs([asked(name, each) for name, each in BY_MODEL.items()], "dense")
    return metric_rows(listed, "dense", SEED)


def test_every_number_has_the_interval_that_it_has_by_itself(rows: list[dict[str, Any]]) -> None:
    assert strict(rows) == rows
    names = list(BY_MODEL["dense"])
    assert [(row["metric"], row["model"]) for row in rows] == [
        (name, model) for name in names for model in BY_MODEL
    ]
    for row in rows:
        statistic = BY_MODEL[row["model"]][row["metric"]]
        assert {name: row[name] for name in ("value", "low", "high")} == of(statistic)
        assert row["items"] == statistic.size
    assert [row["low"] for row in rows if row["metric"] == "total"] == [None] * 3


def test_a_difference_is_paired_with_the_dense_model(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        statistic, dense = (BY_MODEL[name][row["metric"]] for name in (row["model"], "dense"))
        names = ("dense", "dense_value", "difference", "difference_low", "difference_high", "p")
        if row["model"] == "dense":
            assert [row[name] for name in names] == [None] * 6
            continue
        assert (row["dense"], row["dense_value"]) == ("dense", dense.value)
        assert row["difference"] == statistic.value - dense.value
        if row["metric"] not in ("total", "quantile"):
            expected = difference(statistic, dense, seed=SEED)
            assert (row["difference_low"], row["difference_high"]) == (expected.low, expected.high)
        assert (row["p"] is not None) == (row["metric"] == "share")


@pytest.mark.parametrize(
    ("gained", "lost"), [(0, 0), (0, 1), (3, 3), (2, 9), (9, 2), (0, 40), (23, 17)]
)
def test_the_p_of_flips_is_that_of_an_exact_binomial_test(gained: int, lost: int) -> None:
    before = [0.0] * gained + [1.0] * lost + [1.0] * 20
    after = [1.0] * gained + [0.0] * lost + [1.0] * 20
    found = [
        asked(name, {"share": Mean(np.array(values))})
        for name, values in (("dense", before), ("other", after))
    ]

    row = metric_rows(pairs(found, "dense"), "dense", 0)[1]

    expected = binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert row["p"] == pytest.approx(expected, rel=1e-12)


def test_other_draws_give_another_interval() -> None:
    listed = pairs([asked("dense", {"mean": BY_MODEL["dense"]["mean"]})], None)

    (one,), (two,) = (metric_rows(listed, None, seed) for seed in (0, 1))

    assert one["value"] == two["value"]
    assert one["low"] != two["low"]


def test_metrics_of_one_name_on_two_data_sets_are_not_mixed() -> None:
    found = [
        asked(model, {"mean": Mean(np.full(ITEMS, value))}, data=data)
        for model, value in (("dense", 1.0), ("other", 3.0))
        for data, value in (("one", value), ("two", value * 10))
    ]

    rows = metric_rows(pairs(found, "dense"), "dense", 0)

    assert [(row["data"], row["model"], row["dense_value"]) for row in rows] == [
        ("one", "dense", None),
        ("one", "other", 1.0),
        ("two", "dense", None),
        ("two", "other", 10.0),
    ]


def test_models_without_a_dense_one_have_no_differences() -> None:
    names = ("first", "second")
    listed = pairs([asked(name, {"share": BY_MODEL[name]["share"]}) for name in names], None)

    rows = metric_rows(listed, None, SEED)

    assert {row["dense"] for row in rows} == {row["difference"] for row in rows} == {None}


def test_a_model_that_saw_other_items_has_no_difference() -> None:
    found = [
        asked("dense", {"mean": Mean(column())}),
        asked("other", {"mean": Mean(column(9))}, is_comparable=False),
    ]

    row = metric_rows(pairs(found, "dense"), "dense", 0)[1]

    assert (row["dense"], row["difference"]) == (None, None)
    assert list(anomalies(found)) == ["other on data: it saw other items than the dense model"]


def test_a_number_that_is_none_is_an_empty_cell_and_an_anomaly() -> None:
    values = column()
    values[3] = math.nan
    far = Metric("kl", Mean(np.full(ITEMS, math.inf)), "nats", "how")
    found = [
        asked("dense", {"mean": Mean(column())}),
        asked("broken", {"mean": Mean(values)}, collapse="it says one thing", distances=[far]),
    ]
    listed = pairs(found, "dense")

    row = metric_rows(listed, "dense", 0)[1]
    (distance,) = distance_rows(found, 0)

    names = ("value", "low", "high", "difference", "difference_low", "difference_high", "p")
    assert [row[name] for name in names] == [None] * len(names)
    assert (row["note"], distance["note"]) == ("not a finite number",) * 2
    assert [distance[name] for name in ("value", "low", "high")] == [None] * 3
    assert strict([row, distance]) == [row, distance]
    assert [each["model"] for each in item_rows(found, SETTING)] == ["dense"]
    assert list(anomalies(found)) == [
        "broken on data: it says one thing",
        "broken on data: mean is not a finite number",
        "broken on data: kl is not a finite number",
    ]


def test_a_dense_model_without_a_number_leaves_nothing_to_compare() -> None:
    found = [
        asked("dense", {"mean": Mean(np.full(ITEMS, math.nan))}),
        asked("other", {"mean": Mean(column())}),
    ]

    row = metric_rows(pairs(found, "dense"), "dense", 0)[1]

    assert row["value"] is not None
    assert (row["dense_value"], row["difference"], row["difference_low"]) == (None, None, None)


def test_items_are_kept_for_what_can_be_judged_and_read_back_equal() -> None:
    reported = asked("dense", {"seen": Mean(column())}, better=None)
    judged = {name: each for name, each in BY_MODEL["dense"].items() if name != "total"}

    rows = strict(item_rows([asked("dense", judged), reported], SETTING))

    assert [row["metric"] for row in rows] == list(judged)
    for row in rows:
        assert (row["digest"], row["data_digest"]) == ("seen", "read")
        assert (row["dtype"], row["device"]) == ("float32", "cpu")
        assert from_columns(row["statistic"]).value == judged[row["metric"]].value


def test_items_of_distances_are_kept_behind_those_of_scores() -> None:
    owners = np.repeat(np.arange(ITEMS), 2)
    far = {"flips": right(), "p99": Quantile(column(2 * ITEMS), 0.99, owners)}
    metrics = [Metric(name, each, "share", "how", "lower") for name, each in far.items()]
    found = [asked("other", {"mean": Mean(column())}, distances=metrics)]

    rows = strict(item_rows(found, SETTING))

    assert [row["metric"] for row in rows] == ["mean", "flips", "p99"]
    back = from_columns(rows[2]["statistic"])
    assert isinstance(back, Quantile)
    assert back.owners is not None
    assert back.owners.dtype == np.int64
    assert back.closed_interval(0.9) == far["p99"].closed_interval(0.9)


def test_items_of_a_quantile_of_very_many_values_are_not_kept() -> None:
    far = [
        Metric(f"p99-of-{count}", Quantile(np.zeros(count), 0.99), "nats", "how", "lower")
        for count in (MOST_KEPT, MOST_KEPT + 1)
    ]

    rows = item_rows([asked("other", {}, distances=far)], SETTING)

    assert [row["metric"] for row in rows] == [f"p99-of-{MOST_KEPT}"]


def test_only_shares_and_perplexities_have_points() -> None:
    units: list[Unit] = ["share", "perplexity", "nats", "bits", "squared", "plain"]
    metrics = [Metric(unit, Mean(column()), unit, "how", "lower") for unit in units]

    found = distance_rows([asked("other", {}, distances=metrics)], SEED)

    assert [row["unit"] for row in found] == units
    assert [row["point"] for row in found] == [0.01, 1.0, None, None, None, None]


def test_distances_have_intervals_of_their_own() -> None:
    far = {"cosine": Mean(column()), "p99": Quantile(column(), 0.99)}
    metrics = [Metric(name, each, "share", "how", "higher") for name, each in far.items()]
    found = [asked("dense", {}), asked("other", {}, distances=metrics)]

    rows = distance_rows(found, SEED)

    assert [row["metric"] for row in rows] == list(far)
    for row in rows:
        assert {name: row[name] for name in ("value", "low", "high")} == of(far[row["metric"]])


def test_layers_and_preparations_say_whose_they_are() -> None:
    how = Preparation("tokenizer", "BPE", "the checkpoint", "it does not fit")
    found = [asked("other", {}, cka={"0": 0.5, "1": math.nan}, preparations=[how])]

    layers, prepared = layer_rows(found), preparation_rows(found)

    assert [(row["model"], row["layer"], row["cka"]) for row in layers] == [
        ("other", "0", 0.5),
        ("other", "1", None),
    ]
    assert prepared == [
        {
            "data": "data",
            "model": "other",
            "what": "tokenizer",
            "value": "BPE",
            "origin": "the checkpoint",
            "warning": "it does not fit",
        }
    ]
