"""Models on disk: a folder for each version, written whole or not at all, and a small file that names the champion."""

import contextlib
import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from airqino.errors import StagingError

__all__ = ["Champion", "annotate", "card", "champion", "load", "save", "set_champion", "versions"]

_CARD = "card.json"
_CHAMPION = "champion.json"


@dataclass(frozen=True)
class Champion:
    """The version whose forecasts are published.

    Attributes:
        version: its name.
        promoted_at: when it became champion (ISO 8601, UTC).
        before: the champions before it, oldest first: what a roll-back goes back to.
        aside: (station, pollutant) pairs for which persistence is published in its place.
        alias: the version that the registry's alias was last seen at; where it is elsewhere, somebody moved it there.
    """

    version: str
    promoted_at: str
    before: tuple[str, ...] = ()
    aside: tuple[tuple[str, str], ...] = ()
    alias: str = ""


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
        sums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        (temporary / _CARD).write_text(_json(about | {"sha256": sums}))
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
    except OSError as error:
        raise StagingError(f"{folder} cannot be written: {error.strerror or error}") from error


def annotate(folder: Path, **facts: Any) -> None:
    """Change some facts on a version's card, atomically.

    Raises:
        StagingError: There is no such version, or the card cannot be written.
    """
    about = card(folder)
    if about is None:
        raise StagingError(f"{folder} holds no readable model card")
    _write(folder / _CARD, about | facts)


def card(folder: Path) -> dict[str, Any] | None:
    """Return a version's card, or None where there is no such version or its card cannot be read."""
    try:
        return dict(json.loads((folder / _CARD).read_text()))
    except (OSError, ValueError):
        return None


def load(folder: Path) -> dict[str, bytes]:
    """Return a version's files by name, without the card.

    Raises:
        ValueError: A file is missing, or is not what was saved.
        OSError: A file cannot be read.
    """
    sums = (card(folder) or {}).get("sha256")
    if not sums:
        raise ValueError(f"{folder} holds no model")
    files = {name: (folder / name).read_bytes() for name in sums}
    for name, content in files.items():
        if hashlib.sha256(content).hexdigest() != sums[name]:
            raise ValueError(f"{folder / name} is damaged")
    return files


def versions(root: Path) -> list[str]:
    """Return the names of the versions that are there, oldest first."""
    return sorted(path.name for path in root.glob("[0-9]*") if path.is_dir())


def champion(root: Path) -> Champion | None:
    """Return the champion; None where none was named.

    Raises:
        ValueError: The file that names it cannot be read.
    """
    try:
        about = json.loads((root / _CHAMPION).read_text())
        return Champion(
            str(about["version"]),
            str(about["promoted_at"]),
            tuple(about["before"]),
            tuple((str(station), str(pollutant)) for station, pollutant in about["aside"]),
            str(about["alias"]),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{root / _CHAMPION} cannot be read ({error!r})") from error


def set_champion(root: Path, new: Champion) -> None:
    """Name the champion, atomically.

    Raises:
        StagingError: The file cannot be written.
    """
    _write(root / _CHAMPION, asdict(new))


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


def _write(path: Path, content: dict[str, Any]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(_json(content))
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise StagingError(f"{path} cannot be written: {error.strerror or error}") from error
