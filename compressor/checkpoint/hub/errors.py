"""What the hub, or the way to it, refuses, as our errors: who must act, and how.

Only our own words, the endpoint's host and the HTTP status are shown: a library's message may
quote request headers, and with them a token.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal
from urllib.parse import urlsplit

from compressor.errors import (
    CompressorError,
    NetworkError,
    OutputError,
    ResourceError,
    UsageError,
    printable,
)


@contextmanager
def hub_errors(repository: str, revision: str | None, doing: str) -> Iterator[None]:
    """Inside it, an error of the hub or of the way to it becomes one of ours."""
    # HTTPError is httpx's or httpx2's, whichever this release of the hub library is built on
    from huggingface_hub.errors import (  # type: ignore[attr-defined]
        HfHubHTTPError,
        HFValidationError,
        HTTPError,
        OfflineModeIsEnabled,
    )

    where = f"{repository}@{revision}" if revision else repository
    try:
        yield
    except HFValidationError as error:
        raise UsageError(
            "SOURCE-ID",
            "the hub cannot have a repository of this name",
            at=where,
            found=f"`{printable(repository)}`, expected `name` or `org/name`",
            do="correct the id",
        ) from error
    except OfflineModeIsEnabled as error:
        raise offline_miss(where, "HF_HUB_OFFLINE is set, expected a connection") from error
    except HfHubHTTPError as error:
        raise _answer(error.response.status_code, _missing(error), where) from error
    except HTTPError as error:
        raise _broken(doing, where, type(error).__name__) from error
    except OSError as error:
        raise _disk(error, doing, where) from error


def unreachable(where: str, found: str) -> NetworkError:
    """No answer, or one that a hub would not give."""
    return NetworkError(
        "HUB-UNREACHABLE",
        "the hub cannot be reached",
        at=where,
        found=f"{found}, expected an answer from {_host()}",
        do="check the connection; a model in the local cache needs none with --offline",
    )


def broken_download(where: str, found: str) -> NetworkError:
    """A file that did not arrive whole and right."""
    return NetworkError(
        "HUB-BROKEN-DOWNLOAD",
        "a file of the repository did not arrive whole",
        at=where,
        found=found,
        do="run the same command again; files that arrived are kept in the hub cache",
    )


def offline_miss(where: str, found: str) -> NetworkError:
    """Offline, and the local cache does not hold what is asked for."""
    return NetworkError(
        "OFFLINE-MISS",
        "the local hub cache does not hold this repository, and no connection may be opened",
        at=where,
        found=found,
        do="run once without --offline and HF_HUB_OFFLINE, or name a local folder",
    )


def _missing(error: Exception) -> Literal["repository", "revision"]:
    from huggingface_hub.errors import RevisionNotFoundError

    return "revision" if isinstance(error, RevisionNotFoundError) else "repository"


def _answer(status: int, missing: Literal["repository", "revision"], where: str) -> NetworkError:
    """The error that an HTTP status stands for."""
    if status in (401, 403):
        return NetworkError(
            "HUB-DENIED",
            "the hub does not let this user have this repository",
            at=where,
            found=f"status {status}, which the hub gives for a private, a gated or a missing one",
            do="check the spelling, accept the licence on the model page, or log in: hf auth login",
        )
    if status == 404:
        return NetworkError(
            "HUB-NOT-FOUND",
            f"the hub has no such {missing}",
            at=where,
            found=f"status 404 from {_host()}, expected a {missing} of this name",
            do=f"correct the {missing}; if a local folder is meant, write it as ./folder",
        )
    return unreachable(where, f"status {status}")


def _broken(doing: str, where: str, what: str) -> NetworkError:
    if doing == "fetching":
        return broken_download(where, f"{what} while fetching, expected the whole file")
    return unreachable(where, what)


def _disk(error: OSError, doing: str, where: str) -> CompressorError:
    """An error of the local file system; without a number it is the hub library's own complaint."""
    if error.errno is None or isinstance(error, ConnectionError | TimeoutError):
        return _broken(doing, where, type(error).__name__)
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return ResourceError(
            "DISK-FULL",
            "the disk that holds the hub cache is full",
            at=where,
            found=f"{error.strerror}, expected room for the whole repository",
            do="free space, or set HF_HOME to a folder on a larger disk",
        )
    return OutputError(
        "HUB-CACHE",
        "the hub cache cannot be written",
        at=error.filename or where,
        found=f"{error.strerror}, expected a folder that this user may write",
        do="set HF_HOME to a folder that this user may write",
    )


def _host() -> str:
    from huggingface_hub import constants

    return urlsplit(constants.ENDPOINT).hostname or "the hub"
