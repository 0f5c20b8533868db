"""The operator's notes on disk: one file, JSON Lines, to which notes are only added.

The first line says what the file is and in which version of its format; each further line is one note, oldest first.
It is written as a whole, so that a reader never sees a part of a line. A line that cannot be read stops whoever asks:
to go on without it would publish what an operator took back.
"""

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from airqino.errors import DamagedFileError, StagingError
from airqino.quality.notes import Note, problem
from airqino.stores import files
from airqino.stores.locks import held

__all__ = ["add", "is_lost", "read", "restore"]

_FORMAT = "airqino-notes"
#: Raise when the meaning of a line changes.
_VERSION = 1
#: Seconds to wait for another writer.
_WAIT = 10.0


def read(path: Path) -> list[Note]:
    """Return all notes, oldest first; none where there never was a file, nor the folder that came with it.

    Raises:
        DamagedFileError: A line is not what was written; the message names file and line.
        StagingError: The file cannot be read, is gone from its folder, or is of a newer version.
    """
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        if is_lost(path):  # to go on without it would publish what an operator took back
            cure = (
                "scripts/note list brings it back from MongoDB; if it does not, take it from a back-up, or remove the "
                f"empty folder {path.parent} if there never was a note"
            )
            raise StagingError(f"{path} is gone: {cure}") from None
        return []
    except OSError as error:
        raise StagingError(f"{path} cannot be read: {error.strerror or error}") from error
    _check_header(path, lines[0] if lines else b"")
    notes: list[Note] = []
    for number, line in enumerate(lines[1:], start=2):
        try:
            note = msgspec.json.decode(line, type=Note)
            wrong = problem(note, notes)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            wrong = f"{error}"
        if wrong:
            raise _damaged(path, number, wrong)
        notes.append(note)
    return notes


def is_lost(path: Path) -> bool:
    """Tell whether the file is gone: the folder that came with it is there."""
    return path.parent.is_dir() and not path.exists()


def _check_header(path: Path, line: bytes) -> None:
    try:
        header = json.loads(line)
        known, version = header["format"] == _FORMAT, int(header["version"])
    except (ValueError, TypeError, KeyError, UnicodeDecodeError):
        known, version = False, 0
    if not known:
        raise _damaged(path, 1, f'it does not begin with {{"format": "{_FORMAT}", …}}')
    if version > _VERSION:
        raise StagingError(f"{path} is of version {version}, this program knows {_VERSION}: upgrade it")


def _damaged(path: Path, number: int, wrong: str) -> DamagedFileError:
    cure = "mend that line, or take the file from a back-up; until then nothing that depends on notes is built"
    return DamagedFileError(f"{path} line {number} is no note: {wrong}; {cure}")


def add(path: Path, lock: Path, make: Callable[[Sequence[Note]], Note]) -> Note:
    """Add a note; of two that write at once, one waits for the other.

    Args:
        path: The file.
        lock: Its lock file.
        make: Makes the note, given all that are there.

    Returns:
        The note that was added.

    Raises:
        ValueError: The note is not one that can be added; the message tells why. Nothing was written.
        StagingError: The file cannot be read or written, or another writer has held it for long.
    """
    with _alone(lock):
        notes = read(path)
        note = make(notes)
        if wrong := problem(note, notes):
            raise ValueError(wrong)
        _write(path, [*notes, note])
    return note


def restore(path: Path, lock: Path, notes: Sequence[Note]) -> None:
    """Write the file anew where it is gone, from notes that are known from elsewhere, oldest first.

    Raises:
        StagingError: The file cannot be written, or another writer has held it for long.
    """
    with _alone(lock):
        if not path.exists():
            _write(path, notes)


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with held(lock, wait=_WAIT) as got:
        if not got:
            raise StagingError(f"another command has held {lock} for {_WAIT:.0f} s: try again")
        yield


def _write(path: Path, notes: Sequence[Note]) -> None:
    header = json.dumps({"format": _FORMAT, "version": _VERSION}).encode()
    content = b"".join(line + b"\n" for line in (header, *map(msgspec.json.encode, notes)))
    if path.parent.is_dir():
        files.write(path, content)
    else:  # folder and file at once: a folder without the file says that it is gone
        files.write_folder(path.parent, {path.name: content})
