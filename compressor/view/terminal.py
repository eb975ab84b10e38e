"""Reports on a terminal: results on stdout, notes and bars on stderr, readable without colour."""

from __future__ import annotations

import codecs
import json
import logging
import os
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Final, Literal, final

from rich.box import ASCII2, SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.table import Table

from compressor.checkpoint.pipeline import Observer, Progress
from compressor.errors import printable
from compressor.report import Report, Row
from compressor.view import evidence, parts, words

UNWRAPPED = 100_000
"""Columns where stdout is no terminal: a line is a line, for `grep`; `COLUMNS` wins."""

QUIET_SECONDS = 30.0
"""Without a terminal, a long run says where it is this often."""


PLAIN: Final = {"–": "-", "·": "|", "×": "x", "…": "...", "≤": "<=", "‖": "|"}
"""What stands for a character that a terminal cannot show; any other one becomes its escape."""


def speak_any_encoding() -> None:
    """What stdout or stderr cannot encode is said in plain characters, and is no error."""
    codecs.register_error("plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="plain")


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(PLAIN.get(each, ascii(each)[1:-1]) for each in text), error.end


@final
@dataclass(frozen=True)
class Terminal:
    """Where a command's results and messages go."""

    json: bool = False
    quiet: bool = False
    debug: bool = False

    @contextmanager
    def progress(self) -> Iterator[Observer]:
        """An observer of progress: a bar on a terminal, else a line now and then, on stderr."""
        self._log_to_stderr()
        if self.quiet:
            yield lambda progress: None
        elif sys.stderr.isatty():
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[reached]}"),
                TimeRemainingColumn(),
            )
            with RichProgress(*columns, console=Console(stderr=True), transient=True) as bar:
                task = bar.add_task("", total=None, visible=False, reached="")

                def observe(progress: Progress) -> None:
                    name = escape(printable(progress.tensor, 48))
                    bar.update(
                        task,
                        completed=progress.done,
                        total=progress.total,
                        description=name,
                        reached=_reached(progress),
                        visible=True,
                    )

                yield observe
        else:
            yield _Now_and_then(time.monotonic()).observe

    def show(self, report: Report) -> None:
        """A report on stdout; the last line is the path of the checkpoint made, or of evidence."""
        if self.json:
            self._json(report)
            return
        self._notes(report)
        console = _console()
        has_path = report.output is not None or report.kept is not None
        for part in words.describe(report) if not (self.quiet and has_path) else ():
            console.print(part if isinstance(part, str) else self._table(part))
        if has_path:
            print(report.output or report.kept)

    def show_step(self, name: str, report: Report) -> None:
        """A step of a recipe: what `show` shows, under a heading."""
        if not self.json and not self.quiet:
            _console().print(f"\n[bold]{escape(name)}[/bold]")
            self.show(report)

    def show_run(
        self,
        reports: Sequence[Report],
        folder: Path,
        result: Path | None,
        unchanged: Collection[int] = (),
        gates: Sequence[Row] = (),
        verdict: Row | None = None,
    ) -> None:
        """The end of a recipe: its steps, gates and verdict, then the path of the result."""
        if self.json:
            steps = [_with_output(report) for report in reports]
            document = {
                "folder": str(folder),
                "result": None if result is None else str(result),
                "steps": steps,
                "gates": list(gates),
                "verdict": verdict,
            }
            print(json.dumps(document, allow_nan=False))
            return
        if not self.quiet:
            console = _console()
            for part in (words.overview(reports, unchanged), *evidence.judged(gates, verdict)):
                console.print(part if isinstance(part, str) else self._table(part))
            console.print(f"as one page: compressor report {escape(printable(folder, 300))}")
        print(result or folder)

    def rows(self, rows: Sequence[Row]) -> None:
        """A plain list of rows."""
        if self.json:
            print(json.dumps(list(rows), allow_nan=False))
        else:
            _console().print(self._table(parts.Part("", tuple(rows[0]) if rows else (), rows)))

    def _json(self, report: Report) -> None:
        print(json.dumps(_with_output(report), allow_nan=False, ensure_ascii=True))

    def _notes(self, report: Report) -> None:
        if not self.quiet:
            for note in report.notes:
                print(f"note: {printable(note, 400)}", file=sys.stderr)

    def _table(self, part: parts.Part) -> Table:
        box = SIMPLE_HEAD if _speaks_unicode() else ASCII2
        table = Table(title=part.title or None, title_justify="left", box=box, pad_edge=False)
        for column in part.columns:
            is_number = part.rows and all(
                isinstance(row.get(column), int | float | None) for row in part.rows
            )
            justify: Literal["left", "right"] = "right" if is_number else "left"
            table.add_column(column.replace("_", " "), justify=justify, overflow="fold")
        for row in part.rows:
            table.add_row(*(escape(parts.text(column, row.get(column))) for column in part.columns))
        return table

    def _log_to_stderr(self) -> None:
        logger = logging.getLogger("compressor")
        logger.setLevel(logging.WARNING if self.quiet else logging.INFO)
        if not logger.handlers:
            handler = logging.StreamHandler()
            handler.setFormatter(logging.Formatter("%(message)s"))
            logger.addHandler(handler)
            logger.propagate = False


@final
class _Now_and_then:
    """A line on stderr when enough time has passed since the last one."""

    def __init__(self, started: float) -> None:
        self._started = self._last = started

    def observe(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._last < QUIET_SECONDS:
            return
        self._last = now
        speed = progress.done / (now - self._started)
        left = (progress.total - progress.done) / speed if speed else 0.0
        pace = f"{parts.amount(speed)}/s, " if progress.unit == "bytes" else ""
        rest = f", {pace}{left:.0f} s left" if progress.done else ""
        print(
            f"{printable(progress.tensor)}: {_reached(progress)}{rest}",
            file=sys.stderr,
            flush=True,
        )


def _reached(progress: Progress) -> str:
    if progress.unit == "items":
        return f"{progress.done:,} of {progress.total:,}"
    return f"{parts.amount(progress.done)} of {parts.amount(progress.total)}"


def _with_output(report: Report) -> dict[str, Any]:
    output = None if report.output is None else str(report.output)
    return {**report.as_dict(), "output": output}


@final
class _Console(Console):
    """A console that lets a closed pipe be what it is; rich's own would exit with 1."""

    def on_broken_pipe(self) -> None:
        raise


def _console() -> Console:
    is_free = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return _Console(width=UNWRAPPED if is_free else None, highlight=False, emoji=False)


def _speaks_unicode() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") in {"utf8", "utf16", "utf32"}
