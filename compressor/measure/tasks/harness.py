"""Any task of lm-eval, by its extra: the harness asks, and its answers item by item are ours.

A task is named as lm-eval names it, or by the path of its YAML file. Such a file may name Python
functions beside it, which then run: it is code of the user's own.
"""

from __future__ import annotations

import importlib.util
import io
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, Final, final

import numpy as np
from blake3 import blake3

from compressor.data.hub import no_connection
from compressor.errors import InputError, UsageError, listing, printable
from compressor.measure.evidence import Answers, Better, Metric, Task, Unit
from compressor.measure.flips import flips
from compressor.measure.language.tokens import described, tokenizer
from compressor.measure.loaded import Loaded, Preparation, Preparations
from compressor.measure.statistics import Floats, Mean, Ratio, Statistic
from compressor.model.load import first_line, quiet

_SEED: Final = 1234
"""lm-eval's own for few-shot examples: other examples are other numbers."""
_ROLLING: Final = ("word_perplexity", "byte_perplexity", "bits_per_byte")
_SHARES: Final = ("exact_match", "em", "f1", "mcc")
_HEADLINES: Final = ("acc", "exact_match", "word_perplexity")


@final
@dataclass(frozen=True)
class Harness(Task):
    """A task of lm-eval, or a group of them, with each item's scores."""

    kind: ClassVar[str] = "lm-eval"

    name: str
    """As lm-eval names it, or the path of a YAML file."""
    chosen: Mapping[str, Sequence[int]] | None
    """The numbers of the items of each task that are asked; None: all of them."""
    said: str
    """Which items those are, and how many examples stand before each."""
    is_offline: bool
    manager: Any
    """lm-eval's catalogue of tasks."""
    items: Mapping[str, int]
    """How many items each task of the group has."""
    better: Mapping[str, Mapping[str, Better]]
    """Which way each metric of each task is better, where lm-eval says it."""

    @property
    def data(self) -> str:
        return Path(self.name).stem if _is_path(self.name) else self.name

    @property
    def count(self) -> int:
        return sum(self.items.values())

    def answers(self, model: Loaded) -> Answers:
        with _silent(), no_connection(self.is_offline):
            asked = _tasks(self.manager, self.name)
            answer: Any = import_module("lm_eval.models.huggingface").HFLM(
                pretrained=model.model,
                tokenizer=tokenizer(model.folder),
                batch_size=model.batch_size,
                max_length=model.max_length,
            )
            found: Any = import_module("lm_eval.evaluator").evaluate(
                answer, asked, samples=self.chosen, bootstrap_iters=0, log_samples=True
            )
        arrays: dict[str, Floats] = {}
        seen = blake3()
        for task, samples in sorted(found["samples"].items()):
            for each in samples:
                hashes = (each["doc_hash"], each["prompt_hash"], each["target_hash"])
                seen.update("\n".join([task, each["filter"], *hashes]).encode())
            arrays |= {f"{task}:{name}": values for name, values in _columns(samples)}
        model.observe(self.count)
        if not arrays:
            raise UsageError(
                "TASK-METRIC",
                "this task of lm-eval scores no item by itself, so that nothing can be paired",
                at=f"lm-eval:{self.name}",
                found="metrics of the whole set only; expected one such as acc",
                do="run it with lm-eval itself",
            )
        return Answers(
            str(seen.hexdigest()),
            arrays,
            definition=f"lm-eval {version('lm-eval')}, task {printable(self.name)}, {self.said}, "
            f"tokenizer {described(answer.tokenizer)}, context {answer.max_length}",
            preparations=[_prepared(answer.tokenizer)],
        )

    def preparations(self, model: Loaded) -> Preparations:
        return [_prepared(tokenizer(model.folder))]

    def metrics(self, answers: Answers) -> Iterator[Metric]:
        headlines = self._headlines(answers)
        for key, values in answers.arrays.items():
            task, metric, _ = key.rsplit(":", 2)
            yield Metric(
                self._named(key),
                _statistic(metric, values),
                _unit(metric),
                answers.definition,
                self.better[task].get(metric),
                is_headline=metric == headlines[task],
            )

    def distances(self, dense: Answers, other: Answers) -> Iterator[Metric]:
        for key, before in dense.arrays.items():
            after = other.arrays[key]
            known = np.stack([before, after])
            if np.isin(known[~np.isnan(known)], (0.0, 1.0)).all():
                yield replace(flips(before, after), name=f"{self._named(key)}-flips")

    def _headlines(self, answers: Answers) -> Mapping[str, str]:
        """The metric of each task that a verdict rests on; "" where none of them has a better."""
        measured: dict[str, list[str]] = {}
        for key in answers.arrays:
            task, metric, _ = key.rsplit(":", 2)
            measured.setdefault(task, []).append(metric)
        return {
            task: next(
                (
                    metric
                    for metric in (*_HEADLINES, *metrics)
                    if metric in metrics and metric in self.better[task]
                ),
                "",
            )
            for task, metrics in measured.items()
        }

    def _named(self, key: str) -> str:
        """The metric behind an array `task:metric:filter`, with no more than tells it apart."""
        task, metric, filtered = key.rsplit(":", 2)
        parts = [*([task] if len(self.items) > 1 else []), metric]
        return "-".join([*parts, *([filtered] if filtered != "none" else [])]).replace("_", "-")


