"""From what a spec names to rows: the format is read off the name, and off what a folder holds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from compressor.data import arrays, images, parquet, tables, text
from compressor.data.files import kind_of, not_found
from compressor.data.hub import is_hub_id, open_hub, refuse_script
from compressor.data.rows import Opened
from compressor.data.spec import Spec, Unit
from compressor.errors import RefusedError, UsageError, printable

_PICKLES: Final = (".pkl", ".pickle", ".pt", ".pth", ".th", ".joblib")


def open_rows(spec: Spec, by_default: Unit, *, offline: bool) -> Opened:
    """The rows of the data set that `spec` names; nothing but a start has been read."""
    if spec.location == text.TOPICS:
        return text.open_topics()
    path = Path(spec.location).expanduser()
    kind = kind_of(path)
    if kind == "folder":
        return _open_folder(path, spec)
    if kind == "file":
        return _open_file(path, spec, by_default)
    if is_hub_id(spec.location):
        return open_hub(spec, offline=offline)
    do = "correct the path" if ":" not in spec.location else "write keys as LOCATION:key=value"
    raise not_found(spec.location, "no file, no folder and no hub data set of this name", do)


def _open_file(path: Path, spec: Spec, by_default: Unit) -> Opened:
    name = path.name.lower()
    suffix = Path(name.removesuffix(".gz")).suffix
    by = spec.by or by_default
    if spec.split is not None and suffix != ".npz":
        raise UsageError(
            "DATA-SPEC",
            "a file of this format has no splits",
            at=printable(spec),
            found=f"split=`{printable(spec.split)}` of a file, expected none",
            do="leave the key out, and name the file of that split",
        )
    if suffix == ".py":
        raise refuse_script(path.name)
    if suffix in _PICKLES:
        raise RefusedError(
            "PICKLE-REFUSED",
            "the data are a pickle, which runs code when it is read",
            at=path.name,
            found=f"a name that ends in {suffix}, expected a format of plain data",
            do="save the data as JSON lines, CSV, Parquet or NPZ",
        )
    if suffix in (".jsonl", ".ndjson", ".json"):
        return tables.open_jsonl(path, spec.encoding)
    if suffix in (".csv", ".tsv"):
        return tables.open_csv(path, spec.encoding, spec.header)
    if suffix == ".parquet":
        return parquet.open_parquet(path)
    if suffix == ".npz":
        return arrays.open_npz(path, spec.split)
    if arrays.is_idx(name):
        return arrays.open_idx(path, spec.columns.get("label"))
    if suffix == ".zip":
        return text.open_zip(path, spec.by or "document", spec.encoding)
    return text.open_text(path, by, spec.encoding)


def _open_folder(folder: Path, spec: Spec) -> Opened:
    """A folder of images or of texts; a split is a folder in it."""
    inside = folder if spec.split is None else folder / spec.split
    if kind_of(inside) != "folder" or not inside.resolve().is_relative_to(folder.resolve()):
        found = f"no folder `{printable(spec.split)}` in it, expected one for the split"
        raise not_found(folder.name, found, "correct the split")
    found_files = list(_files(inside))
    if any(path.suffix.lower() in images.SUFFIXES for path in found_files):
        return images.open_folder(inside, found_files)
    if any(path.suffix.lower() in text.SUFFIXES for path in found_files):
        return text.open_folder(inside, found_files, spec.by or "document", spec.encoding)
    raise not_found(
        folder.name,
        f"a folder of {len(found_files)} files without images or text, expected some",
        "name the file that holds the data",
    )


def _files(folder: Path) -> Iterator[Path]:
    """Everything in a folder, by name; hidden ones and links to folders are left out."""
    for base, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(base, name) for name in sorted(names) if not name.startswith("."))
