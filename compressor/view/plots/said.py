"""The picture of a sweep in words and as a table, for those who do not see it."""

from __future__ import annotations

import math

from compressor.view.parts import Part
from compressor.view.plots.drawing import name_of, share
from compressor.view.plots.points import CurveRow, Picture, PointRow


def says(picture: Picture) -> str:
    """What the picture shows, in sentences."""
    found = [
        f"{name_of(model, 60)}: {dense.value:.4g} dense; the limit is "
        f"{picture.limit(model):.4g}, {picture.drop} worse."
        for model, dense in picture.dense.items()
    ]
    for (model, label), row in picture.curves.items():
        whose = f"{name_of(model, 60)}, " if picture.is_relative else ""
        found.append(f"{whose}{name_of(label, 60)}: {_where(row)}.")
    found.append("The bands are 95 % intervals of the change to dense, paired item by item.")
    return " ".join(found)


def numbers(picture: Picture) -> Part:
    """Every point of the picture."""
    whose = ("model",) if picture.is_relative else ()
    columns = ("curve", "pattern", "sparsity", "value", "change", "95 % of change", "status")
    return Part("", (*whose, *columns), [_row(point) for point in picture.points])


def found(picture: Picture) -> Part:
    """Where each curve leaves what is allowed, and where its fall accelerates."""
    whose = ("model",) if picture.is_relative else ()
    columns = ("curve", "essential sparsity", "first beyond", "largest within", "knee", "95 %")
    rows = [
        {
            "model": row.model,
            "curve": row.curve,
            "essential sparsity": _share(row.essential_sparsity),
            "first beyond": _share(row.upper),
            "largest within": _share(row.largest_within),
            "knee": _share(row.knee),
            "95 %": _span(row),
        }
        for row in picture.curves.values()
    ]
    return Part("", (*whose, *columns), rows)


def _row(point: PointRow) -> dict[str, str | float]:
    is_dense = point.kind == "dense"
    ends = sorted(point.worse * end for end in (point.drop_low, point.drop_high))
    has_ends = not is_dense and all(map(math.isfinite, ends))
    return {
        "model": point.model,
        "curve": "dense" if is_dense else point.curve,
        "pattern": "–" if is_dense else point.pattern,
        "sparsity": _share(point.sparsity),
        "value": _number(point.value),
        "change": "–" if is_dense else _number(point.worse * point.drop, "+"),
        "95 % of change": f"{ends[0]:+.4g} to {ends[1]:+.4g}" if has_ends else "–",
        "status": "–" if is_dense else point.status or "–",
    }


def _where(row: CurveRow) -> str:
    is_known = math.isfinite(row.essential_sparsity)
    essential = _share(row.essential_sparsity) if is_known else "none, the first point is beyond"
    knee = f"; knee {_share(row.knee)} ({_span(row)})" if math.isfinite(row.knee) else ""
    return f"essential sparsity {essential}{knee}"


def _span(row: CurveRow) -> str:
    is_known = math.isfinite(row.knee_low) and math.isfinite(row.knee_high)
    return f"{share(row.knee_low)} to {share(row.knee_high)}" if is_known else "–"


def _share(value: float) -> str:
    return share(value) if math.isfinite(value) else "–"


def _number(value: float, sign: str = "") -> str:
    return f"{value:{sign}.4g}" if math.isfinite(value) else "–"
