"""From which staged files the open data were built: what has not changed since is not built again.

Staged files are known by the status that changes whenever one is replaced, notes by their text, published files by size
and time of change. A published file that is missing, or that somebody changed, is built as a whole; so is everything
where this record is missing, or was written by another version. It is written last: a writer that is killed is as one
that has not run, but that files whose content is right already are left alone.
"""

import contextlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

from airqino.errors import StagingError
from airqino.opendata.about import Location
from airqino.quality.notes import Note
from airqino.stores import files, parquet
from airqino.stores.paths import Paths
from airqino.times import DAY

__all__ = ["Built", "day_signatures", "file_signatures", "key_of", "said_by", "said_of"]

EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)

#: Raise when what is made of a staged table, or the form of the files, changes: everything is then built again.
_VERSION = 1


@dataclass
class Built:
    """The record.

    Attributes:
        days: Table → day → what its staged file was.
        files: What `DataFolder.rows` names (`key_of`) → what the two files were when they were written.
        locations: Station → what was said of it.
        notes: Id of a note that held → what it said, its first and its last day.
        changes: What the files of changes were when they were written.
        said: What all notes said, those too that were taken back.
    """

    days: dict[str, dict[str, str]] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    locations: dict[str, str] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)
    changes: str = ""
    said: str = ""

    @classmethod
    def read(cls, path: Path) -> "Built":
        """Return the record; an empty one where there is none that can be used."""
        with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
            content = json.loads(path.read_bytes())
            if content.pop("version") == _VERSION and all(
                type(part) is type(getattr(cls(), name)) for name, part in content.items()
            ):
                return cls(**content)
        return cls()

    def write(self, path: Path) -> None:
        """Write the record, unless it is there already."""
        content = json.dumps({"version": _VERSION, **vars(self)}, sort_keys=True).encode()
        with contextlib.suppress(OSError):
            if path.read_bytes() == content:
                return
        files.write(path, content)


def key_of(table: str, station: str, period: date) -> str:
    """Return what a table's files of a station and period are called in the record."""
    return f"{table} {station} {period}"


def file_signatures(paths: Iterable[Path]) -> str:
    """Return size and time of change of each file, an object's size and ETag; "" where one is missing."""
    found = []
    for path in paths:
        try:
            found.append(files.stamp(path))
        except StagingError:  # a bucket that cannot be asked
            raise
        except OSError:
            return ""
    return " ".join(found)


def day_signatures(paths: Paths, days: Iterable[date]) -> dict[date, dict[str, str]]:
    """Return for each day, and table of which it has staged rows, what changes whenever those do.

    Args:
        paths: The staging root's.
        days: The days.
    """
    any_day = date.min
    tables = {
        paths.daily(any_day).name: "daily",
        paths.hourly(any_day).name: "hourly",
        paths.forecasts(any_day).name: "forecasts",  # a folder: it changes when a file in it gets its name
        paths.revisions(any_day).name: "changes",
    }
    found: dict[date, dict[str, str]] = {}
    for day in days:
        found[day] = {}
        for name, signature in files.signatures(paths.partition(day)).items():
            if table := tables.get(name):
                found[day][table] = " ".join(map(str, signature))
    return found


def said_of(location: Location) -> str:
    """Return what is said of a station, for comparison."""
    return parquet.digest(asdict(location))


def said_by(note: Note) -> list[str]:
    """Return what a note says, for comparison, and the days that it may be about in any time zone."""
    first, last = note.first or EARLIEST, note.last or LATEST
    return [parquet.digest(asdict(note)), f"{first.date() - DAY}", f"{min(last, LATEST).date() + DAY}"]
