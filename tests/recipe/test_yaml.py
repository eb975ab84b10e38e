"""Recipe YAML: text stays text, places are right, and nothing hostile is read."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest
import yaml as pyyaml
from hypothesis import given
from hypothesis import strategies as st

from compressor.errors import UsageError
from compressor.recipe.yaml import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_NODES,
    Items,
    Node,
    Table,
    Text,
    parse,
    read,
)

BOMB = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [*{a}, *{a}]\n" for a, b in itertools.pairwise("abcd")
)


def refusal(text: str) -> UsageError:
    with pytest.raises(UsageError) as caught:
        parse(text, "recipe.yaml")
    return caught.value


@pytest.mark.parametrize(
    "written",
    ["no", "on", "010", "1:30", "2:4", "2024-01-01", "1e-4", "0.5", "true", ".nan", "~", "0x1f"],
)
def test_a_plain_scalar_stays_the_text_that_was_written(written: str) -> None:
    table = parse(f"key: {written}", "recipe.yaml")

    assert table.values["key"] == Text("recipe.yaml:1:6", written, is_plain=True)


@pytest.mark.parametrize("written", ['"0.5"', "'0.5'", "|-\n  0.5", ">-\n  0.5"])
def test_quoted_text_is_known_from_plain_text(written: str) -> None:
    node = parse(f"key: {written}", "recipe.yaml").values["key"]

    assert isinstance(node, Text)
    assert (node.text, node.is_plain) == ("0.5", False)


def test_every_value_and_key_knows_its_line_and_column() -> None:
    table = parse("version: 1\nsteps:\n  - prune: {only: [a, b]}\n", "r.yaml")

    steps = table.values["steps"]
    assert isinstance(steps, Items)
    [step] = steps.items
    assert isinstance(step, Table)
    fields = step.values["prune"]
    assert isinstance(fields, Table)
    assert (table.keys["steps"], step.keys["prune"], fields.keys["only"]) == (
        "r.yaml:2:1",
        "r.yaml:3:5",
        "r.yaml:3:13",
    )
    only = fields.values["only"]
    assert isinstance(only, Items)
    assert [item.at for item in only.items] == ["r.yaml:3:20", "r.yaml:3:23"]


WORDS = st.text("abcxyz0159.:-", min_size=1, max_size=6)
VALUES = st.recursive(
    WORDS,
    lambda below: st.lists(below, max_size=4) | st.dictionaries(WORDS, below, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(WORDS, VALUES, min_size=1, max_size=4))
def test_whatever_is_dumped_is_read_back(data: dict[str, object]) -> None:
    text = pyyaml.safe_dump(data)

    assert as_data(parse(text, "recipe.yaml")) == data


@given(st.text() | st.text("ab:-?&*!|>%@`,[]{}#'\"\\\n\t ~.<"))
def test_any_text_is_a_mapping_or_a_refusal_with_a_place(text: str) -> None:
    try:
        found: object = parse(text, "recipe.yaml")
    except UsageError as error:
        found = error

    assert isinstance(found, Table | UsageError)
    assert found.at.startswith("recipe.yaml:")


def as_data(node: Node) -> object:
    if isinstance(node, Text):
        return node.text
    if isinstance(node, Items):
        return [as_data(item) for item in node.items]
    return {key: as_data(value) for key, value in node.values.items()}


@pytest.mark.parametrize(
    ("text", "id", "at"),
    [
        pytest.param(BOMB, "RECIPE-ALIAS", "1:4", id="F01 alias bomb"),
        pytest.param("a: &a [*a]", "RECIPE-ALIAS", "1:4", id="F02 self reference"),
        pytest.param("a: 1\nb: *a", "RECIPE-ALIAS", "2:4", id="F02 alias"),
        pytest.param("a: {<<: {b: 1}}", "RECIPE-ALIAS", "1:5", id="F02 merge key"),
        pytest.param("a: !!python/name:os.system", "RECIPE-TAG", "1:4", id="F03 name"),
        pytest.param("a: !!binary aGk=", "RECIPE-TAG", "1:4", id="F03 binary"),
        pytest.param("a:\n  !!set {b}", "RECIPE-TAG", "2:3", id="F03 set"),
        pytest.param("a: !own b", "RECIPE-TAG", "1:4", id="F03 own tag"),
        pytest.param("a: ! b", "RECIPE-TAG", "1:4", id="F03 bare tag"),
        pytest.param("[" * 3000, "RECIPE-LIMIT", "1:", id="F09 depth"),
        pytest.param("a: " + "- " * 3000, "RECIPE-PARSE", "1:4", id="F09 list in a line"),
        pytest.param("a:\n " + "- " * 3000, "RECIPE-LIMIT", "2:", id="F09 depth of lists"),
        pytest.param("", "RECIPE-EMPTY", "1:1", id="F10 empty"),
        pytest.param("# only\n# comments\n", "RECIPE-EMPTY", "3:1", id="F10 comments"),
        pytest.param("---\n", "RECIPE-EMPTY", "1:1", id="F10 empty document"),
        pytest.param("- a\n- b", "RECIPE-PARSE", "1:1", id="F10 list"),
        pytest.param("\nword", "RECIPE-PARSE", "2:1", id="F10 scalar"),
        pytest.param("a: 1\n---\nb: 2", "RECIPE-PARSE", "2:1", id="F10 two documents"),
        pytest.param("a: 1\n\tb: 2", "RECIPE-PARSE", "2:1", id="F10 tab"),
        pytest.param("a: 1\nb: \0", "RECIPE-PARSE", "2:4", id="F10 NUL"),
        pytest.param('a: "\\0"', "RECIPE-PARSE", "1:4", id="F10 escaped NUL"),
        pytest.param('a: "\\ud800"', "RECIPE-PARSE", "1:", id="F10 lone surrogate"),
        pytest.param("a: [", "RECIPE-PARSE", "", id="F10 unfinished"),
        pytest.param("a: 1\ns\u043eurce: b", "RECIPE-UNKNOWN-KEY", "2:1", id="F11 homoglyph"),
        pytest.param("sour\u200bce: b", "RECIPE-UNKNOWN-KEY", "1:1", id="F11 zero width"),
        pytest.param("? [a]\n: b", "RECIPE-PARSE", "1:3", id="F12 list as key"),
        pytest.param("? {a: b}\n: c", "RECIPE-PARSE", "1:3", id="F12 mapping as key"),
    ],
)
def test_what_a_recipe_may_not_hold_is_refused_at_its_place(text: str, id: str, at: str) -> None:
    error = refusal(text)

    assert (error.exit_code, error.id) == (2, id)
    assert error.at.startswith(f"recipe.yaml:{at}")
    assert 10 <= len(error.message) <= 160
    assert "expected" in error.found
    assert error.do


def test_a_python_tag_runs_nothing(tmp_path: Path) -> None:
    marker = tmp_path / "marker"

    error = refusal(f"a: !!python/object/apply:os.mkdir ['{marker}']")

    assert error.id == "RECIPE-TAG"
    assert not marker.exists()


def test_a_duplicate_key_names_both_lines() -> None:
    error = refusal("version: 1\nsource: a\nsource: b\n")

    assert error.id == "RECIPE-DUPLICATE"
    assert error.at == "recipe.yaml:3:1"
    assert "recipe.yaml:2:1" in error.found


def test_a_key_outside_ascii_is_shown_by_its_code_points() -> None:
    assert "`s\\u043eurce`" in refusal("s\u043eurce: b").found


@pytest.mark.parametrize("depth", [MAX_DEPTH, MAX_DEPTH + 1])
def test_the_depth_limit_is_exact(depth: int) -> None:
    text = "a: " + "[" * (depth - 1) + "]" * (depth - 1)

    if depth <= MAX_DEPTH:
        assert parse(text, "recipe.yaml").values.keys() == {"a"}
    else:
        assert refusal(text).id == "RECIPE-LIMIT"


@pytest.mark.parametrize("nodes", [MAX_NODES, MAX_NODES + 1])
def test_the_node_limit_is_exact(nodes: int) -> None:
    text = "a: [" + "b," * (nodes - 3) + "]"

    if nodes <= MAX_NODES:
        assert isinstance(parse(text, "recipe.yaml").values["a"], Items)
    else:
        assert refusal(text).id == "RECIPE-LIMIT"


def test_a_limit_ends_the_reading_before_what_lies_behind_it() -> None:
    behind = "a: [" + "b," * MAX_NODES + " &anchor b]"

    assert refusal(behind).id == "RECIPE-LIMIT"


@pytest.fixture
def unreadable(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / "recipe.yaml"
    match request.param:
        case "directory":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "2 GB":
            path.touch()
            os.truncate(path, 2 << 30)
        case "one byte too long":
            path.write_bytes(b"#" * (MAX_BYTES + 1))
        case "binary":
            path.write_bytes(bytes(range(256)))
        case "UTF-16":
            path.write_bytes("version: 1".encode("utf-16"))
        case "endless device":
            path.symlink_to("/dev/zero")
        case "loop of links":
            path.symlink_to(path)
    return path


@pytest.mark.parametrize(
    "unreadable",
    [
        "directory",
        "pipe",
        "2 GB",
        "one byte too long",
        "binary",
        "UTF-16",
        "endless device",
        "loop of links",
        "missing",
    ],
    indirect=True,
)
def test_what_is_no_small_text_file_is_refused_unread(unreadable: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read(unreadable)

    assert caught.value.id == "RECIPE-UNREADABLE"
    assert caught.value.at == str(unreadable)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads whatever the permission bits say")
def test_a_file_without_permission_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("version: 1")
    path.chmod(0)

    with pytest.raises(UsageError, match="RECIPE-UNREADABLE"):
        read(path)


def test_a_file_of_exactly_the_limit_is_read(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(b"#" * MAX_BYTES)

    assert len(read(path)) == MAX_BYTES


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(b"\xef\xbb\xbfversion: 1")

    assert read(path) == "version: 1"
