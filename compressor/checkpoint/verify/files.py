"""Whether a folder is what its manifest says, byte for byte, and a checkpoint that loads; no torch.

Levels 1 to 8 of docs/output.md, "Verify". A foreign checkpoint has no manifest: its content can be
consistent, but where it comes from cannot be known, and a flipped bit in its weights is not seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, final

from compressor.checkpoint.pipeline import Observer
from compressor.checkpoint.read.folder import Folder
from compressor.checkpoint.read.index import parse_index
from compressor.checkpoint.read.limits import Limits
from compressor.checkpoint.read.reader import Checkpoint, open_checkpoint
from compressor.checkpoint.read.strict_json import MalformedJson, parse_object
from compressor.checkpoint.read.weight_set import leftovers
from compressor.checkpoint.verify.contents import Contents, read_files, read_weights
from compressor.checkpoint.verify.finding import Finding, failed, ok, refuted, skipped
from compressor.checkpoint.verify.proof import Proof, read_back
from compressor.checkpoint.verify.tokenizer import check_tokenizers
from compressor.checkpoint.write.manifest import names_digest
from compressor.checkpoint.write.temporary import MANIFEST
from compressor.errors import CompressorError, InputError, listing, printable

REPORT: Final = "report.json"
REPORT_BYTES: Final = 256_000_000
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
        self._contents: Contents | None = None
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
        if self._checkpoint is not None:
            yield self._headers(self._checkpoint)
            yield from self._index(self._checkpoint)
        elif self._unopened is not None:
            yield refuted(5 if self._unopened.id in _INDEX else 4, self._unopened)
        yield from self._finite()
        yield from check_tokenizers(self._folder, self._checkpoint, self._proof, self._limits)

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
                self._contents = read_weights(self._checkpoint, self._workers, self._observe)
            except CompressorError as error:
                unread = refuted(3, error)
                yield unread
        if self._proof is None:
            yield skipped(3, "no manifest that could be trusted says what the digests must be")
            return
        digests = dict(self._contents.digests) if self._contents is not None else {}
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

    def _headers(self, checkpoint: Checkpoint) -> Finding:
        """The strict parser has read them; what we write is aligned, and named in the manifest."""
        tensors = {
            f"{shard.name.rpartition('/')[0]}/{tensor.name}": (tensor.dtype, tensor.shape)
            for shard in checkpoint.shards()
            for tensor in shard.header.tensors
        }
        if self._proof is not None:
            crooked = [s.name for s in checkpoint.shards() if len(s.header.raw) % _ALIGNMENT]
            if crooked:
                detail = f"data that begin at no multiple of {_ALIGNMENT} bytes: {listing(crooked)}"
                return failed(4, "VERIFY-ALIGNMENT", detail)
            if names_digest(tensors) != dict(self._proof.tensors):
                return failed(
                    4, "VERIFY-TENSORS", "other names, dtypes or shapes than were written"
                )
        files = sum(1 for _ in checkpoint.shards())
        return ok(4, f"{len(tensors)} tensors in {files} weight files, strictly read")

    def _index(self, checkpoint: Checkpoint) -> Iterator[Finding]:
        """The reader has held indexes against shards; what it only notes is the total size."""
        for component in checkpoint.components:
            if component.index is None:
                continue
            raw = self._folder.read(component.index, self._limits.index)
            claimed = parse_index(raw, component.index, self._limits).total_size
            sizes = [tensor.nbytes for _, tensor in component.tensors()]
            if claimed not in (None, sum(sizes)):
                detail = f"total_size {printable(claimed)}, the tensors take {sum(sizes)} bytes"
                yield failed(5, "CKPT-INDEX", detail, component.index)
            else:
                yield ok(5, f"maps each of {len(sizes)} tensors to its shard", component.index)

    def _finite(self) -> Iterator[Finding]:
        if self._contents is None:
            yield skipped(7, "the weights could not be read")
            return
        allowed = self._kept_nonfinite()
        nonfinite, strange = +self._contents.nonfinite, +self._contents.strange
        count = nonfinite.total()
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
                self._folder.read(REPORT, REPORT_BYTES), self._limits.depth, is_strict=True
            )
        except (MalformedJson, CompressorError):
            return None
        return content if str(content.get("schema")).startswith("compressor.report/") else None
