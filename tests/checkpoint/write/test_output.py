import contextlib
import fcntl
import json
import logging
import os
import resource
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import tinyruns
from blake3 import blake3

from compressor.checkpoint.stream import rewrite
from compressor.checkpoint.write.output import Output
from compressor.checkpoint.write.temporary import MANIFEST, claim, leftovers, remove_dead
from compressor.errors import CompressorError, OutputError, ResourceError


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tinyruns.tiny_checkpoint(tmp_path / "source")


@pytest.fixture
def new(source: Path, tmp_path: Path) -> tinyruns.Tree:
    rewrite(tinyruns.job(source), tmp_path / "reference")
    return tinyruns.determined(tmp_path / "reference")


@pytest.fixture
def old(source: Path, tmp_path: Path) -> tinyruns.Tree:
    rewrite(tinyruns.job(source, "copy"), tmp_path / "out")
    return tinyruns.determined(tmp_path / "out")


def refusal(source: Path, target: Path, **options: bool) -> CompressorError:
    before = tinyruns.tree(source)
    with pytest.raises(CompressorError) as caught:
        rewrite(tinyruns.job(source), target, **options)
    assert tinyruns.tree(source) == before
    return caught.value


@pytest.mark.parametrize(
    "where", ["source", "source/inner/out", ".", "link/out", "source/../source"]
)
def test_an_output_that_overlaps_the_source_is_refused(
    source: Path, tmp_path: Path, where: str
) -> None:
    (tmp_path / "link").symlink_to("source")

    error = refusal(source, tmp_path / where)

    assert (error.id, error.exit_code) == ("OUT-IS-SOURCE", 5)
    assert not (source / "inner").exists()


def test_an_output_may_stand_beside_a_source_that_is_one_file(source: Path, tmp_path: Path) -> None:
    single = tinyruns.tiny_checkpoint(tmp_path / "single", shards=1) / "model.safetensors"

    rewrite(tinyruns.job(single), single.parent / "out")

    assert (single.parent / "out" / "model.safetensors").is_file()


