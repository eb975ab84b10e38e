"""What the local disk refuses while something is fetched from the hub."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_child import child
from standin_hub import StandinHub, running


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[StandinHub]:
    """A hub with one model, which is larger than the test's disk."""
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    (model / "model.safetensors").write_bytes(bytes(300_000))
    with running() as hub:
        hub.serve("org/name", model)
        yield hub


@pytest.mark.skipif(sys.platform != "linux", reason="limits the files of another process")
def test_a_full_disk_is_a_resource_error(hub: StandinHub, tmp_path: Path) -> None:
    with child(tmp_path, hub.endpoint) as started:
        started.limit_file_size(100_000)

        outcome = started.call("hub.client.download", "org/name", None)

    assert (outcome.error["id"], outcome.error["code"]) == ("DISK-FULL", 6)
    assert not list((tmp_path / "hub").rglob("model.safetensors"))


def test_a_cache_that_cannot_be_written_is_an_output_error(hub: StandinHub, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with child(tmp_path, hub.endpoint, HF_HUB_CACHE=str(tmp_path / "file" / "hub")) as started:
        outcome = started.call("hub.client.download", "org/name", None)

    assert (outcome.error["id"], outcome.error["code"]) == ("HUB-CACHE", 5)
