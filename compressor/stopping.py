"""What must stand before the first import that takes time: signals become one exception."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from types import FrameType
from typing import Final, final

SIGNALS: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)

MESSAGE: Final = (
    "stopped: the output is as it was. A command that has --resume goes on with it after the last\n"
    "whole part; compressor clean FOLDER removes what lies beside an output."
)


@final
class Stopped(BaseException):
    """A signal asked the run to stop; what holds resources cleans up on its way out."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


def listen() -> None:
    """From now on, a signal to stop raises `Stopped` in the main thread, once."""
    for number in SIGNALS:
        signal.signal(number, _stop)


def ignore() -> None:
    """From now on, it does nothing: the exit code is decided."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def say() -> None:
    """Tell the user what became of the run."""
    with contextlib.suppress(OSError, ValueError):
        print(MESSAGE, file=sys.stderr, flush=True)


def open_missing_streams() -> None:
    """Give stdin, stdout and stderr something to be where the caller closed them (`>&-`)."""
    sys.stdin = sys.stdin or os.fdopen(_null(0), "r")
    sys.stdout = sys.stdout or os.fdopen(_null(1), "w")
    sys.stderr = sys.stderr or os.fdopen(_null(2), "w")


def _null(descriptor: int) -> int:
    """This descriptor, made to lead nowhere."""
    null = os.open(os.devnull, os.O_RDWR)
    if null != descriptor:
        os.dup2(null, descriptor)
        os.close(null)
    return descriptor


def _stop(number: int, frame: FrameType | None) -> None:
    ignore()
    raise Stopped(number)
