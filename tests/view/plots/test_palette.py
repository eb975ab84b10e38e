"""Colours can be read: contrast as WCAG 2.2 defines it, in both themes."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from compressor.view.plots.palette import DARK, LIGHT


def luminance(colour: str) -> float:
    channels = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    red, green, blue = (
        each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.005)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_what_is_read_stands_out_from_the_paper(theme: Mapping[str, str]) -> None:
    faint = {
        name: contrast(colour, theme["paper"])
        for name, colour in theme.items()
        if name not in ("paper", "grid")
    }

    assert {name for name, found in faint.items() if found < 4.5} == set()


def test_both_themes_have_the_same_names_and_no_colour_twice() -> None:
    assert list(LIGHT) == list(DARK)
    assert len(set(LIGHT.values())) == len(LIGHT)
