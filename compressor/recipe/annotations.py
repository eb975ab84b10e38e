"""What GitHub shows beside the lines of a recipe: its gates that miss, and the error of a run."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Final

from compressor.errors import CompressorError, printable
from compressor.recipe.junit import said
from compressor.recipe.record import Error, GateRecord

_MOST: Final = 8
"""GitHub shows ten of a kind for each step; a job has other steps too."""
_PLACE: Final = re.compile(r"(.+):(\d+):\d+", re.DOTALL)
_LONGEST: Final = 1000


def annotate(gates: Sequence[GateRecord], errors: Sequence[Error]) -> None:
    """Say on stderr, where GitHub runs this, which gates miss and then what went wrong."""
    if os.environ.get("GITHUB_ACTIONS") == "true":
        for line in islice(_lines(gates, errors), _MOST):
            print(line, file=sys.stderr, flush=True)


@contextmanager
def annotated() -> Iterator[None]:
    """An error that ends a run before it has a folder is shown at its place too."""
    try:
        yield
    except CompressorError as error:
        annotate((), [error.as_json()])
        raise


def _lines(gates: Sequence[GateRecord], errors: Sequence[Error]) -> Iterator[str]:
    missed = [gate for gate in gates if gate.status in ("fail", "inconclusive")]
    for gate in sorted(missed, key=lambda each: not each.is_miss):
        level = "error" if gate.is_miss else "warning"
        about = f"{gate.model}: " if gate.model else ""
        yield _line(level, gate.at, f"gate {gate.id}", about + gate.reason)
    for error in errors:
        yield _line("error", str(error["at"]), str(error["id"]), said(error))


def _line(level: str, at: str, title: str, text: str) -> str:
    place = _PLACE.fullmatch(at)
    where = {} if place is None else {"file": place[1], "line": place[2]}
    properties = ",".join(
        f"{key}={_escaped(value, '%:,')}" for key, value in {**where, "title": title}.items()
    )
    return f"::{level} {properties}::{_escaped(text, '%')}"


def _escaped(text: str, special: str) -> str:
    """Printable, so that no line ends early, and `special` as GitHub unescapes it."""
    shown = printable(text, _LONGEST)
    return "".join(f"%{ord(each):02X}" if each in special else each for each in shown)
