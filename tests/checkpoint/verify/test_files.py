"""What levels 1 to 8 find: every flipped bit, every foreign file; and no false alarm."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import badinputs as bad
import numpy as np
import pytest
import tinyruns
from badinputs import FIRST, INDEX, SECOND, llama

from compressor.checkpoint.stream import rewrite
from compressor.checkpoint.verify.files import verify_files
from compressor.checkpoint.verify.finding import Finding
from compressor.errors import CompressorError
from compressor.report import Report

TOKENIZER: dict[str, Any] = {"model": {"vocab": {"a": 0, "b": 1}}, "added_tokens": [{"id": 31}]}


def sharded(folder: Path) -> Path:
    bad.write_json(bad.write_sharded(folder) / "tokenizer.json", TOKENIZER)
    return folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return sharded(tmp_path / "source")


@pytest.fixture
def out(source: Path, tmp_path: Path) -> Path:
    rewrite(tinyruns.job(source, "copy"), tmp_path / "out")
    return tmp_path / "out"


def failures(folder: Path, **settings: Any) -> list[tuple[int, str, str]]:
    found = verify_files(folder, **settings)
    return [(each.level, each.id, each.at) for each in found if each.status == "failed"]


def levels(findings: list[Finding], status: str) -> list[int]:
    return sorted({each.level for each in findings if each.status == status})


def test_a_fresh_output_holds_on_every_level(out: Path) -> None:
    findings = verify_files(out)

    assert levels(findings, "ok") == [1, 2, 3, 4, 5, 7, 8]
    assert {each.status for each in findings} == {"ok"}
    assert [each.level for each in findings] == sorted(each.level for each in findings)


def test_a_sound_foreign_folder_holds_but_its_origin_is_unknown(source: Path) -> None:
    findings = verify_files(source)

    assert levels(findings, "ok") == [2, 4, 5, 7, 8]
    assert levels(findings, "skipped") == [1, 3]
    assert "origin unknown" in findings[0].detail


def test_every_flipped_bit_is_found(out: Path) -> None:
    chance = random.Random(0)
    files = sorted(path for path in out.rglob("*") if path.is_file())

    missed = []
    for _ in range(300):
        path = chance.choice(files)
        whole = path.read_bytes()
        place, bit = chance.randrange(len(whole)), 1 << chance.randrange(8)
        path.write_bytes(whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :])
        if not failures(out):
            missed.append((path.name, place, bit))
        path.write_bytes(whole)

    assert missed == []
    assert failures(out) == []


def test_a_bit_that_only_changes_the_spelling_of_the_manifest_is_found(
    source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    rewrite(tinyruns.job(source, "caf\u00e9"), out)
    manifest = (out / "compressor.json").read_bytes()
    spelled = manifest.replace(b"\\u00e9", b"\\u00E9")
    assert json.loads(spelled) == json.loads(manifest)
    assert spelled != manifest

    (out / "compressor.json").write_bytes(spelled)

    assert failures(out) == [(1, "VERIFY-MANIFEST", "compressor.json")]


def swapped(folder: Path) -> None:
    first, second = (folder / FIRST).read_bytes(), (folder / SECOND).read_bytes()
    (folder / FIRST).write_bytes(second)
    (folder / SECOND).write_bytes(first)


def extended(folder: Path) -> None:
    with (folder / "README.md").open("ab") as file:
        file.write(b"\n")


def shortened(folder: Path) -> None:
    (folder / FIRST).write_bytes((folder / FIRST).read_bytes()[:-4])


def with_manifest(change: Callable[[dict[str, Any]], object]) -> bad.Maker:
    """A manifest changed and written the way it is written, but for its digests."""

    def make(folder: Path) -> None:
        manifest = json.loads((folder / "compressor.json").read_bytes())
        change(manifest)
        text = json.dumps(manifest, indent=1) + "\n"
        (folder / "compressor.json").write_text(text)

    return make


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (
            swapped,
            {(3, "VERIFY-HASH", FIRST), (3, "VERIFY-HASH", SECOND), (5, "CKPT-INDEX", INDEX)},
        ),
        (extended, {(3, "VERIFY-HASH", "README.md")}),
        (shortened, {(3, "VERIFY-HASH", FIRST), (4, "CKPT-TRUNCATED", FIRST)}),
        (
            bad.remove(SECOND),
            {(2, "VERIFY-FILES", SECOND), (5, "CKPT-MISSING-SHARD", INDEX)},
        ),
        (bad.remove("report.json"), {(2, "VERIFY-FILES", "report.json")}),
        (bad.add("old.bin"), {(2, "VERIFY-FILES", "old.bin")}),
        (bad.add("onnx/model.onnx"), {(2, "VERIFY-FILES", "onnx/")}),
        (bad.add("notes.txt.tmp"), {(2, "VERIFY-FILES", "notes.txt.tmp")}),
        (
            bad.linked("tokenizer.json", "../elsewhere.json"),
            {(2, "VERIFY-FILES", "tokenizer.json")},
        ),
        (bad.fifo("README.md"), {(2, "VERIFY-FILES", "README.md")}),
        (bad.remove("compressor.json"), {(1, "VERIFY-MANIFEST", "compressor.json")}),
        (
            with_manifest(lambda m: m.update(hash="md5")),
            {(1, "VERIFY-MANIFEST", "compressor.json")},
        ),
        (
            with_manifest(lambda m: m["run"].update(seconds=0)),
            {(1, "VERIFY-MANIFEST", "compressor.json")},
        ),
        (with_manifest(dict.clear), {(1, "VERIFY-MANIFEST", "compressor.json")}),
    ],
)
def test_whatever_is_done_to_an_output_is_found_and_named(
    out: Path, spoil: bad.Maker, expected: set[tuple[int, str, str]]
) -> None:
    spoil(out)

    found = set(failures(out))

    # A missing file has more than one consequence: a link is also no tokenizer, for example.
    assert expected <= found
    assert {at for _, _, at in found} <= {at for _, _, at in expected} | {INDEX, "README.md"}


def test_what_the_hub_adds_to_a_folder_is_no_fault(out: Path) -> None:
    bad.add(".gitattributes", ".cache/huggingface/download/x.metadata")(out)

    assert failures(out) == []


def test_links_of_a_hub_snapshot_into_its_own_blobs_are_no_fault(out: Path, tmp_path: Path) -> None:
    repository = tmp_path / "models--org--name"
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    for path in out.iterdir():
        shutil.copyfile(path, repository / "blobs" / path.name)
        (snapshot / path.name).symlink_to(Path("../../blobs") / path.name)

    assert {each.status for each in verify_files(snapshot)} == {"ok"}


def with_two_nonfinite(folder: Path) -> Path:
    arrays = llama()
    arrays[bad.WEIGHT][0, :2] = np.nan, np.inf
    return bad.write_model(folder, arrays)


def test_weights_that_are_no_numbers_are_counted_and_named(tmp_path: Path) -> None:
    folder = with_two_nonfinite(tmp_path / "source")

    (finding,) = [each for each in verify_files(folder) if each.status == "failed"]

    assert (finding.level, finding.id) == (7, "WEIGHT-NONFINITE")
    assert finding.detail.startswith("2 ")
    assert f"{bad.WEIGHT} (2)" in finding.detail


@pytest.mark.parametrize(("counted", "expected"), [(2, []), (1, [(7, "WEIGHT-NONFINITE", "")])])
def test_nonfinite_weights_that_were_kept_may_be_as_many_as_the_report_counts(
    tmp_path: Path, counted: int, expected: list[tuple[int, str, str]]
) -> None:
    job = tinyruns.job(with_two_nonfinite(tmp_path / "source"), "copy", allow_nonfinite=True)
    step = {"step": "copy", "allow_nonfinite": True}
    report = Report(step, {"name": "source"}, {"nonfinite": counted})

    rewrite(replace(job, step=step, report=lambda outcomes: report), tmp_path / "out")

    assert failures(tmp_path / "out") == expected


def test_tensors_of_the_same_name_in_two_components_are_told_apart(tmp_path: Path) -> None:
    bad.write_json(tmp_path / "model_index.json", {})
    for folder in ("unet", "vae"):
        with_two_nonfinite(tmp_path / folder)

    (finding,) = [each for each in verify_files(tmp_path) if each.status == "failed"]

    assert finding.detail.startswith("4 ")
    assert f"unet/{bad.WEIGHT} (2), vae/{bad.WEIGHT} (2)" in finding.detail


def test_bytes_that_no_boolean_has_are_found(tmp_path: Path) -> None:
    folder = bad.write_model(tmp_path / "m", {**llama(), "mask": np.array([True, False])})
    raw = (folder / "model.safetensors").read_bytes()
    start = 8 + int.from_bytes(raw[:8], "little")
    place = start + json.loads(raw[8:start])["mask"]["data_offsets"][0]

    (folder / "model.safetensors").write_bytes(raw[:place] + b"\2" + raw[place + 1 :])

    assert failures(folder) == [(7, "CKPT-VALUE", "")]


@pytest.mark.parametrize(
    ("content", "id"),
    [
        (b"", "TOKENIZER"),
        (b'{"model": {"vocab": ', "TOKENIZER"),
        (b'{"version": "1.0"}', "TOKENIZER"),
        (b'{"model": {"vocab": {}}}', "TOKENIZER"),
        (b'{"model": {"vocab": {"a": "1"}}}', "TOKENIZER"),
        (b'{"model": {"vocab": {"a": 32}}}', "TOKENIZER-VOCAB"),
        (b'{"model": {"vocab": {"a": 0}}, "added_tokens": [{"id": 32}]}', "TOKENIZER-VOCAB"),
        (json.dumps({"model": {"vocab": [["a", 0.0]] * 33}}).encode(), "TOKENIZER-VOCAB"),
    ],
)
def test_a_tokenizer_is_read_and_fits_the_vocabulary_of_32(
    source: Path, content: bytes, id: str
) -> None:
    (source / "tokenizer.json").write_bytes(content)

    assert failures(source) == [(8, id, "tokenizer.json")]


def test_a_wrong_total_size_is_found(source: Path) -> None:
    bad.index(lambda content: content["metadata"].update(total_size=1))(source)

    assert failures(source) == [(5, "CKPT-INDEX", INDEX)]


def test_temporary_files_beside_a_foreign_checkpoint_are_found(source: Path) -> None:
    bad.add(".tmpAbC", "old.bin")(source)

    assert failures(source) == [(2, "VERIFY-FILES", ".tmpAbC")]


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (bad.only(), 3),
        (bad.only("model.bin"), 4),
        (bad.only("tf_model.h5"), 3),
        (bad.codes("int8"), 3),
        (shutil.rmtree, 3),
    ],
)
def test_what_is_no_checkpoint_at_all_is_an_error(
    tmp_path: Path, spoil: bad.Maker, code: int
) -> None:
    folder = bad.write_model(tmp_path / "model")
    spoil(folder)

    with pytest.raises(CompressorError) as caught:
        verify_files(folder)

    assert caught.value.exit_code == code


def test_a_file_is_no_folder(source: Path) -> None:
    with pytest.raises(CompressorError) as caught:
        verify_files(source / FIRST)

    assert (caught.value.id, caught.value.exit_code) == ("CKPT-NOT-FOUND", 3)


def test_an_output_without_any_weights_left_is_a_finding(out: Path) -> None:
    bad.remove(FIRST, SECOND, INDEX)(out)

    assert {(2, "VERIFY-FILES", FIRST), (2, "VERIFY-FILES", SECOND)} <= set(failures(out))


@pytest.mark.parametrize("workers", [1, 3])
def test_progress_ends_with_every_byte(out: Path, workers: int) -> None:
    seen = []

    verify_files(out, observe=seen.append, workers=workers)

    assert [each.done for each in seen] == sorted(each.done for each in seen)
    assert seen[-1].done == seen[-1].total == sum(array.nbytes for array in llama().values())
