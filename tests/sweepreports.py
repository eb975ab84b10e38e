"""Reports as `sweep` writes them, by hand: planted curves with a cliff, patterns and a control."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from compressor.report import Report
from compressor.tolerance import Drop, parse

GRID = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
PATTERNS = {"2:4": 0.02, "4:8": 0.012, "8:16": 0.008, "1:4": -0.05}
"""Each with what it is above the curve at its sparsity; 1:4 lies below."""

ROLES = ("query", "key", "value", "attention output", "mlp up", "mlp down")


def worse(sparsity: float, knee: float, slope: float) -> float:
    """How much worse than dense a model with a cliff is: flat, then a steep line."""
    return 0.01 * sparsity + slope * max(0.0, sparsity - knee) ** 1.5


def sweep_report(
    *,
    models: Mapping[str, float] | None = None,
    curves: Mapping[str, float] | None = None,
    data: Iterable[str] = ("sts",),
    metric: str = "spearman",
    better: str = "higher",
    slope: float = 2.2,
    drop: str = "1pt",
    layers: int = 6,
) -> Report:
    """A sweep of these models (name: dense value) and curves (label: knee)."""
    models = {"all-MiniLM-L6-v2": 0.8672} if models is None else models
    curves = (
        {"magnitude global": 0.42, "magnitude layer": 0.36, "random layer": 0.02}
        if curves is None
        else curves
    )
    tables: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("points", "curves", "distances", "layers", "density", "items")
    }
    first = next(iter(curves))
    for name in data:
        for model, dense in models.items():
            of = _Of(model, dense, name, metric, better, parse(drop))
            tables["points"].append(of.row(first, "dense", "0", 0.0, 0.0))
            for label, knee in curves.items():
                for sparsity in (*GRID, 0.45):
                    kind = "bisection" if sparsity == 0.45 else "grid"
                    lost = worse(sparsity, knee, slope)
                    tables["points"].append(of.row(label, kind, f"{sparsity:g}", sparsity, lost))
                tables["curves"].append(of.found(label, knee))
            for pattern, above in PATTERNS.items():
                n, m = map(int, pattern.split(":"))
                lost = worse(1 - n / m, curves[first], slope) - 100 * above * of.point
                tables["points"].append(of.row(first, "pattern", pattern, 1 - n / m, lost))
    _shapes(tables, next(iter(models)), curves, next(iter(data)), layers)
    found = tables["curves"][0]
    return Report(
        step={"step": "sweep", "data": ["sts=stsb-dev.csv"], "drop": drop},
        source={"name": next(iter(models)), "id": "org/model", "revision": None},
        summary={
            "essential_sparsity": found["essential_sparsity"],
            "upper": found["upper"],
            "largest_within": found["largest_within"],
            "knee": found["knee"],
            "knee_low": found["knee_low"],
            "knee_high": found["knee_high"],
            "metric": f"{next(iter(data))}/{metric}",
            "dense_value": next(iter(models.values())),
            "drop": drop,
            "recommended": f"{found['essential_sparsity']:g}",
            "verdict": None,
            "sentence": "42 % of the prunable weights can go for less than one point.",
            "speed": "",
            "dense": next(iter(models)),
            "device": "cpu",
            "processor": "x86_64",
            "threads": 2,
            "dtype": "float32",
            "torch": "2.11.0",
            "transformers": "5.1.0",
        },
        tables=tables,
    )


@dataclass(frozen=True)
class _Of:
    """What all rows of one model and metric have in common."""

    model: str
    dense: float
    data: str
    metric: str
    better: str
    drop: Drop

    @property
    def point(self) -> float:
        return 0.01 if self.better == "higher" else 1.0

    def row(
        self, curve: str, kind: str, pattern: str, sparsity: float, lost: float
    ) -> dict[str, Any]:
        """A point that is `lost` worse than dense."""
        is_dense = kind == "dense"
        half = 0.0 if is_dense else 0.3 * self.point + 0.06 * abs(lost)
        low, high = lost - half, lost + half
        margin = self.drop.margin(self.dense, self.point)
        is_within = "within" if lost <= margin else "violated"
        value = self.dense + (-lost if self.better == "higher" else lost)
        return {
            "model": self.model,
            "curve": curve,
            "method": curve.split()[0],
            "scope": curve.split()[-1],
            "kind": kind,
            "pattern": pattern,
            "sparsity": sparsity,
            "data": self.data,
            "metric": self.metric,
            "better": self.better,
            "point": self.point,
            "value": value,
            "low": value - 1.5 * self.point,
            "high": value + 1.5 * self.point,
            "drop": lost,
            "drop_low": low,
            "drop_high": high,
            "status": "uncertain" if low <= margin <= high else is_within,
            "seconds": None,
        }

    def found(self, curve: str, knee: float) -> dict[str, Any]:
        """Where the curve gives way; of a control, nothing is within the limit."""
        is_control = curve.startswith("random")
        return {
            "model": self.model,
            "curve": curve,
            "data": self.data,
            "metric": self.metric,
            "essential_sparsity": None if is_control else knee,
            "upper": 0.1 if is_control else knee + 0.05,
            "largest_within": None if is_control else knee,
            "knee": knee + 0.1,
            "knee_low": knee + 0.07,
            "knee_high": knee + 0.14,
        }


def _shapes(
    tables: dict[str, list[dict[str, Any]]],
    model: str,
    curves: Mapping[str, float],
    data: str,
    layers: int,
) -> None:
    """Distances, damage and sparsity of each point, smooth and made up."""
    for label, knee in curves.items():
        for sparsity in GRID:
            at = {"model": model, "curve": label, "pattern": f"{sparsity:g}"}
            for metric, scale in (("cosine", 0.9), ("neighbour-overlap", 0.75)):
                value = 1 - scale * sparsity ** (1 + 4 * knee)
                tables["distances"].append(
                    at
                    | {"data": data, "metric": metric, "sparsity": sparsity}
                    | {"value": value, "low": value - 0.01, "high": value + 0.01}
                )
            for layer in range(layers + 1):
                cka = 1 - sparsity ** (2 + 2 * knee) * layer / layers
                tables["layers"].append(
                    at | {"sparsity": sparsity, "data": data, "layer": str(layer), "cka": cka}
                )
            for layer in range(layers):
                for place, role in enumerate(ROLES):
                    share = min(1.0, sparsity * (0.8 + 0.08 * place + 0.1 * layer / layers))
                    tables["density"].append(
                        at
                        | {"tensor": f"encoder.layer.{layer}.{role.replace(' ', '_')}.weight"}
                        | {"role": role, "sparsity": share}
                    )
