"""Models on disk: a folder for each version, written whole or not at all, and a small file that names the champion.

Cards come from the registry and back-ups too: what they name is checked before it becomes a path.
"""

import contextlib
import hashlib
import json
import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field

from airqino.errors import DamagedFileError, StagingError
from airqino.names import file_name, version_name
from airqino.stores import files

__all__ = [
    "CARD", "Champion", "ModelCard", "annotate", "card", "check_fetched", "decode_card", "load", "read_champion",
    "save", "versions", "write_champion",
]  # fmt: skip

#: Name of a version's card in its folder, and in the registry.
CARD = "card.json"
_CHECKSUM = "checksum"
#: The line that `_sealed` adds; a name inside of a list or dictionary stands further to the right.
_SEAL = re.compile(rb'^ "checksum": "([0-9a-f]{64})",\n', re.MULTILINE)


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

    format: int = 1  # of the model's files (`forecasting.artifact.FORMAT`)
    trained: bool = False  # else there is no model, and `reason` says why
    trained_for: str = ""  # the day that names it: it knows nothing of that day or later
    horizons: tuple[int, ...] = ()  # hours ahead that it forecasts
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


def save(folder: Path, content_by_name: dict[str, bytes], about: ModelCard) -> None:
    """Write a version's files and its card, replacing what is there.

    Args:
        folder: The version's folder.
        content_by_name: The files.
        about: The card; the checksums on it are made here.

    Raises:
        StagingError: The folder cannot be written.
    """
    card = _sealed(msgspec.to_builtins(msgspec.structs.replace(about, sha256=_sums(content_by_name))))
    files.write_folder(folder, {**content_by_name, CARD: card})


def annotate(folder: Path, **facts: Any) -> None:
    """Change some facts on a version's card, atomically; what this version of the code does not know stays on it.

    Raises:
        StagingError: There is no such version, or the card cannot be written.
    """
    if card(folder) is None:
        raise StagingError(f"{folder} holds no model card")
    files.write(folder / CARD, _sealed(json.loads((folder / CARD).read_bytes()) | facts))


def card(folder: Path) -> ModelCard | None:
    """Return a version's card, or None where there is no such version.

    Raises:
        DamagedFileError: There is a folder, but no card in it that is this version's, as it was written.
        StagingError: The card cannot be read.
    """
    try:
        about = decode_card((folder / CARD).read_bytes())
    except (FileNotFoundError, NotADirectoryError) as error:
        if folder.is_dir():
            raise DamagedFileError(f"{folder} holds no model card") from error
        return None
    except OSError as error:
        raise StagingError(f"{folder / CARD} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise DamagedFileError(f"{folder / CARD} cannot be read: {error}") from error
    if about.trained_for != folder.name:
        raise DamagedFileError(f"{folder / CARD} is the card of another version: {about.trained_for or 'of none'}")
    return about


@lru_cache(maxsize=8)  # a run looks at one again and again, and with thousands of scores it takes its time
def decode_card(content: bytes) -> ModelCard:
    """Read a card as it is on disk and in the registry.

    Raises:
        ValueError: It is not a card, or not as it was written.
    """
    about = msgspec.json.decode(content, type=ModelCard)
    _check(content, about.trained_at, about.promoted_at)
    for name in about.sha256:
        file_name(name)
    return about


def check_fetched(version: str, about: ModelCard, content_by_name: Mapping[str, bytes]) -> None:
    """Check that a card and files are those of a version, before they are saved as such.

    Args:
        version: The version that was asked for.
        about: The card that came.
        content_by_name: The files that came, without the card.

    Raises:
        ValueError: It is another version's card, or the files are not those that it was made for.
    """
    if about.trained_for != version:
        raise ValueError(f"its {CARD} is that of {about.trained_for or 'none'}")
    sums = _sums(content_by_name)
    if wrong := sorted(name for name in {*sums, *about.sha256} if sums.get(name) != about.sha256.get(name)):
        raise ValueError(f"{wrong[0]} is not as it was recorded")


def load(folder: Path) -> dict[str, bytes]:
    """Return a version's files by name, without the card.

    Raises:
        DamagedFileError: A file is missing, or is not what was saved.
        StagingError: There is no such version, or a file cannot be read.
    """
    about = card(folder)
    if about is None or not about.sha256:
        raise StagingError(f"{folder} holds no model")
    content_by_name = {}
    for name, checksum in about.sha256.items():
        try:
            content = content_by_name[name] = (folder / name).read_bytes()
        except FileNotFoundError as error:
            raise DamagedFileError(f"{folder / name} is gone") from error
        except OSError as error:
            raise StagingError(f"{folder / name} cannot be read: {error.strerror or error}") from error
        if hashlib.sha256(content).hexdigest() != checksum:
            raise DamagedFileError(f"{folder / name} is damaged")
    return content_by_name


def versions(root: Path) -> list[str]:
    """Return the names of the versions that are there, oldest first; a folder of another name is none."""
    return sorted(path.name for path in root.glob("[0-9]*") if _is_version(path.name) and path.is_dir())


def _is_version(name: str) -> bool:
    with contextlib.suppress(ValueError):
        return bool(version_name(name))
    return False


def read_champion(path: Path) -> Champion | None:
    """Return the champion that a file names; None where there is no file.

    Raises:
        DamagedFileError: It is no such file.
        StagingError: The file cannot be read.
    """
    try:
        champion = msgspec.json.decode(content := path.read_bytes(), type=Champion)
        _check(content, champion.promoted_at)
        for version in (champion.version, *champion.predecessors, *filter(None, [champion.alias_version])):
            version_name(version)
        return champion
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StagingError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise DamagedFileError(f"{path} cannot be read: {error}") from error


def write_champion(path: Path, champion: Champion) -> None:
    """Name the champion.

    Raises:
        StagingError: The file cannot be written.
    """
    files.write(path, _sealed(msgspec.to_builtins(champion)))


def _sealed(facts: dict[str, Any]) -> bytes:
    """Return a card, or the champion's file, with a checksum of all else that is on it."""
    facts = {name: fact for name, fact in facts.items() if name != _CHECKSUM}
    return _json(facts | {_CHECKSUM: hashlib.sha256(_json(facts)).hexdigest()})


def _check(content: bytes, *moments: str | None) -> None:
    """Check the checksum, which files of 0.2 do not have, and that moments are such.

    Raises:
        ValueError: It is not as it was written.
    """
    if not _is_as_sealed(content):
        facts = json.loads(content)
        if _CHECKSUM in facts and _sealed(facts) != _json(facts):
            raise ValueError("it is not as it was written")
    for moment in filter(None, moments):
        datetime.fromisoformat(moment)


def _is_as_sealed(content: bytes) -> bool:
    """Tell whether a file is, to the byte, one that `_sealed` made: a card of thousands of scores is long to write."""
    return _SEAL.findall(content) == [hashlib.sha256(_SEAL.sub(b"", content)).hexdigest().encode()]


def _sums(content_by_name: Mapping[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in content_by_name.items()}


def _json(content: dict[str, Any]) -> bytes:
    return f"{json.dumps(content, indent=1, sort_keys=True)}\n".encode()
