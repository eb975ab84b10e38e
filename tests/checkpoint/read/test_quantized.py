"""Codes are refused (test_badinputs_files); ordinary integers are not taken for codes."""

from __future__ import annotations

from pathlib import Path

import badinputs as bad
import numpy as np
import pytest
from badinputs import llama

from compressor.checkpoint.read.reader import open_checkpoint


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("bert.embeddings.position_ids", "int64"),
        ("bn1.num_batches_tracked", "int64"),
        ("h.0.attn.bias", "bool"),
        ("h.0.attn.bias", "uint8"),
        ("h.0.attn.masked_bias", "uint8"),
        ("logit_scale", "float32"),
        ("norm.scales", "float32"),
    ],
)
def test_integers_and_masks_of_ordinary_models_are_not_taken_for_codes(
    tmp_path: Path, name: str, dtype: str
) -> None:
    folder = bad.write_model(tmp_path / "model", llama() | {name: np.ones((2, 2), dtype)})

    assert len(list(open_checkpoint(folder).components[0].tensors())) == len(llama()) + 1
