"""What was measured, made readable: the verdict first, then each number with its interval."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from rich.markup import escape

from compressor.errors import printable
from compressor.report import Report
from compressor.view.parts import Described, Part, named

_WORDS: Final[Mapping[str, str]] = {
    "ACCEPT": "bold green",
    "REGRESSION": "bold red",
    "INCONCLUSIVE": "bold yellow",
    "ANOMALOUS": "bold red",
}

_SPEED: Final = ("what", "batch", "model", "median", "range", "throughput", "of dense")

_ALL: Final = "all"


def headline(report: Report) -> str:
    """The verdict, as plain text."""
    facts = report.summary
    said = f"{facts['verdict']}: {facts['sentence']}" if facts.get("verdict") else ""
    return said or str(facts.get("speed") or "measured")


def bench(report: Report) -> Described:
    """Verdict, accuracy, distance to dense, speed, and how inputs were prepared."""
    facts, tables = report.summary, report.tables
    is_compared = facts["dense"] not in (None, report.source["name"])
    yield named(report) + (f" against {_safe(facts['dense'])}" if is_compared else "")
    yield from _verdict(facts)
    for each in _listed(facts["anomalies"]):
        yield f"anomaly: {_safe(each, 600)}"
    if rows := tables["metrics"]:
        yield Part("accuracy", _columns(rows), _metrics(rows))
        yield "\n".join(_definitions(rows))
    if rows := tables["distances"]:
        yield Part(
            "distance to dense",
            ("data", "distance", "model", "value", "interval"),
            [
                {
                    **row,
                    "distance": row["metric"],
                    "value": _number(row["value"]),
                    "interval": _range(row),
                }
                for row in rows
            ],
        )
    if facts["dense"] and (broken := _most_broken(tables["layers"])):
        yield broken
    if rows := tables.get("speed", ()):
        if facts["speed"]:
            yield _safe(facts["speed"], 2000)
        yield Part("speed", _SPEED, _speed(rows))
    yield Part("models", _model_columns(tables["models"]), tables["models"])
    yield (
        f"{_safe(facts['device'])} ({_safe(facts['processor'])}), {facts['threads']} threads, "
        f"{_safe(facts['dtype'])}; torch "
        f"{_safe(facts['torch'])}, transformers {_safe(facts['transformers'])}"
    )
    if rows := _same_for_all(tables["preparations"]):
        is_same = all(row["model"] == _ALL for row in rows)
        columns = ("data", "what", "value", "origin", *(() if is_same else ("model",)))
        yield Part("how inputs were prepared", columns, rows)


def gate(report: Report) -> Described:
    """The verdict, then each gate."""
    yield from judged(report.tables["gates"], report.summary)


def judged(gates: Sequence[Mapping[str, Any]], verdict: Mapping[str, Any] | None) -> Described:
    """Each gate with its numbers, the reasons where there are several, and the verdict last."""
    if gates:
        columns = ("id", "model", "status", "value", "interval", "limit", "baseline")
        yield Part("gates", columns, [{**row, "interval": _range(row)} for row in gates])
    if len(gates) > 1:
        yield "\n".join(f"{_safe(row['id'])}: {_safe(row['reason'], 600)}" for row in gates)
    if verdict is not None:
        yield from _verdict(verdict)


def _verdict(facts: Mapping[str, Any]) -> Described:
    if word := str(facts.get("verdict") or facts.get("word") or ""):
        style = _WORDS.get(word, "bold")
        yield f"[{style}]{_safe(word)}[/{style}]: {_safe(facts['sentence'], 600)}"


def _metrics(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "metric": f"{row['data']}/{row['metric']}" + _arrow(row["better"]),
            "model": row["model"],
            "value": row["note"] or _number(row["value"]),
            "interval": _range(row),
            "change": _change(row, "difference") if row["better"] else "–",
            "of change": _change(row, "difference_low", "difference_high")
            if row["better"]
            else "–",
            "p": "–" if row.get("p") is None else f"{row['p']:.3g}",
            "items": row["items"],
        }
        for row in rows
    ]


def _columns(rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    compared = ("change", "of change") if any(row["dense"] for row in rows) else ()
    tested = ("p",) if any(row.get("p") is not None for row in rows) else ()
    return ("metric", "model", "value", "interval", *compared, *tested, "items")


def _definitions(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What each metric is, once: intervals and what arrows mean first."""
    found = {f"{row['data']}/{row['metric']}": row["definition"] for row in rows}
    return [
        "intervals: 95 %, over items; changes are paired, item by item; ↑ higher is better",
        *(f"{_safe(name)}: {_safe(said, 600)}" for name, said in found.items() if said),
    ]


