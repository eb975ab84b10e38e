"""The Hugging Face hub: fetch a repository, look into one without fetching it, publish a folder.

`huggingface_hub` is imported inside the functions: it costs 0.3 s, and most runs need no hub.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

from compressor.checkpoint.hub.cache import hub_cache
from compressor.checkpoint.hub.errors import broken_download, hub_errors, offline_miss
from compressor.checkpoint.hub.headers import hollow_copy
from compressor.checkpoint.hub.listing import REQUEST, RemoteFile, first_answer, list_files
from compressor.checkpoint.read.limits import Limits
from compressor.checkpoint.read.reader import Checkpoint, open_checkpoint
from compressor.errors import RefusedError, printable

_WEIGHTS: Final = ("*.safetensors",)
_PICKLES: Final = ("*.bin", "*.bin.index.json", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle")
_OTHER_FORMATS: Final = (
    *("*.h5", "*.msgpack", "*.onnx", "*.onnx_data", "*.gguf", "*.ggml", "*.tflite", "*.ot"),
    *("*.joblib", "*.npz", "*.mlmodel", "*.mlpackage/*", "*.tar.gz", "*.zip"),
    *("onnx/*", "*/onnx/*", "openvino/*", "*/openvino/*", "coreml/*", "original/*"),
)


def is_cached(repository: str) -> bool:
    """Whether the local hub cache holds anything of this repository; asks only the disk."""
    return (_cache_folder(repository) / "snapshots").is_dir()


def download(
    repository: str, revision: str | None, *, offline: bool = False, weights: bool = True
) -> tuple[Path, str]:
    """The folder in the local hub cache that holds the repository, and its commit.

    The revision is resolved to a commit first, and every file that arrives is checked against the
    digest that the hub names. Other formats of the same weights are not fetched.
    """
    from huggingface_hub import constants, snapshot_download

    if offline or constants.HF_HUB_OFFLINE:
        with hub_errors(repository, revision, "asking"):
            return _cached(repository, revision, weights)
    listing = list_files(repository, revision)
    unwanted = _unwanted(listing.files, weights)
    present = _cache_folder(repository) / "snapshots" / listing.commit
    fresh = [
        file
        for file in listing.files
        if not any(fnmatch(file.name, pattern) for pattern in unwanted)
        and not (present / file.name).exists()
    ]
    with hub_errors(repository, revision, "fetching"), _bars_on_a_terminal_only():
        folder = Path(
            snapshot_download(repository, revision=listing.commit, ignore_patterns=unwanted)
        )
        for file in fresh:
            _check(folder / file.name, file)
        _remember(repository, revision or "main", listing.commit)
    return folder, listing.commit


def remote_checkpoint(
    repository: str, revision: str | None, limits: Limits
) -> tuple[Checkpoint, str]:
    """What `open_checkpoint` would say of the repository, and its commit; no weight is fetched.

    The checkpoint's `folder` is the repository at its commit, and nothing lies there.
    """
    listing = list_files(repository, revision)
    with tempfile.TemporaryDirectory(prefix="compressor-") as temporary:
        folder = Path(temporary, listing.commit)
        hollow_copy(listing, folder, limits)
        checkpoint = open_checkpoint(folder, replace(limits, allow_sparse=True))
    return replace(checkpoint, folder=Path(f"{repository}@{listing.commit}")), listing.commit


def push(folder: Path, repository: str, private: bool) -> str:
    """Publish the folder as a hub repository, made where there is none; gives its address."""
    from huggingface_hub import HfApi

    api = HfApi()
    with hub_errors(repository, None, "publishing"), _bars_on_a_terminal_only():
        address = first_answer(
            repository, lambda: api.create_repo(repository, private=private, exist_ok=True)
        )
        if private and not api.model_info(address.repo_id, timeout=REQUEST).private:
            raise RefusedError(
                "HUB-PUBLIC",
                "the repository exists and everybody can read it",
                at=repository,
                found="a public repository, expected a private one as --private asks",
                do="push to another name, or make the repository private on its settings page",
            )
        api.upload_folder(repo_id=address.repo_id, folder_path=folder)
    return str(address)


def _cached(repository: str, revision: str | None, weights: bool) -> tuple[Path, str]:
    """What the cache holds of a revision, without a connection."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    where = f"{repository}@{revision}" if revision else repository
    unwanted = [*_OTHER_FORMATS, *_PICKLES, *(() if weights else _WEIGHTS)]
    try:
        folder = Path(
            snapshot_download(
                repository,
                revision=revision or "main",
                local_files_only=True,
                ignore_patterns=unwanted,
            )
        )
    except LocalEntryNotFoundError as error:
        held = "only a part of it" if is_cached(repository) else "nothing of it"
        raise offline_miss(where, f"{held}, expected the whole revision") from error
    kinds = (*_WEIGHTS, *_PICKLES)
    if weights and not any(path for kind in kinds for path in folder.rglob(kind)):
        raise offline_miss(where, "a revision without its weights, expected both")
    return folder, folder.name


def _unwanted(files: Iterable[RemoteFile], weights: bool) -> list[str]:
    """Patterns of what is not fetched; pickles only stand in where there is no safetensors file."""
    has_safetensors = any(file.name.endswith(".safetensors") for file in files)
    pickles = _PICKLES if has_safetensors or not weights else ()
    return [*_OTHER_FORMATS, *pickles, *(() if weights else _WEIGHTS)]


def _check(path: Path, file: RemoteFile) -> None:
    """Refuse a file whose bytes are not those that the hub names, and drop it from the cache."""
    if not file.digest:
        return
    is_large = len(file.digest) == 64
    digest = hashlib.sha256() if is_large else hashlib.sha1(usedforsecurity=False)
    if not is_large:
        digest.update(b"blob %d\0" % path.stat().st_size)
    with path.open("rb") as content:
        while piece := content.read(1 << 20):
            digest.update(piece)
    if digest.hexdigest() == file.digest:
        return
    blob = path.resolve()
    path.unlink()
    blob.unlink(missing_ok=True)
    raise broken_download(
        printable(file.name),
        f"digest {digest.hexdigest()[:12]}…, expected {printable(file.digest[:12])}…",
    )


def _remember(repository: str, revision: str, commit: str) -> None:
    """Note in the cache what a branch stood for, so that `--offline` finds it under that name."""
    if revision == commit:
        return
    reference = _cache_folder(repository) / "refs" / revision
    reference.parent.mkdir(parents=True, exist_ok=True)
    reference.write_text(commit, encoding="ascii")


@contextmanager
def _bars_on_a_terminal_only() -> Iterator[None]:
    """No bars in a log file, unless HF_HUB_DISABLE_PROGRESS_BARS says so in so many words."""
    from huggingface_hub import constants

    # the library re-exports these in a way that mypy does not see
    from huggingface_hub.utils import (  # type: ignore[attr-defined]
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    is_decided = constants.HF_HUB_DISABLE_PROGRESS_BARS is not None or are_progress_bars_disabled()
    if is_decided or sys.stderr.isatty():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()


def _cache_folder(repository: str) -> Path:
    return hub_cache() / "--".join(("models", *repository.split("/")))
