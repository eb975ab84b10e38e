"""The page: the answer first, nothing fetched, headings in order, names that shape nothing."""

from __future__ import annotations

import html
import re
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest
from benchreports import bench_report, mean
from sweepreports import sweep_report

from compressor.report import Report
from compressor.view.html.page import Page, page
from compressor.view.html.sweep import answer

HOSTILE = "</script><img src=x onerror=alert(1)>\x1b[31m\u202e$\\frac{1}$&amp;\"'"
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Reader(HTMLParser):
    """Elements with their attributes and text; refuses tags that do not close what was opened."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[tuple[str, ...], str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((tuple(self.open), data))

    def text(self, tag: str) -> list[str]:
        return [said.strip() for path, said in self.texts if path and path[-1] == tag]

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


def benched(**fields: Any) -> Report:
    scores = {"sts/spearman": {"dense": mean([0.8, 0.9, 0.7]), "pruned": mean([0.7, 0.9, 0.6])}}
    report = bench_report(scores, **fields)
    environment = {"device": "cpu", "processor": "x86_64", "threads": 2, "dtype": "float32"}
    layers = [
        {"data": "sts", "model": "pruned", "layer": str(layer), "cka": 1 - layer / 20}
        for layer in range(4)
    ]
    speed = [
        {
            "model": model,
            "what": "forward",
            "batch": 1,
            "unit": "ms",
            "median": median,
            "low": median - 1,
            "high": median + 2,
            "runs": 5,
            "ratio": None if model == "dense" else 12.5 / median,
            "ratio_low": None if model == "dense" else 0.9,
            "ratio_high": None if model == "dense" else 1.1,
        }
        for model, median in (("dense", 12.5), ("pruned", 13.75))
    ]
    return Report(
        step={"step": "bench", "data": ["sts.csv"], "against": "org/dense"},
        source=report.source,
        summary={
            **report.summary,
            "verdict": "REGRESSION",
            "sentence": "sts/spearman fell by 6.7 points.",
            "speed": "pruned: as many bytes.",
            "torch": "2.11.0",
            "transformers": "5.1.0",
            **environment,
        },
        tables={
            **report.tables,
            "metrics": [{"unit": "share", **row} for row in report.tables["metrics"]],
            "layers": layers,
            "speed": speed,
            "preparations": [],
        },
    )


def pruned(name: str = "model", tensor: str = "layer.0.query") -> Report:
    return Report(
        step={"step": "prune", "sparsity": "0.5"},
        source={"name": name, "id": None, "revision": None},
        summary={
            "pattern": "0.5",
            "method": "magnitude",
            "scope": "global",
            "tensors_pruned": 1,
            "tensors_kept_dense": 1,
            "weights_pruned_over": 8,
            "parameters": 10,
            "coverage": 0.8,
            "zeros_requested": 4,
            "zeros": 4,
            "sparsity": 0.5,
        },
        tables={
            "tensors": [
                {
                    "name": tensor,
                    "role": "query",
                    "dtype": "F32",
                    "shape": [2, 4],
                    "weights": 8,
                    "reason": "",
                    "zeros": 4,
                },
                {
                    "name": "norm",
                    "role": "norm",
                    "dtype": "F32",
                    "shape": [2],
                    "weights": 2,
                    "reason": "a vector",
                },
            ]
        },
        notes=["a note"],
    )


REPORTS = {
    "sweep": [sweep_report()],
    "bench": [benched()],
    "prune": [pruned()],
    "several": [sweep_report(), sweep_report(models={"a": 0.8, "b": 0.7}), benched(), pruned()],
}


@cache
def made(name: str) -> Page:
    """Drawing takes a while: each page is made once."""
    return page(REPORTS[name])


@pytest.fixture(params=REPORTS)
def shown(request: pytest.FixtureRequest) -> tuple[list[Report], str]:
    return REPORTS[request.param], made(request.param).html


def test_elements_close_and_ids_are_unlike_and_found(shown: tuple[list[Report], str]) -> None:
    reader = read(shown[1])

    ids = [attributes["id"] for _, attributes in reader.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    wanted = set(re.findall(r'(?:href="#|url\(#)([^")]+)', shown[1]))
    wanted |= {
        name
        for _, attributes in reader.found
        for name in (attributes.get("aria-labelledby") or "").split()
    }
    assert wanted <= set(ids)


def test_nothing_is_fetched_and_nothing_runs(shown: tuple[list[Report], str]) -> None:
    reader = read(shown[1])

    assert not re.search(r"https?://", shown[1])
    assert reader.all("script") == []
    for tag, attributes in reader.found:
        assert not [name for name in attributes if name.startswith("on")], tag
        for name in ("src", "href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:")), (tag, attributes)
    assert "@import" not in shown[1]


def test_headings_are_nested_and_there_are_landmarks(shown: tuple[list[Report], str]) -> None:
    reader = read(shown[1])

    levels = [int(tag[1]) for tag, _ in reader.found if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert [len(reader.all(tag)) for tag in ("header", "main", "footer")] == [1, 1, 1]
    assert len(reader.all("nav")) == (len(shown[0]) > 1)
    assert reader.all("html")[0]["lang"] == "en"


def test_tables_have_scopes_and_captions_and_pictures_have_words(
    shown: tuple[list[Report], str],
) -> None:
    reader = read(shown[1])

    assert all(cell.get("scope") in ("col", "row") for cell in reader.all("th"))
    assert len(reader.all("caption")) == len(reader.all("table"))
    pictures = [each for each in reader.all("svg") if each.get("role") == "img"]
    assert len(pictures) == len(reader.all("svg")) == len(reader.all("figure"))
    assert len(reader.all("desc")) == len(pictures)
    assert all(len(said) > 20 for said in reader.text("desc"))


@pytest.mark.parametrize("name", ["sweep", "bench"])
def test_the_same_report_gives_the_same_bytes(name: str) -> None:
    assert page(REPORTS[name]) == made(name)


def test_the_answer_comes_before_everything_else() -> None:
    text = made("bench").html

    place = text.index("<strong>REGRESSION</strong> <span>sts/spearman fell by 6.7 points.</span>")
    assert place < text.index("<h3>")
    assert 'class="answer bad"' in text


def test_a_sweep_says_what_it_recommends_first() -> None:
    assert "<strong>sparsity 42 %</strong>" in made("sweep").html
    found = sweep_report()
    summary = {**found.summary, "recommended": None}
    assert answer(Report(found.step, found.source, summary))[0] == "no free sparsity"


def test_numbers_of_a_bench_are_those_of_the_report() -> None:
    text = made("bench").html

    for said in ("0.8 ", "0.7333", "12.5 ms", "13.75 ms (0.91× dense)", "12.75 to 15.75", "0.85"):
        assert said.strip() in text
    assert "<td>x86_64</td>" in text


def test_every_number_of_a_heat_map_stands_in_its_table() -> None:
    report = sweep_report()
    cells = {html.unescape(each) for each in read(made("sweep").html).text("td")}

    for row in report.tables["layers"]:
        if row["curve"] == "magnitude global":
            assert f"{row['cka']:.4g}" in cells
    for row in report.tables["density"]:
        if (row["curve"], row["pattern"]) == ("magnitude global", "0.4"):
            assert f"{100 * row['sparsity']:.2f} %" in cells


def test_a_prune_lists_every_tensor_with_its_share_or_its_reason() -> None:
    reader = read(made("prune").html)

    assert {"50.00 %", "a vector"} <= set(reader.text("td"))
    assert {"layer.0.query", "norm"} <= set(reader.text("th"))
    assert "a note" in reader.text("li")


@pytest.mark.parametrize(
    "reports",
    [
        [pruned(HOSTILE, f"layer.0.{HOSTILE}")],
        [sweep_report(models={HOSTILE: 0.8}, curves={HOSTILE: 0.4}, data=(HOSTILE,))],
        [sweep_report(models={HOSTILE: 0.8, "b": 0.7}, data=(HOSTILE,))],
        [bench_report({"d/m": {"dense": mean([1.0, 2.0]), HOSTILE: mean([1.0, 2.0])}})],
        [Report({"step": HOSTILE}, {"name": HOSTILE}, {HOSTILE: HOSTILE}, notes=[HOSTILE])],
    ],
    ids=["prune", "sweep", "models", "bench", "unknown"],
)
def test_a_hostile_name_is_text_and_nothing_else(reports: list[Report]) -> None:
    if reports[0].name == "bench":
        base = benched()
        summary = {**base.summary, "sentence": HOSTILE}
        metrics = [{**row, "model": HOSTILE} for row in base.tables["metrics"]]
        tables = {**base.tables, "metrics": metrics, "models": reports[0].tables["models"]}
        reports = [Report(base.step, reports[0].source, summary, tables)]

    found = page(reports)

    reader = read(found.html)
    assert reader.all("img") == reader.all("script") == []
    assert not set(found.html) & {"\x1b", "\u202e"}
    assert any("alert(1)" in said for _, said in reader.texts)
    assert all(re.fullmatch(r"[a-z]+(-\d+)?", name) for name in found.pictures)


def test_pictures_of_several_reports_have_names_of_their_own() -> None:
    pictures = made("several").pictures

    assert {"curve", "curve-2", "distances", "damage", "sparsity", "sparsity-2"} <= set(pictures)
    assert all(picture.startswith(b"\x89PNG") for picture in pictures.values())


def test_the_contents_link_to_every_report() -> None:
    text = made("several").html

    for number in range(1, 5):
        assert f'<a href="#section-{number}">' in text
        assert f'id="section-{number}"' in text
