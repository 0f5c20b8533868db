"""Incidents: what is wrong, since when, and who was notified; kept in ``<staging root>/alerts.json``.

An incident opens once, however often its cause is seen, and ends once. A channel is notified of both or of neither.
All processes of a run, and several runs at the same time, share the file under a lock.
"""

import contextlib
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from msgspec import Struct, field

from airqino.errors import DamagedFileError, StagingError
from airqino.stores import files
from airqino.stores.locks import held
from airqino.stores.paths import Paths
from airqino.times import Moment

__all__ = ["KINDS", "Book", "Incident", "book", "read"]

log = logging.getLogger("instruments.incidents")

KINDS = (
    "task_failed",
    "no_success",
    "station_silent",
    "sensor_silent",
    "sensor_dead",
    "shape_changed",
    "drift",
    "mass_revision",
    "damaged_file",
    "hours_missing",
    "disk_low",
)

#: How long another process may hold the file; it changes it in milliseconds.
_WAIT_SECONDS = 60
#: How long the end of an incident is sent again to a channel that fails.
_RETRY_END = timedelta(days=1)


class Incident(Struct, kw_only=True, rename={"subject": "what", "notified": "told"}):
    """Something that is wrong.

    Attributes:
        kind: One of `KINDS`.
        subject: Which one of its kind, such as a station or a task; empty where there is only one. In JSON ``what``.
        since: When it began.
        title: One line.
        text: What it is, and what to do.
        units: Of a failed task the hours or days that have not succeeded yet; of damaged files those not there again.
        ended_at: When it ended; kept until every channel that knows of the beginning knows of the end.
        notified: Channel → "start" or "end", whichever was sent last. In JSON ``told``.
    """

    kind: str
    subject: str = ""
    since: Moment
    title: str
    text: str
    units: list[str] = field(default_factory=list)
    ended_at: Moment | None = None
    notified: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Return what is the same whenever the same incident is seen."""
        return f"{self.kind}|{self.subject}"

    def phase(self) -> str:
        """Return "start" while it lasts, and "end" afterwards."""
        return "end" if self.ended_at else "start"

    def pending_for(self, channel: str) -> bool:
        """Return whether a channel lacks a message; it gets an end only if it got the start."""
        return self.notified.get(channel) == "start" if self.ended_at else channel not in self.notified


class Book(Struct, kw_only=True):
    """All incidents, and since when the pipeline is watched."""

    watching_since: Moment = field(default_factory=lambda: datetime.now(UTC))
    incidents: dict[str, Incident] = field(default_factory=dict)

    def open(self) -> list[Incident]:
        """Return the incidents that last, in order of kind and subject."""
        lasting = [i for i in self.incidents.values() if not i.ended_at]
        # a kind that another version of the code has written comes last
        return sorted(lasting, key=lambda i: (KINDS.index(i.kind) if i.kind in KINDS else len(KINDS), i.subject))

    def begin(self, incident: Incident) -> None:
        """Open an incident, or bring one that is open already up to date."""
        previous = self.incidents.get(incident.key)
        if previous is None:
            log.info("incident: %s", incident.title)
        elif previous.ended_at:
            # back before all channels got its end: those that did not get it need no new start
            incident.notified = {channel: last for channel, last in previous.notified.items() if last == "start"}
        else:
            incident.notified, incident.since = previous.notified, previous.since
            incident.title = previous.title  # its end is sent under the same title
            if incident.kind == "task_failed":
                incident.units = sorted({*previous.units, *incident.units})
        self.incidents[incident.key] = incident

    def end(self, key: str) -> None:
        """End an incident, if it is open."""
        incident = self.incidents.get(key)
        if incident and not incident.ended_at:
            incident.ended_at = datetime.now(UTC)
            log.info("over: %s", incident.title)

    def prune(self, channels: list[str]) -> None:
        """Delete the ended incidents whose end no channel still has to get, or that ended too long ago."""
        oldest = datetime.now(UTC) - _RETRY_END
        for key, incident in list(self.incidents.items()):
            if incident.ended_at and (incident.ended_at < oldest or not any(map(incident.pending_for, channels))):
                del self.incidents[key]


@contextlib.contextmanager
def book(root: Path) -> Iterator[Book]:
    """Read a staging root's incidents, and write them if the block has changed them; nobody else writes meanwhile.

    Raises:
        StagingError: The staging root cannot be written, or another process holds its incidents for long.
    """
    paths = Paths(root)
    with held(paths.lock("alerts"), wait=_WAIT_SECONDS) as got:
        if not got:
            raise StagingError(f"another process has held {paths.lock('alerts')} for {_WAIT_SECONDS} s")
        try:
            incidents = _read(paths.alerts)
        except DamagedFileError as error:
            kept = files.set_aside(paths.alerts, root, paths.quarantine)
            log.error("%s: it is kept as %s, and incidents are counted anew", error, kept)
            incidents = Book()
        before = _encode(incidents)
        yield incidents
        after = _encode(incidents)
        if after != before or not paths.alerts.exists():
            files.write(paths.alerts, after)


def read(root: Path) -> Book:
    """Read the incidents; an empty book where there is no file, or a damaged one, which the next change moves away."""
    try:
        return _read(Paths(root).alerts)
    except DamagedFileError:
        return Book()


def _read(path: Path) -> Book:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Book)
    except FileNotFoundError:
        return Book()
    except ValueError as error:  # msgspec's errors, and bytes that are no UTF-8
        raise DamagedFileError(f"{path} cannot be read: {error}") from error


def _encode(incidents: Book) -> bytes:
    return msgspec.json.format(msgspec.json.encode(incidents), indent=1)
