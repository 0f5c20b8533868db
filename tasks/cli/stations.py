"""airqino stations: what the API lists beside what is configured, and a section for a new one."""

import json
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from urllib.parse import quote

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from airqino.errors import ConfigError, CredentialsError, RequestRefusedError, SourceError, UnknownStationError
from airqino.source.client import Client
from airqino.source.listing import Listed, Listing, sensors, stations
from airqino.times import DAY, format_hour
from tasks.cli.main import FAILED, Parser
from tasks.fetch import client
from tasks.settings import luigi_cfg
from tasks.settings.editing import operators_file, save, with_station
from tasks.settings.reading import Settings, settings
from tasks.stations import station_name

_YEAR = 365 * DAY
#: Names that Luigi reads from a file as they are.
_PLAIN = re.compile(r"[\w][\w .,'()/+-]*")

_EPILOG = """--add takes an id or a name of the list. It asks for the station's last year, and writes [stations.ID]
into airqino.cfg in /etc/airqino, or in the folder that AIRQINO_CONFIG_DIR names, and the id into [airqino] stations.
Where AIRQINO_STATIONS is set it says what to set instead. What the API says of place and first reading becomes a
comment, for you to check. exit codes: 0 done; 2 a setting or argument is wrong, the API refuses the account or does not
know the project, or the file cannot be written; 30 the API did not answer, or nothing that can be read"""


@dataclass(frozen=True)
class _Line:
    """A station, and whether it is configured, new, or gone from the listing."""

    state: str
    listed: Listed


def main(argv: Sequence[str]) -> int:
    """List the stations, or add one; 30 where the API does not answer."""
    parser = Parser(
        "airqino stations",
        description="List the stations of the API's project ([airqino] project) beside those that are configured, and "
        "add a new one to airqino.cfg.",
        epilog=_EPILOG,
    )
    parser.add_argument("--add", metavar="STATION", help="configure a station of the list, by its id or name")
    parser.add_argument("--json", action="store_true", help="the list for machines")
    arguments = parser.parse_args(argv)
    config = settings()
    project = config.airqino.project
    try:
        with client(config.airqino) as api:
            listing = _listing(api, project)
            if arguments.add:
                return _add(api, _chosen(arguments.add, _lines(listing, config), project), config)
            known = api.get("/getSensors", {}, sensors, ())
    except UnknownStationError as error:
        raise ConfigError(f"HTTP 404: the API does not know project {project}: correct AIRQINO_PROJECT") from error
    except CredentialsError as error:
        raise ConfigError(f"{config.airqino.base_url}: {error}; scripts/doctor says more") from error
    except SourceError as error:
        print(f"error: {config.airqino.base_url}: {error}", file=sys.stderr)
        return FAILED
    lines = _lines(listing, config)
    if arguments.json:
        told = [{"state": line.state} | asdict(line.listed) for line in lines]
        found = {"project": project, "sensors": known.content, "stations": told}
        print(json.dumps(found, indent=1, ensure_ascii=False, default=lambda moment: moment.isoformat()))
        return 0
    console = Console(width=None if Console().is_terminal else 100)
    _show(lines, console, project)
    if listing.unread:
        console.print(f"{listing.unread} rows of the listing name no station", highlight=False)
    listed = f"not known ({known.error})" if known.error else ", ".join(known.content) or "none"
    console.print(f"sensors that the API lists: {listed}", highlight=False, markup=False)
    if any(line.state == "new" and line.listed.station for line in lines):
        console.print("to configure a new one: scripts/stations --add ID", highlight=False)
    return 0


def _listing(api: Client, project: str) -> Listing:
    attempt = api.get(f"/getStations/{quote(project, safe='')}", {}, stations, Listing())
    if attempt.error:
        raise attempt.error
    listing: Listing = attempt.content
    return listing


def _lines(listing: Listing, config: Settings) -> list[_Line]:
    """Return the stations listed, and those configured that are not; one without id is known by its name."""
    ours = {station: station_name(station, config) for station in config.airqino.stations}
    ids = {name: station for station, name in ours.items()}
    lines = []
    for listed in listing.stations:
        station = listed.station or ids.get(listed.name, "")
        lines.append(_Line("configured" if station in ours else "new", replace(listed, station=station)))
    there = {line.listed.station for line in lines}
    return lines + [_Line("gone", Listed(station, name)) for station, name in ours.items() if station not in there]


