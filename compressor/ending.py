"""How the process ends: signals, broken pipes and errors become one message and one exit code."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import sys
import tempfile
import traceback
from collections.abc import Callable
from typing import Final, cast

import typer

from compressor.errors import CompressorError, ResourceError, UsageError, printable
from compressor.stopping import Stopped, listen, say

SECRET = re.compile(r"hf_[A-Za-z0-9]{8,}|(?i:bearer|token|password|secret)[=: ]+\S+")

COMMAND_LINE_ERROR: Final = typer.BadParameter.__mro__[1]
"""`click.UsageError`. Newer versions of Typer carry their own click; all name this subclass."""

PIPE_CLOSED: Final = 141


def ends(command: Callable[[], int], *, is_json: bool, is_debug: bool) -> int:
    """Run a command and return the exit code; whatever ends it early is said on stderr, once."""
    listen()
    try:
        code = command()
        sys.stdout.flush()
        return code
    except Stopped as stop:
        say()
        code = stop.exit_code
    except BrokenPipeError:
        code = PIPE_CLOSED
    except Exception as error:
        if is_debug:
            traceback.print_exc()
        shown = _as_error(error)
        lines = [json.dumps(shown.as_json(), allow_nan=False)] if is_json else shown.lines()
        for line in lines:
            _say(line)
        code = shown.exit_code
    _leave_stdout()
    return code


def _as_error(error: Exception) -> CompressorError:
    """Every exception as one of our kinds; what nobody foresaw is a bug, with a crash file."""
    if isinstance(error, CompressorError):
        return error
    if isinstance(error, COMMAND_LINE_ERROR):
        given = cast(typer.BadParameter, error)
        return UsageError(
            "USAGE",
            "the command line cannot be understood",
            at=given.ctx.command_path if given.ctx is not None else "compressor",
            found=printable(given.format_message(), 300),
            do="see the options with --help",
        )
    if isinstance(error, MemoryError):
        return ResourceError(
            "OOM",
            "the memory of this process is exhausted",
            at="this process",
            found="an allocation failed",
            do="run with --workers 1, or give the process more memory",
        )
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        full = ResourceError(
            "DISK-FULL",
            "the result cannot be printed: stdout is full",
            at="stdout",
            found=str(error.strerror),
            do="redirect stdout to a disk with free space",
        )
        full.output = "what was committed before stays"
        return full
    return CompressorError(
        "INTERNAL",
        "an unexpected error; this is a bug of compressor",
        at=_crash_file(),
        found=printable(f"{type(error).__name__}: {SECRET.sub('…', str(error))}", 200),
        do="report it with the crash file, which holds the traceback",
    )


def _crash_file() -> str:
    """The traceback in a file of its own, without values of variables, tokens redacted."""
    text = SECRET.sub("…", traceback.format_exc())
    with contextlib.suppress(OSError):
        descriptor, path = tempfile.mkstemp(prefix="compressor-crash-", suffix=".txt", text=True)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        return path
    return "no crash file could be written"


def _say(line: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        print(line, file=sys.stderr, flush=True)


def _leave_stdout() -> None:
    """Where stdout takes no more, point it nowhere: the interpreter will flush it once more."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
