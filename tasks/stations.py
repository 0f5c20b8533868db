"""Stations: what they are called and where they are, now and before, and whether an answer is their own."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from airqino.errors import ConfigError, WrongStationError
from airqino.opendata.about import Location
from airqino.publishing import citymap
from airqino.publishing.shore import shore
from airqino.publishing.stations import Station
from airqino.source import raw
from airqino.source.client import Answer
from airqino.source.identity import MOVED_METRES, Place, distance, impostors, same_readings
from airqino.source.response import VALUES
from airqino.stores import files, mongo, parquet
from airqino.stores.remembered import Remembered
from airqino.times import DAY, hour_range
from tasks import targets
from tasks.settings.reading import Settings, settings

__all__ = [
    "has_answered",
    "identity",
    "locations",
    "note_place",
    "public_stations",
    "refuse_others",
    "restore_histories",
    "restore_history",
    "shore_around",
    "station_name",
]

log = logging.getLogger("airqino.stations")

#: Days over which the readings of two stations are compared.
_DAYS = 2
#: What the reason of a failed hour bears where the answer was another station's.
_WRONG = WrongStationError.__name__

#: What the API said of a station, oldest first, and from which hour on. Files of 0.1 hold one row without `since`.
_SCHEMA = pa.schema(
    [
        ("station", pa.string()),
        ("name", pa.string()),
        ("latitude", pa.float64()),
        ("longitude", pa.float64()),
        ("since", pa.timestamp("us", tz="UTC")),
    ]
)


#: What the files of stations hold, as long as they stay as they are: of thousands each is asked for again and again;
#: among the tables in memory they would make way for larger ones.
_histories = Remembered[Path, list[dict[str, Any]]](most=100_000, most_size=100_000)


def _history(station: str) -> list[dict[str, Any]]:
    target = targets.station(station)
    if (signature := files.signature(target.path)) is None:
        return []
    history = _histories.get(target.path, signature)
    if history is None:
        history = target.rows()
        if history:  # else it was damaged, and is not there any more
            _histories.keep(target.path, signature, history, size=1)
    return [*history]


def has_answered(station: str) -> bool:
    """Tell whether the API has ever known a station: its file is there, or was, before it was damaged."""
    path = targets.station(station).path
    lost = (targets.paths().quarantine / path.parent.name).glob(f"{path.name}.*")
    return path.exists() or any(lost)


def restore_histories(every: bool = False) -> None:
    """Put back the histories of stations that have none: what the next answer calls one would be its first name.

    A root without a day is new, or `restore_staging` has looked at it: MongoDB is not asked.

    Args:
        every: Of all stations that MongoDB knows, configured or not, whatever is staged.

    Raises:
        MongoError: The database cannot be reached, or refuses.
    """
    unknown = [station for station in settings().airqino.stations if not _history(station)]
    if every or (unknown and targets.paths().days()):
        for document in mongo.find(targets.database(), "stations", {} if every else {"_id": {"$in": unknown}}):
            if isinstance(document["_id"], str) and document["_id"].isdigit():
                restore_history(document)


def restore_history(document: dict[str, Any]) -> None:
    """Put back the history of a station whose file was lost, from its document in `stations`; what came since is added.

    Args:
        document: The document, with what was loaded last.
    """
    station, kept = document["_id"], document.get("history") or []
    history = _history(station)
    try:
        if len(kept) <= len(history) or any(row.get("since") for row in history):
            return
        rows = [{"station": station, **row} for row in kept]
        if history and _newest(history) != _newest(kept):
            rows.append(history[-1] | {"since": document.get("last_seen_at")})
        table = pa.Table.from_pylist(rows, schema=_SCHEMA)
    except (AttributeError, TypeError, ValueError):  # somebody wrote something else in its place
        return
    targets.station(station).write(table)
    log.warning("station %s: its history is restored from MongoDB", station, extra={"station": station})


def _newest(history: list[dict[str, Any]]) -> Place:
    """Return what the API last said of a station."""
    row = history[-1] if history else {}
    return Place(row.get("name") or "", row.get("latitude"), row.get("longitude"))


def _header(answer: Answer) -> Place:
    return Place(*msgspec.structs.astuple(answer.response.header)) if answer.response else Place()


def station_name(station: str, config: Settings) -> str:
    """Return the operator's name for a station, else the API's, else its id."""
    return str(identity(station, config)["name"])


def identity(station: str, config: Settings) -> dict[str, Any]:
    """Return name, place, coordinates and time zone: what the operator says, else what the API says."""
    configured, history = config.station(station), _history(station)
    header = _newest(history)
    return {
        "name": configured.name or header.name or station,
        "place": configured.place,
        "latitude": configured.latitude if configured.latitude is not None else header.latitude,
        "longitude": configured.longitude if configured.longitude is not None else header.longitude,
        "time_zone": configured.time_zone,
        "history": [{name: row.get(name) for name in ("name", "latitude", "longitude", "since")} for row in history],
    }


def locations(config: Settings) -> dict[str, Location]:
    """Return every station that is configured, has a section, or ever answered, as the open data describe it."""
    answered = {path.stem for path in targets.paths().stations.glob("*.parquet") if path.stem.isdigit()}
    found = {}
    for station in sorted({*config.airqino.stations, *config.stations, *answered}):
        known, correction = identity(station, config), config.station(station).correction
        place = known["latitude"], known["longitude"]
        found[station] = Location(str(known["name"]), *place, known["time_zone"], correction)
    return found


def public_stations(stations: Iterable[str], config: Settings) -> list[Station]:
    """Return some stations as the public knows them."""
    found = []
    for station in stations:
        known = identity(station, config)
        where = known["latitude"], known["longitude"], known["time_zone"]
        found.append(Station(station, str(known["name"]), config.station(station).place, *where))
    return found


def shore_around(known: Iterable[dict[str, Any]], config: Settings) -> list[dict[str, float]]:
    """Return points of the shore around stations, on the map of the public page; none without a map that can be read.

    Args:
        known: What is known of the stations (`identity`).
        config: The settings.
    """
    if (path := Path(config.publish.map)).exists() and not path.is_file():
        return []  # a pipe would make the run wait, which publishing, in a process of its own, does not
    try:
        of = citymap.read(config.publish.map) if config.publish.map else None
    except ConfigError as error:  # scripts/doctor and the public page name it; the stations are loaded all the same
        log.warning("no shore on the dashboards' map: %s", error)
        return []
    places = [(station["latitude"], station["longitude"]) for station in known]
    return [dict(zip(("latitude", "longitude"), point, strict=True)) for point in (shore(of, places) if of else ())]


def refuse_others(answers: dict[str, Answer], config: Settings) -> dict[str, Answer]:
    """Turn an answer that is another station's into a failure.

    Args:
        answers: Station → its answer.
        config: The settings.

    Returns:
        The answers; those that bear another's name, coordinates or readings have an error in place of a response.
    """
    known = {station: _newest(_history(station)) for station in config.airqino.stations}
    answered = {station: _header(answer) for station, answer in answers.items() if answer.response}
    configured = {station: _configured(station, config) for station in answered}
    reasons = impostors(answered, known, configured)
    others = {station: answer for station, answer in answers.items() if station not in reasons}
    for station, other in same_readings(*_recent(others, config)).items():
        if station in answered:
            reasons.setdefault(station, f"its readings equal those of station {other} over a day")
    for station, reason in reasons.items():
        error = WrongStationError(
            f"{reason}; if a station was replaced, correct AIRQINO_STATIONS; if that is what it is now, say so by "
            f"name, latitude and longitude in [stations.{station}]"
        )
        answers[station] = replace(answers[station], response=None, error=error)
    return answers


def _configured(station: str, config: Settings) -> Place:
    says = config.station(station)
    return Place(says.name, says.latitude, says.longitude)


def _recent(answers: dict[str, Answer], config: Settings) -> tuple[pd.DataFrame, Sequence[str], set[str]]:
    """Return the readings of the last days, staged or just answered, whose they are, and who was refused last time."""
    stations = config.airqino.stations
    came = [(s, hour, row) for s in stations if s in answers for hour, row in answers[s].readings.items()]
    columns = ["station", "observed_at", *VALUES]
    if not came or len(stations) < 2:
        return pd.DataFrame(columns=columns), (), set()
    newest = max(hour for _, hour, _ in came)
    hours = hour_range(newest - _DAYS * DAY, newest)
    tables = [table for hour in hours if (table := targets.raw_day(hour.date()).rows.tables.get(hour)) is not None]
    staged = parquet.concat([*tables, raw.SCHEMA.empty_table()])
    wrong = pc.and_(pc.equal(staged["status"], "failed"), pc.match_substring(staged["reason"], _WRONG))
    ok = staged.filter(pc.equal(staged["status"], "ok")).select(columns).to_pandas()
    new = pd.DataFrame([(s, hour, *msgspec.structs.astuple(row)[1:]) for s, hour, row in came], columns=columns)
    return pd.concat([ok, new.astype(ok.dtypes)]), stations, {*staged.filter(wrong)["station"].to_pylist()}


def note_place(station: str, answer: Answer, hour: datetime) -> None:
    """Add to a station's history what the API says of it, where that is new; what it leaves out stays as it was."""
    history, place = _history(station), _header(answer)
    before = _newest(history)
    place = Place(
        place.name or before.name,
        *((place.latitude, place.longitude) if place.latitude is not None else (before.latitude, before.longitude)),
    )
    metres = distance(before, place)
    moved = metres > MOVED_METRES if metres is not None else before.latitude is None and place.latitude is not None
    if history and place.name == before.name and not moved:
        return
    if history:
        log.warning(
            "station %s: %s; the days before keep what was said of them",
            station,
            f"it moved by {metres:.0f} m"
            if moved and metres
            else f"the API calls it {place.name!r}, not {before.name!r}",
            extra={"station": station},
        )
    history.append({"station": station, **asdict(place), "since": hour if history else None})
    targets.station(station).write(pa.Table.from_pylist(history, schema=_SCHEMA))
