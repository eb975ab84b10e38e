"""Which of a folder's weight files are the model: one file, or the shards of one index."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, final

from compressor.errors import InputError, listing

MAIN_STEMS: Final = ("model", "diffusion_pytorch_model")
"""What the libraries call a model's weights."""

ADAPTER_STEM: Final = "adapter_model"

FILE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}")
"""What the name of a weight file, and of its folder, may look like."""

_STEM: Final = rf"(?P<stem>{'|'.join(MAIN_STEMS)})"
_SHARD: Final = r"(?:-(?P<number>\d{1,6})-of-(?P<count>\d{1,6}))?"
_MAIN: Final = re.compile(rf"{_STEM}(?:\.(?P<early>\w+))?{_SHARD}(?:\.(?P<late>\w+))?\.safetensors")
_OTHER: Final = re.compile(rf"(?P<stem>.+?){_SHARD}\.safetensors")
_MAIN_INDEX: Final = re.compile(
    rf"{_STEM}(?:\.(?P<early>\w+))?\.safetensors\.index(?:\.(?P<late>\w+))?\.json"
)
_OTHER_INDEX: Final = re.compile(r"(?P<stem>.+)\.safetensors\.index\.json")
_TEMPORARY: Final = re.compile(r"\.tmp.*|.*\.(?:tmp|incomplete|part)")


@final
@dataclass
class WeightSet:
    """Files that belong together by name: a stem such as `model`, a variant such as `fp16`."""

    stem: str
    variant: str
    single: str | None = None
    index: str | None = None
    shards: list[str] = field(default_factory=list)
    count: int = 0

    @property
    def files(self) -> list[str]:
        """The weight files, without the index."""
        return [*([self.single] if self.single else []), *self.shards]


def weight_sets(names: Iterable[str]) -> list[WeightSet]:
    """The sets that these file names form."""
    sets: dict[tuple[str, str], WeightSet] = {}
    for name in names:
        if match := _MAIN_INDEX.fullmatch(name) or _OTHER_INDEX.fullmatch(name):
            _of(sets, match).index = name
        elif match := _MAIN.fullmatch(name) or _OTHER.fullmatch(name):
            found = _of(sets, match)
            if match["number"] is None:
                found.single = name
            else:
                found.shards.append(name)
                found.count = max(found.count, int(match["count"]))
    return list(sets.values())


def choose(sets: list[WeightSet], at: str) -> WeightSet | None:
    """The one set that is the model: under a standard name without a variant, else the only one."""
    plain = [one for one in sets if one.stem in MAIN_STEMS and not one.variant]
    others = [one for one in sets if one.stem != ADAPTER_STEM and one.files]
    candidates = plain or others
    if len(candidates) > 1:
        raise ambiguous(at, [name for one in candidates for name in one.files])
    return candidates[0] if candidates else None


def unindexed(weights: WeightSet, names: Iterable[str], at: str) -> list[str]:
    """The files of a set that has no index: one, or an error."""
    if weights.single is not None:
        if weights.shards:
            raise ambiguous(at, weights.files)
        return [weights.single]
    if weights.count == len(weights.shards) == 1:
        return weights.shards
    raise incomplete(at, f"{len(weights.shards)} of {weights.count} shards and no index", names)


def check_file_names(names: Iterable[str], at: str) -> None:
    """Refuse weight files and folders whose names would need care wherever they are written."""
    if strange := [name for name in names if FILE_NAME.fullmatch(name) is None]:
        raise InputError(
            "CKPT-NAME",
            "a weight file or its folder has an unusual name",
            at=at,
            found=f"{listing(strange)}; expected letters, digits, dots, dashes and underscores",
            do="rename it",
        )


def leftovers(names: Iterable[str]) -> list[str]:
    """Temporary files, which a save that was interrupted leaves behind."""
    return [name for name in names if _TEMPORARY.fullmatch(name)]


def ambiguous(at: str, files: list[str]) -> InputError:
    """The error for weights that lie in a folder twice."""
    return InputError(
        "CKPT-AMBIGUOUS",
        "the folder holds more than one set of weights for the same model",
        at=at,
        found=f"{listing(files)}; expected one file, or the shards of one index",
        do="remove the files that are stale, then run again",
    )


def incomplete(at: str, found: str, names: Iterable[str]) -> InputError:
    """The error for a set of shards of which some were never written."""
    temporary = leftovers(names)
    beside = f", and {listing(temporary)}" if temporary else ""
    return InputError(
        "CKPT-INCOMPLETE",
        "the checkpoint looks like an interrupted save",
        at=at,
        found=f"{found}{beside}; expected all shards and their index",
        do="save or fetch the checkpoint again",
    )


def _of(sets: dict[tuple[str, str], WeightSet], match: re.Match[str]) -> WeightSet:
    parts = match.groupdict()
    variant = ".".join(filter(None, (parts.get("early"), parts.get("late"))))
    return sets.setdefault((match["stem"], variant), WeightSet(match["stem"], variant))
