"""Every token is scored once, with as much before it as the window allows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compressor.errors import CompressorError
from compressor.measure.language.windows import Finished, Window, blocks, pieces, predicted

LENGTHS = st.integers(0, 200)
CONTEXTS = st.integers(1, 70)


@given(LENGTHS, CONTEXTS, st.data())
def test_every_token_but_the_first_is_scored_once_with_its_context(
    length: int, context: int, data: st.DataObject
) -> None:
    stride = data.draw(st.integers(1, context))

    windows = list(predicted(4, length, context, stride))

    scored = [place for each in windows for place in range(each.first, each.end)]
    assert scored == list(range(1, length))
    for number, each in enumerate(windows):
        # What is read ends before the last token, which is only predicted.
        assert 0 <= each.start < each.first
        assert each.end - 1 - each.start <= context
        assert each.document == 4
        if number:
            assert each.scored <= stride
            assert each.first - each.start > context - stride


@given(LENGTHS, CONTEXTS)
def test_pieces_hold_every_token_once(length: int, size: int) -> None:
    found = list(pieces(0, length, size))

    assert [at for each in found for at in range(each.first, each.end)] == list(range(length))
    assert all(each.start == each.first and 0 < each.scored <= size for each in found)


def test_thirty_documents_are_items_and_twenty_nine_are_not() -> None:
    windows = [Window(number, 0, 1, 3) for number in range(30) for _ in range(2)]

    many, few = blocks(windows, "rows", 8), blocks(windows[:-2], "rows", 8)

    assert (many.count, many.are_documents) == (30, True)
    assert (few.count, few.are_documents) == (58, False)
    assert many.tokens.tolist() == [4.0] * 30
    assert few.tokens.tolist() == [2.0] * 58


def test_a_document_that_is_not_scored_is_no_item() -> None:
    windows = [Window(2 * number, 0, 1, 3) for number in range(30)]

    found = blocks(windows, "rows", 8)

    assert found.items.tolist() == list(range(30))
    assert found.shared([float(number) for number in range(60)]).tolist() == [
        float(2 * number) for number in range(30)
    ]


@given(st.lists(st.integers(2, 60), min_size=2, max_size=40), st.integers(2, 20))
def test_what_windows_share_sums_to_what_the_documents_have(
    lengths: list[int], context: int
) -> None:
    windows = [
        each
        for number, length in enumerate(lengths)
        for each in predicted(number, length, context, context)
    ]
    values = [float(length * 3) for length in lengths]

    found = blocks(windows, "rows", context)

    # Shares are rounded once each: 2^-53 relative, far below what a lost window would change.
    assert found.shared(values).sum() == pytest.approx(sum(values), rel=1e-12)
    assert found.tokens.sum() == sum(length - 1 for length in lengths)
    assert np.all(found.shared(values) > 0)


@pytest.mark.parametrize(
    ("windows", "id"),
    [([], "DATA-NO-TARGETS"), ([Window(0, 0, 1, 9)], "DATA-TOO-SMALL")],
)
def test_fewer_than_two_items_are_refused(windows: list[Window], id: str) -> None:
    with pytest.raises(CompressorError) as caught:
        blocks(windows, "rows", 8)

    assert caught.value.id == id
    assert caught.value.at == "rows"


def test_a_document_is_finished_with_its_last_window_in_whatever_order() -> None:
    done = Finished([Window(0, 0, 1, 3), Window(1, 0, 1, 3), Window(0, 1, 3, 5)])

    assert [done.after(number) for number in (2, 1, 0)] == [0, 1, 1]
