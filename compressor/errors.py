"""What can go wrong, in a few kinds: each knows its exit code, its place and its remedy.

An error is raised where the fact is known and shown once, by `compressor.cli`. Its five parts are
the five lines a user reads (docs/errors.md): what, where, seen and expected, what to do, and what
became of the output.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar


def printable(text: object, limit: int = 120) -> str:
    """Untrusted text, made safe for a terminal: control and bidi characters become escapes."""
    safe = "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in str(text)[: limit + 1]
    )
    return safe if len(safe) <= limit else safe[: limit - 1] + "…"


def listing(items: Iterable[object], shown: int = 10) -> str:
    """The first ten items, and how many more there are."""
    texts = [printable(item) for item in items]
    more = f", and {len(texts) - shown} more" if len(texts) > shown else ""
    return ", ".join(texts[:shown]) + more


class CompressorError(Exception):
    """An error with a stable id, a place, what was found, and one thing to do about it."""

    exit_code: ClassVar[int] = 70

    def __init__(self, id: str, message: str, *, at: object = "", found: str = "", do: str) -> None:
        parts = [("at", at), ("found", found), ("do", do)]
        said = "; ".join(f"{label}: {printable(text, 400)}" for label, text in parts if text)
        super().__init__(f"{id}: {message} ({said})")
        self.id = id
        self.message = message
        self.at = printable(at, 400)
        self.found = found
        self.do = do
        self.output = "nothing was written"

    def lines(self) -> list[str]:
        """The message as it stands on stderr."""
        middle = [("at:", self.at), ("found:", self.found), ("do:", self.do)]
        return [
            f"error[{self.id}]: {self.message}",
            *(f"  {label:<6} {text}" for label, text in middle if text),
            f"  {self.output}",
        ]

    def as_json(self) -> dict[str, str | int]:
        """The same content for `--json`."""
        return {
            "message_type": "exit_error",
            "code": self.exit_code,
            "id": self.id,
            "message": self.message,
            "at": self.at,
            "found": self.found,
            "do": self.do,
            "output": self.output,
        }


class CheckFailed(CompressorError):
    """Measured, and the answer is no."""

    exit_code = 1


class UsageError(CompressorError):
    """An option or a recipe is wrong; nothing was read but headers."""

    exit_code = 2


class InputError(CompressorError):
    """A checkpoint, tokenizer or data set is malformed, inconsistent or unsupported."""

    exit_code = 3


class RefusedError(CompressorError):
    """The input is readable, but policy says no until the user names a flag."""

    exit_code = 4


class OutputError(CompressorError):
    """The output exists, is locked, cannot be written, or is the source."""

    exit_code = 5


class ResourceError(CompressorError):
    """Disk, memory or a limit is exhausted."""

    exit_code = 6


class NetworkError(CompressorError):
    """The hub cannot be reached, or says no."""

    exit_code = 7
