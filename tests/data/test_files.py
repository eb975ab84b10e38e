"""Lines end where they end, and bytes come from regular files and within limits."""

from __future__ import annotations

import gzip
import io
import os
import zipfile
from pathlib import Path

import pytest
from datafiles import loaded, refused, written
from hypothesis import given
from hypothesis import strategies as st

from compressor.data.files import MAX_LINE, lines
from compressor.errors import CompressorError

ENDS = st.sampled_from(("\n", "\r\n", "\r"))


@given(
    st.lists(st.text(st.characters(exclude_characters="\n\r\0", exclude_categories=["Cs"]))), ENDS
)
def test_lines_come_back_whatever_ends_them(texts: list[str], end: str) -> None:
    stream = io.BytesIO("".join(text + end for text in texts).encode())

    found = list(lines(stream, "x.txt", None))

    assert [text.removeprefix("\ufeff") if not n else text for n, text in enumerate(texts)] == found


def test_a_line_end_across_two_reads_ends_one_line() -> None:
    text = "a" * ((1 << 20) - 1) + "\r\n" + "b"

    found = list(lines(io.BytesIO(text.encode()), "x.txt", None))

    assert found == ["a" * ((1 << 20) - 1), "b"]


def test_a_mark_at_the_start_is_left_out_and_one_inside_is_kept(tmp_path: Path) -> None:
    path = written(tmp_path / "x.txt", b"\xef\xbb\xbfone\n\xef\xbb\xbftwo\n")

    assert loaded(path).values["text"] == ["one", "\ufefftwo"]


def test_u2028_stays_in_its_line(tmp_path: Path) -> None:
    path = written(tmp_path / "x.txt", "one\u2028still one\x0b\x0c\x85one\ntwo")

    assert loaded(path).values["text"] == ["one\u2028still one\x0b\x0c\x85one", "two"]


@pytest.mark.parametrize(
    ("content", "line", "key"),
    [
        ("one\ntwo caf\xe9\n".encode("latin-1"), 2, "latin-1"),
        ("one\r\rthree caf\xe9\r".encode("latin-1"), 3, "latin-1"),
        ("one\ntwo".encode("utf-16"), 1, "utf-16"),
        ("one\ntwo".encode("utf-16-le"), 1, "utf-16"),
        (b"one\ntwo\n\xed\xa0\x80\n", 3, "latin-1"),
        (b"one\ntwo\n\xe2\x82", 3, "latin-1"),
        (b"one\ntwo \x00 x\n", 2, "utf-16"),
        (b"\xef\xbb\xbfone\n\xff\n", 2, "latin-1"),
        (b"\n" * 1_100_000 + b"\xff", 1_100_001, "latin-1"),
    ],
)
def test_what_is_not_utf_8_is_named_by_its_line(
    tmp_path: Path, content: bytes, line: int, key: str
) -> None:
    path = written(tmp_path / "x.txt", content)

    error = refused(path, "DATA-ENCODING", 3)

    assert error.at == f"x.txt, line {line}"
    assert f"encoding={key}" in error.do


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-16-le", "cp1252", "utf-8"])
def test_a_named_encoding_is_read(tmp_path: Path, encoding: str) -> None:
    path = written(tmp_path / "x.txt", "caf\xe9\nna\xefve".encode(encoding))

    assert loaded(path, f"encoding={encoding}").values["text"] == ["caf\xe9", "na\xefve"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_a_named_encoding_that_needs_a_mark_says_so(tmp_path: Path, encoding: str) -> None:
    content = "one\ntwo\n".encode(f"{encoding}-le")
    path = written(tmp_path / "x.txt", content)
    cut = written(tmp_path / "y.txt", content[:-1])

    error = refused(path, "DATA-ENCODING", 3, f"encoding={encoding}")
    refused(cut, "DATA-ENCODING", 3, f"encoding={encoding}")

    assert f"encoding={encoding}-le" in error.do
    assert loaded(path, f"encoding={encoding}-le").values["text"] == ["one", "two"]


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="has no file that reading refuses")
@pytest.mark.parametrize("name", ["x.txt", "x.csv", "x.jsonl.gz", "x-idx3-ubyte"])
def test_a_file_that_fails_while_it_is_read_is_said_to_be_unreadable(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / name).symlink_to("/proc/self/mem")

    refused(tmp_path / name, "DATA-NOT-FOUND", 3)


