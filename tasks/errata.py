"""LoadNotes: the operator's notes as documents, and the days that depend on those that are new or were taken back."""

import logging
import math
import time
from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

from airqino import views
from airqino.quality.notes import Note
from airqino.stores import mongo, notebook
from tasks import notes, targets
from tasks.clean import CleanDay
from tasks.load import LoadDay
from tasks.settings.reading import settings
from tasks.stage import Stage, alone, exclusive

__all__ = ["LoadNotes", "apply"]

log = logging.getLogger("airqino.notes")

Document = dict[str, Any]

#: The fields of a document.
_FIELDS = (
    *("_id", "kind", "station", "reading", "first_hour", "last_hour", "slope", "zero_offset", "who", "why", "noted_at"),
    *("active", "revocation", "revoked_by", "revoked_why", "revoked_at"),
)
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
        state = self.output().record() or {}
        done = not state.get("pending") or state["run"] == settings().now.isoformat()
        return done and not _changed(_documents(), _loaded())

    @exclusive
    def run(self) -> None:
        """Load the notes and build the days, the newest first."""
        _apply(settings().airqino.task_seconds * _SHARE)


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


def _apply(seconds: float) -> list[date]:
    deadline = time.monotonic() + seconds
    there = _loaded()
    lost = not targets.paths().notes.exists() and _restore(there)
    wanted = _documents()
    state = LoadNotes().output().record() or {}
    pending = {date.fromisoformat(day) for day in state.get("pending", ())}
    changed = [*wanted.values()] if lost else _changed(wanted, there)
    pending |= notes.touched_days((d["first_hour"], d["last_hour"]) for d in changed)
    looked_at: list[date] = []
    _record(wanted, pending)  # before the documents: if this process is killed, the next one knows the days
    database = targets.database()
    mongo.ensure_indexes(database, settings().mongo.retention_days)
    mongo.ask(database, views.ensure_views)
    mongo.replace(database, "notes", [d if d["_id"] in wanted else d | {"active": False} for d in changed])
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


def _loaded() -> dict[str, Document]:
    documents = mongo.find(targets.database(), "notes", {})
    return {d["_id"]: d for d in documents if d.keys() == set(_FIELDS)}  # what is not ours stays as it is


def _changed(wanted: dict[str, Document], there: dict[str, Document]) -> list[Document]:
    """Return the documents that say something else than what is loaded; of those that are gone, what they said."""
    keys = {key for key in wanted if there.get(key) != wanted[key]}
    gone = {key for key in there.keys() - wanted.keys() if there[key]["active"]}
    return [wanted.get(key) or there[key] for key in sorted(keys | gone)]


def _documents() -> dict[str, Document]:
    """Return each note as a document, but for those that take another back: that is said in the other's own."""
    everything = notes.everything()
    taken_back = {note.revokes: note for note in everything if note.kind == "revoke"}
    return {note.id: _document(note, taken_back.get(note.id)) for note in everything if note.kind != "revoke"}


def _restore(there: dict[str, Document]) -> bool:
    """Write the file of notes, where it is gone, from what MongoDB holds; tell whether there was anything."""
    kept = [note for document in there.values() for note in _notes_of(document)]
    if kept:
        path = targets.paths().notes
        notebook.restore(path, targets.paths().lock("notes"), sorted(kept, key=_order))
        log.warning("%s was gone: it is restored from MongoDB", path)
    return bool(kept)


def _order(note: Note) -> tuple[datetime, int, str]:
    return note.noted_at, len(note.id), note.id


def _notes_of(document: Document) -> Iterable[Note]:
    """Return a document's note, and the one that took it back."""
    names = ("kind", "station", "reading", "who", "why", "noted_at")
    rest = {"first": document["first_hour"], "last": document["last_hour"]}
    if document["slope"] is not None:
        rest |= {"slope": document["slope"], "offset": document["zero_offset"]}
    yield Note(id=document["_id"], **{name: document[name] for name in names}, **rest)
    if document["revocation"]:
        said = {name: document[f"revoked_{name}"] for name in ("by", "why", "at")}
        yield Note(
            id=document["revocation"],
            kind="revoke",
            station=document["station"],
            who=said["by"],
            why=said["why"],
            noted_at=said["at"],
            revokes=document["_id"],
        )


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
