"""`compressor clean`: remove what interrupted runs left in a folder."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import ClassVar, Literal, final

from compressor.checkpoint.write.temporary import leftovers, remove_dead
from compressor.errors import InputError
from compressor.report import Report, Row
from compressor.step import Check, RunOptions, Step


@final
class Clean(Step):
    """Remove what interrupted runs left in a folder; a run that is still at work is left alone."""

    argument: ClassVar[str | None] = "[FOLDER]"
    step: Literal["clean"] = "clean"

    def job(self, model: str, options: RunOptions) -> Check:
        """`model` is the folder that holds the outputs, by default the working directory."""
        folder = Path(model or ".")
        if not folder.is_dir():
            raise InputError(
                "CLEAN-NO-FOLDER",
                "there is no such folder to clean",
                at=folder,
                found="nothing, expected the folder that outputs were written into",
                do="name the folder that holds the interrupted output",
            )
        return Check(lambda observe: self._look(folder, dry_run=options.dry_run))

    def _look(self, folder: Path, *, dry_run: bool) -> Report:
        rows: list[Row] = []
        for path, is_held in leftovers(folder):
            size = _size(path)
            if not is_held and not dry_run:
                is_held = not remove_dead(path)
            action = "in use" if is_held else "would be removed" if dry_run else "removed"
            rows.append({"folder": path.name, "bytes": size, "action": action})
        freed = sum(int(str(row["bytes"])) for row in rows if row["action"] != "in use")
        return Report(
            step=self.as_dict(),
            source={"name": folder.name},
            summary={"leftovers": len(rows), "bytes": freed},
            tables={"leftovers": rows},
        )


def _size(folder: Path) -> int:
    """Bytes of its files; a run that is still at work may take the folder away meanwhile."""
    size = 0
    with contextlib.suppress(FileNotFoundError):
        for path in folder.rglob("*"):
            size += path.lstat().st_size if path.is_file() else 0
    return size
