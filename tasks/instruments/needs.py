"""Needs: what needs a person, each with the command that heals it: what the alerts would say now, and the rest."""

from datetime import UTC, datetime
from typing import Any

from tasks.instruments import conditions, incidents
from tasks.instruments.incidents import Incident
from tasks.instruments.observed import PipelineState
from tasks.missing import MissingHours
from tasks.settings.reading import settings, staging_root

__all__ = ["SERVICE", "all_needs"]

#: Kinds that are for a working day: no command heals them, and nothing gets worse over night.
SERVICE = ("sensor_silent", "sensor_dead", "drift", "mass_revision")


def all_needs(
    state: PipelineState, missing: MissingHours, mongodb: str, newest: datetime | None
) -> list[dict[str, Any]]:
    """Return what needs a person, the urgent first.

    Args:
        state: What was observed.
        missing: The hours that are missing in all stations.
        mongodb: ``ok``, or why MongoDB cannot be used.
        newest: The newest hour with a reading of the last days.

    Returns:
        ``kind``, ``title``, ``since`` (None where it is not known), ``command`` (empty where there is none),
        ``text``, and ``urgent``: whether it is for now.
    """
    book = incidents.read(staging_root())
    evaluation = conditions.evaluate(state, settings().alerts, datetime.now(UTC), book.watching_since)
    known = {incident.key: incident.since for incident in book.open()}
    holding = {incident.key: incident for incident in evaluation.holding}
    # a failed task is an event, and of what cannot be judged now the last word holds
    for incident in book.open():
        if incident.kind not in conditions.CONDITIONS or {incident.kind, incident.key} & evaluation.unknown:
            holding.setdefault(incident.key, incident)
    found = [_need(incident, known.get(incident.key)) for incident in holding.values()]
    if mongodb != "ok":
        found.append(_plain("mongodb", "MongoDB cannot be used", mongodb, "scripts/doctor"))
    elif newest is None and not missing.never_asked:
        found.append(_plain("nothing", "nothing is staged yet", "The first run begins.", "scripts/hourly"))
    late = newest is None or (state.last_hour - newest).total_seconds() > 3600 * settings().status.max_age_hours
    if late and not any(need["urgent"] for need in found):  # which then says why
        limit = settings().status.max_age_hours
        text = f"The newest hour should be at most {limit} h old."
        found.append(_plain("late", "the newest hour is late", text, "scripts/hourly"))
    return sorted(found, key=lambda need: not need["urgent"])


def _need(incident: Incident, since: datetime | None) -> dict[str, Any]:
    commands = [line.strip() for line in incident.text.splitlines() if line.startswith("    ")]
    return {
        "kind": incident.kind,
        "title": incident.title,
        "since": since,
        "command": commands[0] if commands else "",
        "text": incident.text,
        "urgent": incident.kind not in SERVICE and (incident.kind != "damaged_file" or bool(incident.units)),
    }


def _plain(kind: str, title: str, text: str, command: str) -> dict[str, Any]:
    return {"kind": kind, "title": title, "since": None, "command": command, "text": text, "urgent": True}
