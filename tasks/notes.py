"""The operator's notes, read once for as long as their file stays as it is, and the days they are about."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from pathlib import Path

from airqino.quality import notes
from airqino.quality.notes import Note
from airqino.stores import files, notebook
from airqino.times import DAY, HOUR, local_day
from tasks import targets
from tasks.settings.reading import Settings, settings

__all__ = ["active", "effects", "everything", "of_local_day", "touched_days"]

_known: dict[Path, tuple[files.Signature, list[Note]]] = {}


def everything() -> list[Note]:
    """Return all notes, oldest first, those that were taken back too.

    Raises:
        StagingError: Their file cannot be read, is damaged, or is gone from its folder.
    """
    path = targets.paths().notes
    if (signature := files.signature(path)) is None:
        return notebook.read(path)  # nothing, or it is gone
    if path not in _known or _known[path][0] != signature:
        _known[path] = signature, notebook.read(path)
    return _known[path][1]


def active() -> list[Note]:
    """Return the notes that hold, oldest first."""
    return notes.active(everything())


def effects(first: datetime, last: datetime) -> list[str]:
    """Return what the notes do to the values from `first` to `last`; nothing where they do nothing."""
    return notes.effects(active(), first, last)


def of_local_day(day: date, config: Settings) -> dict[str, list[str]]:
    """Return the ids of the notes about a day in each station's time zone; only of stations that have any."""
    holding = active()
    found = {}
    for station in sorted({note.station for note in holding}):
        local = local_day(day, config.zone(station))
        if ids := [note.id for note in notes.touching(holding, station, local.start, local.stop - HOUR)]:
            found[station] = ids
    return found


def touched_days(spans: Iterable[tuple[datetime, datetime | None]]) -> set[date]:
    """Return the days, of those that have been through the pipeline, that may depend on what is said of some spans.

    Beside the span's own, those are the day before and the `dead_days` after it, by what flags need of the days around,
    and one more: east of Greenwich, a local day begins on the UTC day before.

    Args:
        spans: First and last hour of each; None is open.
    """
    after = timedelta(days=settings().quality.dead_days + 1)
    ends = [
        (max(first.date(), date.min + DAY) - DAY, min(last.date(), date.max - after) + after if last else date.max)
        for first, last in spans
    ]
    days = targets.paths().days() if ends else []
    return {day for day in days if any(a <= day <= b for a, b in ends) and targets.daily(day).exists()}
