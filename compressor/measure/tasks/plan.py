"""Which questions are asked: every task that the models' kind and a data set's columns allow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, final

from compressor.data.dataset import Dataset
from compressor.data.spec import Unit
from compressor.errors import InputError, UsageError, listing, printable
from compressor.measure.evidence import Task
from compressor.measure.loaded import Kind
from compressor.measure.tasks import (
    choice,
    classification,
    forecasting,
    images,
    masked,
    neighbours,
    perplexity,
    similarity,
)
from compressor.measure.tasks.harness import Harness, harness

HARNESS: Final = "lm-eval:"
"""How a task of lm-eval begins."""

Make: TypeAlias = Callable[[Dataset, "Asking"], Task]


@final
@dataclass(frozen=True)
class Asking:
    """How the user wants to be asked; None where a task decides."""

    count: int | None = None
    stride: int | None = None
    bos: bool | None = None
    seed: int = 0
    is_offline: bool = False


@final
@dataclass(frozen=True)
class Offer:
    """A task of the catalogue: its name, what it fits, and how it is made."""

    kind: str
    fits: Callable[[Kind, Dataset], bool]
    make: Make


TASKS: Final[Sequence[Offer]] = (
    Offer("choice", choice.fits, lambda data, asking: choice.Choice(data)),
    Offer(
        "perplexity",
        perplexity.fits,
        lambda data, asking: perplexity.Perplexity(data, asking.stride, asking.bos),
    ),
    Offer("pseudo-perplexity", masked.fits, lambda data, asking: masked.PseudoPerplexity(data)),
    Offer("sts", similarity.fits, lambda data, asking: similarity.Similarity(data)),
    Offer("knn", neighbours.fits, lambda data, asking: neighbours.Neighbours(data)),
    Offer(
        "classification",
        classification.fits,
        lambda data, asking: classification.Classification(data),
    ),
    Offer("images", images.fits, lambda data, asking: images.ImageClassification(data)),
    Offer("forecast", forecasting.fits, lambda data, asking: forecasting.Forecast(data)),
)
"""The catalogue; of those that fit a data set, the first is its task."""


@final
@dataclass(frozen=True)
class Planned:
    """A task, and what its data are."""

    task: Task
    digest: str
    columns: str = ""
    notes: Sequence[str] = ()


_WANTED: Final[Mapping[Kind, str]] = {
    "causal-lm": "text, or query, choices and gold",
    "masked-lm": "text",
    "text-classification": "text and label",
    "embedding": "text, text2 and score, or text and label",
    "image-classification": "image and label",
    "forecasting": "numeric columns",
    "other": "a model of another kind: of this one only speed is measured",
}
"""The columns that a kind of model can be asked about."""


def unit_for(kind: Kind) -> Unit:
    """What one row of a text file is, where the user does not say."""
    return "document" if kind == "causal-lm" else "line"


def planned(
    kind: Kind, datasets: Sequence[Dataset], wanted: Sequence[str], asking: Asking
) -> list[Planned]:
    """The tasks for these data: of each data set the first that fits, or all that are wanted."""
    names = [name for name in wanted if not name.startswith(HARNESS)]
    known = [task.kind for task in TASKS]
    if strange := sorted(set(names) - set(known)):
        raise UsageError(
            "TASK",
            "there is no such task",
            at="--tasks",
            found=f"{listing(strange)}, expected one of: {listing(known, 20)}, lm-eval:TASK",
            do="correct the name, or leave --tasks out",
        )
    if names and not datasets:
        raise UsageError(
            "BENCH-NOTHING",
            "tasks are named, and no data that they could be asked about",
            at="--tasks",
            found=f"{listing(names)} without data, expected a data set for them",
            do="give --data SPEC, or leave --tasks out",
        )
    _require_unlike_names(datasets)
    found = []
    for dataset in datasets:
        fitting = [task for task in TASKS if task.fits(kind, dataset)]
        taken = [task for task in fitting if task.kind in names] if names else fitting[:1]
        if not taken:
            raise _unfit(kind, dataset, [task.kind for task in fitting])
        columns = ", ".join(f"{role}={column}" for role, column in dataset.roles.items())
        found += [
            Planned(task.make(dataset, asking), dataset.digest, columns, dataset.notes)
            for task in taken
        ]
    outside = [
        name.removeprefix(HARNESS) for name in dict.fromkeys(wanted) if name.startswith(HARNESS)
    ]
    if outside and kind != "causal-lm":
        raise UsageError(
            "TASK",
            "tasks of lm-eval are asked of causal language models",
            at="--tasks",
            found=f"a model of kind {kind}, expected causal-lm",
            do="leave the task out",
        )
    found += [
        Planned(
            harness(name, asking.count, seed=asking.seed, is_offline=asking.is_offline),
            name,
        )
        for name in outside
    ]
    _require_unlike_metrics([each.task for each in found])
    return found


def _require_unlike_names(datasets: Sequence[Dataset]) -> None:
    names = [dataset.name for dataset in datasets]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(
            "DATA-SPEC",
            "two data sets have the same name, so that no metric would name one of them",
            at="--data",
            found=f"{listing(twice)} twice, expected a name for each",
            do="name one of them: --data FILE:name=other",
        )


def _require_unlike_metrics(tasks: Sequence[Task]) -> None:
    """Each data set has one task: two of them have metrics of the same name, such as `rank-me`."""
    for task in tasks:
        kinds = [each.kind for each in tasks if each.data == task.data]
        if len(kinds) > 1:
            is_outside = Harness.kind in kinds
            raise UsageError(
                "DATA-SPEC",
                "two tasks have data of the same name, so that no metric would name one of them",
                at="--tasks",
                found=f"{listing(kinds)} of `{printable(task.data)}`, expected one task for a name",
                do="name the data set otherwise: --data FILE:name=other"
                if is_outside
                else f"ask them one at a time: --tasks {kinds[0]}",
            )


def _unfit(kind: Kind, dataset: Dataset, fitting: Sequence[str]) -> InputError:
    columns = ", ".join(f"{role}={column}" for role, column in dataset.roles.items()) or "none"
    asked = f"; what fits is {listing(fitting)}" if fitting else ""
    return InputError(
        "DATA-COLUMN",
        f"nothing can be asked of a model of kind {kind} with these columns",
        at=dataset.name,
        found=f"columns {columns}{asked}; expected {_WANTED[kind]}",
        do="name the columns, for example --data FILE:text=body,label=intent",
    )
