"""RereadMonth: one old month of each station a week, because the source may change its past months later."""

import itertools
import logging
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta

import luigi

from airqino.times import DAY, HOUR, day_range, day_start, hour_range
from tasks import rotation, targets
from tasks.answered import policy, stage_answers
from tasks.daily import local_days
from tasks.fetch import FetchHour, Span, client
from tasks.load import LoadDay, neighbours_of
from tasks.parameters import DayParameter
from tasks.rotation import Turn
from tasks.settings.reading import Settings, settings
from tasks.settings.sections import ROWS_AT_ONCE
from tasks.stage import FETCHED, Stage, alone
from tasks.stations import refuse_others
from tasks.train import monday

log = logging.getLogger("airqino.reread")


class RereadMonth(Stage):
    """One old month of each station, read again; a difference is a revision like any other.

    Unit: a week. Complete: each station had its turn in this week or a later one, or waits after a try that failed, and
    the days that changed are loaded. A station's first turn is in the week after it is first seen here.
    """

    day = DayParameter(description="Monday of the week, such as 2024-09-09")

    def complete(self) -> bool:
        """Tell whether no station's turn has come, and nothing is left to load."""
        state = rotation.read()
        return not state.unloaded and not self._due(state, settings())

    def run(self) -> Iterator[list[luigi.Task]]:
        """Ask for the months, write down what changed, and load it."""
        if self._due(rotation.read(), settings()):
            with alone(FetchHour.__name__):  # they write the same files
                self._reread(settings())
        if days := rotation.read().unloaded:
            yield [LoadDay(day=sorted(_touched(days)))]
            with alone(FetchHour.__name__):
                state = rotation.read()
                state.unloaded = [day for day in state.unloaded if day not in days]
                rotation.write(state)

    def _due(self, state: rotation.Rotation, config: Settings) -> list[str]:
        due, this_week = [], monday(config.now.date())
        for station in config.airqino.stations:
            turn = state.stations.get(station)
            # a week still to come was written under a clock that was ahead: nobody would ask until then
            is_unknown = self.is_forced or turn is None or turn.week > this_week
            if is_unknown or (turn and turn.week < monday(self.day) and _try_again(turn, config)):
                due.append(station)
        return due

    def _reread(self, config: Settings) -> None:
        state, week = rotation.read(), monday(self.day)
        months: dict[str, str] = {}
        for station in self._due(state, config):
            turn = state.stations.setdefault(station, Turn(week=week))
            if (self.is_forced or turn.week < week) and (month := _month(station, turn, config)):
                months[station] = month
            else:  # it is new here, or has no old month
                turn.week = week
        before = set(state.unloaded)
        # if this process is killed before it knows what changed, the next one looks at all of these days
        state.unloaded = [day for day in targets.paths().days() if day in before or f"{day:%Y-%m}" in months.values()]
        rotation.write(state)
        failed, changed = self._ask(months, config)
        for station, month in months.items():
            turn = state.stations[station]
            if station in failed:
                turn.failed_at, turn.attempts = config.now, turn.attempts + 1
            else:
                turn.week, turn.failed_at, turn.attempts = week, None, 0
                turn.read_at[month] = config.now
        state.unloaded = sorted(before | changed)
        rotation.write(state)
        self.is_forced = False

    def _ask(self, months: dict[str, str], config: Settings) -> tuple[set[str], set[date]]:
        """Ask for the staged hours of a month of each station.

        Returns:
            The stations that did not answer, and the days that changed.
        """
        failed: set[str] = set()
        changed: set[date] = set()
        with client(config.airqino, seconds=config.airqino.asking_seconds) as api:
            for part in _parts(months, timedelta(days=config.airqino.max_days_per_request)):
                spans = {station: span for station, span in part.items() if station not in failed}
                answers = refuse_others(api.hourly_of(spans), config)
                for station, answer in answers.items():
                    if answer.error:
                        failed.add(station)
                        reason = f"{type(answer.error).__name__}: {answer.error}"
                        log.warning("station %s: %s was not read again: %s", station, months[station], reason)
                answered = spans.keys() - failed
                wanted = {(station, hour) for station in answered for hour in _staged(station, *spans[station])}
                if wanted:
                    changed |= stage_answers(wanted, answers, config, only_changes=True)
                    self.trigger_event(FETCHED, self, wanted, answers)
        return failed, changed


def _try_again(turn: Turn, config: Settings) -> bool:
    if turn.failed_at is None:
        return True
    return not turn.failed_at <= config.now < policy(config).next_try(turn.failed_at, turn.attempts)


def _month(station: str, turn: Turn, config: Settings) -> str | None:
    """Return the month to read again, of those that lie before the late window and have rows of the station."""
    before = config.last_hour + HOUR - config.airqino.late_window_hours * HOUR
    months = rotation.next_months(turn, targets.paths().days(), before)
    return next((month for month in months if _has_rows(station, month)), None)


def _has_rows(station: str, month: str) -> bool:
    """Tell by one hour of each day: a station in service has a row in each hour, whether it answers or not."""
    first, last = _span(month)
    noons = (day_start(day) + 12 * HOUR for day in day_range(first.date(), last.date()))
    return any(row["station"] == station for noon in noons for row in targets.raw(noon).rows())


def _span(month: str) -> Span:
    return rotation.month_start(month), rotation.month_after(month) - HOUR


def _staged(station: str, first: datetime, last: datetime) -> Iterator[datetime]:
    """Return the hours that have a row of the station."""
    return (hour for hour in hour_range(first, last) if station in targets.raw_day(hour.date()).rows.get(hour, {}))


def _parts(months: dict[str, str], longest: timedelta) -> Iterator[dict[str, Span]]:
    """Cut each station's month into spans that fit one request; one of each of some stations at a time."""
    stations, size = list(months), max(ROWS_AT_ONCE * HOUR // longest, 1)
    for some in (stations[begin : begin + size] for begin in range(0, len(stations), size)):
        for spans in itertools.zip_longest(*(_cut(*_span(months[station]), longest) for station in some)):
            yield {station: span for station, span in zip(some, spans, strict=True) if span}


def _cut(first: datetime, last: datetime, longest: timedelta) -> Iterator[Span]:
    while first <= last:
        yield first, min(last, first + longest - HOUR)
        first += longest


def _touched(days: Iterable[date]) -> set[date]:
    """Return the days to load again: those that changed, and the averaged ones that may depend on them."""
    touched = set(days)
    for day in days:
        first, last = local_days(day_start(day), day_start(day) + DAY - HOUR)
        touched |= {other for other in day_range(first, last) if targets.daily(other).exists()}
        touched |= {*neighbours_of(first, last)}
    return touched
