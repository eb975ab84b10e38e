"""The same items for the same seed, in an order that the digest holds; empty cells are counted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from blake3 import blake3
from datafiles import loaded, refused, written
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from compressor.data.dataset import POOL, digest, too_small


def numbered(path: Path, rows: int) -> Path:
    return written(path, "text,label\n" + "".join(f"text {n},c{n % 7}\n" for n in range(rows)))


def test_all_items_stand_in_their_order(tmp_path: Path) -> None:
    found = loaded(numbered(tmp_path / "x.csv", 300))

    assert found.values["text"] == [f"text {n}" for n in range(300)]
    assert (found.count, found.total, found.name) == (300, 300, "x")


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("count", [1, 50, 300, 900])
def test_a_sample_is_the_start_of_the_seeded_permutation(
    tmp_path: Path, count: int, seed: int
) -> None:
    path = numbered(tmp_path / "x.csv", 300)

    found = loaded(path, count=count, seed=seed)

    order = np.random.Generator(np.random.PCG64(seed)).permutation(300)[:count]
    assert found.values["text"] == [f"text {n}" for n in order]
    assert found.values["label"] == [f"c{n % 7}" for n in order]
    assert found.total == 300
    assert found.count == min(count, 300)


def test_a_known_number_of_rows_draws_the_same_sample(tmp_path: Path) -> None:
    numbered(tmp_path / "x.csv", 300)
    columns = {
        "text": [f"text {n}" for n in range(300)],
        "label": [f"c{n % 7}" for n in range(300)],
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / "x.parquet")

    digests = {loaded(tmp_path / f"x.{ext}", count=40).digest for ext in ("csv", "parquet")}

    assert len(digests) == 1


def test_a_sample_reaches_so_far_and_says_so(tmp_path: Path) -> None:
    path = written(tmp_path / "x.txt", "".join(f"{n}\n" for n in range(POOL + 5)))
    exact = written(tmp_path / "y.txt", "".join(f"{n}\n" for n in range(POOL)))

    found, whole = loaded(path, count=POOL), loaded(exact, count=POOL)

    assert found.values == whole.values
    assert found.total is None
    assert whole.total == POOL
    assert any("more rows" in note for note in found.notes)
    assert not any("more rows" in note for note in whole.notes)
    assert loaded(path, count=POOL + 2).count == POOL + 2


@given(st.lists(st.tuples(st.text(st.characters(exclude_categories=["Cs"])), st.integers())))
def test_the_digest_is_that_of_the_values(items: list[tuple[str, int]]) -> None:
    texts, labels = [text for text, _ in items], [label for _, label in items]

    found = digest({"text": texts, "label": labels})

    lines = [
        f"label {len(items)}",
        *map(str, labels),
        f"text {len(items)}",
        *map(json.dumps, texts),
    ]
    assert found == blake3("".join(line + "\n" for line in lines).encode()).hexdigest()
    assert found == digest({"label": labels, "text": texts})


def test_the_digest_knows_order_type_and_shape() -> None:
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    columns = [
        {"text": ["a", "b"]},
        {"text": ["b", "a"]},
        {"text": ["a\nb"]},
        {"label": ["1"]},
        {"label": [1]},
        {"score": [1.0]},
        {"image": [image]},
        {"image": [image.reshape(4, 3)]},
        {"image": [image.astype(np.uint16)]},
        {"choices": [["a", "b"]]},
        {"choices": [["a"], ["b"]]},
    ]

    assert len({digest(each) for each in columns}) == len(columns)


@pytest.mark.parametrize("value", ["", '"label": null', '"lable": "x"'])
def test_rows_with_empty_cells_are_counted_and_dropped_only_if_allowed(
    tmp_path: Path, value: str
) -> None:
    more = f", {value}" if value else ""
    good = [f'{{"text": "t{n}", "label": "a"}}' for n in range(8)]
    lines = [*good[:3], f'{{"text": "t"{more}}}', *good[3:], f'{{"text": "t"{more}}}']
    path = written(tmp_path / "x.jsonl", "\n".join(lines))

    error = refused(path, "DATA-COLUMN", 3)
    found = loaded(path, "nulls=drop")

    assert error.at == "x.jsonl, line 4"
    assert "2 of 10 rows" in error.found
    assert found.values["text"] == [f"t{n}" for n in range(8)]
    assert any("dropped" in note and note.endswith(": 2") for note in found.notes)
    assert (found.count, found.total) == (8, 10)


def test_items_that_are_copies_are_counted(tmp_path: Path) -> None:
    lines = ["a,x", "b,x", "a,x", "a,y", "a,x", "c,y"]
    path = written(tmp_path / "x.csv", "\n".join(["text,label", *lines]))
    alone = written(tmp_path / "y.csv", "\n".join(["text,label", *sorted(set(lines))]))
    series = written(tmp_path / "z.csv", "a,b\n1,2\n1,2\n")

    assert "2 of 6 items are copies of another one" in loaded(path).notes
    assert "4 of 6 items are copies of another one" in loaded(path, "text=label").notes
    assert not any("copies" in note for note in loaded(alone).notes)
    assert not any("copies" in note for note in loaded(series, "target=a+b").notes)


def test_images_that_are_copies_are_counted(tmp_path: Path) -> None:
    images = np.stack([np.full((2, 2), value, np.uint8) for value in (1, 2, 1)])
    np.savez(tmp_path / "x.npz", image=images)

    assert "1 of 3 items are copies of another one" in loaded(tmp_path / "x.npz").notes


def test_an_empty_cell_of_a_column_that_is_not_used_does_not_matter(tmp_path: Path) -> None:
    path = written(tmp_path / "x.csv", "text,label,note\na,b,\nc,d,e\n")

    assert loaded(path).count == 2
    assert loaded(written(tmp_path / "x.jsonl", '{"text": ""}\n')).values["text"] == [""]
    refused(written(tmp_path / "y.csv", "text,label\na,b\nc,\n"), "DATA-COLUMN", 3)


def test_nothing_is_left_where_every_row_is_dropped(tmp_path: Path) -> None:
    path = written(tmp_path / "x.csv", "text,label\na,\nb,\n")

    refused(path, "DATA-EMPTY", 3, "text=text,label=label,nulls=drop")


def test_dropped_rows_of_a_known_number_are_not_drawn(tmp_path: Path) -> None:
    texts = [None if n % 2 else f"t{n}" for n in range(100)]
    parquet.write_table(pyarrow.table({"text": texts}), tmp_path / "x.parquet")

    found = loaded(tmp_path / "x.parquet", "nulls=drop", count=10)

    order = np.random.Generator(np.random.PCG64(0)).permutation(50)[:10]
    assert found.values["text"] == [f"t{2 * n}" for n in order]
    assert found.total == 100


def test_a_split_of_a_file_that_has_none_is_refused(tmp_path: Path) -> None:
    refused(numbered(tmp_path / "x.csv", 3), "DATA-SPEC", 2, "split=train")


def test_too_few_items_say_how_many_are_needed() -> None:
    error = too_small("sts", 10, 3, "pairs")

    assert (error.id, error.exit_code) == ("DATA-TOO-SMALL", 3)
    assert error.found == "3 pairs, expected at least 10"


def test_data_are_read_without_the_libraries_that_they_do_not_need(tmp_path: Path) -> None:
    path = numbered(tmp_path / "x.csv", 30)
    script = (
        "import sys; from compressor.data.spec import parse_spec;"
        "from compressor.data.dataset import load; load(parse_spec(sys.argv[1]));"
        "heavy = {'torch', 'transformers', 'datasets', 'pyarrow', 'pandas', 'PIL'};"
        "sys.exit(sorted(heavy & set(sys.modules)))"
    )

    found = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, check=False
    )

    assert found.stderr.decode() == "[]\n"
