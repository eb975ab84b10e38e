"""`junit.xml`: well formed whatever names hold, with the shape that readers of JUnit expect."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element, fromstring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compressor.errors import InputError
from compressor.recipe.junit import junit
from compressor.recipe.record import GateRecord, RunRecord, StepRecord, new_record

HOSTILE = "]]><x>\x00\x1b[31m\u202e\ud800&\n\ufffe"


def record(text: str) -> RunRecord:
    """A run in which every text that a stranger can choose is `text`."""
    error = InputError("CKPT-BROKEN", text, at=text, found=text, do=text).as_json()
    return new_record(text, text, []).model_copy(
        update={
            "seconds": 1.25,
            "steps": [
                StepRecord(name="1-look", step={}, path="1-look", key="", status="failed"),
                StepRecord(
                    name="2-break",
                    step={},
                    path="2-break",
                    key="",
                    status="error",
                    seconds=1.0,
                    error=error,
                ),
            ],
            "errors": [error],
            "gates": [
                GateRecord(
                    id="ppl", metric=text, model=model, status="fail", reason=text, at="a:1:1"
                )
                for model in (text, "other")
            ],
        }
    )


def parsed(text: str) -> Element:
    return fromstring(junit(record(text), ["1-look", "2-break", "3-copy"]))


def check_the_shape(suite: Element) -> None:
    """What the JUnit schema of Jenkins asks for."""
    assert suite.tag == "testsuite"
    assert suite.attrib.keys() == {
        "name",
        "tests",
        "failures",
        "errors",
        "skipped",
        "time",
        "timestamp",
    }
    names = []
    for case in suite:
        assert case.tag == "testcase"
        assert case.attrib.keys() == {"classname", "name", "time"}
        assert float(case.attrib["time"]) >= 0
        assert len(case) <= 1
        for answer in case:
            assert answer.tag in ("failure", "error", "skipped")
            wanted = {"message"} if answer.tag == "skipped" else {"message", "type"}
            assert answer.attrib.keys() == wanted
        names.append((case.attrib["classname"], case.attrib["name"]))
    assert len(set(names)) == len(names)
    assert int(suite.attrib["tests"]) == len(names)
    for tag, total in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        assert int(suite.attrib[total]) == len(list(suite.iter(tag)))


@pytest.mark.parametrize("text", ["plain", HOSTILE])
def test_the_report_has_the_shape_of_junit(text: str) -> None:
    suite = parsed(text)

    check_the_shape(suite)
    assert [case.attrib["name"] for case in suite][:3] == ["1-look", "2-break", "3-copy"]
    assert (suite.attrib["failures"], suite.attrib["errors"]) == ("3", "1")


@given(st.text(st.characters(), max_size=50))
def test_any_text_makes_a_report_without_control_characters(text: str) -> None:
    data = junit(record(text), ["1-look", "2-break", "3-copy"])

    check_the_shape(fromstring(data))
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", data.decode())
