"""What a newcomer reads of a bench: the verdict first, numbers with intervals, safe names."""

from __future__ import annotations

from typing import Any

import pytest
from rich.text import Text

from compressor.report import Report
from compressor.view.evidence import headline
from compressor.view.parts import Part
from compressor.view.terminal import Terminal
from compressor.view.words import describe

HOSTILE = "[/x][red]\x1b[2J\u202e\\"
AS_SHOWN = "[/x][red]\\x1b[2J\\u202e\\"


def metric(model: str, value: float | None, **cells: Any) -> dict[str, Any]:
    """A row of the metrics, of an accuracy unless `cells` say otherwise."""
    return {
        "data": "topics",
        "task": "knn",
        "metric": "accuracy",
        "model": model,
        "value": value,
        "low": None if value is None else value - 0.02,
        "high": None if value is None else value + 0.03,
        "items": 1000,
        "better": "higher",
        "unit": "share",
        "point": 0.01,
        "headline": True,
        "definition": "share of the right ones",
        "note": "",
        "dense": None,
        "dense_value": None,
        "difference": None,
        "difference_low": None,
        "difference_high": None,
        "p": None,
        **cells,
    }


def compared(model: str, value: float, change: tuple[float, float, float], **cells: Any) -> Any:
    """A row that is compared with the dense model: by how much, and from where to where."""
    difference, low, high = change
    return metric(
        model,
        value,
        dense="dense",
        dense_value=value - difference,
        difference=difference,
        difference_low=low,
        difference_high=high,
        **cells,
    )


METRICS = [
    metric("dense", 0.84),
    compared("pruned", 0.83, (-0.01, -0.0225, 0.005), p=0.03125),
    metric("dense", 20.0, metric="perplexity", better="lower", unit="perplexity", point=1.0),
    compared(
        "pruned",
        21.5,
        (1.5, 1.25, 1.75),
        metric="perplexity",
        better="lower",
        unit="perplexity",
        point=1.0,
        items=40,
    ),
]


def latency(model: str, what: str, batch: int, milliseconds: float, **cells: Any) -> list[Any]:
    """A latency and the throughput that it is."""
    row = {
        "model": model,
        "what": what,
        "batch": batch,
        "unit": "ms",
        "median": milliseconds,
        "low": milliseconds - 1,
        "high": milliseconds + 2,
        "runs": 5,
        "ratio": None,
        "ratio_low": None,
        "ratio_high": None,
        **cells,
    }
    return [row, {**row, "unit": "items/s", "median": 1000 * batch / milliseconds}]


def prepared(model: str, value: str = "64 tokens") -> dict[str, Any]:
    return {
        "data": "topics",
        "model": model,
        "what": "length",
        "value": value,
        "origin": "config.json",
        "warning": "",
    }


def report(name: str = "pruned", summary: Any = None, **tables: Any) -> Report:
    """A bench of two models; what is named replaces a table or a part of the summary."""
    facts = {
        "verdict": "REGRESSION",
        "sentence": "topics/accuracy fell by 1 point, more than the allowed 0.5 points.",
        "speed": "",
        "dense": "dense",
        "anomalies": [],
        "device": "cpu",
        "processor": "a processor",
        "dtype": "float32",
        "threads": 2,
        "torch": "2.13",
        "transformers": "5.24",
        **(summary or {}),
    }
    models = [
        {"model": model, "role": role, "bytes": 2_500_000, "parameters": 25}
        for model, role in (("dense", "dense"), (name, "candidate"))
    ]
    drawn = {
        "models": models,
        "metrics": METRICS,
        "distances": [],
        "layers": [],
        "preparations": [],
        **tables,
    }
    return Report({"step": "bench"}, {"name": name}, facts, drawn)


def sentences(found: Report) -> list[str]:
    return [Text.from_markup(part).plain for part in describe(found) if isinstance(part, str)]


def table(found: Report, title: str) -> Part:
    (part,) = (each for each in describe(found) if isinstance(each, Part) and each.title == title)
    return part


def test_the_verdict_comes_before_every_number() -> None:
    parts = list(describe(report(summary={"anomalies": ["pruned on topics: it is broken"]})))

    assert sentences(report())[:2] == [
        "pruned against dense",
        "REGRESSION: topics/accuracy fell by 1 point, more than the allowed 0.5 points.",
    ]
    first = next(place for place, part in enumerate(parts) if isinstance(part, Part))
    assert parts[first - 1] == "anomaly: pruned on topics: it is broken"
    assert first == 3