def _show(lines: Sequence[_Line], console: Console, project: str) -> None:
    table = Table(title=f"Project {escape(project)}", title_justify="left", box=None)
    for column in ("", "id", "name", "place", "sensors", "first reading", "last reading"):
        table.add_column(column, overflow="fold")
    colours = {"new": "bold green", "gone": "bold yellow", "configured": "dim"}
    for line in lines:
        told = line.listed
        at = f"{told.latitude:.4f}, {told.longitude:.4f}" if told.latitude is not None else ""
        moments = (f"{moment:%Y-%m-%d %H:%M}" if moment else "–" for moment in (told.first, told.last))
        place = " ".join(filter(None, (told.place, at)))
        cells = (told.station or "–", told.name, place or "–", ", ".join(told.sensors) or "–", *moments)
        table.add_row(f"[{colours[line.state]}]{line.state}[/]", *map(escape, cells))
    console.print(table, highlight=False)


def _chosen(choice: str, lines: Sequence[_Line], project: str) -> Listed:
    """Return the station that was chosen by id or name.

    Raises:
        ConfigError: The project does not list it, or lists several, or not its id.
    """
    found = [
        line.listed for line in lines if line.state != "gone" and choice in (line.listed.station, line.listed.name)
    ]
    if len(found) != 1:
        several = "several stations of that name" if found else "no such station"
        known = ", ".join(f"{told.station or '–'} ({told.name})" for told in (line.listed for line in lines[:20]))
        raise ConfigError(f"--add {choice}: project {project} lists {several}; there are {known or 'none'}")
    if not found[0].station:
        raise ConfigError(f"--add {choice}: the API lists it without its id; ask the API's operator for it")
    return found[0]


def _add(api: Client, told: Listed, config: Settings) -> int:
    """Write a station's section, and say what else is to do."""
    station, stations_ = told.station, config.airqino.stations
    if station in stations_ and station in config.stations:
        print(f"{station} ({told.name}) is configured already")
        return 0
    path = operators_file()
    for days in (_YEAR, config.airqino.max_days_per_request * DAY):
        answer = api.hourly_of({station: (config.last_hour - days, config.last_hour)})[station]
        if not isinstance(answer.error, RequestRefusedError):  # an API may refuse a whole year
            break
    if isinstance(answer.error, UnknownStationError):
        raise ConfigError(f"--add {station}: the API lists it, but has no hourly means of it; {answer.error}")
    if answer.error or answer.response is None:
        raise answer.error or SourceError("no answer")
    hours = sorted(row.hour for row in answer.response.data)
    options, notes = _section(told, hours, config)
    ids = (*stations_, *([station] if station not in stations_ else []))
    in_environment = bool(os.environ.get("AIRQINO_STATIONS", "").strip())
    added = with_station("", station, options, notes)
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    text = with_station(before, station, options, notes, () if in_environment else ids)
    save(path, text)
    print(f"{path} has now:\n\n{added}")
    if in_environment and station not in stations_:
        place = f", in {luigi_cfg.ENV_FILE}" if "AIRQINO_STATIONS" in luigi_cfg.FROM_FILE else ""
        print(f"AIRQINO_STATIONS is set and wins over {path.name}. Set it to {','.join(ids)}{place}")
    first = format_hour(hours[0] if hours else config.last_hour)
    print(f"Correct its place, then run scripts/doctor and scripts/backfill {first} {format_hour(config.last_hour)}")
    return 0


def _section(told: Listed, hours: Sequence[datetime], config: Settings) -> tuple[dict[str, str], list[str]]:
    """Return the options and comments of a station's section."""
    options, notes = {}, ["as the API says; correct it and take the # away:"]
    if _PLAIN.fullmatch(told.name):
        options["name"] = told.name
    zones = {config.zone(station) for station in config.airqino.stations}
    if len(zones) == 1:
        options["time_zone"] = zones.pop()
    if told.latitude is not None:
        notes += [f"latitude = {told.latitude:.6f}", f"longitude = {told.longitude:.6f}"]
    notes.append(f"valid_from = {format_hour(hours[0])}" if hours else "it has not sent a reading lately")
    return options, notes
