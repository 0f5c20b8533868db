"""Incidents: what is wrong, since when, and who was told; kept in ``<staging root>/alerts.json``.

An incident opens once, however often its cause is seen, and ends once. A channel is told of both, or of neither. The
file is shared by all processes of a run, and by runs at the same time, under a lock.
"""

import contextlib
import logging
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from msgspec import Struct, field

from airqino.stores.locks import held

__all__ = ["KINDS", "Book", "Incident", "book", "read"]

log = logging.getLogger("instruments.incidents")

KINDS = ("task_failed", "no_success", "station_silent", "sensor_dead", "drift", "mass_revision", "disk_low")

#: How long a channel that fails is tried again for the end of an incident.
_PATIENCE = timedelta(days=1)


class Incident(Struct, kw_only=True):
    """Something that is wrong.

    Attributes:
        kind: One of `KINDS`.
        what: Which one of its kind, such as a station or a task; empty where there is only one.
        since: When it began.
        title: One line.
        text: What it is, and what to do.
        units: Of a failed task the hours or days still to succeed.
        ended_at: When it ended; kept until those who were told of it know.
        told: Channel → "start" or "end", the last that it was told.
    """

    kind: str
    what: str = ""
    since: datetime
    title: str
    text: str
    units: list[str] = field(default_factory=list)
    ended_at: datetime | None = None
    told: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What makes two sightings one incident."""
        return f"{self.kind}|{self.what}"

    def phase(self) -> str:
        """What there is to tell."""
        return "end" if self.ended_at else "start"

    def waits_for(self, channel: str) -> bool:
        """Whether a channel is to be told something; of an end only if it knows the start."""
        return self.told.get(channel) == "start" if self.ended_at else channel not in self.told


class Book(Struct, kw_only=True):
    """All incidents, and since when anybody looks."""

    watching_since: datetime = field(default_factory=lambda: datetime.now(UTC))
    incidents: dict[str, Incident] = field(default_factory=dict)

    def open(self) -> list[Incident]:
        """The incidents that last, in order of kind and name."""
        lasting = [i for i in self.incidents.values() if not i.ended_at]
        return sorted(lasting, key=lambda i: (KINDS.index(i.kind), i.what))

    def begin(self, incident: Incident) -> None:
        """Open an incident, or bring one that is open already up to date."""
        known = self.incidents.get(incident.key)
        if known is None:
            log.info("incident: %s", incident.title)
        else:
            incident.told = known.told
            if known.ended_at:  # back before its end was told to all: those who know of no end need no new start
                incident.told = {channel: last for channel, last in known.told.items() if last == "start"}
            else:
                incident.since, incident.title = known.since, known.title  # its end is told under the same name
                incident.units = sorted({*known.units, *incident.units})
        self.incidents[incident.key] = incident

    def end(self, key: str) -> None:
        """End an incident, if it is open."""
        known = self.incidents.get(key)
        if known and not known.ended_at:
            known.ended_at = datetime.now(UTC)
            log.info("over: %s", known.title)

    def prune(self, channels: list[str]) -> None:
        """Forget the ended incidents that nobody waits to hear of."""
        oldest = datetime.now(UTC) - _PATIENCE
        for key, incident in list(self.incidents.items()):
            if incident.ended_at and (
                incident.ended_at < oldest or not any(incident.waits_for(channel) for channel in channels)
            ):
                del self.incidents[key]


@contextlib.contextmanager
def book(root: Path) -> Iterator[Book]:
    """Read the incidents, and write them when the block has changed them; nobody else does meanwhile.

    Raises:
        OSError: The staging root cannot be written.
    """
    root.mkdir(parents=True, exist_ok=True)
    with held(root / ".alerts.lock"):
        now = read(root)
        before = _encode(now)
        yield now
        after = _encode(now)
        if after != before or not _path(root).exists():
            fresh = root / f".alerts.json.{os.getpid()}.tmp"
            fresh.write_bytes(after)
            fresh.replace(_path(root))


def read(root: Path) -> Book:
    """Read the incidents; none where there is no file, or one that is damaged."""
    try:
        return msgspec.json.decode(_path(root).read_bytes(), type=Book)
    except FileNotFoundError:
        return Book()
    except msgspec.MsgspecError as error:
        log.warning("%s is damaged (%s): incidents are counted anew", _path(root), error)
        return Book()


def _path(root: Path) -> Path:
    return root / "alerts.json"


def _encode(of: Book) -> bytes:
    return msgspec.json.format(msgspec.json.encode(of), indent=1)
