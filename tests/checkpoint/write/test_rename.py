import errno
import os
from pathlib import Path

import pytest

from compressor.checkpoint.write import rename

LAST = "compressor.json"


def made(folder: Path, content: str) -> Path:
    (folder / "inner").mkdir(parents=True)
    for name in ("a.txt", LAST, "inner/b.txt"):
        (folder / name).write_text(content)
    return folder


def content(folder: Path) -> set[str]:
    return {path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(params=["one step", "file by file"])
def step(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "file by file":
        monkeypatch.setattr("sys.platform", "elsewhere")
    return request.param


def test_a_free_name_is_taken(tmp_path: Path, step: str) -> None:
    folder = made(tmp_path / "temporary", "new")

    rename.into_place(folder, tmp_path / "out", last=LAST, exchange=False)

    assert content(tmp_path / "out") == {"new"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_an_empty_folder_gives_way(tmp_path: Path, step: str) -> None:
    folder = made(tmp_path / "temporary", "new")
    (tmp_path / "out").mkdir()

    rename.into_place(folder, tmp_path / "out", last=LAST, exchange=False)

    assert content(tmp_path / "out") == {"new"}


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_a_name_in_use_is_never_taken(tmp_path: Path, step: str, kind: str) -> None:
    folder = made(tmp_path / "temporary", "new")
    if kind == "folder":
        made(tmp_path / "out", "old")
    elif kind == "file":
        (tmp_path / "out").write_text("old")
    else:
        (tmp_path / "out").symlink_to("nowhere")
    before = os.lstat(tmp_path / "out")

    with pytest.raises(FileExistsError):
        rename.into_place(folder, tmp_path / "out", last=LAST, exchange=False)

    assert os.lstat(tmp_path / "out").st_ino == before.st_ino
    assert content(folder) == {"new"}


def test_an_exchange_gives_each_the_name_of_the_other(tmp_path: Path) -> None:
    folder, target = made(tmp_path / "temporary", "new"), made(tmp_path / "out", "old")

    rename.into_place(folder, target, last=LAST, exchange=True)

    assert (content(target), content(folder)) == ({"new"}, {"old"})


def test_an_exchange_with_nothing_fails_and_changes_nothing(tmp_path: Path) -> None:
    folder = made(tmp_path / "temporary", "new")

    with pytest.raises(FileNotFoundError):
        rename.into_place(folder, tmp_path / "out", last=LAST, exchange=True)

    assert content(folder) == {"new"}


def test_whether_folders_can_be_exchanged_is_tried_without_a_trace(
    tmp_path: Path, step: str
) -> None:
    assert rename.can_exchange(tmp_path) == (step == "one step")
    assert not any(tmp_path.iterdir())


def test_without_the_system_call_an_exchange_fails_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, target = made(tmp_path / "temporary", "new"), made(tmp_path / "out", "old")
    monkeypatch.setattr("sys.platform", "elsewhere")

    with pytest.raises(OSError, match="no renameat2") as caught:
        rename.into_place(folder, target, last=LAST, exchange=True)

    assert caught.value.errno == errno.ENOSYS
    assert (content(target), content(folder)) == ({"old"}, {"new"})


@pytest.mark.parametrize("fatal", range(3))
def test_file_by_file_the_last_comes_last_and_a_failure_is_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fatal: int
) -> None:
    folder, target = made(tmp_path / "temporary", "new"), tmp_path / "out"
    monkeypatch.setattr("sys.platform", "elsewhere")
    moved: list[str] = []
    move = Path.rename

    def failing(path: Path, to: Path) -> Path:
        if len(moved) == fatal:
            moved.append("failed")
            raise OSError(errno.EIO, "Input/output error")
        moved.append(path.name)
        return move(path, to)

    monkeypatch.setattr(Path, "rename", failing)

    with pytest.raises(OSError, match="Input/output"):
        rename.into_place(folder, target, last=LAST, exchange=False)

    assert LAST not in moved[:fatal]
    assert not target.exists()
    assert content(folder) == {"new"}
    assert (folder / "inner" / "b.txt").is_file()


def test_file_by_file_the_folder_keeps_its_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, target = made(tmp_path / "temporary", "new"), tmp_path / "out"
    monkeypatch.setattr("sys.platform", "elsewhere")
    folder.chmod(0o750)

    rename.into_place(folder, target, last=LAST, exchange=False)

    assert target.stat().st_mode & 0o777 == 0o750
