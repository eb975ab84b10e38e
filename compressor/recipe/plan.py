"""What a run of a recipe would do, as a report."""

from __future__ import annotations

from pathlib import Path

from compressor.recipe.model import Recipe
from compressor.report import Report, Row


def plan(recipe: Recipe, folder: Path) -> Report:
    """What a run of the recipe would do, as a report."""
    rows: list[Row] = [
        {
            "step": name,
            "fields": {key: value for key, value in step.as_dict().items() if key != "step"},
            "folder": str(folder / name),
        }
        for name, step in recipe.named_steps()
    ]
    return Report(
        step={"step": "run"},
        source={"name": recipe.source},
        summary={"steps": len(rows), "folder": str(folder)},
        tables={"plan": rows},
        notes=["nothing was read or written"],
    )
