"""A drop in points decides nothing of a metric that has none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, final

import numpy as np
import pytest

from compressor.errors import UsageError
from compressor.measure.accuracy import Asked
from compressor.measure.curves import Swept, deciding, point_tables
from compressor.measure.evidence import Answers, Metric, Task
from compressor.measure.loaded import Loaded, Preparations
from compressor.measure.points import Curve, Place, Point
from compressor.measure.statistics import Mean
from compressor.measure.tasks.plan import Planned
from compressor.sparsity import Unstructured
from compressor.tolerance import parse

CURVE = Curve("magnitude", "global")


@final
@dataclass(frozen=True)
class Question(Task):
    """A data set by its name; it is never asked."""

    kind: ClassVar[str] = "test"

    @property
    def data(self) -> str:
        return "table"

    @property
    def count(self) -> int:
        return 40

    def answers(self, model: Loaded) -> Answers:
        raise NotImplementedError

    def preparations(self, model: Loaded) -> Preparations:
        raise NotImplementedError

    def metrics(self, answers: Answers) -> Iterator[Metric]:
        raise NotImplementedError

    def distances(self, dense: Answers, other: Answers) -> Iterator[Metric]:
        raise NotImplementedError


def point(sparsity: str, worse: float) -> Point:
    """A point with an accuracy and an error that are so much worse than those of the dense one."""
    values = np.random.default_rng(0).random(40)
    metrics = [
        Metric("accuracy", Mean(values - worse), "share", "how", "higher"),
        Metric("mse", Mean(values + worse), "squared", "how", "lower", is_headline=True),
    ]
    asked = Asked(
        planned=Planned(Question(), "read"),
        model="tiny",
        items="seen",
        is_comparable=True,
        collapse="",
        metrics=metrics,
        distances=[],
        cka={},
        preparations=[],
    )
    kind = "grid" if worse else "dense"
    return Point(Place(CURVE, kind, Unstructured(Fraction(sparsity))), {}, [asked])


def test_an_error_does_not_decide_by_points() -> None:
    dense = point("0", 0.0)

    with pytest.raises(UsageError) as refused:
        deciding(dense, None, parse("1pt"))

    assert refused.value.id == "SWEEP-DROP"
    assert deciding(dense, None, parse("1%")).name == "table/mse"
    assert deciding(dense, "table/accuracy", parse("1pt")).name == "table/accuracy"


@pytest.mark.parametrize(("drop", "known"), [("1pt", ["accuracy"]), ("1%", ["accuracy", "mse"])])
def test_what_has_no_limit_has_numbers_but_no_status_and_no_curve(
    drop: str, known: list[str]
) -> None:
    swept = Swept("tiny", point("0", 0.0), [point("0.5", 0.2)], {}, {})

    rows, curves = point_tables(swept, [CURVE], parse(drop), seed=0)

    assert [each.judged.metric.name for each in curves] == known
    for row in rows:
        assert (row["status"] is not None) == (row["metric"] in known)
        assert row["value"] is not None
