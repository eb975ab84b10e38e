"""Fetching from, and publishing to, a stand-in hub on the loopback interface."""

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy
import pytest
from hub_child import Child, child
from safetensors.numpy import save_file
from standin_hub import COMMIT, StandinHub, running

TOKEN = "hf_canaryCanaryCanaryCanary"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one model in safetensors, and the same in formats that nobody asked for."""
    folder = tmp_path_factory.mktemp("model")
    weight = numpy.arange(300_000, dtype=numpy.float32).reshape(600, 500)
    save_file({"a.weight": weight, "b.bias": weight[0]}, folder / "model.safetensors")
    (folder / "config.json").write_text('{"model_type": "bert"}')
    (folder / "tokenizer.json").write_text("{}")
    for unwanted in (
        *("pytorch_model.bin", "pytorch_model.bin.index.json", "optimizer.pt", "tf_model.h5"),
        *("flax_model.msgpack", "model.gguf", "onnx/config.json", "onnx/model.onnx"),
        *("openvino/openvino_model.xml", "original/consolidated.00.pth", "original/params.json"),
    ):
        (folder / unwanted).parent.mkdir(exist_ok=True)
        (folder / unwanted).write_bytes(b"unwanted")
    return folder


@pytest.fixture(scope="module")
def hub(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandinHub]:
    pickled = tmp_path_factory.mktemp("pickled")
    (pickled / "config.json").write_text("{}")
    (pickled / "pytorch_model.bin").write_bytes(b"a pickle")
    with running() as hub:
        hub.serve("org/fine", model)
        hub.serve("org/without", model)
        hub.serve("org/public", model)
        hub.serve("org/pickled", pickled)
        hub.serve("org/denied", model, "denied")
        hub.serve("org/gated", model, "gated")
        hub.serve("org/cut", model, "cut")
        hub.serve("org/corrupt", model, "corrupt")
        hub.serve("org/foreign", model, "foreign")
        hub.serve("org/dripping", model, "dripping")
        yield hub


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def online(hub: StandinHub, home: Path) -> Iterator[Child]:
    """A child that is online and logged in; whatever happens, its token is nowhere to be read."""
    with child(home, hub.endpoint, HF_TOKEN=TOKEN) as started:
        yield started
        messages = started.close()
    assert any(request.authorization == f"Bearer {TOKEN}" for request in hub.requests)
    assert TOKEN not in messages + "".join(started.answers)
    assert "Fetching" not in messages  # a progress bar, and stderr is no terminal
    for path in home.rglob("*"):
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes()


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_download_holds_the_safetensors_and_no_other_format(online: Child, model: Path) -> None:
    outcome = online.call("hub.client.download", "org/fine", None)

    folder, commit = Path(outcome.value[0]), outcome.value[1]
    assert commit == COMMIT
    assert files_in(folder) == {"config.json", "model.safetensors", "tokenizer.json"}
    for name in files_in(folder):
        assert (folder / name).read_bytes() == (model / name).read_bytes()


def test_locate_names_the_repository_and_its_commit(online: Child) -> None:
    outcome = online.call("source.locate", "org/fine@v1.0")

    assert "name='fine', id='org/fine'" in outcome.value
    assert f"revision='{COMMIT}'" in outcome.value


def test_what_is_cached_is_not_fetched_again(online: Child, hub: StandinHub) -> None:
    online.call("hub.client.download", "org/fine", None)
    before = hub.bytes_sent("org/fine")

    outcome = online.call("hub.client.download", "org/fine", COMMIT)

    assert outcome.value[1] == COMMIT
    assert hub.bytes_sent("org/fine") - before < 20_000


def test_offline_finds_what_was_fetched_and_opens_no_connection(
    online: Child, hub: StandinHub
) -> None:
    fetched = [
        online.call("hub.client.download", "org/fine", name).value for name in (None, "v1.0")
    ]
    asked = len(hub.requests)

    for name in (None, "main", "v1.0", COMMIT):
        outcome = online.call("hub.client.download", "org/fine", name, offline=True)

        assert outcome.value == fetched[0] == fetched[1]
        assert outcome.connects == 0
    assert len(hub.requests) == asked


def test_offline_misses_what_was_never_fetched_and_opens_no_connection(online: Child) -> None:
    online.call("hub.client.download", "org/fine", None)

    for repository, revision in (("org/never", None), ("gpt2", None), ("org/fine", "v2.0")):
        outcome = online.call("hub.client.download", repository, revision, offline=True)

        assert (outcome.error["id"], outcome.error["code"]) == ("OFFLINE-MISS", 7)
        assert outcome.connects == 0


def test_the_environment_switches_off_line_too(home: Path, hub: StandinHub, online: Child) -> None:
    fetched = online.call("hub.client.download", "org/fine", None)

    with child(home, hub.endpoint, HF_HUB_OFFLINE="1") as offline:
        cached = offline.call("hub.client.download", "org/fine", None)
        missed = offline.call("hub.client.download", "org/never", None)
        listed = offline.call("hub.listing.list_files", "org/fine", None)

    assert cached.value == fetched.value
    assert missed.error["id"] == listed.error["id"] == "OFFLINE-MISS"
    assert cached.connects == missed.connects == listed.connects == 0


def test_weights_may_stay_on_the_hub(online: Child, hub: StandinHub, model: Path) -> None:
    outcome = online.call("hub.client.download", "org/without", None, weights=False)
    offline = online.call("hub.client.download", "org/without", None, offline=True)

    assert files_in(Path(outcome.value[0])) == {"config.json", "tokenizer.json"}
    assert hub.bytes_sent("org/without") < (model / "model.safetensors").stat().st_size / 10
    assert offline.error["id"] == "OFFLINE-MISS"


def test_pickles_are_fetched_only_where_nothing_else_is(online: Child) -> None:
    outcome = online.call("hub.client.download", "org/pickled", None)
    offline = online.call("hub.client.download", "org/pickled", None, offline=True)

    assert files_in(Path(outcome.value[0])) == {"config.json", "pytorch_model.bin"}
    assert offline.value == outcome.value


def test_a_name_that_the_hub_forbids_is_a_usage_error(online: Child) -> None:
    for is_offline in (True, False):
        outcome = online.call("source.locate", "org/name.git", offline=is_offline)

        assert (outcome.error["id"], outcome.error["code"]) == ("SOURCE-ID", 2)
        assert outcome.connects == 0


@pytest.mark.parametrize("name", ["../x.json", "/x.json", "a/../../x", "a//b", "a\\b", "C:x", "\0"])
def test_a_name_that_leaves_the_repository_is_refused(
    online: Child, hub: StandinHub, tmp_path: Path, name: str
) -> None:
    hub.serve("org/escaping", tmp_path, extra_name=name)

    for function in ("hub.client.download", "hub.listing.list_files"):
        outcome = online.call(function, "org/escaping", None)

        assert (outcome.error["id"], outcome.error["code"]) == ("PATH-ESCAPE", 4)


@pytest.mark.parametrize(
    ("repository", "revision", "expected", "said"),
    [
        ("org/denied", None, "HUB-DENIED", "hf auth login"),
        ("org/absent", None, "HUB-NOT-FOUND", "no such repository"),
        ("org/fine", "v9", "HUB-NOT-FOUND", "no such revision"),
        ("org/foreign", None, "HUB-UNREACHABLE", "an answer in another format"),
    ],
)
def test_the_hubs_answer_decides_the_error(
    online: Child, repository: str, revision: str | None, expected: str, said: str
) -> None:
    for function in ("hub.client.download", "hub.listing.list_files"):
        error = online.call(function, repository, revision).error

        assert (error["kind"], error["id"], error["code"]) == ("NetworkError", expected, 7)
        assert said in f"{error['message']} {error['found']} {error['do']}"
        assert repository in error["at"]


def test_a_gated_repository_shows_its_list_and_keeps_its_files(online: Child) -> None:
    listed = online.call("hub.listing.list_files", "org/gated", None)
    fetched = online.call("hub.client.download", "org/gated", None)
    looked_into = online.call("hub.client.remote_checkpoint", "org/gated", None)

    assert listed.error == {}
    for outcome in (fetched, looked_into):
        assert outcome.error["id"] == "HUB-DENIED"
        assert "accept the licence on the model page" in outcome.error["do"]


@pytest.mark.parametrize("repository", ["org/cut", "org/corrupt"])
def test_a_broken_download_leaves_no_half_file(
    online: Child, hub: StandinHub, home: Path, model: Path, repository: str
) -> None:
    outcome = online.call("hub.client.download", repository, None)

    weights = (model / "model.safetensors").read_bytes()
    cache = home / "hub" / f"models--{repository.replace('/', '--')}"
    assert outcome.error["id"] == "HUB-BROKEN-DOWNLOAD"
    assert not list((cache / "snapshots").rglob("model.safetensors"))
    for blob in (cache / "blobs").iterdir():
        assert blob.stat().st_size < len(weights) / 10
    hub.serve(repository, model)
    mended = online.call("hub.client.download", repository, None)
    assert (Path(mended.value[0]) / "model.safetensors").read_bytes() == weights


def test_nothing_is_written_outside_the_cache(online: Child, home: Path) -> None:
    online.call("hub.client.download", "org/fine", None)

    assert {path.name for path in home.iterdir()} <= {"hub", ".agent_harnesses.json"}


def test_a_hub_that_never_finishes_is_given_up(hub: StandinHub, tmp_path: Path) -> None:
    with child(tmp_path, hub.endpoint) as started:
        started.set("hub.listing.FIRST_ANSWER", 0.3)

        outcome = started.call("hub.client.download", "org/dripping", None)

    assert outcome.error["id"] == "HUB-UNREACHABLE"
    assert "silence" in outcome.error["found"]


def test_no_hub_at_all_is_unreachable(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = f"http://user:secret@127.0.0.1:{unused.getsockname()[1]}"

        with child(tmp_path, endpoint) as started:
            for revision in (None, "main", COMMIT):
                error = started.call("hub.client.download", "org/name", revision).error

                assert (error["id"], error["code"]) == ("HUB-UNREACHABLE", 7)
                assert "--offline" in error["do"]
                assert "secret" not in str(error)


def test_a_folder_that_hides_a_cached_repository_is_noted(online: Child, home: Path) -> None:
    online.call("hub.client.download", "org/fine", None)
    shutil.copytree(home / "hub", home / "org" / "fine", symlinks=True)

    try:
        outcome = online.call("source.locate", "org/fine")
        dotted = online.call("source.locate", "./org/fine")
    finally:
        shutil.rmtree(home / "org")

    assert "folder=PosixPath('org/fine')" in outcome.value
    assert "`hub:org/fine` names" in outcome.value
    assert "notes=()" in dotted.value
    assert outcome.connects == dotted.connects == 0


def test_a_pushed_folder_is_what_the_hub_then_holds(
    online: Child, hub: StandinHub, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"weights" * 1000)

    outcome = online.call("hub.client.push", str(tmp_path), "org/new", True)

    assert outcome.value == f"{hub.endpoint}/org/new"
    assert hub.repositories["org/new"].private
    assert hub.uploads["org/new"] == {
        "config.json": b"{}",
        "model.safetensors": b"weights" * 1000,
    }


def test_a_private_push_never_lands_in_a_public_repository(
    online: Child, hub: StandinHub, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text("{}")

    outcome = online.call("hub.client.push", str(tmp_path), "org/public", True)

    assert (outcome.error["id"], outcome.error["code"]) == ("HUB-PUBLIC", 4)
    assert "org/public" not in hub.uploads
