"""`compressor gate`: whether what a bench measured is good enough, as an exit code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import ClassVar, Literal, final

from pydantic import Field, ValidationError

from compressor.errors import UsageError, listing, printable
from compressor.measure.judgement import gates, verdict
from compressor.measure.judgement.baseline import rebased
from compressor.measure.judgement.readback import (
    BenchTables,
    by_items,
    contradiction,
    read_back,
)
from compressor.report import Report, Value
from compressor.reports import reports_at, unreadable
from compressor.step import Check, RunOptions, Step
from compressor.tolerance import Drop, DropField, parse


@final
@dataclass(frozen=True)
class _Bench:
    """A report of bench that was read from a file."""

    report: Report
    tables: BenchTables

    @property
    def anomalies(self) -> list[str]:
        found = self.report.summary["anomalies"]
        return [str(each) for each in found] if isinstance(found, list) else []


@final
class Gate(Step):
    """Decide from a report of bench whether the models are good enough: exit code 0 or 1."""

    argument: ClassVar[str | None] = "REPORT"

    step: Literal["gate"] = "gate"
    against: str | None = Field(
        None,
        description="Another report: its model, on the same items, takes the place of the dense.",
    )
    max_drop: DropField | None = Field(
        None,
        description="What a score may lose: 1% of the dense score, or 1pt; default as the bench.",
    )
    metric: tuple[str, ...] = Field(
        (), description="Judge these only, each as DATA/METRIC; default every headline metric."
    )

    def job(self, model: str, options: RunOptions) -> Check:
        """The reports are read, and known to be comparable, before anything is computed."""
        if unnamed := [name for name in self.metric if "/" not in name.strip("/")]:
            raise UsageError(
                "GATE-METRIC",
                "a metric is named by its data set and its name",
                at="--metric",
                found=f"`{printable(unnamed[0])}`, expected DATA/METRIC such as `sts/spearman`",
                do="name one that the report has; compressor bench shows them",
            )
        read = _benches(Path(model))
        tables = [each.tables for each in read]
        _require_known(self.metric, tables)
        strange = [each for bench in read for each in bench.anomalies]
        if self.against is not None:
            other = _benches(Path(self.against))[-1]
            names = set(self.metric) or {
                row.name for each in tables for row in each.metrics if row.headline and row.better
            }
            tables = [rebased(each, other.tables, names) for each in tables]
            strange += other.anomalies
        max_drop = self.max_drop or _allowed(read[-1].report)
        wanted: list[gates.Gate] = [
            gates.Gate(metric=name, max_drop=max_drop) for name in self.metric
        ] or verdict.headline_gates(tables, max_drop)
        if not wanted and not strange:
            raise UsageError(
                "GATE-NOTHING",
                "there is nothing to judge: no model is compared with another one",
                at=model,
                found="no headline metric beside that of a dense model, expected at least one",
                do="name the report to compare with: --against REPORT",
            )
        source = read[-1].report.source
        return Check(lambda observe: self._look(source, wanted, tables, strange))

    def _look(
        self,
        source: Mapping[str, Value],
        wanted: Sequence[gates.Gate],
        tables: Sequence[BenchTables],
        strange: Sequence[str],
    ) -> Report:
        results = gates.judge(wanted, tables)
        answer = verdict.over(results, strange)
        counts = Counter(result.status for result in results)
        return Report(
            step=self.as_dict(),
            source=source,
            summary={
                "verdict": answer.word,
                "sentence": answer.sentence,
                "passed": counts["pass"],
                "failed": counts["fail"],
                "inconclusive": counts["inconclusive"],
            },
            tables={"gates": [asdict(result) for result in results]},
            status="ok" if answer.word == "ACCEPT" else "failed",
        )


def _require_known(names: Sequence[str], tables: Sequence[BenchTables]) -> None:
    """Refuse a metric that the report does not have: it is a typing error, and no measurement."""
    known = list(dict.fromkeys(name for each in tables for name in each.names()))
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, 1)
            raise UsageError(
                "GATE-METRIC",
                "the report has no such metric",
                at="--metric",
                found=f"`{printable(name)}`, expected one of: {listing(known, 20)}",
                do=f"did you mean `{near[0]}`?" if near else "name one that the report has",
            )


def _allowed(report: Report) -> Drop:
    """What the bench itself let a score lose; 1 % where its report does not say."""
    try:
        return parse(str(report.summary.get("max_drop", "1%")))
    except ValueError:
        return parse("1%")


def _benches(path: Path) -> list[_Bench]:
    """The report in a file or a folder, or those of bench that a run left, in their order."""
    return [_bench(file, report) for file, report in reports_at(path, "bench")]


def _bench(file: Path, report: Report) -> _Bench:
    if not isinstance(report.summary.get("anomalies"), list):
        raise unreadable(file, "no list of anomalies, expected one")
    try:
        tables = read_back(report.tables)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = "/".join(str(part) for part in first["loc"])
        raise unreadable(file, f"{error.title} {place}: {first['msg']}") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise unreadable(file, f"not the tables of a bench: {error}") from None
    if contrary := contradiction(tables):
        raise unreadable(file, f"numbers that its items contradict, {printable(contrary, 200)}")
    return _Bench(report, by_items(tables))
