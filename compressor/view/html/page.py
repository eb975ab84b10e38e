"""From reports to one HTML file that needs nothing else, and the pictures to lie beside it.

No script, no font, no request: what is shown stands in the file. Names come from strangers: every
text is made printable, and escaped by the template.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Final, final

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from compressor.errors import printable
from compressor.report import Report
from compressor.view import parts
from compressor.view.html import steps, sweep
from compressor.view.html.command import command_line
from compressor.view.html.section import Chapter, Section, name_of, verdict
from compressor.view.parts import Part
from compressor.view.plots.drawing import Drawing
from compressor.view.plots.palette import DARK, LIGHT
from compressor.view.words import HEADLINES

Chapters = Callable[[Report], Iterator[Chapter]]

_CHAPTERS: Final[Mapping[str, Chapters]] = {
    "bench": steps.bench,
    "prune": steps.prune,
    "run": steps.run,
    "sweep": sweep.chapters,
}
_LONGEST: Final = 4000
_NUMERIC: Final = re.compile(r"[–+\-−]?\d[\d.,e+\-]*( ?(%|[kMGT]?B|pt|s|ms))?|–|[+\-].* pt")
_REFERENCE: Final = re.compile(r'( id="| href="#|url\(#)')


@final
@dataclass(frozen=True)
class Page:
    """The file, and the PNG of each of its pictures by the name that follows that of the file."""

    html: str
    pictures: Mapping[str, bytes]


def page(reports: Sequence[Report]) -> Page:
    """One page of these reports, in their order."""
    sections = [section(report) for report in reports]
    folder = resources.files(__package__)
    environment = Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        finalize=_printable,
    )
    environment.tests.update(
        table=lambda block: isinstance(block, Part),
        drawing=lambda block: isinstance(block, Drawing),
    )
    environment.globals.update(rows=_rows, numeric=_numeric, body=_body)
    template = environment.from_string(folder.joinpath("page.html").read_text("utf-8"))
    style = _theme() + folder.joinpath("page.css").read_text("utf-8")
    html = template.render(sections=sections, style=_ours(style))
    return Page(html, dict(_pictures(sections)))


def section(report: Report) -> Section:
    """A report, its answer first."""
    word, sentence, tone = sweep.answer(report) if report.name == "sweep" else verdict(report)
    if not sentence and report.name in HEADLINES:
        sentence = HEADLINES[report.name](report)
    chapters = _CHAPTERS.get(report.name, steps.other)(report)
    return Section(
        title=f"{report.name} of {name_of(report)}",
        word=word,
        sentence=sentence,
        tone=tone,
        chapters=list(chapters),
        notes=[str(note) for note in report.notes],
        command=command_line(report),
    )


def _pictures(sections: Sequence[Section]) -> Iterator[tuple[str, bytes]]:
    """Each picture under its own name: of several curves, the second is `curve-2`."""
    seen: dict[str, int] = {}
    for each in sections:
        for chapter in each.chapters:
            for block in chapter.blocks:
                if isinstance(block, Drawing):
                    number = seen[block.name] = seen.get(block.name, 0) + 1
                    yield block.name if number == 1 else f"{block.name}-{number}", block.png


def _theme() -> str:
    """The palette as variables: light, dark where the reader's system is, light on paper."""
    light, dark = (
        ";".join(f"--{name}:{colour}" for name, colour in theme.items()) for theme in (LIGHT, DARK)
    )
    return (
        f":root{{color-scheme:light dark;{light}}}\n"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"
    )


def _printable(value: object) -> object:
    is_text = isinstance(value, str) and not isinstance(value, Markup)
    return printable(value, _LONGEST) if is_text else value


def _rows(part: Part) -> list[list[str]]:
    """The cells as they are shown."""
    return [[parts.text(column, row.get(column)) for column in part.columns] for row in part.rows]


def _numeric(rows: Sequence[Sequence[str]]) -> list[bool]:
    """Which columns hold numbers, and are set to the right."""
    return [all(map(_NUMERIC.fullmatch, column)) for column in zip(*rows, strict=True)]


def _body(drawing: Drawing, prefix: str) -> Markup:
    """The inside of a picture, its ids unlike those of every other picture of the page."""
    return _ours(_REFERENCE.sub(lambda match: match[1] + prefix, drawing.svg))


def _ours(text: str) -> Markup:
    """What we or matplotlib wrote, which has escaped the names in it."""
    return Markup(text)  # noqa: S704
