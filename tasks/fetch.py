"""FetchHour: from the AirQino API to one raw file per hour."""

import contextlib
import logging
from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

import luigi
import pyarrow as pa

from airqino.errors import (
    AllStationsFailedError,
    ClockError,
    ConfigError,
    MongoError,
    NotAskedError,
    TookTooLongError,
    UnknownStationError,
)
from airqino.source import raw
from airqino.source.auth import Credentials
from airqino.source.client import Answer, Client
from airqino.source.due import due_rows
from airqino.stores import parquet
from airqino.times import DAY, HOUR, day_start, format_hour
from tasks import targets
from tasks.answered import StationHour, none_answered, policy, stage_answers
from tasks.asked import asked_once
from tasks.from_documents import restore_hours
from tasks.parameters import HoursParameter
from tasks.settings.reading import Settings, refuse_unpublished, settings
from tasks.settings.sections import AirQino
from tasks.stage import FETCHED, Stage, exclusive
from tasks.staged import lost_days
from tasks.stations import has_answered, refuse_others, restore_histories

log = logging.getLogger("airqino.fetch")

Span = tuple[datetime, datetime]


class FetchHour(Stage):
    """One row per configured station: its readings of the hour, or why there are none.

    Unit: an hour (or several at once: Luigi batches them, a backfill names a range), all stations.
    Complete: every station has a row, and none is due to be asked for again.
    """

    hour = HoursParameter(
        description="hour or hours to fetch, UTC: 2024-09-09T10, 2024-09-09, 2024-09, or A..B of these"
    )
    backfill = luigi.BoolParameter(
        default=False, description="ask failed and unsettled absent hours again at once, readings after 20 h"
    )
    again = luigi.BoolParameter(default=False, description="ask for everything again, what is settled too")
    max_batch_size = 1000

    @classmethod
    def get_param_values(cls, params: Any, args: Any, kwargs: Any) -> Any:
        """Refuse hours that are not over."""
        values = super().get_param_values(params, args, kwargs)
        refuse_unpublished(dict(values)["hour"][-1])
        return values

    def output(self) -> list[targets.ParquetTarget]:
        """Return the raw hours."""
        return [targets.raw(hour) for hour in self.hour]

    def complete(self) -> bool:
        """Tell whether nothing is missing or due."""
        return not self.due()

    @exclusive
    def run(self) -> None:
        """Ask each station once for each span of due hours; write what came."""
        if lost := {*lost_days()} & {hour.date() for hour in self.hour}:
            with contextlib.suppress(MongoError):  # the source has most of them; a run that loads tells of MongoDB
                restore_hours(lost)  # the source may not have them any more
        try:
            restore_histories()
        except MongoError as error:
            log.warning("what stations were called before may be lost where a file is: %s", error)
        config, asked = settings(), self.due()
        with client(config.airqino, seconds=config.airqino.asking_seconds) as api:
            # the newest first: if the time is over, what is late stays late
            for block in reversed(blocks(asked, timedelta(days=config.airqino.request_days))):
                self._fetch(block, asked, api, config)
                parquet.give_back()

    def _fetch(self, block: list[datetime], asked: dict[datetime, list[str]], api: Client, config: Settings) -> None:
        """Ask for a block of hours, and write what came; nothing of it is kept when the next one is asked for."""
        wanted = {(station, hour) for hour in block for station in asked[hour]}
        answers = refuse_others(api.hourly_of(_in_turn(spans_of(wanted, config.last_hour))), config)
        _refuse_unknown(answers)
        _refuse_fast_clock(wanted, answers, config)
        stage_answers(wanted, answers, config)
        self.trigger_event(FETCHED, self, wanted, answers)
        _refuse_silence(answers, block, config)
        self._refuse_without_turn(answers)

    def _refuse_without_turn(self, answers: dict[str, Answer]) -> None:
        """Log how many stations were not asked; a backfill fails for it, because no later run looks after old hours."""
        count = sum(isinstance(answer.error, NotAskedError) for answer in answers.values())
        if not count:
            return
        over = f"{count} of {len(answers)} stations had no turn before the time was over"
        if self.backfill:
            raise TookTooLongError(f"{over}; what came is staged, run the same command again")
        log.warning("%s ([airqino] run_seconds): the next run begins there", over)

    @asked_once
    def due(self) -> dict[datetime, list[str]]:
        """Return the stations that are to be asked now, for each hour that has such."""
        return due(self.hour, settings(), backfill=self.backfill, again=self.again or self.is_forced)


def client(source: AirQino, **changes: Any) -> Client:
    """Return a client as the settings want it; `changes` are arguments of `Client` that differ."""
    credentials = Credentials(
        token_url=source.token_url,
        client_id=source.client_id,
        client_secret=source.client_secret,
        username=source.username,
        password=source.password,
    )
    options: dict[str, Any] = {
        "timeout": (source.connect_timeout_seconds, source.read_timeout_seconds),
        "request_seconds": source.request_seconds,
        "station_seconds": source.station_seconds,
        "retries": source.retries,
        "backoff": source.retry_backoff_seconds,
        "retry_after_max": source.retry_after_max_seconds,
        "concurrency": source.concurrency,
        "requests_per_second": source.requests_per_second,
        "credentials": credentials if source.username else None,
    }
    return Client(source.base_url, **(options | changes))


