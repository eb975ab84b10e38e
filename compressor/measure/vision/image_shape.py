"""The shape of the images that a model takes, as its config or the vision part of it says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def image_size(config: Mapping[str, Any]) -> tuple[int, int] | None:
    """Height and width; None where the config names none."""
    for part in (config, config.get("vision_config")):
        match part:
            case {"image_size": int(edge)}:
                return edge, edge
            case {"image_size": [int(height), int(width)]}:
                return height, width
            case {"image_size": {"height": int(height), "width": int(width)}}:
                return height, width
    return None


def channel_count(config: Mapping[str, Any]) -> int | None:
    """How many channels; None where the config does not say."""
    for part in (config, config.get("vision_config")):
        match part:
            case {"num_channels": int(count)}:
                return count
    return None
