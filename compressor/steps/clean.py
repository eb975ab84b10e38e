"""`compressor clean`: remove what interrupted runs left in a folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import ClassVar, Literal, final

from compressor.checkpoint.output import leftovers
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
        return Check(lambda: self._look(folder, dry_run=options.dry_run))

    def _look(self, folder: Path, *, dry_run: bool) -> Report:
        rows: list[Row] = []
        for path, is_held in leftovers(folder):
            size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
            if not is_held and not dry_run:
                shutil.rmtree(path)
            action = "in use" if is_held else "would be removed" if dry_run else "removed"
            rows.append({"folder": path.name, "bytes": size, "action": action})
        freed = sum(int(str(row["bytes"])) for row in rows if row["action"] != "in use")
        return Report(
            step=self.as_dict(),
            source={"name": folder.name},
            summary={"leftovers": len(rows), "bytes": freed},
            tables={"leftovers": rows},
        )
