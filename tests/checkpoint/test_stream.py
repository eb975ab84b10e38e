import errno
import itertools
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tinyruns
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from compressor.checkpoint.blocks import Bits, Extent, Grid
from compressor.checkpoint.pipeline import Progress, Rewrite
from compressor.checkpoint.read.reader import open_checkpoint
from compressor.checkpoint.stream import TensorJob, rewrite
from compressor.checkpoint.write.temporary import leftovers
from compressor.errors import CompressorError, InputError, OutputError

FIRST, LAST = "model-00001-of-00003.safetensors", "model-00003-of-00003.safetensors"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tinyruns.tiny_checkpoint(tmp_path / "source")


@pytest.fixture
def new(source: Path, tmp_path: Path) -> tinyruns.Tree:
    rewrite(tinyruns.job(source), tmp_path / "reference")
    return tinyruns.determined(tmp_path / "reference")


@pytest.mark.parametrize("shards", [1, 3])
def test_matrices_are_rewritten_and_all_else_is_copied_bit_for_bit(
    tmp_path: Path, shards: int
) -> None:
    source = tinyruns.tiny_checkpoint(tmp_path / "source", shards=shards)

    report = rewrite(tinyruns.job(source), tmp_path / "out")

    before, after = tinyruns.tensors_of(source), tinyruns.tensors_of(tmp_path / "out")
    expected = {name: tinyruns.halved(a) if a.ndim == 2 else a for name, a in before.items()}
    assert after.keys() == expected.keys()
    for name, array in expected.items():
        assert after[name].dtype == array.dtype
        assert after[name].tobytes() == array.tobytes()
    assert report.summary["zeros"] == sum(
        array.size - np.count_nonzero(array) for array in after.values()
    )
    assert report.output == tmp_path / "out"


def test_a_dry_run_writes_nothing(source: Path, tmp_path: Path) -> None:
    report = rewrite(tinyruns.job(source), tmp_path / "out", dry_run=True)

    assert report.output is None
    assert tinyruns.leftovers(tmp_path, source) == []


def test_the_same_inputs_give_the_same_bytes(
    source: Path, tmp_path: Path, new: tinyruns.Tree
) -> None:
    runs = [
        tinyruns.start(
            source,
            tmp_path / f"elsewhere{seed}" / f"out{workers}",
            *("--workers", workers),
            env={"PYTHONHASHSEED": str(seed)},
        )
        for seed, workers in [(0, 1), (1, 4)]
    ]

    assert [tinyruns.finish(run) for run in runs] == [(0, ""), (0, "")]

    assert tinyruns.state(tmp_path / "elsewhere0" / "out1", new=new) == "new"
    assert tinyruns.state(tmp_path / "elsewhere1" / "out4", new=new) == "new"


def ranked(source: Path, *, is_shared: bool) -> TensorJob:
    """A job that writes into each negative weight how many came before it."""

    def count(bits: Bits, extent: Extent) -> int:
        return int(np.count_nonzero(bits >> 31))

    def apply(bits: Bits, extent: Extent, before: int, out: Bits) -> None:
        out[...] = bits
        chosen = bits >> 31 == 1
        out[chosen] = np.arange(before, before + np.count_nonzero(chosen))

    job = tinyruns.job(source)
    made = Rewrite(apply, Grid(row=32), count, is_shared)
    return replace(job, rewrites={key: lambda reader: made for key in job.rewrites})


@pytest.mark.parametrize("is_shared", [False, True])
@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("interrupted", [0, 1])
def test_a_budget_is_spent_in_the_order_of_the_file_however_many_threads(
    tmp_path: Path, is_shared: bool, workers: int, interrupted: int
) -> None:
    source = tinyruns.tiny_checkpoint(tmp_path / "source", shards=2, rows=40_000)
    out = tmp_path / "out"
    if interrupted:
        with pytest.raises(KeyboardInterrupt):
            rewrite(ranked(source, is_shared=is_shared), out, observe=tinyruns.stop_after(1, 8))
        assert len(leftovers(tmp_path)) == 1

    rewrite(ranked(source, is_shared=is_shared), out, workers=workers, resume=True)

    before = 0
    for path in sorted(source.glob("*.safetensors")):
        written = load_file(tmp_path / "out" / path.name)
        for name, array in sorted(load_file(path).items()):
            if array.ndim != 2:
                continue
            bits = array.view(np.uint32).reshape(-1).copy()
            chosen = bits >> 31 == 1
            bits[chosen] = np.arange(before, before + np.count_nonzero(chosen))
            before = before + int(np.count_nonzero(chosen)) if is_shared else 0
            assert written[name].view(np.uint32).tobytes() == bits.tobytes()


