"""`RUN/junit.xml`: a run as a test report; steps, what they promise, and gates are its test cases.

A failure is a measured no, an error is everything with exit code 2 or more. Without either, and
only then, the run exits with 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, final
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from compressor.errors import printable
from compressor.recipe.record import Error, GateRecord, RunRecord, StepRecord

JUNIT_FILE: Final = "junit.xml"
_DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>'
_LONGEST: Final = 2000


@final
@dataclass(frozen=True)
class _Case:
    """One test case; `answer` is None where it passed."""

    group: Literal["start", "steps", "integrity", "gates"]
    name: str
    answer: Literal["failure", "error", "skipped"] | None = None
    kind: str = ""
    message: str = ""
    seconds: float = 0.0


def junit(record: RunRecord, planned: Sequence[str]) -> bytes:
    """The test report of a run whose recipe has the steps `planned`."""
    cases = list(_cases(record, planned))
    counts = Counter(case.answer for case in cases)
    suite = Element(
        "testsuite",
        name=f"recipe {printable(record.recipe)}",
        tests=str(len(cases)),
        failures=str(counts["failure"]),
        errors=str(counts["error"]),
        skipped=str(counts["skipped"]),
        time=f"{record.seconds or 0:.3f}",
        timestamp=record.started,
    )
    for case in cases:
        element = SubElement(
            suite,
            "testcase",
            classname=case.group,
            name=printable(case.name, 300),
            time=f"{case.seconds:.3f}",
        )
        if case.answer is not None:
            answer = SubElement(element, case.answer, message=printable(case.message, _LONGEST))
            answer.text = answer.get("message")
            if case.answer != "skipped":
                answer.set("type", printable(case.kind))
    indent(suite)
    return f"{_DECLARATION}\n{tostring(suite, 'unicode')}\n".encode()


def said(error: Error) -> str:
    """An error as one line: what, where, what was found, and what to do."""
    parts = (error["message"], error["at"], error["found"], error["do"])
    return "; ".join(str(part) for part in parts if part)


def _cases(record: RunRecord, planned: Sequence[str]) -> Iterator[_Case]:
    steps = {step.name: step for step in record.steps}
    known = [step.error for step in record.steps if step.error is not None]
    for error in record.errors:
        if error not in known:
            yield _Case("start", "start", "error", str(error["id"]), said(error))
    for name in planned:
        if name not in steps:
            reason = "not reached: the run ended with an error before"
            yield _Case("steps", name, "skipped", message=reason)
            continue
        yield _of_step(steps[name])
        if steps[name].is_checkpoint and steps[name].status == "ok":
            yield _Case("integrity", name)
    if record.verdict is not None:
        if record.is_doubted:
            reason = record.verdict.sentence
            yield _Case("integrity", "evidence", "failure", record.verdict.word, reason)
        else:
            yield _Case("integrity", "evidence")
    counts = Counter(gate.id for gate in record.gates)
    seen: Counter[str] = Counter()
    for gate in record.gates:
        name = gate.id if counts[gate.id] == 1 else f"{gate.id} [{gate.model}]"
        seen[name] += 1
        yield _of_gate(gate, name if seen[name] == 1 else f"{name} #{seen[name]}")


def _of_step(step: StepRecord) -> _Case:
    seconds = step.seconds or 0.0
    if step.error is not None:
        return _Case("steps", step.name, "error", str(step.error["id"]), said(step.error), seconds)
    if step.status == "failed":
        reason = f"the answer of this check is no: see {step.path}/report.json"
        return _Case("steps", step.name, "failure", "CHECK-FAILED", reason, seconds)
    if step.skipped:
        return _Case("steps", step.name, "skipped", message="unchanged since an earlier run")
    return _Case("steps", step.name, seconds=seconds)


def _of_gate(gate: GateRecord, name: str) -> _Case:
    if gate.status == "pass":
        return _Case("gates", name)
    if gate.is_miss:
        kind = gate.error_id or ("GATE-FAILED" if gate.status == "fail" else "GATE-INCONCLUSIVE")
        return _Case("gates", name, "failure", kind, gate.reason)
    warning = "" if gate.status == "not_reached" else "warning only: "
    return _Case("gates", name, "skipped", message=f"{warning}{gate.reason}")