def harness(
    name: str, count: int | None = None, *, seed: int = 0, is_offline: bool = False
) -> Harness:
    """The task that lm-eval knows by this name, or that is written in this file, with its data.

    Of each task in it all items, or `count` drawn by the seed.
    """
    if importlib.util.find_spec("lm_eval") is None:
        raise UsageError(
            "EXTRA-MISSING",
            "tasks of lm-eval are asked through lm-eval, which is not installed",
            at=f"lm-eval:{printable(name)}",
            found="no package lm_eval; expected version 0.4.12 or later",
            do='install it with: pip install "compressor[lm-eval]"',
        )
    with _silent(), no_connection(is_offline):
        manager = import_module("lm_eval.tasks").TaskManager(include_defaults=not _is_path(name))
        tasks = _tasks(manager, name)["tasks"]
        sizes = {task: len(each.eval_docs) for task, each in tasks.items()}
        better: dict[str, dict[str, Better]] = {
            task: {
                metric: "higher" if is_higher else "lower"
                for metric, is_higher in each.higher_is_better().items()
                if is_higher is not None
            }
            for task, each in tasks.items()
        }
        shots = sorted({int(each.get_config("num_fewshot")) for each in tasks.values()})
    said = f"{listing(shots)}-shot, "
    if count is None:
        return Harness(name, None, f"{said}all items", is_offline, manager, sizes, better)
    random = np.random.Generator(np.random.PCG64(seed))
    chosen: dict[str, list[int]] = {
        task: sorted(random.permutation(size)[:count].tolist()) for task, size in sizes.items()
    }
    said += f"{count} items of each task or all it has, drawn with seed {seed}"
    asked = {task: len(numbers) for task, numbers in chosen.items()}
    return Harness(name, chosen, said, is_offline, manager, asked, better)


def _prepared(own: Any) -> Preparation:
    return Preparation("tokenizer", described(own), "the checkpoint")


def _is_path(name: str) -> bool:
    return Path(name).suffix in (".yaml", ".yml")


def _tasks(manager: Any, name: str) -> Any:
    """The tasks of that name, with lm-eval's own defaults."""
    if not (Path(name).is_file() if _is_path(name) else name in manager.all_tasks):
        raise UsageError(
            "TASK-UNKNOWN",
            "lm-eval has no task of this name",
            at=f"lm-eval:{printable(name)}",
            found="neither a task, a group nor a file; expected one such as lm-eval:arc_easy",
            do="list them with: lm-eval ls tasks",
        )
    try:
        found = manager.load(name)
    except Exception as error:  # whatever a task's code and its data set make it raise
        raise InputError(
            "DATA-UNREADABLE",
            "the data of a task of lm-eval cannot be read",
            at=f"lm-eval:{printable(name)}",
            found=f"{first_line(error)}; expected its data set in the cache or on the hub",
            do="run it once with lm-eval itself, where there is a network",
        ) from error
    for task in found["tasks"].values():
        if task.get_config("num_fewshot") is None:
            task.set_config(key="num_fewshot", value=0)
        task.set_fewshot_seed(seed=_SEED)
    return found


def _columns(samples: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Floats]]:
    """The per-item values of each `metric:filter` of a task; some are of the whole set only."""
    for key in dict.fromkeys(each["filter"] for each in samples):
        chosen = [each for each in samples if each["filter"] == key]
        for metric in chosen[0]["metrics"]:
            values = [each[metric] for each in chosen]
            if metric in _ROLLING or all(isinstance(value, int | float) for value in values):
                yield f"{metric}:{key}", np.asarray(values, np.float64)


def _statistic(metric: str, values: Floats) -> Statistic:
    """The mean; of a rolling metric `(log-likelihood, weight)` what lm-eval makes of its sums."""
    if values.ndim == 1:
        return Mean(values)
    if metric == "bits_per_byte":
        return Ratio(-values[:, 0] / math.log(2), values[:, 1])
    return Ratio(-values[:, 0], values[:, 1], is_exponent=True)


def _unit(metric: str) -> Unit:
    """What a metric of this name counts; lm-eval does not say it."""
    if metric.endswith("perplexity"):
        return "perplexity"
    if metric == "bits_per_byte":
        return "bits"
    return "share" if metric.startswith("acc") or metric in _SHARES else "plain"


@contextmanager
def _silent() -> Iterator[None]:
    """No bars, tables and logs of lm-eval: what it found is said in the report."""
    logger = logging.getLogger("lm_eval")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with quiet(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
