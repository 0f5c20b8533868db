"""Texts of alerts, for a person who was asleep: what, since when, where, the command to paste, where to look next."""

import math
import shlex
import socket
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from airqino.readings import reading
from airqino.stores.files import is_in_bucket, mount_point
from airqino.stores.paths import Paths
from airqino.times import HOUR, format_hour
from tasks.instruments.channels import Message
from tasks.instruments.incidents import Incident
from tasks.logs import RUN_ID, log_path
from tasks.parameters import HoursParameter
from tasks.settings.reading import staging_root

__all__ = ["command_for", "drift", "message", "station_silent", "task_failed"]

TitleAndText = tuple[str, str]

_LONGEST_OPTION = 400
#: Where a station's sensors are shown over time.
_DASHBOARD = 'the dashboard "Data and forecast quality", filtered by this station'
#: Kinds that can wait until morning.
_WARNINGS = ("sensor_silent", "sensor_dead", "drift", "mass_revision", "hours_missing")


def message(phase: str, incidents: Sequence[Incident]) -> Message:
    """Return the message for incidents of one kind that began ("start") or ended ("end")."""
    first, over = incidents[0], phase == "end"
    title = first.title if len(incidents) == 1 else f"{first.title} and {len(incidents) - 1} more like it"
    parts = [_over(incident) if over else _began(incident) for incident in incidents]
    where = f"Host {socket.gethostname()}, {Path.cwd()}. What this means: docs/alerts.md, section {first.kind}."
    return Message(
        f"[AirQino] {'resolved: ' if over else ''}{title}",
        "\n\n".join([*parts, where]) + "\n",
        "success" if over else ("warning" if first.kind in _WARNINGS else "failure"),
        key=first.key if len(incidents) == 1 else f"{first.kind}|many",
    )


def unwritten(error: str, incidents: Sequence[Incident]) -> Message:
    """Return the message about what is wrong where it cannot be written down who was told of it."""
    root = staging_root().resolve()
    parts = [_began(incident) for incident in incidents]
    title = incidents[0].title if incidents else f"the staging root {root} cannot be used"
    told = _lines(
        f"Alerts cannot be written down under {root}: {error}. No run can write anything there either. This message",
        "comes again with each run, and its end is not told, until the folder can be written. What to do:",
        "scripts/doctor",
        look="docs/deployment.md, Object storage"
        if is_in_bucket(root)
        else f"df -h {shlex.quote(str(root))}; docs/alerts.md, section disk_low",
    )
    where = f"Host {socket.gethostname()}, {Path.cwd()}."
    return Message(f"[AirQino] {title}", "\n\n".join([told, *parts, where]) + "\n", "failure", key="unwritten")


def _began(incident: Incident) -> str:
    return f"{incident.title}, since {_moment(incident.since)}.\n{incident.text}"


def _over(incident: Incident) -> str:
    ended = incident.ended_at or datetime.now(UTC)
    span = f"from {_moment(incident.since)} to {_moment(ended)}"
    return f"Over: {incident.title}. It lasted {span}. You do not have to do anything."


def task_failed(family: str, parameters: Mapping[str, str], reason: str, by_itself: bool = True) -> TitleAndText:
    """Return the text about a task that failed, with the command that runs it again.

    Args:
        family: The name of the task's class.
        parameters: The task's parameters, as on the command line.
        reason: Why it failed.
        by_itself: Whether the next hourly run tries it again.
    """
    again = "the next hourly run tries again by itself" if by_itself else "no hourly run tries this again"
    times = " ".join(text for name, text in parameters.items() if name in ("hour", "day", "start", "stop") and text)
    return f"{family} failed for {_short(times)}" if times else f"{family} failed", _lines(
        f"Why: {' '.join(reason.split())[:1000]}",
        f"Staged files are kept, and {again}. To try again now:",
        command_for(family, parameters),
        look=f'scripts/status; in {log_path()} the lines with "task":"{family}" or "trace":{{"id":"{RUN_ID}"}}',
    )


