"""Everything of a checkpoint that is not a weight: copied, carded, and watched for change."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from compressor.checkpoint.blocks import Reader
from compressor.checkpoint.digest import digest_of, new_hasher
from compressor.checkpoint.read.reader import Checkpoint
from compressor.checkpoint.source import Source
from compressor.checkpoint.write.output import Output
from compressor.errors import InputError, listing, printable
from compressor.report import Report

Fingerprint: TypeAlias = tuple[int, int, int, int]
"""Device, inode, size and modification time in nanoseconds."""

_LICENSE: Final = re.compile(r"^license:[ \t]*['\"]?([A-Za-z0-9.+-]{1,60})['\"]?[ \t]*$", re.M)


def fingerprints(checkpoint: Checkpoint) -> dict[str, Fingerprint]:
    """What identifies each file that a run reads, taken before the run and compared after it."""
    names = [shard.name for shard in checkpoint.shards()] + list(checkpoint.companions)
    found = {}
    for name in names:
        try:
            status = (checkpoint.folder / name).stat()
        except OSError as error:
            raise _changed(name, f"{error.strerror}, expected the file that was listed") from error
        found[name] = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    return found


def stamp(prints: Mapping[str, Fingerprint]) -> str:
    """One digest over what two runs must find alike: not the device, which a remount changes."""
    return digest_of({name: [size, time] for name, (_, _, size, time) in prints.items()})


def require_same_headers(checkpoint: Checkpoint, reader: Reader) -> None:
    """Refuse weight files whose open descriptors hold other headers than the run was planned by."""
    for shard in checkpoint.shards():
        raw = shard.header.raw
        if os.pread(reader.descriptor(shard), len(raw), 0) != raw:
            raise _changed(shard.name, "another header than was read before")


def require_unchanged(checkpoint: Checkpoint, before: Mapping[str, Fingerprint]) -> None:
    """Refuse to commit what was read from a source that changed meanwhile."""
    after = fingerprints(checkpoint)
    if changed := [name for name in before if after[name] != before[name]]:
        found = f"{len(changed)} files differ from the start of the run: {listing(changed)}"
        raise _changed(checkpoint.folder.name, found)


def _changed(at: str, found: str) -> InputError:
    return InputError(
        "SOURCE-CHANGED",
        "the source changed while it was being read",
        at=at,
        found=found,
        do="make sure that nothing writes to the source, then run again",
    )


def copy(checkpoint: Checkpoint, output: Output) -> dict[str, dict[str, Any]]:
    """Copy configs, tokenizers, processors, licences and code as data; digests of what was read."""
    digests = {}
    configs = {f"{component.prefix}config.json" for component in checkpoint.components}
    for name in checkpoint.companions:
        try:
            data = (checkpoint.folder / name).read_bytes()
        except OSError as error:
            raise _changed(name, f"{error.strerror}, expected the file that was listed") from error
        digests[name] = {"digest": new_hasher(data).hexdigest(), "size": len(data)}
        is_config = name in configs
        output.write(name, _without_dangling_code(data, name, checkpoint) if is_config else data)
    return digests


def _without_dangling_code(data: bytes, name: str, checkpoint: Checkpoint) -> bytes:
    """The config, less an `auto_map` whose modules are not copied along (`other/repo--code.X`)."""
    try:
        config = json.loads(data)
    except ValueError as error:
        raise _changed(name, "no JSON, expected the config that was read before") from error
    auto_map = config.get("auto_map")
    if not isinstance(auto_map, dict):
        return data
    folder = name.rpartition("config.json")[0]
    targets = [text for value in auto_map.values() for text in _flat(value)]
    modules = {f"{folder}{target.rpartition('.')[0]}.py" for target in targets}
    if modules <= set(checkpoint.companions):
        return data
    del config["auto_map"]
    return json.dumps(config, indent=2).encode() + b"\n"


def _flat(value: object) -> list[str]:
    return (
        [text for item in value for text in _flat(item)]
        if isinstance(value, list)
        else [str(value)]
    )


def card(source: Source, checkpoint: Checkpoint, report: Report) -> str:
    """The model card: what was done, to what, and what came out; YAML front matter for the hub."""
    is_hub = source.id is not None and not source.id.startswith("package:")
    sparsity = report.summary.get("pattern", "")
    front = {
        **({"base_model": source.id} if is_hub else {}),
        "library_name": _library(checkpoint),
        "tags": [
            "compressor",
            "pruned",
            "sparsity",
            *([str(sparsity)] if ":" in str(sparsity) else []),
        ],
        **({"license": license} if (license := _license(checkpoint)) else {}),
    }
    yaml = "\n".join(
        f"{key}:\n" + "\n".join(f"- {json.dumps(item)}" for item in value)
        if isinstance(value, list)
        else f"{key}: {json.dumps(value)}"
        for key, value in front.items()
    )
    rows = "\n".join(
        f"| {key.replace('_', ' ')} | {_cell(value)} |" for key, value in report.summary.items()
    )
    step = " ".join(f"{key}={value}" for key, value in report.step.items() if key != "step")
    origin = source.id if source.id else source.name
    loads = "SentenceTransformer" if "modules.json" in checkpoint.companions else "from_pretrained"
    return (
        f"---\n{yaml}\n---\n\n# {_cell(source.name)}, {report.name}d\n\n"
        f"Made from `{_cell(origin)}`"
        + (f" at revision `{source.revision}`" if source.revision else "")
        + f" by `compressor {report.name}` with `{_cell(step)}`.\n\n"
        f"| | |\n|---|---|\n{rows}\n\n"
        f"Zeros are stored as ordinary dense weights: it loads with plain `{loads}`, takes as many "
        "bytes as before, and is as fast as before until it is packed. Digests of every file stand "
        "in `compressor.json`, what happened to every tensor in `report.json`.\n"
    )


def _cell(value: object) -> str:
    return printable(value, 200).replace("|", "\\|").replace("`", "'")


def _library(checkpoint: Checkpoint) -> str:
    if "modules.json" in checkpoint.companions:
        return "sentence-transformers"
    return "diffusers" if "model_index.json" in checkpoint.companions else "transformers"


def _license(checkpoint: Checkpoint) -> str | None:
    """The licence that the source's own card names."""
    path = checkpoint.folder / "README.md"
    if not path.is_file():
        return None
    with path.open("rb") as file:
        text = file.read(65_536).decode("utf-8", "replace")
    front = text.split("\n---", 1)[0] if text.startswith("---") else ""
    match = _LICENSE.search(front)
    return match.group(1) if match else None