def test_a_verdict_in_one_line_is_the_word_and_its_sentence() -> None:
    assert headline(report()).startswith("REGRESSION: topics/accuracy fell")
    alone = report(summary={"verdict": None, "sentence": "", "speed": "it is 2 times as fast."})
    assert headline(alone) == "it is 2 times as fast."
    assert headline(report(summary={"verdict": None, "sentence": ""})) == "measured"


def test_a_model_alone_is_against_nothing_and_has_no_verdict() -> None:
    alone = report("dense", {"verdict": None, "sentence": ""}, metrics=METRICS[:1])

    assert sentences(alone)[0] == "dense"
    assert table(alone, "accuracy").columns == ("metric", "model", "value", "interval", "items")
    assert not any(word in text for text in sentences(alone) for word in ("ACCEPT", "REGRESSION"))


def test_numbers_have_intervals_and_only_shares_change_in_points() -> None:
    dense, pruned, _, perplexity = table(report(), "accuracy").rows

    assert (dense["metric"], dense["value"], dense["interval"], dense["change"]) == (
        *("topics/accuracy ↑", "0.84", "0.82 to 0.87", "–"),
    )
    assert (pruned["change"], pruned["of change"]) == ("-1 pt", "-2.25 to +0.5 pt")
    assert pruned["p"] == "0.0312"
    assert perplexity["metric"] == "topics/perplexity ↓"
    assert (perplexity["change"], perplexity["of change"]) == ("+1.5", "+1.25 to +1.75")
    assert (perplexity["p"], perplexity["items"]) == ("–", 40)


def test_an_error_changes_in_its_own_unit() -> None:
    rows = [compared("pruned", 0.3, (0.01, 0.005, 0.02), unit="squared", point=None)]

    (row,) = table(report(metrics=rows), "accuracy").rows

    assert (row["change"], row["of change"]) == ("+0.01", "+0.005 to +0.02")


def test_what_is_not_judged_has_no_change() -> None:
    rows = [compared("pruned", 0.3, (0.1, 0.05, 0.2), better=None)]

    (row,) = table(report(metrics=rows), "accuracy").rows

    assert (row["metric"], row["change"], row["of change"]) == ("topics/accuracy", "–", "–")


def test_a_number_that_is_none_says_so_in_its_place() -> None:
    rows = [metric("pruned", None, note="not a finite number")]

    (row,) = table(report(metrics=rows), "accuracy").rows

    assert (row["value"], row["interval"]) == ("not a finite number", "–")


def test_every_definition_is_said_once_and_whole() -> None:
    said = "how it was asked, " * 25
    rows = [{**row, "definition": said} for row in METRICS]

    text = "\n".join(sentences(report(metrics=rows)))

    assert text.count(said.strip()) == 2
    assert "intervals: 95 %" in text


def test_a_latency_stands_beside_its_throughput_and_models_side_by_side() -> None:
    faster = {"ratio": 1.25, "ratio_low": 1.1, "ratio_high": 1.4}
    rows = [
        *latency("dense", "forward", 1, 10.0),
        *latency("dense", "forward", 8, 40.0),
        *latency("pruned", "forward", 1, 8.0, **faster),
        *latency("pruned", "forward", 8, 32.0),
    ]
    found = report(summary={"speed": "Nothing here can be faster."}, speed=rows)

    shown = table(found, "speed").rows

    assert [(row["batch"], row["model"]) for row in shown] == [
        *((1, "dense"), (1, "pruned"), (8, "dense"), (8, "pruned")),
    ]
    assert [row["throughput"] for row in shown] == [
        *("100 items/s", "125 items/s", "200 items/s", "250 items/s"),
    ]
    assert (shown[1]["median"], shown[1]["range"]) == ("8 ms", "7 to 10")
    assert [row["of dense"] for row in shown] == ["–", "1.25× (1.10 to 1.40)", "–", "–"]
    parts = list(describe(found))
    assert parts[parts.index(table(found, "speed")) - 1] == "Nothing here can be faster."


