"""A repository of the hub as a hollow folder: true names, sizes, configs and headers, no weights.

Configs and indexes are whole, every other file is a hole of its true size, and every weight file
starts with its true header: the reader judges the folder as it judges any other.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Final

from compressor.checkpoint.hub.errors import broken_download, hub_errors
from compressor.checkpoint.hub.listing import REQUEST, Listing, RemoteFile
from compressor.checkpoint.read.limits import Limits
from compressor.errors import printable

FIRST_BYTES: Final = 1 << 19
"""One request of half a MiB holds the header of nearly every shard: about 5000 tensors."""

_READ_WHOLE: Final = ("*config*.json", "*index*.json", "modules.json")
_REQUESTS_AT_ONCE: Final = 8


def hollow_copy(listing: Listing, folder: Path, limits: Limits) -> None:
    """Make the folder, and in it the repository without its weights' data."""
    folder.mkdir()
    with hub_errors(listing.repository, listing.commit, "asking"):
        pool = ThreadPoolExecutor(_REQUESTS_AT_ONCE)
        try:
            list(pool.map(partial(_hollow, listing, folder, limits), listing.files))
        finally:
            pool.shutdown(cancel_futures=True)


def _hollow(listing: Listing, folder: Path, limits: Limits, file: RemoteFile) -> None:
    """The file as a hole of its size, with as much of its start as the reader looks at."""
    start = b""
    if any(fnmatch(file.name.rpartition("/")[2], pattern) for pattern in _READ_WHOLE):
        start = _first_bytes(listing, file, min(file.size, limits.index))
    elif file.name.endswith(".safetensors"):
        start = _header(listing, file, limits)
    path = folder / file.name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as copy:
        copy.write(start)
        copy.truncate(file.size)


def _header(listing: Listing, file: RemoteFile, limits: Limits) -> bytes:
    """The length prefix and the JSON; of a header that breaks a limit, as much as shows it."""
    start = _first_bytes(listing, file, min(FIRST_BYTES, file.size))
    length = 8 + int.from_bytes(start[:8], "little")
    if len(start) < length <= min(file.size, 8 + limits.header):
        start = _first_bytes(listing, file, length)
    return start[:length]


def _first_bytes(listing: Listing, file: RemoteFile, count: int) -> bytes:
    """The first bytes of a file, by one ranged request; where ranges are ignored, cut off there."""
    from huggingface_hub import hf_hub_url

    # the library re-exports these in a way that mypy does not see
    from huggingface_hub.utils import (  # type: ignore[attr-defined]
        build_hf_headers,
        get_session,
        hf_raise_for_status,
    )

    if count == 0:
        return b""
    url = hf_hub_url(listing.repository, file.name, revision=listing.commit)
    headers = {
        **build_hf_headers(),
        "Range": f"bytes=0-{count - 1}",
        "Accept-Encoding": "identity",
    }
    received = bytearray()
    with get_session().stream("GET", url, headers=headers, timeout=REQUEST) as answer:
        hf_raise_for_status(answer)
        for piece in answer.iter_bytes():
            received += piece
            if len(received) >= count:
                break
    if len(received) < count:
        raise broken_download(
            f"{listing.repository}/{printable(file.name)}",
            f"{len(received)} bytes, expected {count}",
        )
    return bytes(received[:count])