def load_in_order(path: Path) -> list[np.ndarray[Any, Any]]:
    """The tensors of a file in the order of their bytes."""
    with safe_open(path, "np") as file:
        return [file.get_tensor(name) for name in file.offset_keys()]


@pytest.mark.parametrize("limit", [1, 7_000, 13_000, 1 << 20])
def test_resharding_keeps_every_tensor_and_writes_its_index(
    source: Path, tmp_path: Path, limit: int
) -> None:
    out = tmp_path / "out"
    rewrite(tinyruns.job(source, max_shard_size=limit), out)

    files = {path.name: load_file(path) for path in out.glob("*.safetensors")}
    index = json.loads((out / tinyruns.INDEX).read_text())
    found = {name: file for file, tensors in files.items() for name in tensors}
    assert index["weight_map"] == found
    assert index["metadata"]["total_size"] == sum(
        array.nbytes for tensors in files.values() for array in tensors.values()
    )
    sizes = [[array.nbytes for array in load_in_order(out / name)] for name in sorted(files)]
    assert all(len(each) == 1 or sum(each) <= limit for each in sizes)
    assert all(sum(each) + later[0] > limit for each, later in itertools.pairwise(sizes))
    before, after = tinyruns.tensors_of(source), tinyruns.tensors_of(out)
    assert {name: array.tobytes() for name, array in after.items()} == {
        name: (tinyruns.halved(array) if array.ndim == 2 else array).tobytes()
        for name, array in before.items()
    }
    assert [tensor.name for _, tensor in open_checkpoint(out).components[0].tensors()] == [
        tensor.name for _, tensor in open_checkpoint(source).components[0].tensors()
    ]


def test_resharding_resumes_where_it_stopped(source: Path, tmp_path: Path) -> None:
    rewrite(tinyruns.job(source, max_shard_size=13_000), tmp_path / "reference")
    for shards in range(1, 4):
        out = tmp_path / f"out{shards}"
        with pytest.raises(KeyboardInterrupt):
            rewrite(
                tinyruns.job(source, max_shard_size=13_000),
                out,
                observe=tinyruns.stop_after(shards, 3),
            )

        rewrite(tinyruns.job(source, max_shard_size=13_000), out, resume=True)

        assert tinyruns.determined(out) == tinyruns.determined(tmp_path / "reference")


def test_the_source_stays_as_it_is(source: Path, tmp_path: Path) -> None:
    def look() -> dict[str, tuple[int, int, int]]:
        paths = [source, *source.rglob("*")]
        stats = {str(path): path.stat() for path in paths}
        return {path: (s.st_mtime_ns, s.st_ctime_ns, s.st_size) for path, s in stats.items()}

    for path in source.iterdir():
        path.chmod(0o444)
    source.chmod(0o555)
    before, content = look(), tinyruns.tree(source)

    rewrite(tinyruns.job(source), tmp_path / "out")
    with pytest.raises(KeyboardInterrupt):
        rewrite(tinyruns.job(source), tmp_path / "other", observe=tinyruns.stop_after(1))
    with pytest.raises(OutputError):
        rewrite(tinyruns.job(source), tmp_path / "out")

    assert look() == before
    assert tinyruns.tree(source) == content


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(0, 0))


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def move(path: Path) -> None:
    path.rename(path.with_suffix(".moved"))


def substitute(path: Path) -> None:
    shutil.copy(path, path.with_suffix(".copy"))
    path.with_suffix(".copy").replace(path)


