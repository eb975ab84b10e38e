"""How a process ends: signals, closed and full streams, plain terminals, crashes, and imports."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import badinputs as bad
import pytest
from command import SIGNALS

from compressor.ending import ends
from compressor.errors import InputError

ROOT = Path(__file__).parents[1]
CANARY = "hf_" + "c4n4ry" * 5

WITHOUT_TORCH = """
import sys
from compressor.cli import ended

def check(*words):
    code = ended(list(words))
    heavy = {"torch", "transformers", "huggingface_hub"} & sys.modules.keys()
    assert code == 0 and not heavy, (words, code, heavy)

check("--help")
check("inspect", "./model", "--scan")
check("prune", "./model", "--sparsity", "0.4", "--output", sys.argv[1])
check("prune", "./model", "--sparsity", "2:4", "--seed", "1", "--output", sys.argv[1] + "-nm")
check("diff", sys.argv[1], "./model")
check("verify", sys.argv[1])
check("recipe", "validate", "recipe.yaml")
"""


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    before = [(number, signal.getsignal(number)) for number in SIGNALS]
    yield
    for number, handler in before:
        signal.signal(number, handler)


def python(*words: str, **settings: Any) -> subprocess.CompletedProcess[str]:
    """A Python of its own that finds this checkout."""
    paths = [str(ROOT), str(ROOT / "kernels"), os.environ.get("PYTHONPATH", "")]
    buffered = {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": ""}
    environment = {**os.environ, **buffered, **settings.pop("env", {})}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **settings}
    return subprocess.run(  # type: ignore[no-any-return]  # streams hides the overload
        [sys.executable, *words], env=environment, text=True, timeout=120, check=False, **streams
    )


def raising(error: BaseException) -> Callable[[], int]:
    def call() -> int:
        raise error

    return call


@pytest.mark.parametrize("code", [0, 1, 5])
def test_a_command_ends_with_its_own_code(code: int) -> None:
    assert ends(lambda: code, is_json=False, is_debug=False) == code


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_and_cleans_up(
    number: signal.Signals, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    cleaned = []

    def command() -> int:
        try:
            os.kill(os.getpid(), number)
            signal.pause()
        finally:
            cleaned.append(True)
        return 0

    assert ends(command, is_json=False, is_debug=False) == code
    assert cleaned == [True]
    assert "compressor clean" in capsys.readouterr().err


def test_exhausted_memory_is_a_resource(capsys: pytest.CaptureFixture[str]) -> None:
    assert ends(raising(MemoryError()), is_json=False, is_debug=False) == 6
    assert capsys.readouterr().err.startswith("error[OOM]: ")


def test_an_unexpected_error_is_a_bug_with_a_crash_file(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", CANARY)

    code = ends(raising(KeyError(f"Bearer {CANARY}")), is_json=True, is_debug=False)

    error = capsys.readouterr().err
    content = json.loads(error)
    crash = Path(content["at"]).read_text()
    assert (code, content["id"], content["code"]) == (70, "INTERNAL", 70)
    assert "Traceback" in crash
    assert "Traceback" not in error
    assert "KeyError" in content["found"]
    assert CANARY not in error + crash


@pytest.mark.parametrize("is_debug", [True, False])
def test_a_traceback_is_shown_only_for_debugging(
    is_debug: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    error = InputError("CKPT-EMPTY", "a weight file is empty", do="fetch it again")

    assert ends(raising(error), is_json=False, is_debug=is_debug) == 3
    assert ("Traceback" in capsys.readouterr().err) is is_debug


@pytest.mark.parametrize("words", [["--version"], ["recipe", "schema"]])
def test_a_closed_stdout_ends_quietly(words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)

    found = python("-m", "compressor", *words, stdout=writing)

    os.close(writing)
    assert (found.returncode, found.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_stdout_is_a_resource() -> None:
    with Path("/dev/full").open("w") as full:
        found = python("-m", "compressor", "--version", stdout=full)

    assert found.returncode == 6
    assert found.stderr.startswith("error[DISK-FULL]: ")
    assert "Exception ignored" not in found.stderr


def test_a_terminal_without_unicode_gets_plain_characters() -> None:
    bad.write_model(Path("größe"))

    found = python(
        *("-m", "compressor", "prune", "größe", "--sparsity", "0.5"),
        env={"PYTHONIOENCODING": "ascii", "LC_ALL": "C"},
    )

    assert (found.returncode, found.stderr.count("Traceback")) == (0, 0)
    assert found.stdout.isascii()
    assert "kept dense" in found.stdout
    assert found.stdout.splitlines()[-1].endswith("gr\\xf6\\xdfe-sparsity-0.5")


def test_torch_free_commands_import_no_torch_and_hash_seeds_change_no_byte() -> None:
    bad.write_model(Path("model"))
    Path("recipe.yaml").write_text(
        "version: 1\nsource: ./model\nsteps:\n  - prune: {sparsity: 0.5}\n"
    )

    runs = [python("-c", WITHOUT_TORCH, f"./{seed}", env={"PYTHONHASHSEED": seed}) for seed in "12"]

    assert [(each.returncode, each.stderr.count("Error")) for each in runs] == [(0, 0), (0, 0)]
    for suffix in ("", "-nm"):
        first, second = (
            {path.name: path.read_bytes() for path in Path(f"{seed}{suffix}").iterdir()}
            for seed in "12"
        )
        trees = [json.loads(each.pop("compressor.json"))["tree"] for each in (first, second)]
        assert first == second
        assert trees[0] == trees[1]
