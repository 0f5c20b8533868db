"""Find how an API names its hours, by comparing hourly means with the raw rows that they are the means of."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from statistics import StatisticsError, correlation, fmean

from airqino.source.listing import Moments
from airqino.times import HOUR, floor_hour

__all__ = ["shift_of"]

#: Readings that change from hour to hour and are no raw counts.
_COMPARED = ("pm2_5", "pm10", "t", "rh")
#: By half hours, as nearly all time zones are: from UTC-12 to UTC+14 with hours named by their end.
_SHIFTS = [n * HOUR / 2 for n in range(-12 * 2, 15 * 2 + 1)]
_FEWEST_HOURS = 8
#: The least correlation of means with themselves: those of the source are corrected and rounded.
_ALIKE = 0.95
#: By how much it is more than at any shift an hour or more away: neighbouring hours are alike, too.
_CLEARLY = 0.01


def shift_of(rows: Moments, raw: Moments) -> timedelta | None:
    """Find how much later than the beginning of its hour, UTC, a row's timestamp reads.

    Args:
        rows: Hourly means by their timestamps.
        raw: What the station sent, by UTC.

    Returns:
        The shift at which the means are those of the raw rows; None where none is clearly the best.
    """
    likeness: dict[timedelta, float] = {}
    for shift in _SHIFTS:
        means = _means(rows, raw, shift)
        if (found := _likeness(rows, means)) is not None:
            likeness[shift] = found
    if not likeness:
        return None
    best = max(likeness, key=lambda shift: likeness[shift])
    others = [found for shift, found in likeness.items() if abs(shift - best) >= HOUR]
    clear = likeness[best] >= _ALIKE and all(likeness[best] - other >= _CLEARLY for other in others)
    return best if clear else None


def _means(rows: Collection[datetime], raw: Moments, shift: timedelta) -> dict[datetime, Mapping[str, float]]:
    """Return the means of the raw rows in the hour that each timestamp stands for under a shift."""
    parts: dict[datetime, list[Mapping[str, float]]] = {}
    minutes = timedelta(minutes=next((row.minute for row in rows), 0))
    for moment, values in raw.items():
        stamp = floor_hour(moment + shift - minutes) + minutes
        parts.setdefault(stamp, []).append(values)
    return {stamp: _mean(sent) for stamp, sent in parts.items() if stamp in rows}


def _mean(sent: list[Mapping[str, float]]) -> dict[str, float]:
    values = {name: [row[name] for row in sent if name in row] for name in _COMPARED}
    return {name: fmean(many) for name, many in values.items() if many}


def _likeness(rows: Moments, means: Moments) -> float | None:
    """Return the mean correlation of the readings compared; None where too few hours have them."""
    found = []
    for name in _COMPARED:
        pairs = [
            (rows[stamp][name], mean[name]) for stamp, mean in means.items() if name in mean and name in rows[stamp]
        ]
        if len(pairs) >= _FEWEST_HOURS:
            try:
                found.append(correlation(*zip(*pairs, strict=True)))
            except StatisticsError:  # one that does not change tells nothing
                continue
    return fmean(found) if found else None
