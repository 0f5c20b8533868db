"""Tell whether an answer is the station's own: its name, its place and its readings against those of the others."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import asin, cos, radians, sin, sqrt
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["MOVED_METRES", "Place", "distance", "impostors", "same_readings"]

#: The Earth's mean diameter.
_DIAMETER_METRES = 12_742_000
#: A device whose coordinates change by more has moved; GPS without motion wanders by tens of metres.
MOVED_METRES = 200.0
#: Coordinates nearer than this are those of one device: the API gives them to a decimetre.
_SAME_METRES = 5.0
#: Two stations whose readings are equal for so many hours are one: two real ones a metre apart differ within an hour.
_EQUAL_HOURS = 24

#: Where more stations say the same of an hour, that hour says nothing of any two of them.
_MOST_ALIKE = 50


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


def same_readings(rows: pd.DataFrame, stations: Sequence[str], refused: Collection[str] = ()) -> dict[str, str]:
    """Find stations that measured differently before, and whose readings equal another's over the last day.

    Args:
        rows: Readings of the last days: columns ``station``, ``observed_at``, and the readings, NaN where there is
            none. Of two rows of a station and hour the later counts.
        stations: The stations that are compared, in their order.
        refused: Stations that were refused for this last time: they stay so while their readings go on being equal.

    Returns:
        Station → the other; of the two the one later in `stations`. Hours without readings, or with zeros alone, do
        not count.
    """
    told = _told(rows, stations)
    found: dict[int, int] = {}
    # what was equal all the time is one here: thousands of them would be millions of pairs
    groups: dict[bytes, list[int]] = {}
    for number, codes in enumerate(told.codes):
        if (codes > 0)[~told.is_zero[number]].any():
            groups.setdefault(codes.tobytes(), []).append(number)
    of = {members[0]: members for members in groups.values()}
    for first, members in of.items():
        found |= {other: first for other in members[1:] if stations[other] in refused}
    for pair in sorted(_alike(told, sorted(of))):
        for one, other in (pair, pair[::-1]):
            equal = told.equal(one, other)
            is_sudden = len(equal) > _EQUAL_HOURS and equal[-_EQUAL_HOURS:].all() and not equal.all()
            goes_on = len(equal) > 0 and equal[-1]
            for number in of[other]:
                if number > one and (goes_on if stations[number] in refused else is_sudden):
                    found.setdefault(number, one)
    return {stations[number]: stations[one] for number, one in sorted(found.items())}


class _Told(NamedTuple):
    """What stations said of hours, in order: (stations, hours) a code of the readings, 0 where there is no row."""

    codes: npt.NDArray[np.uint64]
    is_zero: npt.NDArray[np.bool_]  # no reading, or zeros alone

    def equal(self, one: int, other: int) -> npt.NDArray[np.bool_]:
        """Tell of each hour that both have, and of which the one says something, whether they say the same."""
        both = (self.codes[one] > 0) & (self.codes[other] > 0) & ~self.is_zero[one]
        return np.asarray(self.codes[one, both] == self.codes[other, both], dtype=bool)


def _told(rows: pd.DataFrame, stations: Sequence[str]) -> _Told:
    rows = rows.drop_duplicates(["station", "observed_at"], keep="last")
    number = pd.Index(stations).get_indexer(pd.Index(rows["station"]))
    rows, number = rows[number >= 0], number[number >= 0]
    hour, hours = pd.factorize(rows["observed_at"], sort=True)
    values = rows.drop(columns=["station", "observed_at"]) + 0.0  # there is one zero
    told = _Told(np.zeros((len(stations), len(hours)), np.uint64), np.ones((len(stations), len(hours)), dtype=bool))
    told.codes[number, hour] = pd.util.hash_pandas_object(values, index=False).to_numpy() | np.uint64(1)
    told.is_zero[number, hour] = ~values.fillna(0.0).to_numpy().any(axis=1)
    return told


def _alike(told: _Told, numbers: list[int]) -> set[tuple[int, int]]:
    """Return the pairs of stations that said the same of an hour, of which not all said the same."""
    found: set[tuple[int, int]] = set()
    if len(numbers) < 2:
        return found
    codes = np.where(told.is_zero, np.uint64(0), told.codes)[numbers]
    for column in codes.T:
        order = np.argsort(column, kind="stable")
        ends = np.flatnonzero(np.diff(column[order])) + 1
        for run in np.split(order, ends):
            if 1 < len(run) <= _MOST_ALIKE and column[run[0]]:
                found.update(combinations(sorted(numbers[place] for place in run), 2))
    return found