def test_the_layer_that_departs_most_is_named() -> None:
    cka = [1.0, None, 0.97, 0.4, 0.35]
    layers = [
        {"data": "topics", "model": "pruned", "layer": str(layer), "cka": value}
        for layer, value in enumerate(cka)
    ]

    text = sentences(report(layers=layers))

    assert (
        "hidden states depart most at layer 3 of pruned on topics: linear CKA 0.400, "
        "before it 0.970"
    ) in text
    assert not any("depart" in each for each in sentences(report(layers=layers[1:2])))


def test_a_preparation_is_said_once_unless_models_differ_in_it() -> None:
    same = table(
        report(preparations=[prepared("dense"), prepared("pruned")]), "how inputs were prepared"
    )
    apart = table(
        report(preparations=[prepared("dense"), prepared("pruned", "32 tokens")]),
        "how inputs were prepared",
    )

    assert [row["value"] for row in same.rows] == ["64 tokens"]
    assert "model" not in same.columns
    assert [(row["value"], row["model"]) for row in apart.rows] == [
        ("64 tokens", "dense"),
        ("32 tokens", "pruned"),
    ]
    assert "model" in apart.columns


def test_models_show_what_was_counted_of_them() -> None:
    assert table(report(), "models").columns == ("model", "role", "bytes", "parameters")
    rows = [{"model": "dense", "role": "dense", "bytes": 1, "parameters": 1, "peak_memory": 5}]
    assert table(report(models=rows), "models").columns[-1] == "peak_memory"


@pytest.mark.parametrize("columns", [None, "100"])
def test_hostile_names_are_shown_as_they_are(
    columns: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    rows = [compared(HOSTILE, 0.5, (0.0, 0.0, 0.0), data=HOSTILE, definition=HOSTILE)]
    summary = dict.fromkeys(("sentence", "speed", "device", "processor"), HOSTILE)
    layers = [{"data": HOSTILE, "model": HOSTILE, "layer": "0", "cka": 0.5}]
    found = report(
        HOSTILE,
        {**summary, "anomalies": [HOSTILE], "dense": f"{HOSTILE}2"},
        metrics=rows,
        distances=rows,
        layers=layers,
        speed=latency(HOSTILE, HOSTILE, 1, 2.0),
        preparations=[{**prepared(HOSTILE), "value": HOSTILE}],
    )

    Terminal(json=False, quiet=False, debug=False).show(found)

    shown = capsys.readouterr().out
    assert all(character.isprintable() for character in shown.replace("\n", ""))
    assert f"{AS_SHOWN} against {AS_SHOWN}2" in shown
    assert f"anomaly: {AS_SHOWN}" in shown
    assert f"REGRESSION: {AS_SHOWN}" in shown
    if columns is None:
        assert shown.count(AS_SHOWN) >= 12


def test_nothing_of_a_long_name_is_lost_where_the_terminal_is_narrow(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    name = "a-model-with-a-long-name-of-its-own-sparsity-0.5"

    rows = [compared(name, 0.84, (-0.01, -0.0225, 0.005), p=0.03)]
    Terminal(json=False, quiet=False, debug=False).show(report(name, metrics=rows))

    shown = capsys.readouterr().out
    head, _, *lines = shown[shown.index(" metric") :].splitlines()
    column = slice(head.index("model"), head.index("value"))
    assert "".join(line[column].strip() for line in lines[: lines.index(" " * 80)]) == name
    assert "…" not in shown


def test_a_gate_shows_its_numbers_and_the_verdict_last() -> None:
    row = {
        "id": "topics/accuracy[red]",
        "model": "pruned",
        "status": "fail",
        "value": 0.02,
        "low": 0.01,
        "high": 0.03,
        "limit": 0.01,
        "baseline": "dense",
        "reason": "it fell.",
    }
    summary = {"verdict": "REGRESSION", "sentence": "2 of 2 checks fail."}
    found = Report({"step": "gate"}, {"name": "x"}, summary, {"gates": [row, row]})

    part, reasons, verdict = describe(found)

    assert isinstance(part, Part)
    assert [each["interval"] for each in part.rows] == ["0.01 to 0.03"] * 2
    assert (
        Text.from_markup(str(reasons)).plain.splitlines() == ["topics/accuracy[red]: it fell."] * 2
    )
    assert Text.from_markup(str(verdict)).plain == "REGRESSION: 2 of 2 checks fail."
