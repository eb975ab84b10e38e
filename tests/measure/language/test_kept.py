"""The same positions of every model are kept, in memory or on disk, whatever order they come in."""

from __future__ import annotations

import gc
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from compressor.errors import ResourceError
from compressor.measure.distance import kl
from compressor.measure.language import kept
from compressor.measure.language.kept import KEPT_BYTES, KEPT_POSITIONS, KeptLogits, kept_positions


@given(st.integers(1, 10**7), st.integers(1, 300_000))
def test_positions_are_distinct_spread_and_within_the_budget(count: int, width: int) -> None:
    found = kept_positions(count, width)

    assert found[0] == 0
    assert found[-1] < count
    assert len(found) == min(count, KEPT_POSITIONS, KEPT_BYTES // (4 * width))
    steps = np.diff(found)
    assert len(steps) == 0 or (steps.min() >= 1 and steps.max() - steps.min() <= 1)


@pytest.mark.parametrize("in_memory", [1 << 30, 0])
def test_rows_are_those_of_the_positions_and_know_their_sequence(
    monkeypatch: pytest.MonkeyPatch, in_memory: int
) -> None:
    monkeypatch.setattr(kept, "_IN_MEMORY", in_memory)
    monkeypatch.setattr(kept, "KEPT_POSITIONS", 7)
    counts = [4, 0, 1, 11, 3]
    every = torch.randn(sum(counts), 5, generator=torch.Generator().manual_seed(0))
    starts = np.concatenate(([0], np.cumsum(counts)))

    found = KeptLogits(counts)
    for number in (3, 0, 4, 1, 2):
        found.put(number, every[starts[number] : starts[number + 1]])

    positions = kept_positions(sum(counts), 5)
    assert len(positions) == 7
    assert np.array_equal(found.array, every.numpy()[positions])
    owners = [int(np.searchsorted(starts, at, side="right")) - 1 for at in positions]
    assert found.sequences.tolist() == owners


def test_a_file_on_disk_has_no_name_and_lives_as_long_as_its_array(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(kept, "_IN_MEMORY", 0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    rows = KeptLogits([3])
    rows.put(0, torch.arange(6.0).reshape(3, 2))

    array = rows.array
    del rows
    gc.collect()

    assert list(tmp_path.iterdir()) == []
    assert array.tolist() == [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]


def test_a_full_disk_is_an_error_and_no_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("there is no device that is always full")
    monkeypatch.setattr(kept, "_IN_MEMORY", 0)
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda buffering: full.open("r+b", buffering))

    with pytest.raises(ResourceError) as caught:
        KeptLogits([3]).put(0, torch.zeros(3, 2))

    assert caught.value.id == "DISK-FULL"


def test_a_token_that_a_model_excludes_has_no_part_in_a_divergence() -> None:
    rows = KeptLogits([1])
    rows.put(0, torch.tensor([[1.0, 2.0, -torch.inf]]))

    assert kl(rows.array, rows.array).tolist() == [0.0]
    assert kl(rows.array, rows.array + 1.0) == pytest.approx([0.0], abs=1e-12)


def test_what_is_no_number_stays_none() -> None:
    rows = KeptLogits([1])
    rows.put(0, torch.tensor([[1.0, torch.nan]]))

    assert np.isnan(rows.array[0, 1])
