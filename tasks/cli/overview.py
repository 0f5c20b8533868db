"""How `airqino status` looks: 80 columns, nothing cut, the same on a light and on a dark terminal."""

from datetime import datetime
from typing import Any

from rich import box
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from airqino.readings import reading
from airqino.times import format_hour
from tasks.settings.reading import settings
from tasks.versions import what_is_left

__all__ = ["show"]

#: Stations and gaps that are shown, the worst and the newest, unless all are wished.
_STATIONS, _GAPS = 12, 4


def show(found: dict[str, Any], console: Console, everything: bool = False) -> None:
    """Print what `status` has collected.

    Args:
        found: See `tasks.cli.status.status`.
        console: Where to.
        everything: All stations and all gaps.
    """
    hour = format_hour(found["last_hour"])
    console.print(f"[bold]AirQino {found['project']}[/], {_moment(found['now'])}; the last hour that is over: {hour}")
    _show_needs(found, console)
    _show_stations(found["stations"], console, everything)
    _show_gaps(found, console, everything)
    _show_sensors(found, console)
    _show_rest(found, console)


def _show_needs(found: dict[str, Any], console: Console) -> None:
    urgent = [need for need in found["needs"] if need["urgent"]]
    later = [need for need in found["needs"] if not need["urgent"]]
    if not urgent:
        console.print("[bold green]nothing needs you now[/]")
    else:
        console.print(f"[bold red]{len(urgent)} thing{'s' if len(urgent) > 1 else ''} to do now:[/]")
    for number, need in enumerate(urgent, 1):
        since = f", since {_moment(need['since'])}" if need["since"] else ""
        console.print(f" {number}. {need['title']}{since}", markup=False)
        if need["kind"] == "mongodb":
            console.print(f"    {need['text']}", markup=False)
        if need["command"]:  # on a line of its own, and never broken: to be copied
            console.print(f"    [bold]{need['command']}[/]", soft_wrap=True)
    if later:
        console.print(f"for a working day: {'; '.join(need['title'] for need in later)}", markup=False)


def _show_stations(stations: list[dict[str, Any]], console: Console, everything: bool) -> None:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), show_edge=False)
    table.add_column("station", overflow="fold")
    table.add_column("newest hour", no_wrap=True, min_width=13)
    for column in ("age", "not asked", "failed", "no row"):
        table.add_column(column, justify="right", no_wrap=True)
    worst = sorted(stations, key=lambda of: (of["age_hours"] is not None, -(of["age_hours"] or 0)))
    shown = stations if everything or len(stations) <= _STATIONS else worst[:_STATIONS]
    for station in shown:
        newest = format_hour(station["newest_hour"]) if station["newest_hour"] else "none in 7 d"
        age = "–" if station["age_hours"] is None else f"{station['age_hours']:.0f} h"
        missing = (f"{station['missing'][name] or '–'}" for name in ("never_asked", "failed", "absent"))
        name = station["name"] if station["name"] == station["station"] else f"{station['name']} ({station['station']})"
        table.add_row(name, newest, age, *missing)
    console.print(table)
    if len(shown) < len(stations):
        console.print(f"  and {len(stations) - len(shown)} more: scripts/status --all")


def _show_gaps(found: dict[str, Any], console: Console, everything: bool) -> None:
    gaps = [(gap, station["name"]) for station in found["stations"] for gap in station["gaps"]]
    gaps.sort(key=lambda of: of[0]["last"], reverse=True)
    shown = gaps if everything else gaps[:_GAPS]
    for gap, name in shown:
        span = format_hour(gap["first"]) + (f"..{format_hour(gap['last'])}" if gap["hours"] > 1 else "")
        detail = f" ({gap['detail']})" if gap["detail"] else ""
        console.print(f"  {name} {span}, {gap['hours']} h: {gap['reason']}{detail}", markup=False)
    if len(shown) < len(gaps):
        console.print(f"  and {len(gaps) - len(shown)} older gaps in the last 7 days: scripts/status --all")
    hours = found["open"]
    if hours["never_asked"] or hours["failed"]:
        counts = f"{hours['never_asked']} station-hours were never asked for, {hours['failed']} failed"
        console.print(f"missing: {counts} ({hours['first_day']}..{hours['last_day']})")
        console.print("  all of it comes with: scripts/backfill", soft_wrap=True)
    if hours["absent"]:
        counts = f"the source had no row for {hours['absent']} station-hours, {hours['settled']} of them settled"
        console.print(counts)


def _show_sensors(found: dict[str, Any], console: Console) -> None:
    for station in found["stations"]:
        faults = (found["sensor_faults"] or {}).get(station["station"]) or {}
        for sensor, flag in faults.items():
            told = f"{reading(sensor).label} says nothing of the air: {flag.replace('_', ' ')}"
            console.print(f"to service: {station['name']}, {told}", markup=False)


def _show_rest(found: dict[str, Any], console: Console) -> None:
    if found["mongodb"] == "ok":
        console.print(f"MongoDB: ok; last load {_moment(found['last_load'])}")
    if found["unstaged_days"]:
        told = f"{found['unstaged_days']} days are in MongoDB, but not staged; the next hourly run brings them back"
        console.print(told)
    if found["older_version_days"]:
        console.print(what_is_left(found["older_version_days"]))
        console.print("  to load them all at once: scripts/verify", soft_wrap=True)
    skill = ", ".join(f"{reading(name).label} {value:+.2f}" for name, value in sorted(found["skill"].items()))
    told = f"; 7-day skill an hour ahead: {skill} (above 0: better than no change)" if skill else ""
    console.print(f"forecast: {found['champion'] or 'no model yet: persistence'}{told}", markup=False)
    if settings().publish.root:
        hour = format_hour(found["published"]) if found["published"] else "nothing is published yet: scripts/publish"
        console.print(f"public page: {hour}, in {settings().publish.root}", markup=False, soft_wrap=True)
    for run in reversed(found["runs"]):
        took = f" in {run['seconds']:.0f} s" if run["seconds"] is not None else ""
        reason = f": {run['reason']}" if run["reason"] else ""
        console.print(f"run {_moment(run['began_at'])}, {run['command']}: {run['outcome']}{took}{reason}", markup=False)
    console.print(_room(found["disk"], found["database"]))


def _room(disk: dict[str, Any], database: dict[str, Any] | None) -> str:
    free = "in a bucket"
    if disk["free_bytes"] is not None:
        free = f"{disk['free_share']:.0%} of its disk ({decimal(disk['free_bytes'])}) free"
    growth = disk["growth_bytes_per_day"]
    pace = f", {decimal(int(growth))} a day" if growth else ""
    if disk["days_until_full"] is not None:
        pace += f": enough for {_span(disk['days_until_full'])}"
    ours = database["database_bytes"] if database else None
    documents = f"; database: {decimal(ours)}" if ours is not None else ""
    return f"staging root: {decimal(disk['staging_bytes'])}, {free}{pace}{documents}"


def _span(days: float) -> str:
    """Say for how long there is room; nobody plans beyond ten years."""
    if days > 3650:
        return "more than 10 years"
    return f"{days:.0f} days" if days < 730 else f"{days / 365.25:.0f} years"


def _moment(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment else "never"
