"""Incidents for tests: made, begun and ended as the pipeline does."""

from datetime import UTC, datetime
from pathlib import Path

from tasks.instruments.incidents import Incident, book

AT = datetime(2024, 9, 9, 11, 5, tzinfo=UTC)


def incident(kind: str = "disk_low", subject: str = "", **more) -> Incident:
    return Incident(
        kind=kind, subject=subject, since=AT, title=f"{kind} {subject}".strip(), text="do something", **more
    )


def begin(root: Path, *new: Incident) -> None:
    with book(root) as incidents:
        for one in new:
            incidents.begin(one)


def end(root: Path, key: str) -> None:
    with book(root) as incidents:
        incidents.end(key)
