"""Read a row's timestamp: the hour that it names, in whatever unambiguous way it is written.

The API writes ``2024-09-09 10:00:00``, UTC, the beginning of the hour. Other ways were seen at other sources after an
update of the software in between; those that can mean one moment only are read, the others are None.
"""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from airqino.times import as_utc, floor_hour

__all__ = ["PAST_THE_HOUR", "hour_of", "moment_of"]

#: A row stamped no longer than this after the hour is of that hour: devices and programs stamp a little late.
PAST_THE_HOUR = timedelta(minutes=5)

_LONGEST = 64
_YEARS = range(2000, 2100)  # a row of another year is a clock or a field gone wrong
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_SECOND, _LAST_SECOND = 946_684_800, 4_102_444_800  # of the years above
_WIDEST_OFFSET = timedelta(hours=14)  # Line Islands

_TIME = r"(?P<H>\d\d?)(?::(?P<M>\d\d)(?::(?P<S>\d\d)(?:[.,](?P<F>\d+))?)?)?"
_TIME_COMPACT = r"(?P<H>\d\d)(?:(?P<M>\d\d)(?:(?P<S>\d\d)(?:[.,](?P<F>\d+))?)?)?"
#: UTC, or an offset, after which Java may write the zone's name.
_ZONE = r"(?:\s*(?:(?P<utc>Z|UTC|GMT)|(?P<sign>[+-])(?P<zh>\d\d):?(?P<zm>\d\d)?(?:\[[\w/+-]+\])?))?"
_DATE_ONLY_ZONE = r"(?:\s*(?P<utc>Z|UTC|GMT))?"  # 2024-09-09-03 may be an hour or an offset
_DATES = (
    r"(?P<Y>\d{4})(?P<s>[-/.])(?P<m>\d\d?)(?P=s)(?P<d>\d\d?)",
    r"(?:[A-Z]{3,9},?\s+)?(?P<d>\d\d?)[\s-](?P<name>[A-Z]{3,9})[\s-](?P<Y>\d{4})",  # as in e-mail and HTTP headers
    r"(?P<one>\d\d?)(?P<s>[-/.])(?P<other>\d\d?)(?P=s)(?P<Y>\d{4})",
)
_DATE_COMPACT = r"(?P<Y>\d{4})(?P<m>\d\d)(?P<d>\d\d)"
_FORMS = tuple(
    re.compile(form, re.ASCII | re.IGNORECASE)
    for form in (
        *(f"{date}(?:T|\\s+|_){_TIME}{_ZONE}" for date in _DATES),
        *(f"{date}{_DATE_ONLY_ZONE}" for date in (*_DATES, _DATE_COMPACT)),
        rf"{_DATE_COMPACT}(?:T|\s+|_){_TIME}{_ZONE}",
        f"{_DATE_COMPACT}[T_ ]{_TIME_COMPACT}{_ZONE}",
        rf"{_DATE_COMPACT}-(?P<H>\d\d)(?P<M>\d\d)",  # as the API wants its start_date
        rf"{_DATE_COMPACT}(?P<H>\d\d)(?P<M>\d\d)(?P<S>\d\d)?",
    )
)
_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_SECONDS = re.compile(r"\d{10}(\.\d+)?|\d{13}", re.ASCII)
_DATE_AND_HOUR = re.compile(r"20\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])([01]\d|2[0-4])", re.ASCII)


def moment_of(value: Any) -> datetime | None:
    """Read a timestamp.

    A time without zone is UTC. A date without time is its midnight, and ``24:00`` the midnight after. A number is
    seconds or milliseconds since 1970. Ten digits that could be seconds as well as a date with an hour are neither,
    and 09/10/2024 is no date, while 25/10/2024 is.

    Args:
        value: The value as JSON has it.

    Returns:
        The moment in UTC, from 2000 to 2099; None for what cannot be read or can mean two things.
    """
    try:
        moment = (_usual(value) or _from_text(value)) if isinstance(value, str) else _from_number(value)
        return moment if moment and moment.year in _YEARS else None
    except (ValueError, OverflowError):  # no such day or hour; before year 1 or after year 9999
        return None


def hour_of(moment: datetime) -> datetime | None:
    """Return the beginning of the hour that a moment of `moment_of` names, None if it lies somewhere within an hour.

    Half a second before the hour is the hour: a float of seconds or milliseconds may be that much short.
    """
    moment += timedelta(seconds=0.5)
    hour = floor_hour(moment)
    return hour if moment - hour < PAST_THE_HOUR else None


def _from_number(value: Any) -> datetime | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    for scale in (1, 1000):
        if _FIRST_SECOND <= value / scale < _LAST_SECOND:
            return _EPOCH + timedelta(seconds=value / scale)
    return None


def _usual(text: str) -> datetime | None:
    """Read the API's own form, without the cost of the others."""
    if len(text) != len("2024-09-09 10:00:00") or text[4] != "-" or text[10] not in " T":
        return None
    try:
        return as_utc(datetime.fromisoformat(text))
    except ValueError:
        return None


def _from_text(text: str) -> datetime | None:
    if len(text) > _LONGEST:
        return None
    text = text.strip().replace("\u2212", "-")
    if _SECONDS.fullmatch(text):
        return None if _DATE_AND_HOUR.fullmatch(text) else _from_number(float(text))
    match = next((match for form in _FORMS if (match := form.fullmatch(text))), None)
    if match is None:
        return None
    part = {name: found for name, found in match.groupdict().items() if found}
    day = _day(part)
    if day is None:
        return None
    hours, minutes, seconds = (int(part.get(name, 0)) for name in "HMS")
    if hours > 24 or minutes > 59 or seconds > 59 or (hours == 24 and (minutes or seconds)):
        return None
    offset = timedelta(hours=int(part.get("zh", 0)), minutes=int(part.get("zm", 0)))
    if offset > _WIDEST_OFFSET:
        return None
    zone = timezone(-offset if part.get("sign") == "-" else offset)
    clock = timedelta(hours=hours, minutes=minutes, seconds=seconds + float(f"0.{part.get('F', 0)}"))
    return (day.replace(tzinfo=zone) + clock).astimezone(UTC)


def _day(part: dict[str, str]) -> datetime | None:
    """Midnight of the date that a form's parts name; None if day and month may be either way round."""
    if "name" in part:
        name = part["name"].casefold()
        months = [n for n, month in enumerate(_MONTHS, 1) if name in (month, month[:3])]
        return datetime(int(part["Y"]), months[0], int(part["d"])) if months else None
    if "one" in part:
        one, other = int(part["one"]), int(part["other"])
        if max(one, other) <= 12 and one != other:
            return None
        return datetime(int(part["Y"]), min(one, other), max(one, other))
    return datetime(int(part["Y"]), int(part["m"]), int(part["d"]))
