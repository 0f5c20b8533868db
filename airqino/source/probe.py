"""Say which assumptions about the API hold, from what it answered to a few questions (`airqino.source.questions`).

The pipeline works whether the ends of a span are included or not, and whether the running hour is shown: both only are
told. Everything else is as the pipeline takes it to be, or somebody has to look.
"""

from datetime import datetime, timedelta
from typing import Literal

import msgspec

from airqino.errors import RequestRefusedError, UnknownStationError
from airqino.source.seen import Asked, Seen
from airqino.source.shift import shift_of
from airqino.times import HOUR, Moment, floor_hour

__all__ = ["CLOCK_TOLERANCE", "Outcome", "Report", "Verdict", "verdicts"]

Outcome = Literal["holds", "does not hold", "not known"]

#: With a clock that is more wrong than this, a run asks for an hour that is not over, or leaves one to the next run.
CLOCK_TOLERANCE = timedelta(minutes=2)
#: Rows that may come late between two requests.
_LATE_ROWS = 2
#: A row of the running hour may take this long to show.
_FIRST_MINUTES = timedelta(minutes=10)


class Verdict(msgspec.Struct, frozen=True):
    """Whether an assumption holds, what was seen, and what to do where it does not."""

    name: str
    outcome: Outcome
    seen: str
    cure: str = ""


class Report(msgspec.Struct, frozen=True):
    """The verdicts on an API, as they are kept in a file."""

    at: Moment
    base_url: str
    station: str
    verdicts: tuple[Verdict, ...]

    def of(self, outcome: Outcome) -> list[Verdict]:
        """Return the verdicts with one outcome."""
        return [verdict for verdict in self.verdicts if verdict.outcome == outcome]


def verdicts(seen: Seen) -> tuple[Verdict, ...]:
    """Return a verdict on each assumption, in the order in which they build on each other."""
    shift = shift_of(seen.recent.rows, seen.raw)
    return (
        _answers(seen),
        _dates(seen),
        *_ends(seen),
        *_names(seen, shift),
        _running_hour(seen, shift),
        _span(seen),
        _empty(seen),
        _unknown(seen),
        _rate(seen),
        _clock(seen),
    )


def _answers(seen: Seen) -> Verdict:
    recent = seen.recent
    if not recent.rows:
        cure = "ask for a station that is in service: AIRQINO_STATIONS"
        return Verdict("answers", "does not hold", f"no rows in {seen.days} days", cure)
    if recent.remarks:
        cure = "compare with airqino/source/response.py: what is not as documented is left out"
        return Verdict("answers", "does not hold", recent.remarks[0], cure)
    return Verdict("answers", "holds", f"as documented: {len(recent.rows)} rows read")


def _dates(seen: Seen) -> Verdict:
    name, bounds = "dates", seen.bounds
    if bounds is None or bounds.error:
        return _unanswered(name, bounds)
    if seen.dates_ignored:
        cure = "each request brings everything: ask the API's operator, and lower requests_per_second"
        return Verdict(name, "does not hold", f"ignored: the same {len(bounds.rows)} rows come for any dates", cure)
    cure = "hours would be missing: ask the API's operator how dates are read"
    if bounds.outside:
        asked, got = _from_to(bounds.start, bounds.end), _from_to(min(bounds.rows), max(bounds.rows))
        return Verdict(name, "does not hold", f"asked for {asked}, got {got}", cure)
    if not bounds.rows:
        return Verdict(name, "does not hold", "no rows for three hours that have some", cure)
    return Verdict(name, "holds", "honoured")


def _ends(seen: Seen) -> list[Verdict]:
    names, bounds = ("start_date", "end_date"), seen.bounds
    if bounds is None or bounds.error or bounds.outside or not bounds.rows:
        return [_unanswered(name, bounds) for name in names]
    return [
        Verdict(name, "holds", f"inclusive: the hour of {name} comes")
        if moment in bounds.rows
        else Verdict(name, "holds", f"exclusive: runs ask for {more} more")
        for name, moment, more in zip(names, (bounds.start, bounds.end), ("a minute", "59 minutes"), strict=True)
    ]


def _names(seen: Seen, shift: timedelta | None) -> tuple[Verdict, Verdict]:
    """Tell the time zone, and whether an hour is named by its beginning: one hour ahead may be either."""
    zone, hour = "time zone", "hour"
    cure = "start no run: every reading would be stored under a wrong hour. Ask the API's operator"
    if shift is None and not seen.recent.rows:
        return _unanswered(zone, None), _unanswered(hour, None)
    if shift is None:
        off = (_newest(seen) - floor_hour(seen.now)) / HOUR
        told = Verdict(zone, "not known", f"newest row {off:+g} h from the running hour")
        if off > 1:
            told = Verdict(zone, "does not hold", f"newest row {off:g} h after the running hour", cure)
        return told, Verdict(hour, "not known", _no_raw(seen))
    if not shift:
        return Verdict(zone, "holds", "UTC"), Verdict(hour, "holds", "named by its beginning")
    if shift == HOUR:
        unclear = Verdict(zone, "not known", "UTC, or UTC+1 with hours named by their beginning")
        return unclear, Verdict(hour, "does not hold", "named by its end, or in UTC+1", cure)
    told = Verdict(zone, "does not hold", f"UTC{_signed(shift)} (named by its end: UTC{_signed(shift - HOUR)})", cure)
    return told, Verdict(hour, "not known", "its beginning or its end, as the time zone is")


