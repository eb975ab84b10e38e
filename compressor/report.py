"""What a step found, as data: one shape for every step, written as JSON and drawn by `view`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, final

Scalar: TypeAlias = str | int | float | bool | None
Value: TypeAlias = Scalar | Sequence["Value"] | Mapping[str, "Value"]
Row: TypeAlias = Mapping[str, Value]

SCHEMA = "compressor.report/1"


@final
@dataclass(frozen=True)
class Report:
    """One step's evidence. `status` is `failed` only where the step measured, and the answer is no.

    What stands in it is determined by the inputs: no time, no host, no path. `output` is where the
    result lies on this machine; it is shown, and never written into the report. A report of what
    was measured (`bench`) also says on what: that is part of the evidence.
    """

    step: Mapping[str, Value]
    source: Mapping[str, Value]
    summary: Mapping[str, Value] = field(default_factory=dict)
    tables: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    notes: Sequence[str] = ()
    status: Literal["ok", "failed"] = "ok"
    output: Path | None = None
    kept: Path | None = field(default=None, compare=False)
    """Where the report itself lies, if it is evidence that was kept. Not part of it either."""

    @property
    def name(self) -> str:
        """The step's name: `prune`."""
        return str(self.step["step"])

    @property
    def exit_code(self) -> int:
        """0, or 1 where the answer is no."""
        return 0 if self.status == "ok" else 1

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON-ready data."""
        return {
            "schema": SCHEMA,
            "step": self.step,
            "source": self.source,
            "status": self.status,
            "summary": self.summary,
            "tables": self.tables,
            "notes": list(self.notes),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Report:
        """The report that `as_dict` described; its output is not part of it."""
        names = ("step", "source", "status", "summary", "tables")
        return cls(notes=tuple(data["notes"]), **{name: data[name] for name in names})

    def __repr__(self) -> str:
        facts = ", ".join(f"{key}={value}" for key, value in self.summary.items())
        return f"<Report of {self.name}: {self.status}; {facts}; output={self.output}>"

    def to_json(self) -> str:
        """Strict JSON: a non-finite number is an error, never `NaN`."""
        return json.dumps(self.as_dict(), indent=1, allow_nan=False, ensure_ascii=False) + "\n"
