"""The command line in this process: what it prints, and the exit code it would end with."""

from __future__ import annotations

import json
import logging
import signal
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import BytesIO, TextIOWrapper
from typing import Any

from compressor.cli import ended

SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on stdout."""
        return json.loads(self.out)


def command(*arguments: object) -> Ended:
    """Run `compressor ARGUMENTS`; signal handlers and logging are as before afterwards."""
    out, err = (TextIOWrapper(BytesIO(), "utf-8", write_through=True) for _ in range(2))
    logger = logging.getLogger("compressor")
    with ExitStack() as after:
        for number in SIGNALS:
            after.callback(signal.signal, number, signal.getsignal(number))
        after.callback(logger.handlers.clear)
        after.callback(setattr, logger, "propagate", True)
        after.callback(logger.setLevel, logging.NOTSET)
        after.enter_context(redirect_stdout(out))
        after.enter_context(redirect_stderr(err))
        code = ended([str(argument) for argument in arguments])
    texts = [stream.buffer.getvalue().decode() for stream in (out, err)]  # type: ignore[attr-defined]
    return Ended(code, *texts)
