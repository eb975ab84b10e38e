"""From what a user calls a model to a folder on this disk: a path, a hub id, or a package."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias, final

from compressor.checkpoint.hub import client as hub
from compressor.checkpoint.package import name_of, packaged_folder
from compressor.errors import InputError, UsageError, printable

_WORD: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?"
_REVISION: Final = r"[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,198}[A-Za-z0-9_])?"
_HUB: Final = re.compile(rf"(?P<id>(?:{_WORD}/)?{_WORD})(?:@(?P<revision>{_REVISION}))?")
_PACKAGE: Final = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]{0,99})(?:/(?P<sub>[^\x00]{1,400}))?")
_EXPECTED: Final = (
    "expected a folder, a hub id such as `org/name` or `org/name@revision`, or `package:NAME`"
)


@final
@dataclass(frozen=True)
class Source:
    """Where a checkpoint lies, and what it stands for.

    `id` is a hub id (`org/name`) or `package:NAME`, and None for a local folder, whose path is
    never written into an output. `revision` is the resolved commit, 40 hexadecimal digits.
    """

    folder: Path
    name: str
    id: str | None = None
    revision: str | None = None
    notes: tuple[str, ...] = ()


@final
@dataclass(frozen=True)
class HubId:
    """A repository of the hub: `org/name`, or the single word of a legacy id such as `gpt2`."""

    id: str
    revision: str | None = None

    @property
    def name(self) -> str:
        """The repository's name, without its owner."""
        return self.id.rpartition("/")[2]


@final
@dataclass(frozen=True)
class PackageName:
    """An installed Python package, and where in it to look."""

    name: str
    sub: str = ""


Place: TypeAlias = Path | HubId | PackageName


def place(model: str, revision: str | None = None) -> Place:
    """What the user means by `model`; asks only this disk, and only whether a path exists."""
    found: Place
    if model.startswith("package:"):
        found = _package(model)
    elif model.startswith("hub:"):
        found = _hub_id(model, model.removeprefix("hub:"))
    elif (path := _path(model)) is not None:
        found = path
    else:
        found = _hub_id(model, model)
    if revision is None:
        return found
    if not isinstance(found, HubId):
        raise UsageError(
            "SOURCE-REVISION",
            "a revision belongs to a hub id, and this model is not one",
            at=model,
            found=f"--revision {printable(revision)}, and a model that lies on this disk",
            do="leave --revision out, or name the repository as hub:org/name",
        )
    return _at_revision(model, found, revision)


def locate(
    model: str, *, revision: str | None = None, offline: bool = False, weights: bool = True
) -> Source:
    """The folder that `model` names, fetched from the hub where it is not on this disk.

    Without `weights` a hub repository's weight files stay where they are. Offline, no connection
    is opened: a hub id is what the local cache holds of it.
    """
    found = place(model, revision)
    if isinstance(found, HubId):
        folder, commit = hub.download(found.id, found.revision, offline=offline, weights=weights)
        return Source(folder, found.name, id=found.id, revision=commit)
    if isinstance(found, PackageName):
        folder = packaged_folder(found.name, found.sub)
        return Source(folder, name_of(folder, found.name), id=f"package:{found.name}")
    return Source(found, _folder_name(found), notes=_shadowing(model))


def _path(model: str) -> Path | None:
    """The path, where `model` exists or can only be a path."""
    if not model or "\0" in model:
        return None
    try:
        path = Path(model).expanduser()
        exists = path.exists()
    except PermissionError as error:
        raise InputError(
            "CKPT-PERMISSION",
            "a folder on the way to this path may not be searched",
            at=model,
            found=f"{error.strerror}, expected a readable folder",
            do="give this user read and search permission on it",
        ) from error
    except (OSError, RuntimeError):  # too long, a loop of links, or no such home directory
        exists = False
    if exists:
        return path
    if model[0] in "./~" or model.endswith(("/", ".safetensors")):
        raise InputError(
            "CKPT-NOT-FOUND",
            "no such folder",
            at=model,
            found="nothing at this path, expected a checkpoint folder",
            do="check the path, and the folder that it starts from",
        )
    return None


def _hub_id(model: str, text: str) -> HubId:
    match = _HUB.fullmatch(text)
    if match is None or ".." in text or "--" in match["id"]:
        raise UsageError(
            "SOURCE-ID",
            "this is neither a folder on this disk nor a hub id",
            at=model,
            found=f"`{printable(model)}`, {_EXPECTED}",
            do="correct the id, or write a folder as ./folder",
        )
    return HubId(match["id"], match["revision"])


def _at_revision(model: str, found: HubId, revision: str) -> HubId:
    if re.fullmatch(_REVISION, revision) is None or ".." in revision:
        raise UsageError(
            "SOURCE-ID",
            "this is not a revision of a hub repository",
            at="--revision",
            found=f"`{printable(revision)}`, expected a branch, a tag or a commit",
            do="correct the revision, for example --revision main",
        )
    if found.revision not in (None, revision):
        raise UsageError(
            "SOURCE-REVISION",
            "two revisions are named, and they differ",
            at=model,
            found=f"`@{found.revision}` and --revision {revision}, expected one",
            do="leave one of them out",
        )
    return HubId(found.id, revision)


def _package(model: str) -> PackageName:
    match = _PACKAGE.fullmatch(model.removeprefix("package:"))
    if match is None:
        raise UsageError(
            "SOURCE-ID",
            "this is not the name of a Python package",
            at=model,
            found=f"`{printable(model)}`, expected `package:NAME` or `package:NAME/folder`",
            do="write the name under which Python imports it, with underscores",
        )
    return PackageName(match["name"], match["sub"] or "")


def _folder_name(path: Path) -> str:
    """The last part of the path; `.` and `..` are looked up, a file loses its suffix.

    What is not UTF-8 in it is replaced: the name stands in reports.
    """
    named = path if path.name not in ("", "..") else path.resolve()
    name = named.stem if path.is_file() else named.name
    return os.fsencode(name).decode("utf-8", "replace") or "model"


def _shadowing(model: str) -> tuple[str, ...]:
    """A note where the folder hides a repository that the local hub cache holds."""
    match = _HUB.fullmatch(model)
    if match is None or not hub.is_cached(match["id"]):
        return ()
    return (
        f"`{model}` is the folder of that name; the hub cache also holds a repository so called, "
        f"which `hub:{model}` names",
    )
