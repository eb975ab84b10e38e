"""Where the hub's client keeps what it fetched, told without importing the client (0.3 s)."""

from __future__ import annotations

import os
from pathlib import Path


def hub_home() -> Path:
    """`HF_HOME`, by default `huggingface` in the user's cache."""
    user_cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("HF_HOME") or Path(user_cache, "huggingface")).expanduser()


def hub_cache() -> Path:
    """`HF_HUB_CACHE`, by default `hub` in the home."""
    return Path(os.environ.get("HF_HUB_CACHE") or hub_home() / "hub").expanduser()
