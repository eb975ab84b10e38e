"""A spec says what it was parsed from, and a key that is none is named with what was meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compressor.data.spec import ROLES, parse_spec
from compressor.errors import UsageError

ANY = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
TEXTS = st.text(st.sampled_from("a\\,:=/. ") | ANY, min_size=1)


def escaped(text: str, *special: str) -> str:
    for each in ("\\", *special):
        text = text.replace(each, "\\" + each)
    return text


@given(TEXTS, st.dictionaries(st.sampled_from(ROLES), TEXTS), TEXTS)
def test_what_is_written_is_what_is_meant(
    location: str, columns: dict[str, str], split: str
) -> None:
    keys = [f"{key}={escaped(value, ',')}" for key, value in columns.items()]
    text = ":".join((escaped(location, ":"), ",".join((*keys, f"split={escaped(split, ',')}"))))

    spec = parse_spec(text)

    assert spec.location == location
    assert dict(spec.columns) == columns
    assert spec.split == split


@given(TEXTS, st.dictionaries(st.sampled_from(ROLES), TEXTS), st.sampled_from((True, False, None)))
def test_the_text_of_a_spec_gives_it_back(
    location: str, columns: dict[str, str], header: bool | None
) -> None:
    keys = [f"{key}={escaped(value, ',')}" for key, value in columns.items()]
    keys += [] if header is None else [f"header={'yes' if header else 'no'}"]
    spec = parse_spec(":".join((escaped(location, ":"), ",".join(keys))) if keys else location)

    again = parse_spec(str(spec))

    assert again == spec


def test_every_key_is_kept_in_the_text() -> None:
    text = (
        "a/b.csv:name=c,text=t,split=test,config=en,by=line,encoding=latin-1,weight=0.5,header=no"
        ",nulls=drop"
    )

    spec = parse_spec(text)

    assert str(spec) == text
    assert (spec.name, spec.config, spec.by, spec.nulls) == ("c", "en", "line", "drop")
    assert (spec.encoding, spec.weight, spec.header) == ("latin-1", 0.5, False)


@pytest.mark.parametrize(
    ("location", "name"),
    [
        ("sts/dev.csv", "dev"),
        ("dev.jsonl.gz", "dev"),
        ("folder/images/", "images"),
        ("org/name", "name"),
        ("hub:name", "name"),
        ("python:topics", "topics"),
        ("a.b.txt", "a.b"),
        ("images-idx3-ubyte.gz", "images-idx3-ubyte"),
        ("..", "data"),
    ],
)
def test_a_data_set_is_called_as_its_file(location: str, name: str) -> None:
    assert parse_spec(location).name == name
    assert parse_spec(location, "recipe").name == "recipe"
    assert parse_spec(f"{location}:name=key", "recipe").name == "key"


def test_a_colon_that_starts_no_key_belongs_to_the_location() -> None:
    assert parse_spec("C:/data.csv:text=a").location == "C:/data.csv"
    assert parse_spec("python:topics").location == "python:topics"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no location"),
        (":text=a", "no location"),
        ("a\0b", "no location"),
        ("a.csv:txet=a", "txet"),
        ("a.csv:text=a,", "``"),
        ("a.csv:text=a,label", "`label`"),
        ("a.csv:text=a,text=b", "twice"),
        ("a.csv:text=", "`text=`"),
        ("a.csv:by=word", "`word`"),
        ("a.csv:header=maybe", "`maybe`"),
        ("a.csv:nulls=keep", "`keep`"),
        ("a.csv:weight=nan", "`nan`"),
        ("a.csv:weight=0", "`0`"),
        ("a.csv:weight=much", "`much`"),
        ("a.csv:encoding=klingon", "`klingon`"),
        ("a.csv:encoding=base64", "`base64`"),
        ("a.csv:encoding=punycode", "`punycode`"),
        ("a.csv:encoding=IDNA", "`IDNA`"),
        ("a.csv:encoding=unicode_escape", "`unicode_escape`"),
        ("a.csv:encoding=raw-unicode-escape", "`raw-unicode-escape`"),
        ("a.csv:name=a/b", "`a/b`"),
    ],
)
def test_what_names_no_data_set_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_spec(text)

    assert caught.value.id == "DATA-SPEC"
    assert said in caught.value.found


def test_a_misspelt_key_is_told_what_was_meant() -> None:
    with pytest.raises(UsageError) as caught:
        parse_spec("a.csv:txet=a")

    assert caught.value.do == "did you mean `text`?"
