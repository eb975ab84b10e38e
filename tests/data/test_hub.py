"""A hub data set offline is one in the cache or an error; a script is never run."""

from __future__ import annotations

import socket
from pathlib import Path

import datasets
import pytest
from datafiles import refused, written

from compressor.data.dataset import load
from compressor.data.hub import is_hub_id, open_hub
from compressor.data.spec import parse_spec
from compressor.errors import CompressorError, NetworkError


@pytest.mark.parametrize(
    ("location", "is_id"),
    [
        ("org/name", True),
        ("org/name@main", True),
        ("org/name@refs/pr/1", True),
        ("hub:name", True),
        ("hub:org/name", True),
        ("name", False),
        ("a/b/c", False),
        ("./name", False),
        ("../name", False),
        ("/org/name", False),
        ("org/", False),
        ("org/.name", False),
        ("https://host/name", False),
    ],
)
def test_an_id_is_told_from_a_path(location: str, is_id: bool) -> None:
    assert is_hub_id(location) is is_id


@pytest.mark.parametrize("location", ["org/name", "org/name@main", "hub:name"])
def test_offline_a_data_set_that_is_not_in_the_cache_is_missed_and_nothing_is_asked(
    location: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *address, **_: asked.append(address))

    with pytest.raises(NetworkError) as caught:
        load(parse_spec(location), offline=True)

    assert (caught.value.id, caught.value.exit_code) == ("OFFLINE-MISS", 7)
    assert asked == []


def test_a_script_is_refused_and_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    path = written(tmp_path / "name.py", f"open({str(marker)!r}, 'w').close()\n")

    refused(path, "REMOTE-CODE", 4)

    assert not marker.exists()


def test_a_folder_that_is_called_as_an_id_is_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path / "org" / "name" / "a.txt", "one")
    monkeypatch.chdir(tmp_path)

    assert load(parse_spec("org/name")).values["text"] == ["one"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two splits as the hub stores them; `datasets` loads a folder by the same call."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])}
    )
    for split in ("train", "test"):
        rows = {"text": [f"{split} {n}" for n in range(3)], "label": [0, 1, 1]}
        made = datasets.Dataset.from_dict(rows, features=features)
        written(tmp_path / "x" / f"{split}.parquet", b"")
        made.to_parquet(str(tmp_path / "x" / f"{split}.parquet"))
    return tmp_path / "x"


@pytest.mark.parametrize(("keys", "split"), [("", "test"), (":split=train", "train")])
def test_a_split_gives_its_rows_with_the_names_of_classes(
    folder: Path, keys: str, split: str
) -> None:
    opened = open_hub(parse_spec(f"{folder}{keys}"), offline=True)

    expected = [{"text": f"{split} {n}", "label": "pos" if n else "neg"} for n in range(3)]
    assert [dict(row.cells) for row in opened.rows] == expected
    assert bool(opened.notes) == (keys == "")


@pytest.mark.parametrize(
    ("keys", "id"), [(":split=dev", "DATA-NOT-FOUND"), (":config=xx", "DATA-SPEC")]
)
def test_a_split_or_config_that_is_not_there_is_said(folder: Path, keys: str, id: str) -> None:
    with pytest.raises(CompressorError) as caught:
        open_hub(parse_spec(f"{folder}{keys}"), offline=True)

    assert caught.value.id == id


def test_a_data_set_made_by_a_script_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "name" / "name.py", "raise SystemExit(9)\n")

    with pytest.raises(CompressorError) as caught:
        open_hub(parse_spec(str(tmp_path / "name")), offline=True)

    assert (caught.value.id, caught.value.exit_code) == ("REMOTE-CODE", 4)
