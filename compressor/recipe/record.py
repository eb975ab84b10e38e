"""`RUN/run.json`: what a run did and when, and by what key a rerun knows a step that is done.

Clock, host and versions stand here and in a manifest's `run`, never in a `report.json`.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
from collections.abc import Iterator
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from compressor.checkpoint.digest import digest_file, digest_of
from compressor.checkpoint.write.disk import sync_folder, write_all, writing
from compressor.checkpoint.write.manifest import tool
from compressor.checkpoint.write.output import busy
from compressor.checkpoint.write.temporary import MANIFEST

RUN_FILE: Final = "run.json"
_PACKAGES: Final = ("blake3", "numpy", "safetensors", "torch", "transformers")
_LARGEST_MANIFEST: Final = 256 << 20


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
    error: dict[str, str | int] | None = None


class RunRecord(BaseModel):
    """How the run went. `status` of a step that never ended stays `running`."""

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
    exit_code: int | None = None
    steps: list[StepRecord] = []


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


def write_whole(path: Path, data: bytes) -> None:
    """A file that holds all of `data`, or what it held before: temporary file, fsync, rename."""
    temporary = path.with_name(f".{path.name}.tmp")
    with writing(path):
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, 0o666)
        try:
            write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(path)
        sync_folder(path.parent)


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
