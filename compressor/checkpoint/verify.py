"""Whether a folder is what its manifest says, byte for byte, and a checkpoint that loads; no torch.

Levels 1 to 8 of docs/output.md, "Verify". A foreign checkpoint has no manifest: its content can be
consistent, but where it comes from cannot be known, and a flipped bit in its weights is not seen.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final, final

from compressor.checkpoint.contents import Weights, read_files, read_weights
from compressor.checkpoint.finding import Finding, failed, ok, refuted, skipped
from compressor.checkpoint.folder import Folder
from compressor.checkpoint.index import parse_index
from compressor.checkpoint.limits import Limits
from compressor.checkpoint.manifest import names_digest
from compressor.checkpoint.output import MANIFEST
from compressor.checkpoint.pipeline import Observer
from compressor.checkpoint.proof import Proof, read_back
from compressor.checkpoint.reader import Checkpoint, open_checkpoint
from compressor.checkpoint.strict_json import MalformedJson, parse_object
from compressor.checkpoint.vocabulary import TOKENIZER_FILE, token_ids, vocabulary_size
from compressor.checkpoint.weight_set import leftovers
from compressor.errors import CompressorError, InputError, listing, printable

REPORT: Final = "report.json"
TOKENIZER_BYTES: Final = 256_000_000
_ALIGNMENT: Final = 8
_NO_CHECKPOINT: Final = {"CKPT-NOT-FOUND", "CKPT-NO-WEIGHTS", "CKPT-ADAPTER"}
_UNREADABLE: Final = ("PICKLE-", "QUANT-")
"""Errors that say: another format. Of a foreign folder they are no finding, but the answer."""

_INDEX: Final = {"CKPT-INDEX", "CKPT-MISSING-SHARD", "CKPT-AMBIGUOUS", "CKPT-INCOMPLETE"}
_OF_THE_HUB: Final = {".gitattributes", ".git/", ".cache/"}
"""What the hub and its client add to a folder that is pushed and fetched."""


def verify_files(
    folder: Path,
    limits: Limits = Limits(),  # noqa: B008  # frozen
    observe: Observer = lambda progress: None,
    workers: int = 2,
) -> list[Finding]:
    """Every finding on levels 1 to 8 that the files alone can give, in the order of the levels."""
    if not folder.is_dir():
        raise InputError(
            "CKPT-NOT-FOUND",
            "there is no folder at this path",
            at=folder,
            found="a file" if folder.exists() else "nothing, expected the folder of a checkpoint",
            do="name the folder that is to be verified",
        )
    return list(_Verification(folder, limits, observe, workers).findings())


@final
class _Verification:
    """One folder, and what is known of it so far."""

    def __init__(self, folder: Path, limits: Limits, observe: Observer, workers: int) -> None:
        self._limits = limits
        self._observe = observe
        self._workers = workers
        self._folder = Folder(folder)
        self._has_manifest = MANIFEST in self._folder.names("")
        self._proof: Proof | None = None
        self._checkpoint: Checkpoint | None = None
        self._unopened: CompressorError | None = None
        self._weights: dict[str, Weights] | None = None
        try:
            self._checkpoint = open_checkpoint(folder, limits)
        except CompressorError as error:
            is_foreign_format = error.id in _NO_CHECKPOINT or error.id.startswith(_UNREADABLE)
            if is_foreign_format and not self._has_manifest:
                raise
            self._unopened = error

    def findings(self) -> Iterator[Finding]:
        """Level after level; the weights are read once, for levels 3 and 7."""
        yield self._manifest()
        yield from self._file_set()
        yield from self._digests()
        yield from self._headers()
        yield from self._index()
        yield from self._finite()
        yield from self._tokenizer()

    def _manifest(self) -> Finding:
        if self._has_manifest:
            try:
                raw = self._folder.read(MANIFEST, self._limits.index)
                self._proof = read_back(raw, self._limits)
            except CompressorError as error:
                return refuted(1, error)
            return ok(1, f"whole, and lists {len(self._proof.files)} files", MANIFEST)
        if self._report() is not None:
            detail = f"{REPORT} of this tool, but no {MANIFEST}: an output that was never finished"
            return failed(1, "VERIFY-MANIFEST", detail, MANIFEST)
        return skipped(1, "no manifest: content is consistent at best, origin unknown", MANIFEST)

    def _file_set(self) -> Iterator[Finding]:
        names = set(self._folder.sizes)
        temporary = [name for name in names if leftovers([name.rpartition("/")[2]])]
        extra = set(temporary)
        missing: list[str] = []
        if self._proof is not None:
            listed = {*self._proof.files, MANIFEST}
            missing = sorted(listed - names)
            extra = {*names, *self._folder.others, *self._folder.closed} - listed - _OF_THE_HUB
        for name in missing:
            yield failed(2, "VERIFY-FILES", "missing, though the manifest lists it", name)
        for name in sorted(extra):
            yield failed(2, "VERIFY-FILES", self._why_extra(name, temporary), name)
        if not missing and not extra:
            whole = "exactly those of the manifest" if self._proof else "none is temporary"
            yield ok(2, f"{len(names)} files: {whole}")

    def _why_extra(self, name: str, temporary: list[str]) -> str:
        if name in temporary:
            return "a temporary file, left behind by an interrupted write"
        if name in self._folder.others:
            return "a link or a device, expected a regular file"
        return "the manifest does not list it"

    def _digests(self) -> Iterator[Finding]:
        unread = None
        if self._checkpoint is not None:
            try:
                self._weights = read_weights(self._checkpoint, self._workers, self._observe)
            except CompressorError as error:
                unread = refuted(3, error)
                yield unread
        if self._proof is None:
            yield skipped(3, "no manifest that could be trusted says what the digests must be")
            return
        digests = {name: each.digest for name, each in (self._weights or {}).items()}
        names = self._proof.files.keys() & self._folder.sizes.keys()
        try:
            others = sorted(names - digests.keys())
            digests |= read_files(self._folder.path, others, self._workers)
        except CompressorError as error:
            yield refuted(3, error)
            return
        different = 0
        for name in sorted(names):
            entry, size = self._proof.files[name], self._folder.sizes[name]
            if entry["size"] != size:
                detail = f"{size} bytes, the manifest says {entry['size']}"
            elif entry["digest"] != digests[name]:
                detail = "other bytes than the manifest's digest says"
            else:
                continue
            different += 1
            yield failed(3, "VERIFY-HASH", detail, name)
        if not different and unread is None:
            size = sum(self._folder.sizes[name] for name in names)
            yield ok(3, f"{len(names)} files, {size} bytes, all as they were written")

    def _headers(self) -> Iterator[Finding]:
        if self._unopened is not None:
            level = 5 if self._unopened.id in _INDEX else 4
            yield refuted(level, self._unopened)
            return
        for shard in self._opened.shards():
            if self._proof is not None and len(shard.header.raw) % _ALIGNMENT:
                detail = f"the data begin at byte {len(shard.header.raw)}, expected a multiple of 8"
                yield failed(4, "VERIFY-ALIGNMENT", detail, shard.name)
        tensors = {
            f"{shard.name.rpartition('/')[0]}/{tensor.name}": (tensor.dtype, tensor.shape)
            for shard in self._opened.shards()
            for tensor in shard.header.tensors
        }
        if self._proof is not None and names_digest(tensors) != dict(self._proof.tensors):
            yield failed(4, "VERIFY-TENSORS", "other names, dtypes or shapes than were written")
        files = sum(1 for _ in self._opened.shards())
        yield ok(4, f"{len(tensors)} tensors in {files} weight files, strictly read")

    def _index(self) -> Iterator[Finding]:
        if self._unopened is not None:
            yield skipped(5, "the folder could not be opened")
            return
        for component in self._opened.components:
            if component.index is None:
                continue
            raw = self._folder.read(component.index, self._limits.index)
            claimed = parse_index(raw, component.index, self._limits).total_size
            total = sum(tensor.nbytes for _, tensor in component.tensors())
            if claimed not in (None, total):
                detail = f"total_size {printable(claimed)}, the tensors take {total} bytes"
                yield failed(5, "CKPT-INDEX", detail, component.index)
            else:
                yield ok(5, f"maps each of {len(list(component.tensors()))} tensors to its shard")

    def _finite(self) -> Iterator[Finding]:
        if self._weights is None:
            yield skipped(7, "the weights could not be read")
            return
        allowed = self._kept_nonfinite()
        nonfinite = {
            name: n for each in self._weights.values() for name, n in each.nonfinite.items()
        }
        strange = {name: n for each in self._weights.values() for name, n in each.strange.items()}
        count = sum(nonfinite.values())
        if count > allowed:
            tensors = listing(f"{name} ({number})" for name, number in nonfinite.items())
            detail = f"{count} NaN or infinite weights, expected {allowed or 'none'}: {tensors}"
            yield failed(7, "WEIGHT-NONFINITE", detail)
        elif count:
            yield ok(7, f"{count} NaN or infinite weights, kept on purpose and reported as such")
        if strange:
            detail = f"bytes other than 0 and 1 in boolean tensors: {listing(strange)}"
            yield failed(7, "CKPT-VALUE", detail)
        if not count and not strange:
            yield ok(7, "every weight is a number")

    def _kept_nonfinite(self) -> int:
        """How many the report counts, where the step was told to keep them."""
        if self._proof is None or not self._proof.allows_nonfinite:
            return 0
        summary = (self._report() or {}).get("summary")
        counted = summary.get("nonfinite") if isinstance(summary, dict) else None
        return counted if type(counted) is int else 0

    def _report(self) -> dict[str, object] | None:
        """The report of a step, where one lies in the folder."""
        if REPORT not in self._folder.sizes:
            return None
        try:
            content = parse_object(
                self._folder.read(REPORT, TOKENIZER_BYTES), self._limits.depth, is_strict=True
            )
        except (MalformedJson, CompressorError):
            return None
        return content if str(content.get("schema")).startswith("compressor.report/") else None

    def _tokenizer(self) -> Iterator[Finding]:
        yield from self._token_ids()
        if self._proof is None:
            return
        was, now = self._proof.source_files, self._proof.files
        names = [name for name in sorted(now) if TOKENIZER_FILE.fullmatch(name) and name in was]
        changed = [name for name in names if was[name]["digest"] != now[name]["digest"]]
        for name in changed:
            yield failed(8, "TOKENIZER", "other bytes than the source's file", name)
        if names and not changed:
            yield ok(8, f"{len(names)} tokenizer files, equal to the source's")

    def _token_ids(self) -> Iterator[Finding]:
        names = [n for n in self._folder.sizes if n.rpartition("/")[2] == "tokenizer.json"]
        if not names:
            yield skipped(8, "no tokenizer.json")
        for name in names:
            try:
                raw = self._folder.read(name, TOKENIZER_BYTES)
                ids = token_ids(raw, self._limits.depth)
            except MalformedJson as error:
                yield failed(8, "TOKENIZER", f"no tokenizer can be read: {error}", name)
                continue
            except CompressorError as error:
                yield refuted(8, error)
                continue
            rows = self._vocabulary_of(name)
            if rows is None:
                yield skipped(8, f"{ids} token ids; no config says how many the model has", name)
            elif ids > rows:
                detail = f"{ids} token ids, the model has {rows} rows for them"
                yield failed(8, "TOKENIZER-VOCAB", detail, name)
            else:
                yield ok(8, f"{ids} token ids for {rows} rows of the model", name)

    def _vocabulary_of(self, name: str) -> int | None:
        """By the config of the component that reads these tokens: `tokenizer_2/` is for
        `text_encoder_2/`, and all others for the model beside them."""
        prefix = name.removesuffix("tokenizer.json").replace("tokenizer", "text_encoder", 1)
        for component in self._checkpoint.components if self._checkpoint is not None else ():
            if component.prefix == prefix and component.config is not None:
                return vocabulary_size(component.config)
        return None

    @property
    def _opened(self) -> Checkpoint:
        if self._checkpoint is None:
            raise ValueError("the folder could not be opened")
        return self._checkpoint
