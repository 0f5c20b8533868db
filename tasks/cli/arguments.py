"""Kinds of arguments that several commands take."""

import os
from pathlib import Path

__all__ = ["caller_path"]


def caller_path(text: str) -> Path:
    """Read a path: a relative one is that of whoever called the script, which itself works in the repository."""
    return Path(os.environ.get("AIRQINO_CALLER_DIR", ""), text)
