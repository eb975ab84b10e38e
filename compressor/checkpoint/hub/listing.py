"""What the hub says is in a repository: a commit and its files, in bounded time."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NoAnswerInTime
from dataclasses import dataclass
from typing import Final, TypeVar, final

from compressor.checkpoint.hub.errors import hub_errors, unreachable
from compressor.errors import RefusedError, listing, printable

FIRST_ANSWER: Final = 20.0
"""Seconds until the hub must have answered once, name resolution and retries included."""

REQUEST: Final = 10.0
"""Seconds that one later request may stay silent."""

_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_Answer = TypeVar("_Answer")


@final
@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository as the hub lists it. `digest` is sha256, or git's for a small one.

    `name` has `/` between its parts, and stays inside the folder that it is joined to.
    """

    name: str
    size: int
    digest: str


@final
@dataclass(frozen=True)
class Listing:
    """A repository at one commit, 40 hexadecimal digits, and its files."""

    repository: str
    commit: str
    files: tuple[RemoteFile, ...]


def list_files(repository: str, revision: str | None) -> Listing:
    """What the hub says is in the repository, within `FIRST_ANSWER` seconds or an error."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError

    where = f"{repository}@{revision}" if revision else repository
    with hub_errors(repository, revision, "asking"):
        try:
            info = first_answer(
                where,
                lambda: HfApi().model_info(
                    repository, revision=revision, files_metadata=True, timeout=REQUEST
                ),
            )
        except HFValidationError:  # a ValueError too, and the id's fault
            raise
        except (KeyError, TypeError, ValueError) as error:
            raise unreachable(where, "an answer in another format") from error
    commit = str(info.sha)
    if _COMMIT.fullmatch(commit) is None:
        raise unreachable(where, f"commit `{printable(commit)}`")
    files = tuple(
        RemoteFile(
            file.rfilename,
            file.size or 0,
            (file.lfs.sha256 if file.lfs else file.blob_id) or "",
        )
        for file in info.siblings or ()
    )
    if escaping := [file.name for file in files if _escapes(file.name)]:
        raise RefusedError(
            "PATH-ESCAPE",
            "the repository lists files outside itself",
            at=where,
            found=f"{listing(escaping)}, expected names inside the repository",
            do="report the repository to the hub, and use another one",
        )
    return Listing(repository, commit, files)


def _escapes(name: str) -> bool:
    """Whether the name, joined to a folder on any system, could lead out of it or to itself."""
    return any(part in ("", ".", "..") for part in name.split("/")) or bool({*name} & {*"\\:\0"})


def first_answer(where: str, ask: Callable[[], _Answer]) -> _Answer:
    """The answer, if it comes in time. A thread waits, since name resolution takes no limit."""
    answer: Future[_Answer] = Future()

    def wait() -> None:
        try:
            answer.set_result(ask())
        except Exception as error:
            answer.set_exception(error)

    threading.Thread(target=wait, daemon=True).start()
    try:
        return answer.result(timeout=FIRST_ANSWER)
    except NoAnswerInTime as error:
        raise unreachable(where, f"silence for {FIRST_ANSWER:.0f} seconds") from error