def _running_hour(seen: Seen, shift: timedelta | None) -> Verdict:
    name, running = "running hour", floor_hour(seen.now)
    if not seen.recent.rows:
        return _unanswered(name, None)
    if shift is None:
        return Verdict(name, "not known", _no_raw(seen))
    newest = _newest(seen) - shift
    if newest == running:
        return Verdict(name, "holds", "shown: runs leave it out")
    if seen.recent.end - shift < running + HOUR and not seen.dates_ignored:
        return Verdict(name, "not known", "hours after now cannot be asked for")
    if newest == running - HOUR and seen.now - running > _FIRST_MINUTES:
        return Verdict(name, "holds", "no row of it came")
    return Verdict(name, "not known", f"newest row: {newest:%Y-%m-%d %H:%M}")


def _span(seen: Seen) -> Verdict:
    name, year, days = "longest span", seen.year, seen.days
    if seen.dates_ignored or year is None or not seen.recent.rows:
        return _unanswered(name, year)
    if days < seen.max_days:
        cure = f"set [airqino] max_days_per_request = {days}"
        return Verdict(name, "does not hold", f"{seen.max_days} days: {seen.refused[-1].answer}; {days} come", cure)
    if isinstance(year.error, RequestRefusedError):
        return Verdict(name, "holds", f"{days} days come; a year: {year.answer}")
    if year.error:
        return _unanswered(name, year)
    lost = [m for m in seen.recent.rows if year.start < m < year.end and m not in year.rows]
    before = seen.before.rows if seen.before else ()
    if len(lost) <= _LATE_ROWS and not any(m >= year.start and m not in year.rows for m in before):
        return Verdict(name, "holds", f"a year comes whole: {len(year.rows)} rows")
    most = len(year.rows)
    if len(seen.recent.rows) < most:
        return Verdict(name, "holds", f"{days} days come whole; at most {most} rows")
    cure = f"set [airqino] max_days_per_request = {max(1, most // 24)}"
    return Verdict(name, "does not hold", f"at most {most} rows come, fewer than {days} days have", cure)


def _empty(seen: Seen) -> Verdict:
    name, gap = "empty window", seen.gap
    if gap is None or gap.unclear:
        return _unanswered(name, gap)
    if gap.rows:
        return Verdict(name, "not known", "no hours without rows were found")
    if gap.error:
        cure = "runs would take hours without rows for failed ones: ask the API's operator, and report it"
        return Verdict(name, "does not hold", gap.answer, cure)
    return Verdict(name, "holds", gap.answer)


def _unknown(seen: Seen) -> Verdict:
    name, nowhere = "unknown station", seen.nowhere
    if nowhere is None or nowhere.unclear:
        return _unanswered(name, nowhere)
    if isinstance(nowhere.error, UnknownStationError):
        return Verdict(name, "holds", nowhere.answer)
    cure = "a mistyped id is not found out by runs: compare AIRQINO_STATIONS with `scripts/stations`"
    return Verdict(name, "does not hold", nowhere.answer, cure)


def _rate(seen: Seen) -> Verdict:
    name = "rate limit"
    if not seen.limits:
        return Verdict(name, "holds", f"{seen.requests} requests in {seen.seconds:.0f} s, none refused")
    after, pause = seen.limits[0]
    asked = f"Retry-After {pause:g} s" if pause is not None else "without Retry-After"
    cure = "lower [airqino] requests_per_second, and find what else uses this account or address"
    return Verdict(name, "does not hold", f"429 at request {after}, {asked}", cure)


def _clock(seen: Seen) -> Verdict:
    name = "clock"
    if seen.offset is None:
        return Verdict(name, "not known", "the API does not say the time")
    held = f"; answers up to {seen.age:.0f} s old (Age)" if seen.age else ""
    off = abs(seen.offset).total_seconds()
    if abs(seen.offset) <= CLOCK_TOLERANCE:
        return Verdict(name, "holds", f"agrees with ours within {max(1, off):.0f} s{held}")
    way = "behind" if seen.offset > timedelta() else "ahead of"
    cure = "timedatectl set-ntp true. If this machine's clock is right, ask the API's operator"
    return Verdict(name, "does not hold", f"the API's is {off / 60:.0f} min {way} ours{held}", cure)


def _unanswered(name: str, asked: Asked | None) -> Verdict:
    return Verdict(name, "not known", asked.answer if asked and asked.error else "could not be tried")


def _no_raw(seen: Seen) -> str:
    return "raw rows do not tell" if seen.raw else f"no raw rows: {seen.no_raw}"


def _newest(seen: Seen) -> datetime:
    return max(seen.recent.rows)


def _from_to(first: datetime, last: datetime) -> str:
    return f"{first:%d %H:%M}–{last:%d %H:%M}"


def _signed(length: timedelta) -> str:
    return f"{length / HOUR:+g}" if length else ""
