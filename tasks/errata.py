"""LoadNotes: the operator's notes as documents, and the days that depend on those that are new or were taken back."""

import logging
import math
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import date, datetime
from typing import Any

import msgspec

from airqino import views
from airqino.quality.notes import Note, problem
from airqino.stores import indexes, mongo, notebook, writes
from tasks import notes, targets
from tasks.clean import CleanDay
from tasks.load import LoadDay
from tasks.settings.reading import settings
from tasks.stage import Stage, alone, exclusive

__all__ = ["LoadNotes", "apply", "restore_lost"]

log = logging.getLogger("airqino.notes")

Document = dict[str, Any]

#: The fields of a document.
_FIELDS = (
    *("_id", "kind", "station", "reading", "first_hour", "last_hour", "slope", "zero_offset", "who", "why", "noted_at"),
    *("active", "revocation", "revoked_by", "revoked_why", "revoked_at"),
)
#: Ids of documents that are not ours, of which this process has told.
_told: set[str] = set()
#: Days that are built at a time, the newest first.
_CHUNK = 31
#: Share of a task's time that an hourly run gives to old days; the next one goes on.
_SHARE = 0.25


class LoadNotes(Stage):
    """The operator's notes in ``notes``; each day that one is about is built and loaded again, however old it is.

    Unit: all notes. Complete: MongoDB holds them as they are now, and no day is left to build, or this run has given it
    the time that it may. Nothing is asked of the API.
    """

    priority = 20  # what is trained and forecast then rests on the notes

    def output(self) -> targets.LoadTarget:
        """Return the row in ``loads``."""
        return targets.LoadTarget("notes")

    def complete(self) -> bool:
        """Tell whether MongoDB holds the notes, and this run can do no more for the days."""
        if self.is_forced or notebook.is_lost(targets.paths().notes):
            return False
        wanted = _documents()
        there, pending = _loaded(wanted), _pending()
        if pending is None:  # nothing was recorded: each note is to be looked at
            return not (wanted or there)
        done = not pending or (self.output().record() or {}).get("run") == settings().now.isoformat()
        return done and not _changed(wanted, there)

    @exclusive
    def run(self) -> None:
        """Load the notes and build the days, the newest first."""
        _apply(settings().airqino.task_seconds * _SHARE, every=self.is_forced)


def apply(seconds: float = math.inf) -> list[date]:
    """Load the notes and build the days that depend on what changed among them; nothing is asked of the API.

    Args:
        seconds: After so many no more days are begun; the others wait for the next call.

    Returns:
        The days that were looked at, oldest first; those that are as they should be were left alone.

    Raises:
        StagingError: The notes cannot be read, a file cannot be written, or another process has been at it for long.
        MongoError: The database cannot be reached, or refused.
    """
    with alone(LoadNotes.__name__):
        return _apply(seconds)


def restore_lost() -> None:
    """Write the file of notes, where it is gone, from what MongoDB holds; before anything asks for notes.

    Raises:
        StagingError: The file cannot be written, or another writer has held it for long.
        MongoError: The file is gone, and the database cannot be reached.
    """
    path = targets.paths().notes
    if path.exists():
        return
    kept: list[Note] = []
    for document in _loaded({}).values():
        was_gone_before = not (document["active"] or document["revocation"])
        found = [] if was_gone_before else _notes_of(document)
        if not {note.id for note in found} & {note.id for note in kept}:
            kept += found
    if kept:
        LoadNotes().output().write("", {"kind": "notes"})  # which days they are about is to be looked at again
        notebook.restore(path, targets.paths().lock("notes"), sorted(kept, key=_order))
        told = "%s was gone: it is restored from MongoDB, with the %d lines that were loaded; compare a back-up"
        log.warning(told, path, len(kept))


def _apply(seconds: float, every: bool = False) -> list[date]:
    """See `apply`; `every` looks at the days of each note, not only of those that are new or were taken back."""
    deadline = time.monotonic() + seconds
    restore_lost()
    wanted, recorded = _documents(), _pending()
    there = _loaded(wanted)
    keys = wanted.keys() | there.keys() if recorded is None or every else _changed(wanted, there)
    changed = [wanted.get(key) or there[key] for key in sorted(keys)]
    said = [of[key] for of in (wanted, there) for key in keys if key in of]  # an id may have meant other days before
    pending = (recorded or set()) & {*targets.paths().days()}
    pending |= notes.touched_days((d["first_hour"], d["last_hour"]) for d in said if _has_span(d))
    looked_at: list[date] = []
    _record(wanted, pending)  # before the documents: if this process is killed, the next one knows the days
    database = targets.database()
    indexes.ensure_indexes(database, settings().mongo.retention_days)
    mongo.build(database, views.ensure_views)
    writes.replace(database, "notes", [d if d["_id"] in wanted else d | {"active": False} for d in changed])
    while pending:
        chunk = sorted(pending)[-_CHUNK:]
        _build(chunk)
        looked_at = chunk + looked_at
        pending -= {*chunk}
        _record(wanted, pending)
        if pending and time.monotonic() > deadline:
            log.info("notes: %d older days are left for the next run", len(pending))
            break
    return looked_at