def command_for(family: str, parameters: Mapping[str, str]) -> str:
    """Return the shell command that runs a task again, from the repository."""
    if family == "Hourly":
        return "scripts/hourly" + (f" --hour {parameters['hour']}" if parameters.get("hour") else "")
    if family == "Backfill":
        wished = (name for name in ("hindcast", "again") if parameters.get(name, "").lower() == "true")
        return " ".join(
            ["scripts/backfill", parameters["start"], parameters["stop"], *(f"--{name}" for name in wished)]
        )
    # `through` has a default, and a day's table always holds all the hours there are
    options = []
    for name, text in parameters.items():
        if name != "through" and text not in ("", "False"):
            value = "" if text == "True" else f" {shlex.quote(_span(text))}"
            options.append(f"--{name.replace('_', '-')}{value}")
    return " ".join(["scripts/rerun", family, *options])


def _span(text: str) -> str:
    """Write many runs of hours as one range: only what is due in it is asked for."""
    if len(text) <= _LONGEST_OPTION:
        return text
    hours = HoursParameter("").parse(text)
    return f"{format_hour(hours[0])}..{format_hour(hours[-1])}"


def no_success(hour: str, last: datetime, limit: int) -> TitleAndText:
    """Return the text about no hourly run having succeeded for `limit` hours."""
    done = f"The last one was that of {hour}, at {_moment(last)}" if hour else "None has succeeded yet"
    return f"no hourly run has succeeded for more than {limit} h", _lines(
        f"{done}. Either cron (or the timer) does not start it, or it hangs, or it fails each time. To run it by hand:",
        "scripts/hourly",
        look=f"the end of {log_path()}; scripts/status; crontab -l; does an old run hang: pgrep -af bin/airqino",
    )


def station_silent(
    name: str, station: str, newest: datetime | None, reason: str, hour: datetime, is_known: bool = True
) -> TitleAndText:
    """Return the text about a station that sends nothing; `is_known`: whether MongoDB could be asked for its newest."""
    if newest:
        last = f"Its newest hour with a reading is {format_hour(newest)} (UTC)"
    elif is_known:
        last = "It has never sent a reading"
    else:
        last = "It has sent none for days, and of the time before it is not known: MongoDB does not answer"
    why = f"The API says of the last hour: {reason}" if reason else "The API gives no reason"
    again = f"scripts/rerun FetchHour --hour {format_hour(newest + HOUR)} --backfill" if newest else "scripts/hourly"
    return f"station {name} ({station}) is silent", _lines(
        f"{last}. {why}. The other stations go on, and later runs fetch the hours that come late.",
        "It is off, has no network, or was taken down: call the person who looks after it. If it will not come back,",
        f"the line valid_to = {format_hour(newest or hour)} in its section [stations.{station}] of the settings ends",
        "this alert. To ask the API for it now:",
        again,
        look="scripts/status: it shows whether the station is off or the API fails",
    )


def sensor_silent(name: str, station: str, sensor: str, newest: datetime) -> TitleAndText:
    """Return the text about a sensor without values at a station that goes on reporting."""
    return f"{reading(sensor).label} sensor of {name} ({station}) is silent", _lines(
        f"Its newest value is of {format_hour(newest)} (UTC). The station goes on reporting: this sensor is off or",
        "broken. Have somebody look at it. This can wait until morning.",
        "The alert ends with its next value. To ask the API again from then on:",
        f"scripts/rerun FetchHour --hour {format_hour(newest + HOUR)} --again",
        look=f"scripts/status; {_DASHBOARD}",
    )


def field_missing(name: str, newest: datetime, unknown: Sequence[str], hour: datetime) -> TitleAndText:
    """Return the text about a reading that no station sends any more; `unknown` are the fields that came instead."""
    key = reading(name).key
    instead = f"Unknown fields have appeared: {', '.join(map(repr, unknown))}. " if unknown else ""
    return f"the API's shape has changed: no station sends {key!r} any more", _lines(
        f"The last hour with it is {format_hour(newest)} (UTC). {instead}No value is made up: {reading(name).label} is",
        "missing from then on, all other readings go on. If the field has a new name, the pipeline must learn it",
        "(airqino/source/response.py); then fetch the hours again. To see what the API sends now:",
        f"scripts/rerun FetchHour --hour {format_hour(hour)} --again",
        look=f'{log_path()}: the lines with "unknown fields"; ask the API\'s operator what was changed',
    )


