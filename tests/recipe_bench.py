"""A planted `bench` for tests of recipes: its report is made by hand, its outcome is chosen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from pydantic import Field
from recipe_steps import CATALOGUE, DONE

from compressor.errors import InputError, ResourceError
from compressor.measure.resampling import difference, interval
from compressor.measure.statistics import Mean
from compressor.report import Report
from compressor.step import Check, RunOptions, Step

Outcome = Literal["pass", "fail", "nan", "missing", "inconclusive"]
Accident = Literal["none", "bad input", "worker killed", "bug", "stopped"]


class Bench(Step):
    """Reports an accuracy of two models: as good, worse, not a number, not there, or too few."""

    step: Literal["bench"] = "bench"
    data: tuple[str, ...] = Field(default=("python:topics",), json_schema_extra={"data": True})
    against: str | None = Field(default=None, json_schema_extra={"model": True})
    models: tuple[str, ...] = Field(default=(), json_schema_extra={"model": True})
    outcome: Outcome = "pass"
    anomalies: tuple[str, ...] = ()
    note: str = "a note"

    def job(self, model: str, options: RunOptions) -> Check:
        return Check(lambda observe: self._report())

    def _report(self) -> Report:
        DONE.append(f"bench of {', '.join(self.data)}")
        return Report(
            step=self.as_dict(),
            source={"name": "candidate"},
            summary={
                "verdict": None,
                "sentence": "",
                "dense": "dense",
                "data": list(self.data),
                "models": list(self.models),
                "anomalies": list(self.anomalies),
            },
            tables=planted(self.outcome),
            notes=[self.note],
        )


class Accidents(Step):
    """A step that goes well, finds bad input, loses its worker, has a bug, or is stopped."""

    step: Literal["accident"] = "accident"
    what: Accident = "none"

    def job(self, model: str, options: RunOptions) -> Check:
        return Check(lambda observe: self._look())

    def _look(self) -> Report:
        match self.what:
            case "bad input":
                raise InputError("CKPT-BROKEN", "this checkpoint is broken", do="repair it")
            case "worker killed":
                raise ResourceError("OOM", "a worker was killed", found="signal 9", do="add memory")
            case "bug":
                raise ZeroDivisionError("secret")
            case "stopped":
                raise KeyboardInterrupt
            case "none":
                return Report(self.as_dict(), {"name": "tiny"}, {"zeros": 3})


BENCHES = {**CATALOGUE, "bench": Bench, "accident": Accidents}
"""The steps of `recipe_steps`, and these."""


def planted(outcome: Outcome) -> dict[str, Any]:
    """The tables of a bench whose gate of 5 points on `topics/accuracy` has this outcome."""
    count = 10 if outcome == "inconclusive" else 2000
    dense = np.tile([1.0, 1.0, 1.0, 1.0, 0.0], count // 5)
    other = dense.copy()
    match outcome:
        case "fail":
            other[: count // 2] = 0
        case "inconclusive":
            other[0] = 0
    models = {"dense": Mean(dense), "candidate": Mean(other)}
    return {
        "models": [
            {"model": name, "role": role, "bytes": 100, "parameters": 25}
            for name, role in (("dense", "dense"), ("candidate", "candidate"))
        ],
        "metrics": list(_metrics(models, outcome)),
        "items": [
            {
                "data": "topics",
                "metric": "accuracy",
                "model": name,
                "digest": "d",
                "data_digest": "e",
                "dtype": "float32",
                "device": "cpu",
                "statistic": statistic.as_columns(),
            }
            for name, statistic in models.items()
        ],
    }


def _metrics(models: dict[str, Mean], outcome: Outcome) -> Iterator[dict[str, Any]]:
    dense = models["dense"]
    for name, statistic in models.items():
        own, apart = interval(statistic), difference(statistic, dense)
        is_dense = name == "dense"
        is_number = is_dense or outcome != "nan"
        yield {
            "data": "topics",
            "task": "knn",
            "metric": "recall" if outcome == "missing" else "accuracy",
            "model": name,
            "value": statistic.value if is_number else None,
            "low": own.low if is_number else None,
            "high": own.high if is_number else None,
            "items": statistic.size,
            "better": "higher",
            "unit": "share",
            "point": 0.01,
            "headline": True,
            "definition": "of the nearest of the others",
            "dense": None if is_dense else "dense",
            "dense_value": None if is_dense else dense.value,
            "difference": None if is_dense or not is_number else statistic.value - dense.value,
            "difference_low": None if is_dense or not is_number else apart.low,
            "difference_high": None if is_dense or not is_number else apart.high,
            "p": None,
            "note": "" if is_number else "not a finite number",
        }