def test_a_line_of_30_mb_is_read(tmp_path: Path) -> None:
    path = written(tmp_path / "x.txt", b"a" * 30_000_000 + b"\nb")

    found = loaded(path).values["text"]

    assert [len(text) for text in found] == [30_000_000, 1]


def test_a_line_over_the_limit_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "x.txt", b"b\n" + b"a" * (MAX_LINE + 1))

    error = refused(path, "LIMIT-LINE", 6)

    assert error.at == "x.txt, line 2"


def test_what_is_compressed_reads_as_what_is_not(tmp_path: Path) -> None:
    text = "".join(f"line {number} \u2014 caf\xe9\n" for number in range(50_000))
    plain = written(tmp_path / "a.txt", text)
    packed = written(tmp_path / "b.txt.gz", gzip.compress(text.encode()))
    parts = gzip.compress(text[:1000].encode()) + gzip.compress(text[1000:].encode())
    joined = written(tmp_path / "c.txt.gz", parts)

    digests = {loaded(path).digest for path in (plain, packed, joined)}

    assert len(digests) == 1


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """300 MB of blank lines in 0.3 MB."""
    return gzip.compress(b"\n" * 300_000_000)


@pytest.mark.parametrize("name", ["x.txt.gz", "x.jsonl.gz", "x.csv.gz"])
def test_a_gzip_bomb_is_refused(tmp_path: Path, name: str, bomb: bytes) -> None:
    error = refused(written(tmp_path / name, bomb), "LIMIT-DECOMPRESS", 6)

    became = int(error.found.split()[3])
    assert len(bomb) < 300_000
    assert became < 10_000_000


def test_what_shrinks_well_but_is_small_is_read(tmp_path: Path) -> None:
    path = written(tmp_path / "x.txt.gz", gzip.compress((b"the same line" * 250 + b"\n") * 1200))

    assert loaded(path).count == 1200


def test_a_zip_bomb_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", "one")
        archive.writestr("b.txt", b"a" * 20_000_000)

    refused(path, "LIMIT-DECOMPRESS", 6)


@pytest.mark.parametrize("cut", [4, 30, -3])
def test_a_truncated_gzip_file_is_no_data(tmp_path: Path, cut: int) -> None:
    packed = gzip.compress(os.urandom(400).hex().encode())

    refused(written(tmp_path / "x.txt.gz", packed[:cut]), "DATA-PARSE", 3)


def test_a_zip_that_is_none_or_is_damaged_is_no_data(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "one line of text")
    damaged = path.read_bytes().replace(b"one line", b"two line")

    refused(written(tmp_path / "a.zip", b"PK no zip"), "DATA-PARSE", 3)
    refused(written(tmp_path / "b.zip", damaged), "DATA-PARSE", 3)


@pytest.mark.parametrize("name", ["x.txt", "x.csv", "x.parquet", "x-idx3-ubyte", "x.npz", "x"])
def test_a_pipe_is_refused_without_waiting(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)

    refused(tmp_path / name, "NOT-REGULAR", 4)


def test_a_device_is_refused() -> None:
    refused(Path("/dev/zero"), "NOT-REGULAR", 4)


@pytest.mark.parametrize("name", ["missing.csv", "a" * 300 + ".csv", "missing/too/deep.txt"])
def test_what_is_not_there_is_said_to_be_missing(tmp_path: Path, name: str) -> None:
    refused(tmp_path / name, "DATA-NOT-FOUND", 3)


def test_an_error_keeps_control_characters_off_the_terminal(tmp_path: Path) -> None:
    path = written(tmp_path / "\x1b[31m.jsonl", '{"\x1b[31m": "\u202e"}\nx\n')

    with pytest.raises(CompressorError) as caught:
        loaded(path)

    assert "\x1b" not in "".join(caught.value.lines())