CHANGES = [flip, truncate, move, Path.unlink, substitute]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", [FIRST, LAST, "tokenizer.json", "config.json"])
@pytest.mark.parametrize("block", [0, 11])
def test_a_source_that_changes_during_the_run_is_refused(
    source: Path, tmp_path: Path, change: Callable[[Path], None], name: str, block: int
) -> None:
    blocks = iter(range(block + 1))

    def interfere(progress: Progress) -> None:
        if next(blocks, None) == block:
            change(source / name)

    with pytest.raises(InputError) as caught:
        rewrite(tinyruns.job(source), tmp_path / "out", observe=interfere)

    assert (caught.value.id, caught.value.exit_code) == ("SOURCE-CHANGED", 3)
    assert tinyruns.leftovers(tmp_path, source) == []


@pytest.mark.parametrize("change", [truncate, move, Path.unlink])
@pytest.mark.parametrize("name", [FIRST, "config.json"])
def test_a_source_that_changes_before_the_run_is_refused(
    source: Path, tmp_path: Path, change: Callable[[Path], None], name: str
) -> None:
    job = tinyruns.job(source)
    change(source / name)
    before = tinyruns.held()

    with pytest.raises(InputError) as caught:
        rewrite(job, tmp_path / "out")

    assert caught.value.id == "SOURCE-CHANGED"
    assert tinyruns.leftovers(tmp_path, source) == []
    assert tinyruns.held() == before


def test_another_header_than_was_planned_is_refused(source: Path, tmp_path: Path) -> None:
    job = tinyruns.job(source)
    data = (source / FIRST).read_bytes()
    (source / FIRST).write_bytes(data.replace(b"layer.1.up", b"layer.9.up"))

    with pytest.raises(InputError) as caught:
        rewrite(job, tmp_path / "out")

    assert caught.value.id == "SOURCE-CHANGED"


@pytest.mark.parametrize("name", [FIRST, LAST])
def test_a_source_that_changed_before_the_resumption_is_refused(
    source: Path, tmp_path: Path, name: str
) -> None:
    with pytest.raises(KeyboardInterrupt):
        rewrite(tinyruns.job(source), tmp_path / "out", observe=tinyruns.stop_after(1))
    flip(source / name)

    with pytest.raises(InputError) as caught:
        rewrite(tinyruns.job(source), tmp_path / "out", resume=True)

    assert (caught.value.id, caught.value.exit_code) == ("SOURCE-CHANGED", 3)
    assert not (tmp_path / "out").exists()