def _build(days: list[date]) -> None:
    """Build and load the days that are not as they should be, from what is staged: nothing is fetched."""
    staged, load = {*targets.paths().days()}, LoadDay(day=days)
    means = load.requires()
    CleanDay(day=[day for day in means.requires().day if day in staged]).run()
    means.run()
    load.run()


def _record(wanted: dict[str, Document], pending: Iterable[date]) -> None:
    content = {
        "kind": "notes",
        "documents": len(wanted),
        "pending": [f"{day}" for day in sorted(pending)],
        "run": settings().now.isoformat(),
    }
    LoadNotes().output().write(targets.fingerprint(wanted), content)


def _pending() -> set[date] | None:
    """Return the days that are left to build; None where that is not recorded, or not legible."""
    try:
        return {date.fromisoformat(day) for day in (LoadNotes().output().record() or {})["pending"]}
    except (KeyError, TypeError, ValueError):
        return None


def _loaded(wanted: dict[str, Document]) -> dict[str, Document]:
    """Return the documents of the wanted notes, however they are, and of others those that a note of ours has made.

    What is not ours stays as it is, and is told once.
    """
    there = {}
    for document in mongo.find(targets.database(), "notes", {}):
        key = document["_id"]
        if isinstance(key, str) and (key in wanted or _notes_of(document)):
            there[key] = document
        elif repr(key) not in _told:
            _told.add(repr(key))
            log.warning("notes: the document %r is not of a note of ours: left alone", key)
    return there


def _changed(wanted: dict[str, Document], there: dict[str, Document]) -> set[str]:
    """Return the ids of notes of which MongoDB holds something else, or that are gone."""
    gone = {key for key in there.keys() - wanted.keys() if there[key]["active"]}
    return gone | {key for key in wanted if there.get(key) != wanted[key]}


def _has_span(document: Document) -> bool:
    """Tell whether a document, which somebody may have changed, says of which hours it is."""
    first, last = document.get("first_hour"), document.get("last_hour")
    return isinstance(first, datetime) and isinstance(last, datetime | None)


def _documents() -> dict[str, Document]:
    """Return each note as a document, but for those that take another back: that is said in the other's own."""
    everything = notes.everything()
    taken_back = {note.revokes: note for note in everything if note.kind == "revoke"}
    return {note.id: _document(note, taken_back.get(note.id)) for note in everything if note.kind != "revoke"}


def _order(note: Note) -> tuple[datetime, int, str]:
    return note.noted_at, len(note.id), note.id


def _notes_of(document: Document) -> list[Note]:
    """Return a document's note, and the one that took it back; nothing where no note of ours makes this document."""
    if document.keys() != set(_FIELDS):
        return []
    said: list[Document] = [
        {name: document[name] for name in ("kind", "station", "reading", "who", "why", "noted_at")}
        | {"id": document["_id"], "first": document["first_hour"], "last": document["last_hour"]}
    ]
    if document["kind"] == "calibrate":
        said[0] |= {"slope": document["slope"], "offset": document["zero_offset"]}
    if document["revocation"] is not None:
        taken_back = {"who": document["revoked_by"], "why": document["revoked_why"], "noted_at": document["revoked_at"]}
        ids = {"id": document["revocation"], "revokes": document["_id"]}
        said.append(taken_back | ids | {"kind": "revoke", "station": document["station"]})
    try:
        found = [replace(msgspec.convert(of, Note)) for of in said]  # which sets what is left to defaults, too
    except msgspec.ValidationError:
        return []
    if any(problem(note, found[:place]) for place, note in enumerate(found)):
        return []
    made = _document(found[0], found[1] if found[1:] else None)
    # inactive without a revocation: the note is gone from the file
    is_ours = document in (made, made | {"active": False}) and found == sorted(found, key=_order)
    return found if is_ours else []


def _document(note: Note, revocation: Note | None) -> Document:
    is_calibration = note.kind == "calibrate"
    return {
        "_id": note.id,
        "kind": note.kind,
        "station": note.station,
        "reading": note.reading,
        "first_hour": note.first,
        "last_hour": note.last,
        "slope": note.slope if is_calibration else None,
        "zero_offset": note.offset if is_calibration else None,
        "who": note.who,
        "why": note.why,
        "noted_at": note.noted_at.replace(microsecond=0),
        "active": revocation is None,
        "revocation": revocation.id if revocation else None,
        "revoked_by": revocation.who if revocation else None,
        "revoked_why": revocation.why if revocation else None,
        "revoked_at": revocation.noted_at.replace(microsecond=0) if revocation else None,
    }
