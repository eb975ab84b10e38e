"""Data sets of the hub as rows: streamed, or offline from the cache; never by a script."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, Final

from compressor.checkpoint.hub.errors import hub_errors, offline_miss, unreachable
from compressor.data.files import not_found, unparsable
from compressor.data.rows import Opened, Row
from compressor.data.spec import Spec
from compressor.errors import InputError, NetworkError, RefusedError, UsageError, listing, printable

_ID: Final = re.compile(r"(?:hub:(?:[\w.-]+/)?|[\w.-]+/)[\w-][\w.-]*(?:@[\w./-]+)?")
_SPLITS: Final = ("validation", "test", "train")
"""Which split is taken where the user names none: the first that there is."""


def is_hub_id(location: str) -> bool:
    """Whether this can be `org/name`, `org/name@revision` or `hub:name`."""
    return _ID.fullmatch(location) is not None and not location.startswith(".")


def open_hub(spec: Spec, *, offline: bool) -> Opened:
    """The rows of one split of a hub data set."""
    import datasets  # type: ignore[import-untyped]  # it ships no types

    name, _, revision = spec.location.removeprefix("hub:").partition("@")
    is_offline = offline or datasets.config.HF_HUB_OFFLINE
    with _errors(name, revision or None, is_offline=is_offline), no_connection(is_offline):
        # Streaming asks the hub; the cache holds what an earlier load prepared.
        found = datasets.load_dataset(
            name,
            spec.config,
            revision=revision or None,
            streaming=not is_offline,
        )
    split = spec.split or next((each for each in _SPLITS if each in found), "")
    if split not in found:
        raise _no_split(spec, list(found))
    rows = found[split]

    def read() -> Generator[Row, None, None]:
        with _errors(name, revision or None, is_offline=is_offline):
            for number, cells in enumerate(rows, start=1):
                yield Row(f"row {number}", _named(cells, rows.features))

    notes = () if spec.split else (f"split {split}, since none is named",)
    return Opened(read(), at=f"{name}, {split}", notes=notes)


def refuse_script(at: object) -> RefusedError:
    """The error for a data set that is code."""
    return RefusedError(
        "REMOTE-CODE",
        "the data set is made by a script, which would have to be run",
        at=at,
        found="a Python script, expected files of data",
        do="name the files that the script makes, for example as Parquet",
    )


def _named(cells: dict[str, Any], features: Any) -> dict[str, Any]:
    """The cells, with the names of classes where the data set stores their numbers."""
    from datasets import ClassLabel

    if features is None:
        return cells
    return {
        column: features[column].int2str(cell)
        if isinstance(features.get(column), ClassLabel) and cell is not None and cell >= 0
        else cell
        for column, cell in cells.items()
    }


def _no_split(spec: Spec, splits: list[str]) -> InputError:
    return not_found(
        spec.location,
        f"the splits {listing(splits)}, expected `{printable(spec.split or _SPLITS[0])}`",
        "name one of them, for example split=train",
    )


@contextmanager
def no_connection(is_offline: bool) -> Iterator[None]:
    """Inside it, offline, nothing asks the hub: `load_dataset` has no argument that forbids it.

    Its `local_files_only` is not handed on: it asked five times, over 23 s.
    """
    import datasets
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = is_offline or before[0]
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = before


@contextmanager
def _errors(name: str, revision: str | None, *, is_offline: bool) -> Iterator[None]:
    """Inside it, an error of `datasets` becomes one of ours."""
    from datasets.exceptions import (  # type: ignore[import-untyped]  # it ships no types
        DatasetNotFoundError,
        DatasetsError,
    )

    with hub_errors(name, revision, "fetching" if not is_offline else "looking up"):
        try:
            yield
        except (DatasetNotFoundError, ConnectionError, FileNotFoundError) as error:
            if is_offline:
                raise offline_miss(name, "no such data set in the cache of `datasets`") from error
            if isinstance(error, ConnectionError):
                raise unreachable(name, type(error).__name__) from error
            raise _missing(name) from error
        except RuntimeError as error:
            if "script" not in str(error):
                raise
            raise refuse_script(name) from error
        except ValueError as error:
            found = f"{printable(error, 200)}; expected a config that it has"
            raise UsageError(
                "DATA-SPEC",
                "the hub data set cannot be loaded as it is named",
                at=name,
                found=found,
                do="name its config, for example config=en",
            ) from error
        except DatasetsError as error:
            raise unparsable(name, printable(error, 200)) from error


def _missing(name: str) -> NetworkError:
    return NetworkError(
        "HUB-NOT-FOUND",
        "the hub has no such data set, or none that this user may see",
        at=name,
        found="no data set of this name, expected one",
        do="correct the id; if a local file is meant, write it as ./file",
    )
