"""How tensors are cut into blocks: by what the pattern needs, not by how wide a row is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from compressor.checkpoint.blocks import BLOCK_BYTES, Reader, extents
from compressor.checkpoint.read.reader import open_checkpoint
from compressor.model.targets import choose
from compressor.pruning.geometry import Geometry
from compressor.sparsity import parse
from compressor.steps.rewrites import Chosen, rewrites

NAME = "model.layers.0.fc.weight"


@pytest.mark.parametrize("pattern", ["0.5", "2:4", "8:16"])
@pytest.mark.parametrize("scope", ["layer", "global"])
def test_a_tensor_of_one_long_row_is_read_in_blocks_all_the_same(
    pattern: str, scope: str, tmp_path: Path
) -> None:
    weight = np.ones((1, 1 << 21), np.float16)
    save_file({NAME: weight}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text("{}")
    checkpoint = open_checkpoint(tmp_path)
    (target,) = choose(checkpoint, (), ())
    chosen = Chosen((target.shard.name, NAME), target.shard, target.tensor, target.geometry)

    prepare = rewrites([chosen], parse(pattern), "magnitude", scope, 0)[chosen.key]  # type: ignore[arg-type]
    with Reader(tmp_path, checkpoint.shards(), 1) as reader:
        grid = prepare(reader).grid

    assert target.geometry == Geometry(False, 1, 1 << 21, 1, 1 << 21)
    sizes = [each.stop - each.start for each in extents(target.shard, target.tensor, grid)]
    assert max(sizes) <= BLOCK_BYTES
    assert sum(sizes) == weight.nbytes