def _speed(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row for each latency, with its throughput, models of one kind of work side by side."""
    each_second = {_work(row): row for row in rows if row["unit"].endswith("/s")}
    latencies = [row for row in rows if not row["unit"].endswith("/s")]
    order = list(dict.fromkeys((row["what"], row["batch"]) for row in latencies))
    latencies.sort(key=lambda row: order.index((row["what"], row["batch"])))
    found = []
    for row in latencies:
        pace = each_second.get(_work(row))
        found.append(
            {
                **row,
                "median": f"{row['median']:.4g} {row['unit']}",
                "range": f"{row['low']:.4g} to {row['high']:.4g}",
                "throughput": "–" if pace is None else f"{pace['median']:.4g} {pace['unit']}",
                "of dense": "–"
                if row["ratio"] is None
                else f"{row['ratio']:.2f}× ({row['ratio_low']:.2f} to {row['ratio_high']:.2f})",
            }
        )
    return found


def _work(row: Mapping[str, Any]) -> tuple[object, ...]:
    return row["model"], row["what"], row["batch"]


def _model_columns(rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    wanted = ("model", "role", "bytes", "parameters", "nonzero_parameters", "flops", "peak_memory")
    return tuple(name for name in wanted if any(name in row for row in rows))


def _same_for_all(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """A preparation that is the same for several models is said once, with their names."""
    models: dict[tuple[str, str, str, str], list[str]] = {}
    for row in rows:
        key = (row["data"], row["what"], row["value"], row["origin"])
        models.setdefault(key, []).append(row["model"])
    every = len({row["model"] for row in rows})
    return [
        {
            "data": data,
            "what": what,
            "value": value,
            "origin": origin,
            "model": _ALL if len(names) == every else ", ".join(names),
        }
        for (data, what, value, origin), names in models.items()
    ]


def _most_broken(rows: Sequence[Mapping[str, Any]]) -> str:
    """The layer at which a model departs most from the dense one, in words."""
    falls: list[tuple[float, str]] = []
    before: dict[tuple[str, str], float] = {}
    for row in rows:
        if row["cka"] is None:
            continue
        key = (row["data"], row["model"])
        fall = before.get(key, 1.0) - row["cka"]
        said = (
            f"hidden states depart most at layer {row['layer']} of {row['model']} on "
            f"{row['data']}: linear CKA {row['cka']:.3f}, before it {before.get(key, 1.0):.3f}"
        )
        falls.append((fall, said))
        before[key] = row["cka"]
    return _safe(max(falls)[1], 300) if falls else ""


def _arrow(better: str | None) -> str:
    return {"higher": " ↑", "lower": " ↓"}.get(better or "", "")


def _number(value: Any) -> str:
    return "–" if value is None else f"{value:.4g}"


def _range(row: Mapping[str, Any]) -> str:
    if row["low"] is None or row["high"] is None:
        return "–"
    return f"{row['low']:.4g} to {row['high']:.4g}"


def _change(row: Mapping[str, Any], *names: str) -> str:
    """A change in points where the metric is a share, else in its own unit."""
    values = [float(row[name]) for name in names if row.get(name) is not None]
    if len(values) < len(names):
        return "–"
    is_share = row["unit"] == "share"
    said = " to ".join(f"{100 * value if is_share else value:+.3g}" for value in values)
    return said + (" pt" if is_share else "")


def _listed(value: object) -> Iterable[object]:
    return value if isinstance(value, list | tuple) else ()


def _safe(value: object, limit: int = 200) -> str:
    return escape(printable(value, limit))
