"""Pickled weights as safetensors: tensors only, read in a child process, and only when asked for.

Run as `python -m compressor.checkpoint.read.unpickle FILE TARGET` this module is that child. It
never unpickles anything but tensors and plain containers (`weights_only=True`), whatever the
environment says, and there is no second attempt without that.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from compressor.checkpoint.read.folder import Folder
from compressor.checkpoint.read.inventory import ROOT_BYTES, take_inventory
from compressor.checkpoint.read.pickles import pickled_weights
from compressor.errors import InputError, listing

PICKLES: Final = (".bin", ".pt", ".pth", ".th", ".ckpt")
_MAIN: Final = re.compile(r"(pytorch_model|diffusion_pytorch_model)(-\d{5}-of-\d{5})?\.bin")
_UNSAFE: Final = 3
_UNSUPPORTED: Final = re.compile(r"Unsupported (?:global|class|operand)[^\n]{0,100}")
_SAFE_ENVIRONMENT: Final = {"HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def converted(path: Path) -> Path:
    """The folder itself where it holds safetensors, else a copy whose pickles became safetensors.

    The copy is temporary and goes with this process. It is read under the rules of `Folder`: no
    link is followed, and companions are those that any output keeps.
    """
    if not path.is_dir():
        return path
    folder = Folder(path)
    names = _pickles(folder)
    if not names:
        return path
    base = Path(tempfile.mkdtemp(prefix="compressor-pickle-"))
    atexit.register(shutil.rmtree, base, ignore_errors=True)
    copy = base / "model"
    copy.mkdir()
    for name in take_inventory(folder, names)[0]:
        target = copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(folder.read(name, ROOT_BYTES))
    weight_map: dict[str, str] = {}
    for name in names:
        target = copy / _new_name(name, len(names))
        with folder.open(name):  # a link, a FIFO or a device is refused here
            _convert_in_child((path / name).resolve(), target)
        weight_map.update(dict.fromkeys(_tensor_names(target), target.name))
    if len(names) > 1:
        index = {"metadata": {}, "weight_map": weight_map}
        (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    return copy


def _pickles(folder: Folder) -> list[str]:
    """The pickled weights of a folder that has no others, in order; a single file of any name."""
    here = folder.names("")
    if any(name.endswith(".safetensors") for name in here):
        return []
    main = [name for name in here if _MAIN.fullmatch(name)]
    found = main or [name for name in pickled_weights(here) if name.endswith(PICKLES)]
    if len(found) > 1 and not main:
        raise InputError(
            "CKPT-AMBIGUOUS",
            "several pickled files could each be the weights",
            at=folder.name,
            found=f"{listing(found)}, expected one",
            do="keep one of them in the folder",
        )
    inner = pickled_weights(name for name in folder.sizes if "/" in name)
    if found and inner:
        raise InputError(
            "PICKLE-UNCONVERTED",
            "weights in a sub-folder are pickles, which are not converted there",
            at=folder.name,
            found=f"{listing(inner)}, expected *.safetensors",
            do="convert each sub-folder by itself, and put the results in their places",
        )
    return found


def _new_name(name: str, count: int) -> str:
    match = _MAIN.fullmatch(name)
    if match is None:
        return f"{Path(name).stem}.safetensors"
    if count == 1:
        return "model.safetensors"
    return f"model{match[2]}.safetensors"


def _convert_in_child(path: Path, target: Path) -> None:
    """Run this module on one file, from an empty folder: `python -m` imports from there first."""
    environment = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith("TORCH_") and "TOKEN" not in key
    }
    with tempfile.TemporaryDirectory(prefix="compressor-empty-") as empty:
        result = subprocess.run(
            [sys.executable, "-m", "compressor.checkpoint.read.unpickle", str(path), str(target)],
            env=environment | _SAFE_ENVIRONMENT,
            cwd=empty,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    if result.returncode == 0:
        return
    is_unsafe = result.returncode == _UNSAFE
    reason = result.stderr.strip().splitlines()[-1:] or [f"exit code {result.returncode}"]
    raise InputError(
        "PICKLE-UNSAFE" if is_unsafe else "CKPT-NOT-A-MODEL",
        "the pickle holds more than tensors, and is not read"
        if is_unsafe
        else "the pickled file cannot be read as weights",
        at=path.name,
        found=f"{listing(reason)}, expected a dictionary of tensors",
        do="get the checkpoint as safetensors from its publisher",
    )


def _tensor_names(path: Path) -> list[str]:
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        return [name for name in json.loads(file.read(size)) if name != "__metadata__"]


def _child(path: Path, target: Path) -> int:
    """Read tensors only, write safetensors; 3 where the pickle asks for more."""
    import pickle  # for the name of the refusal; nothing is loaded with it

    import torch
    from safetensors.torch import save_file

    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        what = _UNSUPPORTED.search(str(error))
        print(what[0] if what else str(error).splitlines()[0], file=sys.stderr)
        return _UNSAFE
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        print(f"{type(error).__name__}: {error}".splitlines()[0], file=sys.stderr)
        return 1
    tensors = _tensors(loaded)
    if not tensors:
        print("no dictionary of tensors", file=sys.stderr)
        return 1
    save_file(
        {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()},
        target,
        metadata={"format": "pt"},
    )
    return 0


def _tensors(loaded: Any) -> dict[str, Any]:
    """The state dict: the object itself, or what it holds under the usual key."""
    import torch

    for found in (loaded, loaded.get("state_dict") if isinstance(loaded, dict) else None):
        if (
            isinstance(found, dict)
            and found
            and all(
                isinstance(name, str) and isinstance(value, torch.Tensor)
                for name, value in found.items()
            )
        ):
            return found
    return {}


if __name__ == "__main__":
    sys.exit(_child(Path(sys.argv[1]), Path(sys.argv[2])))
