"""What a newcomer reads in a report: a sentence, then short tables, numbers with their unit."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

from rich.markup import escape

from compressor.errors import printable
from compressor.report import Report
from compressor.view import curves, evidence
from compressor.view.parts import Described, Part, amount, named, percent, text

SHOWN: Final = 20
"""Rows of a long table; the rest is counted, and stands in the JSON."""

UNEVEN: Final = 0.05
"""From this difference of shares on, the sparsest and the densest tensor are named."""


def describe(report: Report) -> Described:
    """A report as sentences (rich markup) and tables, the answer first."""
    yield from DESCRIBERS.get(report.name, _facts)(report)


def overview(reports: Sequence[Report], unchanged: Collection[int] = ()) -> Part:
    """One line for each step of a recipe; `unchanged` are the positions that were skipped."""
    rows = [
        {
            "step": report.name,
            "result": "NO"
            if report.status == "failed"
            else "unchanged"
            if position in unchanged
            else "ok",
            "what": HEADLINES[report.name](report) if report.name in HEADLINES else "",
        }
        for position, report in enumerate(reports)
    ]
    return Part("", ("step", "result", "what"), rows)


def _headline_prune(report: Report) -> str:
    facts = report.summary
    kind = f"{facts['pattern']}, {facts['method']}, scope {facts['scope']}"
    if "zeros" not in facts:
        return (
            f"would zero {facts['zeros_requested']:,} of {facts['weights_pruned_over']:,} "
            f"prunable weights ({kind})"
        )
    return (
        f"{facts['zeros']:,} zeros in {facts['weights_pruned_over']:,} prunable weights, "
        f"{percent(facts['sparsity'])} ({kind})"
    )


def _prune(report: Report) -> Described:
    facts = report.summary
    yield f"{named(report)}: {_headline_prune(report)}"
    yield (
        f"touched {percent(facts['coverage'])} of {facts['parameters']:,} parameters, "
        f"{facts['tensors_pruned']:,} of "
        f"{int(str(facts['tensors_pruned'])) + int(str(facts['tensors_kept_dense'])):,} tensors"
        + (
            f"; sparsity over all matrices {percent(facts['sparsity_of_all_matrices'])}"
            if "sparsity_of_all_matrices" in facts
            else ""
        )
    )
    dense: dict[tuple[str, str], dict[str, Any]] = {}
    for row in report.tables["tensors"]:
        if row["reason"]:
            group = dense.setdefault(
                (str(row["role"]), str(row["reason"])),
                {"role": row["role"], "tensors": 0, "weights": 0, "because": row["reason"]},
            )
            group["tensors"] += 1
            group["weights"] += row["weights"]
    rows = sorted(dense.values(), key=lambda row: -row["weights"])
    if rows:
        yield Part("kept dense", ("role", "tensors", "weights", "because"), rows[:SHOWN])
    yield from _spread(report)
    if "zeros" in facts:
        yield "The zeros are exact, in dense storage: same size and speed, loads anywhere."


def _spread(report: Report) -> Described:
    """The tensors that a prune took most and least from, where that differs."""
    shares = [
        (int(str(row["zeros"])) / max(1, int(str(row["weights"]))), str(row["name"]))
        for row in report.tables["tensors"]
        if "zeros" in row and not row["reason"]
    ]
    if shares and max(shares)[0] - min(shares)[0] > UNEVEN:
        least, most = (
            f"{percent(share)} of {escape(printable(name))}"
            for share, name in (min(shares), max(shares))
        )
        yield f"uneven over tensors: from {least} to {most}"


def _headline_inspect(report: Report) -> str:
    facts = report.summary
    return (
        f"{facts['parameters']:,} parameters in {facts['tensors']:,} tensors, {facts['dtypes']}, "
        f"{amount(float(str(facts['bytes'])))}; a prune would touch {percent(facts['coverage'])}"
    )


def _inspect(report: Report) -> Described:
    facts = report.summary
    kind = escape(printable(facts["model_type"]))
    yield f"{named(report)} ({kind}): {_headline_inspect(report)}"
    yield f"files {facts['files']} · ties: {escape(printable(facts['ties']))}" + (
        f" · present sparsity {percent(facts['sparsity'])} · obeys N:M: {facts['patterns']}"
        if "sparsity" in facts
        else " · zeros not counted (--scan reads the weights)"
    )
    columns = ("role", "tensors", "weights", "bytes", "dtypes", "shapes")
    families = report.tables["families"]
    shown = (*columns, "sparsity") if any("sparsity" in row for row in families) else columns
    rows = [
        {**row, "a prune": "stays dense: " + str(row["reason"]) if row["reason"] else "prunes"}
        for row in families
    ]
    yield Part("families of tensors", (*shown, "a prune"), rows)
    if "tensors" in report.tables:
        rows = [{**row, "a prune": row["reason"] or "prunes"} for row in report.tables["tensors"]]
        extra = ("sparsity", "patterns") if any("patterns" in row for row in rows) else ()
        yield Part("tensors", ("name", "role", "layout", "dtype", "shape", *extra, "a prune"), rows)
    if "advice" in report.tables:
        columns = ("option", "zeros", "share_of_parameters", "bytes", "does_not_fit", "speed")
        yield Part("what each option would do", columns, report.tables["advice"])


def _headline_verify(report: Report) -> str:
    facts = report.summary
    return ", ".join(f"{value:,} {key}" for key, value in facts.items() if isinstance(value, int))


def _verify(report: Report) -> Described:
    is_attested = report.summary["origin"] != "unknown"
    good = "verified" if is_attested else "consistent, origin unknown (no manifest)"
    verdict = good if report.status == "ok" else "NOT VERIFIED"
    yield f"{named(report)}: {verdict} ({_headline_verify(report)})"
    rows = report.tables["checks"]
    yield Part("", ("level", "check", "status", "id", "at", "detail"), rows)


def _headline_diff(report: Report) -> str:
    facts = report.summary
    shared = int(str(facts["changed"])) + int(str(facts["byte_equal"]))
    if not shared:
        return f"no tensor in common, {facts['tensors']:,} names in all"
    apart = int(str(facts["only_in_one"])) + int(str(facts["other_shape_or_dtype"]))
    also = f", {apart:,} not comparable" if apart else ""
    return (
        f"{facts['changed']:,} of {facts['tensors']:,} tensors changed, {facts['byte_equal']:,} "
        f"byte-equal{also}; {facts['zeros_gained']:,} zeros gained, {facts['zeros_lost']:,} lost; "
        f"relative error {text('', facts['relative_error'])}"
    )


def _diff(report: Report) -> Described:
    against = escape(printable(report.summary["against"]))
    yield f"{named(report)} against {against}: {_headline_diff(report)}"
    rows = report.tables["tensors"]
    columns = ("name", "change", "changed_share", "zeros_gained", "zeros_lost", "relative_error")
    if rows:
        yield Part("", columns, rows[:SHOWN])
    if len(rows) > SHOWN:
        yield f"and {len(rows) - SHOWN} more tensors (--json shows all)"


def _clean(report: Report) -> Described:
    rows = report.tables["leftovers"]
    if rows:
        yield Part("", ("folder", "bytes", "action"), rows)
    yield f"{report.summary['leftovers']} leftovers, {amount(float(str(report.summary['bytes'])))}"


def _plan(report: Report) -> Described:
    yield f"{named(report)}: {report.summary['steps']} steps, into {report.summary['folder']}"
    rows = [
        {**row, "fields": ", ".join(f"{key}={value}" for key, value in fields.items())}
        for row in report.tables["plan"]
        if isinstance(fields := row["fields"], Mapping)
    ]
    yield Part("", ("step", "fields", "folder"), rows)


def _facts(report: Report) -> Described:
    rows = [
        {"": key.replace("_", " "), " ": text(key, value)} for key, value in report.summary.items()
    ]
    yield Part("", ("", " "), rows)
    for title, table in report.tables.items():
        if table:
            yield Part(title, tuple(table[0]), table)


DESCRIBERS: Final[dict[str, Callable[[Report], Described]]] = {
    "bench": evidence.bench,
    "clean": _clean,
    "diff": _diff,
    "gate": evidence.gate,
    "inspect": _inspect,
    "prune": _prune,
    "run": _plan,
    "sweep": curves.sweep,
    "verify": _verify,
}

HEADLINES: Final[dict[str, Callable[[Report], str]]] = {
    "bench": evidence.headline,
    "diff": _headline_diff,
    "gate": evidence.headline,
    "inspect": _headline_inspect,
    "prune": _headline_prune,
    "sweep": curves.headline,
    "verify": _headline_verify,
}