def test_a_folder_with_files_is_refused_and_kept(source: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("kept")

    error = refusal(source, tmp_path / "out")

    assert (error.id, error.exit_code) == ("OUT-EXISTS", 5)
    assert tinyruns.leftovers(tmp_path, source) == ["out"]
    assert (tmp_path / "out" / "mine.txt").read_text() == "kept"


@pytest.mark.parametrize("make", [Path.touch, os.mkfifo])
def test_a_file_is_refused(source: Path, tmp_path: Path, make) -> None:
    make(tmp_path / "out")

    error = refusal(source, tmp_path / "out", overwrite=True)

    assert (error.id, error.exit_code) == ("OUT-NOT-DIR", 5)


@pytest.mark.parametrize("to", ["elsewhere", "missing", "source"])
def test_a_symbolic_link_is_refused(source: Path, tmp_path: Path, to: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").symlink_to(to)

    error = refusal(source, tmp_path / "out", overwrite=True)

    assert (error.id, error.exit_code) == ("OUT-SYMLINK", 5)
    assert not any((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize("variable", ["HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME"])
def test_a_hub_cache_is_refused(
    source: Path, tmp_path: Path, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_HOME", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, str(tmp_path / "cache"))

    error = refusal(source, tmp_path / "cache" / "huggingface" / "out")

    assert (error.id, error.exit_code) == ("OUT-IN-CACHE", 5)
    assert not (tmp_path / "cache").exists()


def test_a_snapshot_is_refused_wherever_the_cache_lies(source: Path, tmp_path: Path) -> None:
    error = refusal(source, tmp_path / "models--org--name" / "snapshots" / "out")

    assert error.id == "OUT-IN-CACHE"


@pytest.mark.parametrize(
    "target", ["", "..", "/", "/proc/x", "/proc/a/b", "/dev/null/x", "/proc/self/fd", "n" * 300]
)
def test_what_cannot_be_a_folder_is_refused(
    source: Path, tmp_path: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")

    error = refusal(source, Path(target), overwrite=True)

    assert error.exit_code == 5
    assert error.id in {"OUT-UNWRITABLE", "OUT-IS-SOURCE", "OUT-FOREIGN"}
    assert not any((tmp_path / "empty").iterdir())


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes into read-only folders")
def test_a_read_only_parent_is_refused(source: Path, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(0o500)

    assert refusal(source, tmp_path / "closed" / "out").id == "OUT-UNWRITABLE"


def test_an_empty_folder_is_filled(source: Path, tmp_path: Path, new: tinyruns.Tree) -> None:
    (tmp_path / "out").mkdir()

    rewrite(tinyruns.job(source), tmp_path / "out")

    assert tinyruns.state(tmp_path / "out", new=new) == "new"


def test_an_output_that_somebody_made_meanwhile_is_not_replaced(
    source: Path, tmp_path: Path
) -> None:
    target = tmp_path / "out"
    target.mkdir()

    def interfere(progress: object) -> None:
        (target / "theirs.txt").write_text("kept")

    with pytest.raises(OutputError) as caught:
        rewrite(tinyruns.job(source), target, observe=interfere)

    assert caught.value.id == "OUT-BUSY"
    assert tinyruns.leftovers(tmp_path, source) == ["out"]
    assert tinyruns.leftovers(target) == ["theirs.txt"]


def test_overwriting_exchanges_old_for_new(
    source: Path, tmp_path: Path, old: tinyruns.Tree, new: tinyruns.Tree
) -> None:
    out = tmp_path / "out"
    seen = set()

    rewrite(
        tinyruns.job(source),
        out,
        overwrite=True,
        observe=lambda progress: seen.add(tinyruns.state(out, old=old, new=new)),
    )

    assert seen == {"old"}
    assert tinyruns.state(out, old=old, new=new) == "new"
    assert tinyruns.leftovers(tmp_path, source) == ["out", "reference"]


@pytest.mark.parametrize("stray", ["notes.txt", "eval/result.json"])
def test_overwriting_never_takes_away_what_is_not_ours(
    source: Path, tmp_path: Path, old: tinyruns.Tree, stray: str
) -> None:
    path = tmp_path / "out" / stray
    path.parent.mkdir(exist_ok=True)
    path.write_text("the work of a day")

    error = refusal(source, tmp_path / "out", overwrite=True)

    assert (error.id, error.exit_code) == ("OUT-FOREIGN", 5)
    assert stray in error.found
    assert path.read_text() == "the work of a day"


@pytest.mark.parametrize("manifest", [None, b"", b"[]", b'{"files": 1}', b"\xff"])
def test_overwriting_refuses_a_folder_that_we_did_not_write(
    source: Path, tmp_path: Path, manifest: bytes | None
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "theirs.txt").write_text("kept")
    if manifest is not None:
        (tmp_path / "out" / MANIFEST).write_bytes(manifest)

    error = refusal(source, tmp_path / "out", overwrite=True)

    assert (error.id, error.exit_code) == ("OUT-FOREIGN", 5)
    assert (tmp_path / "out" / "theirs.txt").read_text() == "kept"


def test_overwriting_what_another_run_replaced_meanwhile_is_refused(
    source: Path, tmp_path: Path, old: tinyruns.Tree, new: tinyruns.Tree
) -> None:
    out = tmp_path / "out"

    def interfere(progress: object) -> None:
        if not (tmp_path / "earlier").exists():
            out.rename(tmp_path / "earlier")
            shutil.copytree(tmp_path / "reference", out)

    with pytest.raises(OutputError) as caught:
        rewrite(tinyruns.job(source), out, overwrite=True, observe=interfere)

    assert caught.value.id == "OUT-BUSY"
    assert tinyruns.state(out, new=new) == "new"
    assert tinyruns.leftovers(tmp_path, source) == ["earlier", "out", "reference"]


def test_an_old_output_that_vanishes_meanwhile_is_no_obstacle(
    source: Path, tmp_path: Path, old: tinyruns.Tree, new: tinyruns.Tree
) -> None:
    def interfere(progress: object) -> None:
        shutil.rmtree(tmp_path / "out", ignore_errors=True)

    rewrite(tinyruns.job(source), tmp_path / "out", overwrite=True, observe=interfere)

    assert tinyruns.state(tmp_path / "out", new=new) == "new"


@pytest.mark.parametrize("is_old", [False, True])
def test_a_failure_says_what_became_of_the_output(
    source: Path, tmp_path: Path, is_old: bool, request: pytest.FixtureRequest
) -> None:
    if is_old:
        request.getfixturevalue("old")

    def fail(progress: object) -> None:
        raise OutputError("OUT-TEST", "a failure in the middle of the work", do="nothing")

    with pytest.raises(OutputError) as caught:
        rewrite(tinyruns.job(source), tmp_path / "a/out", overwrite=True, observe=fail)

    assert caught.value.output == f"output {tmp_path}/a/out was not created"
    assert not (tmp_path / "a").exists()
    if is_old:
        with pytest.raises(OutputError) as caught:
            rewrite(tinyruns.job(source), tmp_path / "out", overwrite=True, observe=fail)
        assert caught.value.output == f"output {tmp_path}/out is unchanged"


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_modes_follow_the_umask(tmp_path: Path, umask: int) -> None:
    source = tinyruns.tiny_checkpoint(tmp_path / "source")
    (source / "1_Pooling").mkdir()
    (source / "1_Pooling" / "config.json").write_text("{}")
    run = tinyruns.start(source, tmp_path / "made" / "out", umask=umask)

    assert tinyruns.finish(run) == (0, "")

    out = tmp_path / "made" / "out"
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in [out.parent, out, *out.rglob("*")]}
    assert out / "1_Pooling" / "config.json" in modes
    assert modes == {path: (0o777 if path.is_dir() else 0o666) & ~umask for path in modes}


def test_disk_full_leaves_nothing_or_what_can_be_resumed(
    source: Path, tmp_path: Path, new: tinyruns.Tree
) -> None:
    sizes = [path.stat().st_size for path in (tmp_path / "reference").iterdir()]
    limits = [*range(0, max(sizes), max(sizes) // 40), max(sizes) - 1]
    outs = [tmp_path / f"out{limit}" for limit in limits]

    errors, before = [], tinyruns.held()
    for out, limit in zip(outs, limits, strict=True):
        with pytest.raises(ResourceError) as caught, file_size_limit(limit):
            rewrite(tinyruns.job(source), out)
        errors.append(caught.value.id)

    assert len(limits) >= 20
    assert set(errors) == {"DISK-FULL"}
    assert tinyruns.held() == before
    assert {tinyruns.state(out) for out in outs} == {"absent"}
    left = [path for path, is_held in leftovers(tmp_path) if not is_held]
    assert all(len((path / "journal.jsonl").read_text().splitlines()) > 1 for path in left)
    rewrite(tinyruns.job(source), outs[-1], resume=True)
    assert tinyruns.state(outs[-1], new=new) == "new"


@contextlib.contextmanager
def file_size_limit(limit: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_is_too_small_is_known_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(ResourceError) as caught:
        Output(
            tmp_path / "made" / "out",
            tmp_path / "source",
            run_key="key",
            overwrite=False,
            resume=False,
            need=1 << 60,
        )

    assert (caught.value.id, caught.value.exit_code) == ("DISK-FULL", 6)
    assert not any(tmp_path.iterdir())


def test_of_two_writers_one_commits(source: Path, tmp_path: Path, new: tinyruns.Tree) -> None:
    for number in range(20):
        out = tmp_path / f"out{number}"
        together = threading.Barrier(2)
        ends: list[str] = []

        def write(out: Path = out, together: threading.Barrier = together, ends=ends) -> None:
            work = tinyruns.job(source)
            together.wait()
            try:
                rewrite(work, out)
                ends.append("committed")
            except OutputError as error:
                ends.append(error.id)

        threads = [threading.Thread(target=write) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert sorted(ends) == ["OUT-BUSY", "committed"]
        assert tinyruns.state(out, new=new) == "new"
    assert not leftovers(tmp_path)


def test_an_output_that_a_run_is_writing_is_refused_at_once(source: Path, tmp_path: Path) -> None:
    other = tmp_path / ".out.tmp-0123456789ab"
    other.mkdir()
    descriptor = claim(other)

    error = refusal(source, tmp_path / "out")

    assert (error.id, error.exit_code) == ("OUT-BUSY", 5)
    assert other.is_dir()
    os.close(descriptor)


@pytest.mark.parametrize("killed", [1, 2])
def test_a_shard_that_changed_on_disk_is_written_again(
    source: Path, tmp_path: Path, new: tinyruns.Tree, killed: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        rewrite(tinyruns.job(source), tmp_path / "out", observe=tinyruns.stop_after(killed))
    [(folder, _)] = leftovers(tmp_path)
    shard = folder / "model-00001-of-00003.safetensors"
    damaged = bytearray(shard.read_bytes())
    damaged[-5] ^= 1
    shard.write_bytes(damaged)
    (folder / "stray").write_text("from the interrupted write")

    rewrite(tinyruns.job(source), tmp_path / "out", resume=True)

    assert tinyruns.state(tmp_path / "out", new=new) == "new"
    assert not leftovers(tmp_path)


@pytest.mark.parametrize("end", [b"", b"\n", b'{"na', b"\x00\x00\n", b"[1]\n", b"{}\n", b"\xff\n"])
def test_a_torn_end_of_the_journal_is_ignored(
    source: Path, tmp_path: Path, new: tinyruns.Tree, end: bytes
) -> None:
    with pytest.raises(KeyboardInterrupt):
        rewrite(tinyruns.job(source), tmp_path / "out", observe=tinyruns.stop_after(1))
    [(folder, _)] = leftovers(tmp_path)
    with (folder / "journal.jsonl").open("ab") as journal:
        journal.write(end)
    written = (folder / "model-00001-of-00003.safetensors").stat().st_mtime_ns

    rewrite(tinyruns.job(source), tmp_path / "out", resume=True)

    assert tinyruns.state(tmp_path / "out", new=new) == "new"
    kept = (tmp_path / "out" / "model-00001-of-00003.safetensors").stat().st_mtime_ns
    assert kept == written


def test_a_run_can_be_interrupted_again_and_again(
    source: Path, tmp_path: Path, new: tinyruns.Tree
) -> None:
    written = {}
    for shards in (1, 1):
        with pytest.raises(KeyboardInterrupt):
            rewrite(
                tinyruns.job(source),
                tmp_path / "out",
                resume=True,
                observe=tinyruns.stop_after(shards),
            )
        [(folder, _)] = leftovers(tmp_path)
        with (folder / "journal.jsonl").open("ab") as journal:
            journal.write(b'{"torn')
        written = {path.name: path.stat().st_mtime_ns for path in folder.glob("*-0000[12]-of-*")}

    rewrite(tinyruns.job(source), tmp_path / "out", resume=True)

    assert tinyruns.state(tmp_path / "out", new=new) == "new"
    assert len(written) == 2
    assert written == {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in written}


@pytest.mark.parametrize("cut", range(0, 700, 50))
def test_a_journal_cut_anywhere_is_resumed_or_left(
    source: Path, tmp_path: Path, new: tinyruns.Tree, cut: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        rewrite(tinyruns.job(source), tmp_path / "out", observe=tinyruns.stop_after(2))
    [(folder, _)] = leftovers(tmp_path)
    os.truncate(folder / "journal.jsonl", cut)

    rewrite(tinyruns.job(source), tmp_path / "out", resume=True)

    assert tinyruns.state(tmp_path / "out", new=new) == "new"


@pytest.mark.parametrize(
    "first", [b"", b"no json\n", b"[]\n", b"{}\n", b'{"run_key": 1}\n', b"\xff"]
)
def test_a_foreign_journal_is_left_alone_and_reported(
    source: Path, tmp_path: Path, new: tinyruns.Tree, first: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / ".out.tmp-0123456789ab"
    folder.mkdir()
    (folder / MANIFEST).touch()
    (folder / "journal.jsonl").write_bytes(first)

    with caplog.at_level(logging.WARNING, "compressor"):
        rewrite(tinyruns.job(source), tmp_path / "out", resume=True)

    assert tinyruns.state(tmp_path / "out", new=new) == "new"
    assert (folder / "journal.jsonl").read_bytes() == first
    assert folder.name in caplog.text


def test_another_step_is_never_resumed(source: Path, tmp_path: Path, new: tinyruns.Tree) -> None:
    with pytest.raises(KeyboardInterrupt):
        rewrite(tinyruns.job(source, "copy"), tmp_path / "out", observe=tinyruns.stop_after(1))

    rewrite(tinyruns.job(source), tmp_path / "out", resume=True)

    assert tinyruns.state(tmp_path / "out", new=new) == "new"
    assert len(leftovers(tmp_path)) == 1


def test_dead_folders_are_told_from_live_and_foreign_ones(tmp_path: Path) -> None:
    names = ["dead", "live", "empty", "foreign"]
    folders = {name: tmp_path / f".{name}.tmp-0123456789ab" for name in names}
    for folder in folders.values():
        folder.mkdir()
    os.close(claim(folders["dead"]))
    held = claim(folders["live"])
    (folders["foreign"] / "data").touch()
    (tmp_path / ".out.tmp-download").mkdir()
    (tmp_path / ".linked.tmp-0123456789ab").symlink_to("somewhere")

    found = dict(leftovers(tmp_path))

    assert found == {folders["dead"]: False, folders["empty"]: False, folders["live"]: True}
    assert leftovers(tmp_path, "live") == [(folders["live"], True)]
    assert [remove_dead(path) for path in found] == [not is_held for is_held in found.values()]
    assert tinyruns.leftovers(tmp_path) == [
        ".foreign.tmp-0123456789ab",
        ".linked.tmp-0123456789ab",
        ".live.tmp-0123456789ab",
        ".out.tmp-download",
    ]
    os.close(held)


@pytest.mark.parametrize("count", range(6))
def test_a_removal_that_is_cut_short_leaves_what_can_be_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    folder = tmp_path / ".out.tmp-0123456789ab"
    folder.mkdir()
    for name in (MANIFEST, "a", "z", ".hidden", "model.safetensors"):
        (folder / name).touch()
    unlink, calls = Path.unlink, iter(range(count))

    def interrupted(path: Path, missing_ok: bool = False) -> None:
        if next(calls, None) is None:
            raise KeyboardInterrupt
        unlink(path, missing_ok)

    with monkeypatch.context() as patched, contextlib.suppress(KeyboardInterrupt):
        patched.setattr(Path, "unlink", interrupted)
        remove_dead(folder)

    assert [path for path, _ in leftovers(tmp_path)] == ([folder] if count < 5 else [])
    assert all(remove_dead(path) for path, _ in leftovers(tmp_path))
    assert not any(tmp_path.iterdir())


def test_a_file_system_without_locks_is_written_all_the_same(
    source: Path, tmp_path: Path, new: tinyruns.Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(descriptor: int, kind: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", flock)

    rewrite(tinyruns.job(source), tmp_path / "out")

    assert tinyruns.state(tmp_path / "out", new=new) == "new"


def test_the_manifest_lists_every_file_with_its_digest(source: Path, tmp_path: Path) -> None:
    rewrite(tinyruns.job(source), tmp_path / "out")

    manifest = json.loads((tmp_path / "out" / MANIFEST).read_bytes())

    sources = manifest["source"]["files"]
    assert {name: entry["digest"] for name, entry in sources.items()} == {
        name: digest for name, digest in tinyruns.tree(source).items() if name != tinyruns.INDEX
    }
    assert set(manifest["files"]) == set(tinyruns.tree(tmp_path / "out")) - {MANIFEST}
    config = (tmp_path / "out" / "config.json").read_bytes()
    expected = {"digest": blake3(config).hexdigest(), "size": len(config)}
    assert manifest["files"]["config.json"] == expected


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="there is no tmpfs at /dev/shm")
def test_a_mount_point_is_refused_before_the_work(source: Path) -> None:
    error = refusal(source, Path("/dev/shm"), overwrite=True)

    assert (error.id, error.exit_code) == ("OUT-UNWRITABLE", 5)
    assert "mount point" in error.found


SMALL_DISKS = """
import subprocess, sys
from pathlib import Path
import tinyruns
from compressor.checkpoint.stream import rewrite

source, disk, reference = map(Path, sys.argv[1:])
for size in range(8, 120, 4):
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "none", disk], check=True)
    for out in (disk / "out", disk / "made" / "out"):
        code = tinyruns.attempt(lambda: rewrite(tinyruns.job(source), out))
        print(code, tinyruns.state(out, new=tinyruns.determined(reference)))
    subprocess.run(["umount", disk], check=True)
"""


def test_a_small_disk_that_fills_up_is_survived(
    source: Path, tmp_path: Path, new: tinyruns.Tree
) -> None:
    (tmp_path / "disk").mkdir()
    alone = ["unshare", "--mount", "--map-root-user"]
    trial = ["mount", "-t", "tmpfs", "none", tmp_path / "disk"]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*alone, *trial], capture_output=True).returncode
    ):
        pytest.skip("no tmpfs can be mounted here")
    folders = (source, tmp_path / "disk", tmp_path / "reference")

    ran = subprocess.run(
        [*alone, sys.executable, "-c", SMALL_DISKS, *folders],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )

    assert set(ran.stdout.splitlines()) == {"6 absent", "0 new"}