def answers_unread(reasons: Mapping[str, str], hour: datetime) -> TitleAndText:
    """Return the text about answers of another shape from all stations; `reasons`: why each could not be read."""
    station, reason = min(reasons.items())
    return "the API's shape has changed: no station's answer can be read", _lines(
        f"Such as station {station}: {' '.join(reason.split())[:500]}. What cannot be read is not written,",
        "and the next runs ask again. If the API stays like this, the pipeline must learn the new shape",
        "(airqino/source/response.py); then scripts/backfill brings what is missing. To see what the API sends now:",
        f"scripts/rerun FetchHour --hour {format_hour(hour)}",
        look="scripts/doctor; ask the API's operator what was changed",
    )


#: Flag of a sensor that says nothing of the air → what is the matter, and what it reports.
_STATES = {
    "dead": ("is dead", "zero or the same value for days"),
    "stuck": ("is stuck", "the same value for hours"),
    "at_floor": ("is at its floor", "0.0 for days: it is mis-zeroed or dead, have it checked"),
    "offset": ("has a zero offset", "values far below zero for days"),
    "unit": ("reports in another unit", "100 times as much as in the days before, or a hundredth"),
}


def sensor_dead(name: str, station: str, sensor: str, flag: str, hour: datetime) -> TitleAndText:
    """Return the text about a sensor whose readings say nothing about the air."""
    state, meaning = _STATES[flag]
    return f"{reading(sensor).label} sensor of {name} ({station}) {state}", _lines(
        f"As of {format_hour(hour)} (UTC) it reports {meaning}. Its readings are flagged, left out of forecasts and",
        "never shown as clean air. This can wait until morning. The alert ends when the readings are sound again.",
        "To see its state:",
        "scripts/status",
        look=f"{_DASHBOARD}; luigi.cfg [quality] for the rule",
    )


def drift(name: str, station: str, pollutant: str, rows: Sequence[Mapping[str, Any]]) -> TitleAndText:
    """Return the text about forecasts that became worse; `rows` are their 7-day scores, one for each horizon."""
    parts = [(row["horizon_h"], _figure(row["skill"], ".2f"), _figure(row["coverage80"], ".0%")) for row in rows]
    scores = "; ".join(f"{h} h ahead: skill {skill}, {share} inside the 80 % band" for h, skill, share in parts)
    where = name if name == station else f"{name} ({station})"
    return f"{reading(pollutant).label} forecasts at {where} have drifted", _lines(
        f"In the 7 days up to {rows[0]['day']}: {scores}. A new model is trained by itself; if none is better,",
        "persistence is published. To list the models with their scores, for instance to go back to an older one:",
        "scripts/models list",
        look="docs/models.md; a sensor that is repaired or moved also looks like this",
    )


def drift_without_scores(name: str, station: str, pollutant: str, day: date) -> TitleAndText:
    """Return the same text where only the event is known; the scores follow when the run ends."""
    nothing = {"horizon_h": "some", "skill": float("nan"), "coverage80": float("nan"), "day": f"{day}"}
    return drift(name, station, pollutant, [nothing])


def mass_revision(spans: Sequence[tuple[str, str, int, datetime, datetime]]) -> TitleAndText:
    """Return the text about changed past readings; `spans`: station's name and id, how many, first and last hour."""
    listed = "; ".join(
        f"{name} ({station}): {count} readings of {format_hour(first)}…{format_hour(last)}"
        for name, station, count, first, last in spans
    )
    total = sum(count for _, _, count, _, _ in spans)
    first, last = min(first for *_, first, _ in spans), max(last for *_, last in spans)
    return f"the source has changed {total} past readings in one run", _lines(
        f"{listed}. Old and new values are kept (collection revisions). These days are averaged and loaded again",
        "by themselves. Ask the network's owner what was corrected. To fetch and rebuild the whole span again:",
        f"scripts/backfill {first:%Y-%m-%dT00} {format_hour(last)} --again",
        look="MongoDB: db.revisions.find({seen_at: …}); the alert ends a day after the last such run",
    )


