"""What a page is made of: a section for each report, the answer first, then its chapters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, final

from rich.text import Text

from compressor.errors import printable
from compressor.report import Report
from compressor.view.parts import Described, Part
from compressor.view.plots.drawing import Drawing
from compressor.view.words import describe

Tone: TypeAlias = Literal["good", "bad", "open", "plain"]
Block: TypeAlias = str | Part | Drawing

_TONES: Final[dict[str, Tone]] = {
    "ACCEPT": "good",
    "REGRESSION": "bad",
    "ANOMALOUS": "bad",
    "INCONCLUSIVE": "open",
}
_ENVIRONMENT: Final = (
    "device",
    "processor",
    "cores",
    "threads",
    "dtype",
    "compressor",
    "torch",
    "transformers",
)


@final
@dataclass(frozen=True)
class Chapter:
    """Blocks under a heading. A folded one is opened by who wants to see it."""

    title: str
    blocks: Sequence[Block]
    is_folded: bool = False


@final
@dataclass(frozen=True)
class Section:
    """One report: a big word and a sentence, the chapters, and how to make it again."""

    title: str
    word: str
    sentence: str
    tone: Tone
    chapters: Sequence[Chapter]
    notes: Sequence[str]
    command: str


def verdict(report: Report) -> tuple[str, str, Tone]:
    """The word, the sentence and the tone of a report that has a verdict, else of its status."""
    word = str(report.summary.get("verdict") or "")
    sentence = str(report.summary.get("sentence") or "")
    if word:
        return word, sentence, _TONES.get(word, "plain")
    return ("done", sentence, "plain") if report.status == "ok" else ("NO", sentence, "bad")


def told(report: Report) -> Iterator[Block]:
    """What the terminal shows of it, without the verdict, which stands above."""
    word, sentence, _ = verdict(report)
    above = f"{word}: {printable(sentence, 600)}"
    yield from (block for block in unmarked(describe(report)) if block != above)


def unmarked(described: Described) -> Iterator[Block]:
    """What was written for a terminal: lines without their markup, tables that have rows."""
    for part in described:
        if isinstance(part, str):
            yield from Text.from_markup(part).plain.splitlines()
        elif part.rows:
            yield part


def environment(report: Report) -> Iterator[Chapter]:
    """On what it was measured, where the report says so."""
    facts = report.summary
    rows = [{"what": name, "value": facts[name]} for name in _ENVIRONMENT if facts.get(name)]
    if rows:
        yield Chapter("Environment", [Part("", ("what", "value"), rows)])


def name_of(report: Report) -> str:
    """The model that a report is about."""
    return printable(report.source.get("name", ""), 80)
