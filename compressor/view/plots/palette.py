"""The colours of pictures and pages, in a light and a dark theme, by what they mean.

On the paper of its theme, each has a contrast of at least 4.5:1, but for `grid`, which nobody has
to read. Nothing is said by colour alone: lines differ in marker and dash too.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

LIGHT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "paper": "#ffffff",
        "ink": "#1b1f24",
        "soft": "#57606a",
        "grid": "#d8dee4",
        "series-1": "#0a5aa8",
        "series-2": "#b0400a",
        "series-3": "#0b6b58",
        "series-4": "#7a3b9c",
        "series-5": "#7a5500",
        "series-6": "#a02060",
        "good": "#1a6b32",
        "bad": "#b01722",
        "open": "#80540b",
    }
)

DARK: Final[Mapping[str, str]] = MappingProxyType(
    {
        "paper": "#12161c",
        "ink": "#e6eaef",
        "soft": "#a2abb6",
        "grid": "#333b45",
        "series-1": "#74b6f7",
        "series-2": "#ff9f68",
        "series-3": "#5fcfb2",
        "series-4": "#d2a3f2",
        "series-5": "#e0be55",
        "series-6": "#f58fbd",
        "good": "#63c77d",
        "bad": "#ff8a87",
        "open": "#e5b454",
    }
)

SERIES: Final = tuple(name for name in LIGHT if name.startswith("series-"))
