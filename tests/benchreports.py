"""Reports as `bench` writes them, made from per-item values that a test plants."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from compressor.measure.evidence import Unit
from compressor.measure.resampling import difference, interval
from compressor.measure.statistics import Mean, Statistic
from compressor.report import Report

Scores = Mapping[str, Mapping[str, Statistic]]
"""The statistic of each model, by metric: `{"sts/spearman": {"dense": …, "pruned": …}}`."""


POINTS = {"share": 0.01, "perplexity": 1.0}
"""What one point is, in the units that have any."""


def mean(values: Sequence[float] | np.ndarray[Any, Any]) -> Mean:
    """The mean of these items."""
    return Mean(np.asarray(values, dtype=np.float64))


def right(count: int, items: int) -> Mean:
    """So many right answers of so many: the first ones."""
    return mean([1.0] * count + [0.0] * (items - count))


def bench_report(
    scores: Scores,
    *,
    dense: str | None = "dense",
    better: str | None = "higher",
    unit: Unit = "share",
    headline: bool = True,
    anomalies: Sequence[str] = (),
    digest: str = "seen",
    data_digest: str = "data",
    dtype: str = "float32",
    device: str = "cpu",
) -> Report:
    """A report of these models; `dense=None`: none of them is compared with another."""
    models = list(dict.fromkeys(model for each in scores.values() for model in each))
    role = {model: _role(model, dense) for model in models}
    metrics, items = [], []
    for name, by_model in scores.items():
        data, metric = name.split("/")
        for model, statistic in by_model.items():
            base = by_model.get(dense) if dense is not None and model != dense else None
            own = interval(statistic)
            apart = None if base is None else difference(statistic, base)
            metrics.append(
                {
                    "data": data,
                    "task": "test",
                    "metric": metric,
                    "model": model,
                    "value": finite(statistic.value),
                    "low": finite(own.low),
                    "high": finite(own.high),
                    "items": statistic.size,
                    "better": better,
                    "unit": unit,
                    "point": POINTS.get(unit),
                    "headline": headline,
                    "definition": "",
                    "dense": None if base is None else dense,
                    "dense_value": None if base is None else finite(base.value),
                    "difference": None if base is None else finite(statistic.value - base.value),
                    "difference_low": None if apart is None else finite(apart.low),
                    "difference_high": None if apart is None else finite(apart.high),
                    "p": None,
                    "note": "",
                }
            )
            if better is not None and math.isfinite(statistic.value):
                items.append(
                    {
                        "data": data,
                        "metric": metric,
                        "model": model,
                        "digest": digest,
                        "data_digest": data_digest,
                        "dtype": dtype,
                        "device": device,
                        "statistic": statistic.as_columns(),
                    }
                )
    return Report(
        step={"step": "bench"},
        source={"name": models[-1]},
        summary={"verdict": None, "sentence": "", "dense": dense, "anomalies": list(anomalies)},
        tables={
            "models": [{"model": model, "role": role[model], "bytes": 1} for model in models],
            "metrics": metrics,
            "distances": [],
            "items": items,
        },
    )


def changed(report: Report, table: str, model: str, **cells: Any) -> Report:
    """The report with other cells in the rows of one model."""
    rows = [{**row, **cells} if row["model"] == model else row for row in report.tables[table]]
    return Report(
        step=report.step,
        source=report.source,
        summary=report.summary,
        tables={**report.tables, table: rows},
    )


def finite(value: float) -> float | None:
    """As JSON can hold it."""
    return value if math.isfinite(value) else None


def _role(model: str, dense: str | None) -> str:
    return "alone" if dense is None else "dense" if model == dense else "candidate"
