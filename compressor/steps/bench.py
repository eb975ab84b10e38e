"""`compressor bench`: several models on the same items and the same machine, with a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import ClassVar, Literal, final

from pydantic import Field

from compressor.checkpoint.pipeline import Observer
from compressor.checkpoint.read.reader import Checkpoint
from compressor.checkpoint.source import Source
from compressor.data.spec import Spec, parse_spec
from compressor.errors import UsageError
from compressor.report import Report
from compressor.step import Check, DataStep, RunOptions, opened
from compressor.tolerance import DropField, parse


@final
class Bench(DataStep):
    """Measure speed and accuracy of models side by side, and say what the difference proves."""

    keeps_report: ClassVar[bool] = True

    step: Literal["bench"] = "bench"
    models: tuple[str, ...] = Field(
        (),
        description="More models, measured on the same items.",
        json_schema_extra={"model": True, "argument": True},
    )
    against: str | None = Field(
        None,
        description="The dense model that the others were made from; it stands first.",
        json_schema_extra={"model": True, "metavar": "DENSE"},
    )
    tasks: tuple[str, ...] = Field(
        (),
        description="Ask these only: perplexity, choice, sts, knn, …, or lm-eval:TASK.",
    )
    speed: bool = Field(True, description="Measure speed and memory too, in fresh processes.")
    rounds: int = Field(7, ge=1, le=1000, description="Turns of each model at speed; default 7.")
    stride: int | None = Field(
        None, ge=1, description="New tokens of a perplexity window; default the whole context."
    )
    bos: bool | None = Field(
        None, description="Begin each text with BOS; default what the tokenizer does by itself."
    )
    max_drop: DropField = Field(
        parse("1%"),
        description="What a score may lose: 1% of the dense score (the default), or 1pt.",
    )

    def job(self, model: str, options: RunOptions) -> Check:
        """Every model is found and its headers read before anything is computed."""
        if not self.data and not self.tasks and not self.speed:
            raise UsageError(
                "BENCH-NOTHING",
                "there is nothing to measure",
                at="--data, --tasks, --speed",
                found="no data, no tasks and no speed; expected one of them",
                do="give --data SPEC, or leave out --no-speed",
            )
        specs = [parse_spec(text) for text in self.data]
        wanted = [self.against] if self.against is not None else []
        wanted += [each for each in (model, *self.models) if each != self.against]
        found = [opened(each, options) for each in wanted]
        models = dict(zip(distinct_names([source for source, _ in found]), found, strict=True))
        has_dense = self.against is not None and len(models) > 1
        name = list(models)[1 if has_dense else 0]
        return Check(lambda observe: self._look(models, specs, options, observe), f"{name}-bench")

    def _look(
        self,
        models: Mapping[str, tuple[Source, Checkpoint]],
        specs: list[Spec],
        options: RunOptions,
        observe: Observer,
    ) -> Report:
        from compressor.measure.bench import Request, bench
        from compressor.measure.tasks.plan import Asking

        measured = bench(
            {name: checkpoint for name, (_, checkpoint) in models.items()},
            Request(
                data=specs,
                tasks=self.tasks,
                count=self.num_samples,
                max_length=self.max_length,
                batch_size=self.batch_size,
                seed=self.seed,
                device=self.device,
                dtype=self.dtype,
                offline=options.offline,
                speed=self.speed,
                rounds=self.rounds,
                asking=Asking(self.num_samples, self.stride, self.bos, self.seed, options.offline),
                max_drop=self.max_drop,
            ),
            observe,
            has_dense=self.against is not None,
        )
        name, (source, _) = list(models.items())[-1]
        found = dict.fromkeys(note for each, _ in models.values() for note in each.notes)
        return Report(
            step=self.as_dict(),
            source={"name": name, "id": source.id, "revision": source.revision},
            summary=measured.summary,
            tables=measured.tables,
            notes=[*found, *measured.notes],
        )


def distinct_names(sources: list[Source]) -> list[str]:
    """A name for each model: its own, with its folder's or its number where two are called so."""
    names = [source.name for source in sources]
    if len(set(names)) < len(names):
        names = [f"{source.folder.parent.name}/{source.name}" for source in sources]
    found: list[str] = []
    for name in names:
        taken = {*names, *found}
        numbered = (f"{name}#{number}" for number in count(1))
        is_alone = names.count(name) == 1
        found.append(name if is_alone else next(each for each in numbered if each not in taken))
    return found