def test_a_change_that_hides_its_time_is_seen_in_the_bytes(source: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        rewrite(tinyruns.job(source), tmp_path / "out", observe=tinyruns.stop_after(1))
    time = (source / FIRST).stat().st_mtime_ns
    flip(source / FIRST)
    os.utime(source / FIRST, ns=(time, time))

    with pytest.raises(InputError) as caught:
        rewrite(tinyruns.job(source), tmp_path / "out", resume=True)

    assert caught.value.id == "SOURCE-CHANGED"


@pytest.mark.parametrize("killed", range(1, 3))
def test_a_resumed_run_gives_the_bytes_of_an_unbroken_one(
    source: Path, tmp_path: Path, new: tinyruns.Tree, killed: int
) -> None:
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        rewrite(tinyruns.job(source), out, observe=tinyruns.stop_after(killed))
    [(folder, _)] = leftovers(tmp_path)
    written = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.safetensors")}

    rewrite(tinyruns.job(source), out, resume=True)

    assert tinyruns.state(out, new=new) == "new"
    kept = [name for name, time in written.items() if (out / name).stat().st_mtime_ns == time]
    assert len(kept) == killed
    assert tinyruns.leftovers(tmp_path, source, out) == ["reference"]


def test_weights_that_are_not_finite_are_refused_or_counted(source: Path, tmp_path: Path) -> None:
    tensors = load_file(source / LAST)
    tensors["layer.3.norm.weight"][:3] = [np.nan, np.inf, -np.inf]
    save_file(tensors, source / LAST)

    with pytest.raises(InputError) as caught:
        rewrite(tinyruns.job(source), tmp_path / "out")

    assert (caught.value.id, caught.value.exit_code) == ("WEIGHT-NONFINITE", 3)
    assert "3 non-finite of 8" in caught.value.found
    assert tinyruns.leftovers(tmp_path, source) == []
    rewrite(tinyruns.job(source, allow_nonfinite=True), tmp_path / "out")
    written = tinyruns.tensors_of(tmp_path / "out")["layer.3.norm.weight"]
    assert written.tobytes() == tensors["layer.3.norm.weight"].tobytes()


class Failed(Exception):
    pass


def fail(*arguments: object) -> int:
    raise Failed


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("where", ["prepare", "count", "apply", "observe", "report"])
def test_a_failure_anywhere_ends_every_thread_and_closes_every_file(
    tmp_path: Path, where: str, workers: int
) -> None:
    source = tinyruns.tiny_checkpoint(tmp_path / "source", rows=40_000)
    job = ranked(source, is_shared=True)
    [good] = {make(None) for make in job.rewrites.values()}  # type: ignore[arg-type]
    made = {"count": replace(good, count=fail), "apply": replace(good, apply=fail)}.get(where, good)
    last = list(job.rewrites)[-1]
    job = replace(
        job,
        rewrites={**job.rewrites, last: fail if where == "prepare" else lambda reader: made},
        report=fail if where == "report" else job.report,
    )
    before = tinyruns.held()

    with pytest.raises(Failed):
        rewrite(
            job,
            tmp_path / "out",
            workers=workers,
            observe=fail if where == "observe" else lambda progress: None,
        )

    assert tinyruns.held() == before
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("call", range(12))
def test_a_disk_that_fails_to_flush_ends_every_thread_too(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    flush, calls = os.fsync, iter(range(100))

    def failing(descriptor: int) -> None:
        if next(calls) == call:
            raise OSError(errno.EIO, "Input/output error")
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    before = tinyruns.held()

    with pytest.raises(OutputError) as caught:
        rewrite(tinyruns.job(source), tmp_path / "out")

    assert caught.value.id == "OUT-UNWRITABLE"
    assert tinyruns.held() == before
    assert tinyruns.leftovers(tmp_path, source) == []


def test_a_disk_that_returns_other_bytes_than_were_written_is_found(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = os.preadv

    def rotten(descriptor: int, buffers: list[memoryview], offset: int) -> int:
        count = read(descriptor, buffers, offset)
        if ".out.tmp-" in str(Path(f"/proc/self/fd/{descriptor}").readlink()) and count > 100:
            buffers[0][50] ^= 1
        return count

    monkeypatch.setattr(os, "preadv", rotten)

    with pytest.raises(OutputError) as caught:
        rewrite(tinyruns.job(source), tmp_path / "out")

    assert caught.value.id == "OUT-CORRUPT"
    assert tinyruns.leftovers(tmp_path, source) == []


@pytest.mark.parametrize("failure", [MemoryError(), OSError(errno.EIO, "Input/output error")])
def test_a_failure_to_read_back_never_ends_in_success_or_in_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    source = tinyruns.tiny_checkpoint(tmp_path / "source", rows=300_000)
    read = os.preadv

    def failing(descriptor: int, buffers: list[memoryview], offset: int) -> int:
        if ".out.tmp-" in str(Path(f"/proc/self/fd/{descriptor}").readlink()) and offset > 10_000:
            raise failure
        return read(descriptor, buffers, offset)

    monkeypatch.setattr(os, "preadv", failing)
    before = tinyruns.held()

    with pytest.raises((MemoryError, OutputError)):
        rewrite(tinyruns.job(source), tmp_path / "out")

    assert tinyruns.held() == before
    assert not (tmp_path / "out").exists()


def test_too_many_files_are_a_limit_and_no_bug(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, opening = tinyruns.job(source), os.open

    def exhausted(path: str, flags: int, mode: int = 0o777) -> int:
        if str(path).endswith(LAST):
            raise OSError(errno.EMFILE, "Too many open files")
        return opening(path, flags, mode)

    monkeypatch.setattr(os, "open", exhausted)
    before = tinyruns.held()

    with pytest.raises(CompressorError) as caught:
        rewrite(job, tmp_path / "out")

    assert (caught.value.id, caught.value.exit_code) == ("LIMIT-FILES", 6)
    assert tinyruns.held() == before
