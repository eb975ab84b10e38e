"""One answer of `verify`: which level asked, whether it holds, and what was seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, final

from compressor.errors import CompressorError, printable

CHECKS: Final = {
    1: "manifest",
    2: "file set",
    3: "digests",
    4: "headers",
    5: "index and config",
    6: "ties",
    7: "finite weights",
    8: "tokenizer",
    9: "names and shapes",
    10: "loaded tensors",
    11: "forward",
    12: "claims of the report",
    13: "source",
}


@final
@dataclass(frozen=True)
class Finding:
    """What one check found. `id` names the error of a failed one, and is `""` otherwise."""

    level: int
    check: str
    status: Literal["ok", "failed", "skipped"]
    id: str
    at: str
    detail: str


def ok(level: int, detail: str, at: str = "") -> Finding:
    """The level holds; `detail` says for how much."""
    return Finding(level, CHECKS[level], "ok", "", printable(at, 400), detail)


def skipped(level: int, reason: str, at: str = "") -> Finding:
    """The level was not asked, and why."""
    return Finding(level, CHECKS[level], "skipped", "", printable(at, 400), reason)


def failed(level: int, id: str, detail: str, at: str = "") -> Finding:
    """The answer is no: `detail` says what was seen and what was expected."""
    return Finding(level, CHECKS[level], "failed", id, printable(at, 400), detail)


def refuted(level: int, error: CompressorError) -> Finding:
    """The answer is no, in the words of an error."""
    detail = f"{error.message}: {error.found}" if error.found else error.message
    return failed(level, error.id, detail, error.at)


def has_failed(findings: list[Finding], up_to: int = max(CHECKS)) -> bool:
    """Whether a level up to this one said no."""
    return any(each.status == "failed" and each.level <= up_to for each in findings)
