"""Models on disk: a folder for each version, written whole or not at all, and a small file that names the champion."""

import contextlib
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field

from airqino.errors import StagingError

__all__ = [
    "CARD", "Champion", "ModelCard", "annotate", "card", "decode_card", "load", "read_champion", "save", "versions",
    "write_champion",
]  # fmt: skip

#: Name of a version's card in its folder, and in the registry.
CARD = "card.json"
_CHAMPION = "champion.json"


class Champion(Struct, frozen=True):
    """The version whose forecasts are published.

    Attributes:
        version: its name.
        promoted_at: when it became champion (ISO 8601, UTC).
        predecessors: the champions before it, oldest first: what a roll-back goes back to.
        fallback: (station, pollutant) pairs for which persistence is published in its place.
        alias_version: the version that the registry's alias was last seen at; where it is elsewhere, somebody moved it.
    """

    version: str
    promoted_at: str
    predecessors: tuple[str, ...] = field(default=(), name="before")
    fallback: tuple[tuple[str, str], ...] = field(default=(), name="aside")
    alias_version: str = field(default="", name="alias")


class ModelCard(Struct, frozen=True, kw_only=True):
    """What a person or a task wants to know of a version without loading its model; None: not defined, or not known."""

    trained: bool = False  # else there is no model, and `reason` says why
    trained_for: str = ""  # the day that names it: it knows nothing of that day or later
    trained_at: str | None = None  # this and all times: ISO 8601, UTC
    trained_from: str | None = None  # first hour used
    trained_until: str | None = None  # the first hour that was not used
    days: int | None = None  # days staged that it was trained on
    rows: int | None = None  # training rows over all pollutants and leads
    fingerprint: str | None = None  # of the training data
    against: str | None = None  # the champion that it was compared with, or persistence
    reason: str | None = None  # what came of it, in words
    compared_rows: int | None = None  # forecasts compared
    compared_days: int | None = None
    skill: float | None = None  # on the hours compared, of its stand-in
    skill_champion: float | None = None
    confidence: float | None = None  # that it is better than the champion
    scores: list[dict[str, Any]] = []  # one for each station, pollutant and horizon (`forecasting.contest.SCORES`)
    promoted: bool = False  # whether it became champion, and was not rolled back
    promoted_at: str | None = None
    rolled_back_at: str | None = None
    sha256: dict[str, str] = {}  # checksum of each of its files


def save(folder: Path, files: dict[str, bytes], about: ModelCard) -> None:
    """Write a version's files and its card, replacing what is there.

    Args:
        folder: The version's folder.
        files: Content by file name.
        about: The card; the checksums on it are made here.

    Raises:
        StagingError: The folder cannot be written.
    """
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        for name, content in files.items():
            (temporary / name).write_bytes(content)
        (temporary / CARD).write_text(_json(msgspec.structs.replace(about, sha256=sums)))
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
    except OSError as error:
        raise StagingError(f"{folder} cannot be written: {error.strerror or error}") from error


def annotate(folder: Path, **facts: Any) -> None:
    """Change some facts on a version's card, atomically; what this version of the code does not know stays on it.

    Raises:
        StagingError: There is no such version, or the card cannot be written.
    """
    if card(folder) is None:
        raise StagingError(f"{folder} holds no readable model card")
    _write(folder / CARD, json.loads((folder / CARD).read_bytes()) | facts)


def card(folder: Path) -> ModelCard | None:
    """Return a version's card, or None where there is no such version or its card cannot be read."""
    try:
        return decode_card((folder / CARD).read_bytes())
    except (OSError, ValueError):
        return None


def decode_card(content: bytes) -> ModelCard:
    """Read a card as it is on disk and in the registry.

    Raises:
        ValueError: It is not a card.
    """
    return msgspec.json.decode(content, type=ModelCard)


def load(folder: Path) -> dict[str, bytes]:
    """Return a version's files by name, without the card.

    Raises:
        ValueError: A file is missing, or is not what was saved.
        OSError: A file cannot be read.
    """
    about = card(folder)
    if about is None or not about.sha256:
        raise ValueError(f"{folder} holds no model")
    files = {name: (folder / name).read_bytes() for name in about.sha256}
    for name, content in files.items():
        if hashlib.sha256(content).hexdigest() != about.sha256[name]:
            raise ValueError(f"{folder / name} is damaged")
    return files


def versions(root: Path) -> list[str]:
    """Return the names of the versions that are there, oldest first."""
    return sorted(path.name for path in root.glob("[0-9]*") if path.is_dir())


def read_champion(root: Path) -> Champion | None:
    """Return the champion; None where none was named.

    Raises:
        ValueError: The file that names it cannot be read.
    """
    try:
        return msgspec.json.decode((root / _CHAMPION).read_bytes(), type=Champion)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ValueError(f"{root / _CHAMPION} cannot be read ({error!r})") from error


def write_champion(root: Path, champion: Champion) -> None:
    """Name the champion, atomically.

    Raises:
        StagingError: The file cannot be written.
    """
    _write(root / _CHAMPION, champion)


def _json(content: Struct | dict[str, Any]) -> str:
    return json.dumps(msgspec.to_builtins(content), indent=1, sort_keys=True) + "\n"


def _write(path: Path, content: Struct | dict[str, Any]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(_json(content))
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise StagingError(f"{path} cannot be written: {error.strerror or error}") from error