def due(hours: Iterable[datetime], config: Settings, **changes: bool) -> dict[datetime, list[str]]:
    """Return the stations that are to be asked now, for each hour that has such; `changes` as for `policy`."""
    rules = policy(config, **changes)
    asked = {}
    for day, of_day in groupby(sorted(hours), key=datetime.date):
        staged = targets.raw_day(day)
        key = "due", config.now, rules
        if key not in staged.remembered:
            staged.remembered[key] = _due(staged.rows, config.now, rules)
        again = staged.remembered[key]
        for hour in of_day:
            if stations := _stations_to_ask(config.active_stations(hour), staged, hour, again.get(hour, ())):
                asked[hour] = stations
    return asked


def _due(rows: targets.HourRows, now: datetime, rules: raw.Policy) -> dict[datetime, set[str]]:
    """Return the stations whose rows are due, for each hour of a day that has such."""
    if not rows:
        return {}
    whole = parquet.concat(rows.tables.values())
    which = whole.select(["station", "observed_at"]).filter(pa.array(due_rows(whole, now, rules)))
    found: dict[datetime, set[str]] = defaultdict(set)
    for station, hour in zip(which["station"].to_pylist(), which["observed_at"].to_pylist(), strict=True):
        found[hour].add(station)
    return found


def _stations_to_ask(
    active: Collection[str], staged: targets.RawDay, hour: datetime, again: Collection[str]
) -> list[str]:
    """Return those of the stations in service that have no row of an hour, or one that is due."""
    whole = staged.remembered.setdefault(("whole", tuple(active)), set())  # hours of which each of them has a row
    if not again and hour in whole:
        return []
    there = {*staged.rows.tables[hour]["station"].to_pylist()} if hour in staged.rows else set()
    if there.issuperset(active):
        whole.add(hour)
    return [station for station in active if station not in there or station in again]


def blocks(hours: Iterable[datetime], span: timedelta) -> list[list[datetime]]:
    """Cut hours, in time order, into blocks that fit one request: of whole days, as `spans_of` asks for old ones."""
    blocks: list[list[datetime]] = []
    for hour in sorted(hours):
        if not blocks or hour - day_start(blocks[-1][0].date()) >= span:
            blocks.append([])
        blocks[-1].append(hour)
    return blocks


def spans_of(station_hours: Iterable[StationHour], newest: datetime) -> dict[str, Span]:
    """Return for each station the first and last hour to ask for.

    Of a day that is over the whole is asked for: that an hour is missing means something only beside others.

    Args:
        station_hours: The hours that are wanted.
        newest: The last hour that is published.
    """
    hours: dict[str, list[datetime]] = defaultdict(list)
    for station, hour in station_hours:
        hours[station].append(hour)
    spans = {}
    for station, wanted in sorted(hours.items()):
        first, last = min(wanted), max(wanted)
        if first < newest - DAY:
            first = day_start(first.date())
        day_end = day_start(last.date()) + DAY - HOUR
        spans[station] = first, day_end if day_end < newest else last
    return spans


def _in_turn(spans: dict[str, Span]) -> dict[str, Span]:
    """Order stations: first who had no turn the last time, last who failed: these may take all the time there is."""

    def order(station: str) -> int:
        newest = spans[station][1]
        staged = (targets.raw_day(hour.date()).rows.get(hour, {}).get(station) for hour in (newest, newest - HOUR))
        row = next((row for row in staged if row), None)
        return 1 if row is None or row["status"] != "failed" else 2 if row["attempts"] else 0

    return {station: spans[station] for station in sorted(spans, key=order)}


def _refuse_unknown(answers: dict[str, Answer]) -> None:
    """Refuse a station that the API does not know and that never answered: a mistake in the settings."""
    for station, answer in answers.items():
        if isinstance(answer.error, UnknownStationError) and not has_answered(station):
            raise ConfigError(
                f"[airqino] stations: the API does not know station {station} (HTTP 404); correct AIRQINO_STATIONS "
                "or airqino.cfg; nothing was written"
            )


def _refuse_fast_clock(wanted: set[StationHour], answers: dict[str, Answer], config: Settings) -> None:
    """Refuse to write anything where an hour is over by our clock, but by none of the API's.

    It would be fetched as a partial mean. One node of the API with a slow clock or an old answer is none of ours: its
    station waits. So one clock alone says nothing, unless there is but one station.
    """
    clocks = [answer.clock for answer in answers.values() if answer.clock]
    newest = max(hour for _, hour in wanted)
    if len(clocks) >= min(2, len(config.airqino.stations)) and newest + HOUR > max(clocks):
        raise ClockError(
            f"hour {format_hour(newest)} is not over by the API's clock ({max(clocks):%Y-%m-%dT%H:%M}), but by this "
            f"machine's ({config.now:%Y-%m-%dT%H:%M}) it is: set the clock right; nothing was written"
        )


def _refuse_silence(answers: dict[str, Answer], block: list[datetime], config: Settings) -> None:
    """Log each station's failure; fail when every station of the network was asked and failed."""
    failed = {
        s: answer for s, answer in answers.items() if answer.error and not isinstance(answer.error, NotAskedError)
    }
    for station, answer in failed.items():
        log.warning(
            "station %s, %s…%s: %s: %s",
            *(station, answer.exchange.first, answer.exchange.last),
            *(type(answer.error).__name__, answer.error),
            extra={"station": station},
        )
    if none_answered(answers) and answers.keys() >= {s for hour in block for s in config.active_stations(hour)}:
        reasons = "; ".join(f"{station}: {a.error}" for station, a in failed.items())
        raise AllStationsFailedError(
            f"no station answered for {format_hour(block[0])}…{format_hour(block[-1])} ({reasons}); "
            f"nothing was written for these hours, the next run asks again"
        )
