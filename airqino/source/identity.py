"""Tell whether an answer is the station's own: its name, its place and its readings against those of the others."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from math import asin, cos, radians, sin, sqrt
from types import MappingProxyType

import pandas as pd

__all__ = ["MOVED_METRES", "Place", "Readings", "distance", "impostors", "readings_alike", "same_readings"]

#: The Earth's mean diameter.
_DIAMETER_METRES = 12_742_000
#: A device whose coordinates change by more has moved; GPS without motion wanders by tens of metres.
MOVED_METRES = 200.0
#: Coordinates nearer than this are those of one device: the API gives them to a decimetre.
_SAME_METRES = 5.0
#: Two stations whose readings are equal for so many hours are one: two real ones a metre apart differ within an hour.
_EQUAL_HOURS = 24

#: The readings of each hour, in one order.
Readings = dict[datetime, tuple[float | None, ...]]


@dataclass(frozen=True)
class Place:
    """What the API says of a station.

    Attributes:
        name: Its name; empty where it is not known.
        latitude: In degrees; None where it is not known.
        longitude: In degrees; None where it is not known.
    """

    name: str = ""
    latitude: float | None = None
    longitude: float | None = None


def distance(one: Place, other: Place) -> float | None:
    """Return the great-circle distance of two places in metres, by the haversine formula; None where one is unknown."""
    if None in (one.latitude, one.longitude, other.latitude, other.longitude):
        return None
    lat1, lon1, lat2, lon2 = (radians(d or 0.0) for d in (one.latitude, one.longitude, other.latitude, other.longitude))
    h = sin((lat2 - lat1) / 2) ** 2 + cos(lat1) * cos(lat2) * sin((lon2 - lon1) / 2) ** 2
    return _DIAMETER_METRES * asin(min(1.0, sqrt(h)))


def impostors(
    answered: Mapping[str, Place], known: Mapping[str, Place], configured: Mapping[str, Place] = MappingProxyType({})
) -> dict[str, str]:
    """Find the answers that suddenly bear another station's name or coordinates.

    Args:
        answered: What each station's answer says it is.
        known: What the API said of each station before.
        configured: What the operator says of each: an answer that agrees with it is the station's own.

    Returns:
        Station → why its answer is another's. Two stations that always had one name stay two.
    """
    reasons = {}
    for station, place in answered.items():
        own, right = known.get(station, Place()), configured.get(station, Place())
        is_renamed = bool(place.name and own.name) and place.name not in (own.name, right.name)
        is_moved = _is_away(place, own) and (distance(place, right) is None or _is_away(place, right))
        if not is_renamed and not is_moved:
            continue
        for other, theirs in known.items():
            if other == station:
                continue
            if is_renamed and place.name == theirs.name:
                reasons[station] = f"the answer bears the name {place.name!r}, that of station {other}"
            away = distance(place, theirs)
            if is_moved and away is not None and away <= _SAME_METRES:
                reasons[station] = f"the answer bears the coordinates of station {other}"
    return reasons


def _is_away(place: Place, other: Place) -> bool:
    metres = distance(place, other)
    return metres is not None and metres > MOVED_METRES


def readings_alike(rows: pd.DataFrame) -> dict[str, Readings]:
    """Pick the stations that had the readings of another in an hour: of a large network they are few, if any.

    Args:
        rows: Columns ``station``, ``observed_at``, and the readings, NaN where there is none. Of two rows of a station
            and hour the later counts.

    Returns:
        Station → all its readings, for `same_readings`.
    """
    rows = rows.drop_duplicates(["station", "observed_at"], keep="last")
    names = [name for name in rows.columns if name not in ("station", "observed_at")]
    told = rows[rows[names].fillna(0.0).ne(0.0).any(axis=1)]
    alike = {*told["station"][told.duplicated(["observed_at", *names], keep=False)]}
    found: dict[str, Readings] = {}
    for station, of_station in rows[rows["station"].isin(alike)].groupby("station"):
        values = of_station[names].astype(object).where(of_station[names].notna(), None)
        found[f"{station}"] = dict(
            zip(of_station["observed_at"], values.itertuples(index=False, name=None), strict=True)
        )
    return found


def same_readings(readings: Mapping[str, Readings], refused: Collection[str] = ()) -> dict[str, str]:
    """Find stations that measured differently before, and whose readings equal another's over the last day.

    Args:
        readings: Station → hour → the readings, of the last days.
        refused: Stations that were refused for this last time: they stay so while their readings go on being equal.

    Returns:
        Station → the other; of the two the one later in `readings`. Hours without readings, or with zeros alone, do
        not count.
    """
    found: dict[str, str] = {}
    order = {station: number for number, station in enumerate(readings)}
    for one, other in sorted(_alike(readings), key=lambda pair: (order[pair[0]], order[pair[1]])):
        ours, theirs = readings[one], readings[other]
        equal = [ours[h] == theirs[h] for h in sorted(ours.keys() & theirs.keys()) if any(ours[h])]
        if other in refused:
            sudden = bool(equal) and equal[-1]
        else:
            sudden = len(equal) > _EQUAL_HOURS and all(equal[-_EQUAL_HOURS:]) and not all(equal)
        if sudden:
            found[other] = one
    return found


def _alike(readings: Mapping[str, Readings]) -> set[tuple[str, str]]:
    """Return the pairs of stations, in their order, that had equal readings in an hour; with many stations few do."""
    same: dict[tuple[object, ...], list[str]] = {}
    for station, of_station in readings.items():
        for hour, values in of_station.items():
            if any(values):
                same.setdefault((hour, *values), []).append(station)
    return {pair for stations in same.values() for pair in combinations(stations, 2)}
