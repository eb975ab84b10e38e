"""How near to disk speed, and in how much memory: `prune` against a floor and against its peers.

The floor reads, hashes, writes, fsyncs, re-reads and hashes the same bytes in one plain loop: what
any tool must do that proves what it wrote. Everything runs as a process of its own, interleaved.

    python benchmarks/stream.py --folder /scratch   # 2 cores, 12 GB of disk: about 40 minutes
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

from timing import interleave, machine, markdown, settle, summary

RESULTS = Path(__file__).parent / "results"
COMPRESSOR = [sys.executable, "-m", "compressor"]

FLOOR = """
import os, pathlib, sys
from blake3 import blake3
source, target = map(pathlib.Path, sys.argv[1:])
target.mkdir()
buffer = memoryview(bytearray(4 << 20))
for path in sorted(source.iterdir()):
    read, again = blake3(), blake3()
    with path.open("rb", buffering=0) as file, (target / path.name).open("wb", buffering=0) as out:
        while count := file.readinto(buffer):
            read.update(buffer[:count])
            out.write(buffer[:count])
        os.fsync(out.fileno())
    with (target / path.name).open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            again.update(buffer[:count])
    assert read.digest() == again.digest()
"""

KTHVALUE = """
import sys, torch
from transformers import AutoModelForCausalLM
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype="auto")
for name, module in model.model.layers.named_modules():
    if isinstance(module, torch.nn.Linear):
        weight = module.weight.data
        size = weight.abs().flatten()
        weight[weight.abs() <= size.kthvalue(size.numel() // 2).values] = 0
model.save_pretrained(sys.argv[2])
"""

GLOBAL_UNSTRUCTURED = """
import sys, torch
from torch.nn.utils import prune
from transformers import AutoModelForCausalLM
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype="auto")
chosen = [(m, "weight") for m in model.model.layers.modules() if isinstance(m, torch.nn.Linear)]
prune.global_unstructured(chosen, prune.L1Unstructured, amount=0.5)
for module, name in chosen:
    prune.remove(module, name)
model.save_pretrained(sys.argv[2])
"""


PEERS = (
    ("transformers + kthvalue per layer", KTHVALUE, "layer", 22),
    ("torch.nn.utils.prune.global_unstructured", GLOBAL_UNSTRUCTURED, "global", 10),
)
"""What users do today: the script, the scope it prunes by, and how many layers memory allows it."""


def generate(folder: Path, layers: int, hidden: int, inner: int, dtype: str) -> None:
    """A Llama of random weights, written shard by shard of one file."""
    import torch
    from safetensors.torch import save_file

    generator = torch.Generator().manual_seed(0)
    kind = getattr(torch, dtype)

    def weight(*shape: int) -> torch.Tensor:
        return (torch.randn(shape, generator=generator) * 0.02).to(kind)

    tensors = {
        "model.embed_tokens.weight": weight(8192, hidden),
        "model.norm.weight": weight(hidden),
    }
    for layer in range(layers):
        name = f"model.layers.{layer}"
        for part in "qkvo":
            tensors[f"{name}.self_attn.{part}_proj.weight"] = weight(hidden, hidden)
        tensors[f"{name}.mlp.gate_proj.weight"] = weight(inner, hidden)
        tensors[f"{name}.mlp.up_proj.weight"] = weight(inner, hidden)
        tensors[f"{name}.mlp.down_proj.weight"] = weight(hidden, inner)
        tensors[f"{name}.input_layernorm.weight"] = weight(hidden)
        tensors[f"{name}.post_attention_layernorm.weight"] = weight(hidden)
    folder.mkdir(parents=True)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": hidden // 64,
        "num_key_value_heads": hidden // 64,
        "vocab_size": 8192,
        "tie_word_embeddings": True,
        "dtype": dtype,
    }
    (folder / "config.json").write_text(json.dumps(config))


def one_matrix(folder: Path, megabytes: int) -> None:
    """A checkpoint whose only block weight is one matrix of this size, bf16."""
    import numpy as np
    from safetensors.numpy import save_file

    rows = megabytes * 1_000_000 // (2 * 8192)
    bits = np.random.default_rng(0).integers(0, 0x3F80, (rows, 8192), dtype=np.uint16)
    folder.mkdir(parents=True)
    save_file(
        {"model.layers.0.mlp.up_proj.weight": bits.view(np.float16)}, folder / "model.safetensors"
    )
    (folder / "config.json").write_text("{}")


def apart(make: Callable[..., None], *arguments: object) -> None:
    """Run `make` in a process of its own: a child's peak memory starts at its parent's."""
    process = get_context("spawn").Process(target=make, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == 0


def prune(source: Path, target: Path, *options: str) -> list[str]:
    """The command under test."""
    return [*COMPRESSOR, "prune", str(source), "-o", str(target), "--quiet", *options]


def main() -> None:
    """Generate, run, print and write `results/stream.{json,md}`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--folder", type=Path, required=True, help="scratch folder on the disk to measure"
    )
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--peer-runs", type=int, default=3)
    parser.add_argument("--only", choices=["bf16", "fp32", "fp64", "peers", "memory"], nargs="*")
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    wanted = set(arguments.only or ["bf16", "fp32", "fp64", "peers", "memory"])
    out, tables = folder / "out", {}
    before = machine()
    modes = {
        "prune 2:4": ["--sparsity", "2:4"],
        "prune 8:16": ["--sparsity", "8:16"],
        "prune 0.5, layer": ["--sparsity", "0.5", "--scope", "layer"],
        "prune 0.5, row": ["--sparsity", "0.5", "--scope", "row"],
        "prune 0.5, global": ["--sparsity", "0.5", "--scope", "global"],
    }
    for label, dtype, layers in (
        ("bf16", "bfloat16", 22),
        ("fp32", "float32", 11),
        ("fp64", "float64", 6),
    ):
        if label not in wanted:
            continue
        source = folder / label
        apart(generate, source, layers, 2048, 5632, dtype)
        size = (source / "model.safetensors").stat().st_size
        contestants = {
            "floor": [sys.executable, "-c", FLOOR, str(source), str(out)],
            "cp -r and sync": ["sh", "-c", f"cp -r {source} {out} && sync {out}/*"],
            **{name: prune(source, out, *options) for name, options in modes.items()},
        }
        samples = interleave(contestants, arguments.runs, lambda: settle([out]))
        title = f"{label}, {size / 1e9:.2f} GB, one file"
        tables[title] = [summary(name, each, samples["floor"]) for name, each in samples.items()]
        settle([source, out])
    for peer, script, scope, layers in PEERS if "peers" in wanted else ():
        source = folder / "peers"
        apart(generate, source, layers, 2048, 5632, "bfloat16")
        ours = f"prune 0.5, {scope}"
        contestants = {
            ours: prune(source, out, *modes[ours]),
            peer: [sys.executable, "-c", script, str(source), str(out)],
        }
        samples = interleave(contestants, arguments.peer_runs, lambda: settle([out]))
        size = (source / "model.safetensors").stat().st_size
        title = f"{peer}, bf16, {size / 1e9:.2f} GB: over our own run of the same scope"
        tables[title] = [summary(name, each, samples[ours]) for name, each in samples.items()]
        settle([source, out])
    if "memory" in wanted:
        source = folder / "matrix"
        apart(one_matrix, source, 500)
        contestants = {name: prune(source, out, *options) for name, options in modes.items()}
        samples = interleave(contestants, 1, lambda: settle([out]))
        first = next(iter(samples.values()))
        tables["one matrix of 500 MB"] = [summary(n, each, first) for n, each in samples.items()]
        settle([source, out])
    RESULTS.mkdir(exist_ok=True)
    written = RESULTS / "stream.json"
    if arguments.only and written.exists():
        tables = {**json.loads(written.read_text())["tables"], **tables}
    document = {"machine": before, "tables": tables}
    (RESULTS / "stream.json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    text = "# `benchmarks/stream.py`\n\n" + " · ".join(f"{k} {v}" for k, v in before.items()) + "\n"
    text += "".join(f"\n## {title}\n\n{markdown(rows)}" for title, rows in tables.items())
    (RESULTS / "stream.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
