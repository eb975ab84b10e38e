from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest
import tinyencoders
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

from compressor.errors import InputError, ResourceError
from compressor.measure.speed.measure import Speed, SpeedSettings, Subject, measure_speed
from compressor.stopping import Stopped

SETTINGS = SpeedSettings("cpu", "float32", (1, 2), rounds=2, length=8, new_tokens=3, threads=1)

BALLAST = 1 << 30


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama of two blocks whose embedding is its head."""
    folder = tmp_path_factory.mktemp("llama")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=32,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def pruned(llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, with half of its down projections zero."""
    folder = tmp_path_factory.mktemp("pruned")
    tensors = load_file(llama / "model.safetensors")
    for name, tensor in tensors.items():
        if "down_proj" in name:
            tensor.view(-1)[::2] = 0
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_bytes((llama / "config.json").read_bytes())
    return folder


@pytest.fixture(scope="module")
def measured(llama: Path, pruned: Path) -> Speed:
    """Both, timed in two rounds, by a process that is itself larger than they are."""
    subjects = [Subject("dense", llama, "causal-lm"), Subject("pruned", pruned, "causal-lm")]
    ballast = b"\1" * BALLAST
    found = measure_speed(subjects, SETTINGS)
    del ballast
    return found


def children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def test_a_language_model_has_a_row_for_each_thing_it_does(measured: Speed) -> None:
    rows = {(row["model"], row["what"], row["batch"], row["unit"]): row for row in measured.rows}

    timed = {("load", None, "s")} | {
        (what, batch, unit)
        for batch in (1, 2)
        for what, unit in (
            ("prefill", "ms"),
            ("prefill", "tokens/s"),
            ("decode", "ms/token"),
            ("decode", "tokens/s"),
        )
    }
    assert set(rows) == {(name, *each) for name in ("dense", "pruned") for each in timed}
    assert all(0 < row["low"] <= row["median"] <= row["high"] for row in rows.values())
    assert all(row["runs"] == 2 for row in rows.values())
    assert all((row["ratio"] is None) == (key[0] == "dense") for key, row in rows.items())


def test_models_take_turns_and_each_round_begins_with_another(measured: Speed) -> None:
    assert list(measured.turns) == ["dense", "pruned", "pruned", "dense"]


def test_parameters_are_counted_once_though_two_modules_share_them(
    measured: Speed, llama: Path, pruned: Path
) -> None:
    stored = load_file(llama / "model.safetensors")
    cut = load_file(pruned / "model.safetensors")

    assert measured.facts["dense"]["parameters"] == sum(each.numel() for each in stored.values())
    assert measured.facts["pruned"]["nonzero_parameters"] == sum(
        int((each != 0).sum()) for each in cut.values()
    )


def test_flops_are_those_of_the_matrix_products_of_one_text(measured: Speed) -> None:
    tokens, hidden, inner, vocabulary, heads_kv = 8, 32, 48, 64, 16
    projections = hidden * hidden * 2 + hidden * heads_kv * 2 + 3 * hidden * inner
    attention = 2 * tokens * hidden

    expected = 2 * tokens * (2 * (projections + attention) + hidden * vocabulary)

    assert measured.facts["dense"]["flops"] == expected
    assert measured.facts["pruned"]["flops"] == expected


def test_bytes_memory_and_load_time_are_told_for_each_model(measured: Speed, llama: Path) -> None:
    facts = measured.facts["dense"]

    assert facts["bytes_on_disk"] == (llama / "model.safetensors").stat().st_size
    assert facts["peak_memory"] > facts["bytes_on_disk"]
    assert facts["load_s"] > 0


def test_peak_memory_is_that_of_the_child_and_not_of_who_started_it(measured: Speed) -> None:
    assert max(facts["peak_memory"] for facts in measured.facts.values()) < BALLAST


def quick(rounds: int, **settings: Any) -> SpeedSettings:
    """Settings of the shortest measurement there is."""
    chosen = {"batch_sizes": (1,), "length": 4, "new_tokens": 1, "threads": 1, **settings}
    return SpeedSettings("cpu", "float32", rounds=rounds, **chosen)


def test_threads_are_as_asked_and_a_text_fits_the_places_of_the_model(
    measured: Speed, llama: Path
) -> None:
    settings = quick(1, length=500, new_tokens=20, threads=2)

    found = measure_speed([Subject("dense", llama, "causal-lm")], settings)

    assert (measured.environment["threads"], found.environment["threads"]) == (1, 2)
    assert "input_ids 1×16, then 16 new tokens" in found.notes[0]


def test_an_encoder_has_forwards_and_items(tmp_path: Path) -> None:
    tinyencoders.classifier(["no", "yes"]).save_pretrained(tmp_path)

    found = measure_speed([Subject("bert", tmp_path, "text-classification")], quick(1))

    whats = [(row["what"], row["batch"], row["unit"]) for row in found.rows]
    assert whats == [("load", None, "s"), ("forward", 1, "ms"), ("forward", 1, "items/s")]
    assert found.sentence == ""


@pytest.mark.parametrize(
    ("number", "kind", "id"),
    [(signal.SIGKILL, ResourceError, "OOM"), (signal.SIGBUS, InputError, "SOURCE-CHANGED")],
)
def test_the_death_of_a_child_is_told_as_what_caused_it(
    number: signal.Signals, kind: type[Exception], id: str, llama: Path
) -> None:
    def kill(done: int, total: int, name: str) -> None:
        if done == 1:
            os.kill(children()[0].pid, number)

    with pytest.raises(kind) as caught:
        measure_speed([Subject("dense", llama, "causal-lm")], quick(1), kill)

    assert caught.value.id == id  # type: ignore[attr-defined]
    assert children() == []


def test_what_the_child_refuses_is_its_own_error_told_here(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        measure_speed([Subject("gone", tmp_path, "causal-lm")], quick(1))

    assert caught.value.id == "CKPT-NO-WEIGHTS"
    assert children() == []


def test_a_signal_to_stop_leaves_no_child(llama: Path) -> None:
    def stop(done: int, total: int, name: str) -> None:
        if done == 1:
            raise Stopped(signal.SIGINT)

    with pytest.raises(Stopped):
        measure_speed([Subject("dense", llama, "causal-lm")], quick(1), stop)

    assert children() == []
