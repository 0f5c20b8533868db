"""Tell whether an answer is the station's own: its name, its place and its readings against those of the others."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from math import asin, cos, radians, sin, sqrt

__all__ = ["MOVED_METRES", "Place", "distance", "impostors", "same_readings"]

#: The Earth's mean diameter.
_DIAMETER_METRES = 12_742_000
#: A device whose coordinates change by more has moved; GPS without motion wanders by tens of metres.
MOVED_METRES = 200.0
#: Coordinates nearer than this are those of one device: the API gives them to a decimetre.
_SAME_METRES = 5.0
#: Two stations whose readings are equal for so many hours are one: two real ones a metre apart differ within an hour.
_EQUAL_HOURS = 24

Readings = Mapping[datetime, Mapping[str, float | None]]


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


def impostors(answered: Mapping[str, Place], known: Mapping[str, Place]) -> dict[str, str]:
    """Find the answers that suddenly bear another station's name or coordinates.

    Args:
        answered: What each station's answer says it is.
        known: What the API said of each station before.

    Returns:
        Station → why its answer is another's. Two stations that always had one name stay two.
    """
    reasons = {}
    for station, place in answered.items():
        own = known.get(station, Place())
        for other, theirs in known.items():
            if other == station:
                continue
            if place.name and own.name and place.name != own.name and place.name == theirs.name:
                reasons[station] = f"the answer bears the name {place.name!r}, that of station {other}"
            away, moved = distance(place, theirs), distance(place, own)
            if away is not None and away <= _SAME_METRES and moved is not None and moved > MOVED_METRES:
                reasons[station] = f"the answer bears the coordinates of station {other}"
    return reasons


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
    for one, other in combinations(readings, 2):
        ours, theirs = readings[one], readings[other]
        equal = [ours[h] == theirs[h] for h in sorted(ours.keys() & theirs.keys()) if any(ours[h].values())]
        if other in refused:
            sudden = bool(equal) and equal[-1]
        else:
            sudden = len(equal) > _EQUAL_HOURS and all(equal[-_EQUAL_HOURS:]) and not all(equal)
        if sudden:
            found[other] = one
    return found
