"""Looking into a hub repository: its headers are fetched, its weights are not."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy
import pytest
from hub_child import Child, child
from safetensors import safe_open
from safetensors.numpy import save_file
from standin_hub import COMMIT, Fault, StandinHub, running

SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two shards of 8 MB each; the header of the second is larger than one first request."""
    folder = tmp_path_factory.mktemp("model")
    weight = numpy.ones((2000, 1000), numpy.float32)
    row = numpy.ones((1,), numpy.float32)
    many = {f"a_tensor_with_a_name_of_some_length.{number:05}": row for number in range(6000)}
    save_file({"weight": weight, "half": weight[:1].astype(numpy.float16)}, folder / SHARDS[0])
    save_file({"other": weight, **many}, folder / SHARDS[1])
    places = {"weight": SHARDS[0], "half": SHARDS[0], "other": SHARDS[1]}
    places |= dict.fromkeys(many, SHARDS[1])
    index = {"metadata": {}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text('{"model_type": "bert"}')
    (folder / "tokenizer.json").write_bytes(b"{" + b" " * 1_000_000 + b"}")
    (folder / "README.md").write_text("# Model")
    return folder


@pytest.fixture(scope="module")
def hub(model: Path) -> Iterator[StandinHub]:
    with running() as hub:
        faults: tuple[Fault, ...] = ("none", "no-ranges", "cut", "denied")
        for fault in faults:
            hub.serve(f"org/{fault}", model, fault)
        yield hub


@pytest.fixture(scope="module")
def online(hub: StandinHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    with child(tmp_path_factory.mktemp("home"), hub.endpoint) as started:
        yield started


def stored_tensors(folder: Path) -> list[list[object]]:
    """Every tensor as the safetensors library reads it."""
    found = []
    for name in SHARDS:
        size = (folder / name).stat().st_size
        with safe_open(folder / name, "numpy") as shard:
            for tensor in shard.keys():  # noqa: SIM118  a safe_open is not a mapping
                part = shard.get_slice(tensor)
                found.append(["", name, size, tensor, part.get_dtype(), part.get_shape()])
    return found


def test_headers_say_what_the_weights_are_and_no_weight_is_fetched(
    online: Child, hub: StandinHub, model: Path
) -> None:
    outcome = online.call("hub.client.remote_checkpoint", "org/none", "v1.0")

    described, commit = outcome.value
    headers = sum(int.from_bytes((model / name).read_bytes()[:8], "little") for name in SHARDS)
    index = (model / "model.safetensors.index.json").stat().st_size
    assert commit == COMMIT
    assert sorted(described) == sorted(stored_tensors(model))
    assert hub.bytes_sent("org/none") < headers + index + 3 * 2**19 + 20_000
    assert hub.bytes_sent("org/none") < sum((model / name).stat().st_size for name in SHARDS) / 4


def test_a_server_without_ranges_is_cut_off(online: Child, model: Path) -> None:
    outcome = online.call("hub.client.remote_checkpoint", "org/no-ranges", None)

    assert sorted(outcome.value[0]) == sorted(stored_tensors(model))


@pytest.mark.parametrize(
    ("repository", "expected"),
    [
        ("org/denied", "HUB-DENIED"),
        ("org/absent", "HUB-NOT-FOUND"),
        ("org/cut", "HUB-UNREACHABLE"),
    ],
)
def test_what_goes_wrong_on_the_way_is_a_network_error(
    online: Child, repository: str, expected: str
) -> None:
    outcome = online.call("hub.client.remote_checkpoint", repository, None)

    assert (outcome.error["id"], outcome.error["code"]) == (expected, 7)


def test_a_repository_without_weights_is_judged_by_the_reader(
    online: Child, hub: StandinHub, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text("{}")
    hub.serve("org/empty", tmp_path)

    outcome = online.call("hub.client.remote_checkpoint", "org/empty", None)

    assert (outcome.error["id"], outcome.error["code"]) == ("CKPT-NO-WEIGHTS", 3)


def test_nothing_stays_in_the_temporary_folder(hub: StandinHub, tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()

    with child(tmp_path, hub.endpoint, TMPDIR=str(temporary)) as started:
        started.call("hub.client.remote_checkpoint", "org/none", None)
        started.call("hub.client.remote_checkpoint", "org/cut", None)

    assert list(temporary.iterdir()) == []
