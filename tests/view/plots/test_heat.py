"""Heat maps over layers: cells where they belong, numbers in words, empty where nothing is."""

from __future__ import annotations

import pytest

from compressor.view.html.layers import damage, sparsity
from compressor.view.plots.drawing import Drawing


def one(found: list[Drawing]) -> Drawing:
    (drawing,) = found
    return drawing


def test_shares_are_weighted_by_the_size_of_tensors() -> None:
    tensors = [
        ("model.layers.0.mlp.experts.0.up", "mlp up", 10.0, 100.0),
        ("model.layers.0.mlp.experts.1.up", "mlp up", 90.0, 300.0),
        ("model.layers.1.mlp.up", "mlp up", 1.0, 4.0),
    ]

    drawing = one(list(sparsity(tensors, "here")))

    assert [dict(row) for row in drawing.numbers.rows] == [
        {"layer": "0", "mlp up": "25.00 %"},
        {"layer": "1", "mlp up": "25.00 %"},
    ]


@pytest.mark.parametrize(
    ("names", "layers"),
    [
        (["h.0.attn.weight", "h.11.attn.weight"], ["0", "11"]),
        (["encoder.block.0.q", "decoder.block.0.q"], ["encoder.block.0", "decoder.block.0"]),
        (["head.weight", "layers.3.q"], ["no layer", "3"]),
        (["0.weight", "2.weight"], ["0", "2"]),
    ],
)
def test_a_tensor_belongs_to_the_layer_that_its_name_says(
    names: list[str], layers: list[str]
) -> None:
    drawing = one(list(sparsity([(name, "role", 1.0, 2.0) for name in names], "here")))

    assert [row["layer"] for row in drawing.numbers.rows] == layers


def test_a_role_that_a_layer_does_not_have_is_empty() -> None:
    tensors = [("l.0.q", "query", 1.0, 2.0), ("l.1.k", "key", 1.0, 4.0)]

    rows = one(list(sparsity(tensors, "here"))).numbers.rows

    assert [dict(row) for row in rows] == [
        {"layer": "0", "query": "50.00 %", "key": "–"},
        {"layer": "1", "query": "–", "key": "25.00 %"},
    ]


def test_the_words_name_the_lowest_and_the_highest_cell() -> None:
    rows = [
        {"layer": str(layer), "column": "pruned", "cka": cka}
        for layer, cka in enumerate((1.0, 0.4321, None, 0.9))
    ]

    says = one(list(damage(rows, "model", "here"))).says

    assert "from 0.4321 in layer 1, pruned, to 1 in layer 0, pruned" in says


def test_nothing_is_drawn_of_nothing() -> None:
    assert list(sparsity([], "here")) == []
    assert list(damage([{"layer": "0", "column": "m", "cka": None}], "model", "here")) == []


def test_a_small_map_has_its_numbers_in_its_cells_and_a_large_one_in_its_table() -> None:
    small, large = (
        one(
            list(
                sparsity(
                    [(f"l.{i}.q", "query", 26.4 * (i % 6), 400.0) for i in range(count)], "here"
                )
            )
        )
        for count in (6, 200)
    )

    assert ">33<" in small.svg
    assert ">33<" not in large.svg
    assert len(large.numbers.rows) == 200
    assert len(large.svg) < 60_000


def test_the_colours_of_a_picture_are_those_of_the_theme() -> None:
    svg = one(list(sparsity([("l.0.q", "query", 1.0, 2.0)], "here"))).svg

    assert "var(--ink)" in svg
    assert "http" not in svg
