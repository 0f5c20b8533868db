"""Models on disk: one folder for each version, written whole or not at all."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from tasks.errors import StagingError

__all__ = ["card", "load", "save", "versions"]

_CARD = "card.json"


def save(folder: Path, files: dict[str, bytes], about: dict[str, Any]) -> None:
    """Write a version's files and its card, replacing what is there.

    Args:
        folder: The version's folder.
        files: Content by file name.
        about: The card: what a person or a task wants to know without loading the model.

    Raises:
        StagingError: The folder cannot be written.
    """
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        for name, content in files.items():
            (temporary / name).write_bytes(content)
        (temporary / _CARD).write_text(json.dumps(about, indent=1, sort_keys=True) + "\n")
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
    except OSError as error:
        raise StagingError(f"{folder} cannot be written: {error.strerror or error}") from error


def card(folder: Path) -> dict[str, Any] | None:
    """Return a version's card, or None where there is no such version or its card cannot be read."""
    try:
        return dict(json.loads((folder / _CARD).read_text()))
    except (OSError, ValueError):
        return None


def load(folder: Path) -> dict[str, bytes]:
    """Return a version's files by name, without the card; empty where there is none."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*")) if path.name != _CARD}


def versions(root: Path) -> list[str]:
    """Return the names of the versions that are there, oldest first."""
    return sorted(path.name for path in root.glob("[0-9]*") if path.is_dir())
