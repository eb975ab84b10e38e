"""`RUN/run.json`: what a run did and came to, and by what key a rerun knows a step that is done.

Clock, host and versions stand here and in a manifest's `run`, never in a `report.json`.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import platform
from collections.abc import Iterator
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from compressor.checkpoint.digest import digest_file, digest_of
from compressor.checkpoint.write.disk import write_whole, writing
from compressor.checkpoint.write.manifest import tool
from compressor.checkpoint.write.output import busy
from compressor.checkpoint.write.temporary import MANIFEST

RUN_FILE: Final = "run.json"
_PACKAGES: Final = ("blake3", "numpy", "safetensors", "torch", "transformers")
_LARGEST_MANIFEST: Final = 256 << 20

Error: TypeAlias = dict[str, str | int]
"""What `CompressorError.as_json` says."""


def _finite(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


Number = Annotated[float | None, BeforeValidator(_finite)]
"""None where there is no finite number: JSON has no other."""


class StepRecord(BaseModel):
    """How one step went. `key` covers all that determines its result, `result` what it left."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    step: dict[str, Any]
    status: Literal["running", "ok", "failed", "error"] = "running"
    exit_code: int | None = None
    seconds: float | None = None
    skipped: bool = False
    path: str
    is_checkpoint: bool = False
    key: str
    result: str | None = None
    error: Error | None = None


class MetricRecord(BaseModel):
    """One number about one model; `baseline` is the dense model's, `n` counts the items."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: Number
    low: Number
    high: Number
    n: int
    baseline: Number


class GateRecord(BaseModel):
    """The answer of one gate for one model, and where the gate stands in the recipe."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    metric: str
    model: str
    status: Literal["pass", "fail", "inconclusive", "not_reached"]
    reason: str
    value: Number = None
    limit: Number = None
    baseline: Number = None
    low: Number = None
    high: Number = None
    more_items: int | None = None
    severity: Literal["error", "warn"] = "error"
    error_id: str = ""
    at: str

    @property
    def is_miss(self) -> bool:
        """Whether this answer alone fails the run."""
        return self.severity == "error" and self.status in ("fail", "inconclusive")


class VerdictRecord(BaseModel):
    """The one word over all gates, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    word: Literal["ACCEPT", "REGRESSION", "INCONCLUSIVE", "ANOMALOUS"]
    sentence: str


class RunRecord(BaseModel):
    """How the run went. `status` of a step, and of a run, that never ended stays `running`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["compressor.run/1"] = Field(default="compressor.run/1", alias="schema")
    recipe: str
    source: str
    overrides: list[str]
    tool: str
    versions: dict[str, str]
    host: dict[str, str]
    started: str
    finished: str | None = None
    seconds: float | None = None
    status: Literal["running", "ok", "failed", "error"] = "running"
    exit_code: int | None = None
    steps: list[StepRecord] = []
    metrics: dict[str, dict[str, MetricRecord]] = {}
    """By metric, then by model."""
    gates: list[GateRecord] = []
    verdict: VerdictRecord | None = None
    errors: list[Error] = []
    artifacts: dict[str, str] = {}
    """The digest of the tree of each checkpoint, by its folder."""

    @property
    def missed(self) -> list[str]:
        """The gates that fail the run."""
        return list(dict.fromkeys(gate.id for gate in self.gates if gate.is_miss))

    @property
    def is_doubted(self) -> bool:
        """Whether every gate passes, and the numbers prove nothing all the same."""
        return self.verdict is not None and self.verdict.word != "ACCEPT" and not self.missed


def new_record(recipe: str, source: str, overrides: list[str]) -> RunRecord:
    """The record of a run that starts now, on this machine."""
    return RunRecord(
        recipe=recipe,
        source=source,
        overrides=overrides,
        tool=tool(),
        versions={
            "python": platform.python_version(),
            **{package: version(package) for package in _PACKAGES},
        },
        host={
            "name": platform.node(),
            "machine": platform.machine(),
            "system": platform.system(),
        },
        started=now(),
    )


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def read_record(folder: Path) -> RunRecord | None:
    """The record of the last run in `folder`; None where no run of ours left one."""
    path = folder / RUN_FILE
    if not path.is_file():
        return None
    try:
        return RunRecord.model_validate_json(path.read_bytes())
    except ValidationError:
        return None


def write_record(record: RunRecord, folder: Path) -> None:
    """Replace `run.json`, durably and in one piece."""
    text = (
        json.dumps(record.model_dump(mode="json", by_alias=True), indent=1, allow_nan=False) + "\n"
    )
    write_whole(folder / RUN_FILE, text.encode())


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """The run folder, made where it is missing, for one run at a time."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise busy(folder) from error
    finally:
        os.close(descriptor)


def identity(folder: Path) -> str:
    """What a folder holds, as far as names, sizes, times and its manifest tell; no weight is read.

    Times are part of it where a manifest is there too: damage in place keeps the manifest.
    """
    listed = []
    for root, _, names in os.walk(folder):
        for name in names:
            path = Path(root, name)
            status = path.stat() if path.exists() else path.lstat()
            listed.append([str(path.relative_to(folder)), status.st_size, status.st_mtime_ns])
    manifest = folder / MANIFEST
    is_read = manifest.is_file() and manifest.stat().st_size <= _LARGEST_MANIFEST
    return digest_of([sorted(listed), digest_file(manifest) if is_read else None])


def tree_of(folder: Path) -> str | None:
    """The digest that a checkpoint's manifest has over all that its inputs determine."""
    try:
        content = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return None
    tree = content.get("tree") if isinstance(content, dict) else None
    return tree if isinstance(tree, str) else None