def damaged_file(paths: Sequence[Path], gone: Sequence[Path]) -> TitleAndText:
    """Return the text about damaged files that were set aside; `gone` are those that are not there again yet."""
    quarantine = Paths(staging_root()).quarantine.resolve()
    files = "a damaged file was" if len(paths) == 1 else f"{len(paths)} damaged files were"
    if gone:
        how = "An hourly run fetches or restores them, and builds again what is derived from them; scripts/verify then"
        how += " reads all other files. To do it now:"
        told, command = f"Not there again yet: {_listed(gone)}.", "scripts/hourly"
    else:
        how = "A disk that damages files does so again: copy the back-ups elsewhere. To read all other files, too:"
        told, command = f"All of it is there again; kept of what was damaged: {_listed(paths)}.", "scripts/verify"
    look = f"{_to_look_into(quarantine)}; this ends a day after the last such file, when all"
    look += " are there again"
    return f"{files} set aside under {quarantine}", _lines(told, how, command, look=look)


def lost_files(gone: Sequence[Path]) -> TitleAndText:
    """Return the text about damaged files that no run could bring back."""
    quarantine = Paths(staging_root()).quarantine.resolve()
    move = ["aws", "s3", "mv", "--recursive"] if is_in_bucket(quarantine) else ["mv"]
    away = shlex.join([*move, f"{quarantine}", f"{quarantine}-{datetime.now(UTC):%Y%m%dT%H%M%S}"])
    return "a damaged file is lost" if len(gone) == 1 else f"{len(gone)} damaged files are lost", _lines(
        f"Hourly runs could not bring them back: {_listed(gone)}. Neither MongoDB nor the source had a copy. Take them",
        "from a back-up (docs/on-call.md, Restore), or do without. To put away what is damaged, and end this:",
        away,
        look=_to_look_into(quarantine),
    )


def _to_look_into(quarantine: Path) -> str:
    """Return what shows the damaged files, and what their disk says."""
    where = shlex.quote(str(quarantine))
    return f"aws s3 ls --recursive {where}/" if is_in_bucket(quarantine) else f"ls -lR {where}; dmesg | tail"


def _listed(paths: Sequence[Path]) -> str:
    return "; ".join(f"{path}" for path in paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")


def hours_missing(never_asked: int, failed: int, first: date, last: date) -> TitleAndText:
    """Return the text about hours that hourly runs do not fetch any more."""
    return "hours are missing that no hourly run fetches", _lines(
        f"Of {first} … {last}, {never_asked} station-hours were never asked for and {failed} failed. They are older",
        "than the late-data window: something was down for long. To fetch all that is missing:",
        "scripts/backfill",
        look="scripts/status; the alert ends when none is missing. Hours that the source does not have do not count",
    )


def disk_low(free: float, limit: float) -> TitleAndText:
    """Return the text about too little room on the staging root's disk."""
    root = staging_root().resolve()
    return f"only {free:.1%} of the disk of {root} is free", _lines(
        f"The limit is {limit:.0%}. On a full disk every run fails; no staged file is lost. To see what fills it:",
        f"du -axh {shlex.quote(str(mount_point(root)))} | sort -h | tail",
        look="docs/maintenance.md, When the disk fills: what may be deleted. The next hourly run does the rest",
    )


def _lines(*lines: str, look: str) -> str:
    """Lay out a text. Its last line is the command, alone and indented, so that it can be copied whole."""
    *sentences, command = lines
    return "\n".join([*sentences, f"    {command}", f"Look next: {look}"])


def _figure(value: float | None, form: str) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:{form}}"


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}…"


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
