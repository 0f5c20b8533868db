"""FetchHour: from the AirQino API to one raw file per hour."""

import json
import logging
from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any

import pyarrow as pa

from airqino.errors import AllStationsFailedError, ClockError, ConfigError, UnknownStationError
from airqino.source import raw
from airqino.source.auth import Credentials
from airqino.source.client import Answer, Client
from airqino.stores import parquet
from airqino.times import format_hour
from tasks import targets
from tasks.parameters import HoursParameter
from tasks.settings.reading import Settings, refuse_unpublished, settings
from tasks.settings.sections import AirQino
from tasks.stage import FETCHED, Stage

log = logging.getLogger("airqino.fetch")

Key = tuple[str, datetime]  # station, hour
_NEVER = object()


class FetchHour(Stage):
    """One row per configured station: its readings of the hour, or why there are none.

    Unit: an hour (or several at once: Luigi batches them, a backfill names a range), all stations.
    Complete: every station has a row, and none is due to be asked for again.
    """

    hour = HoursParameter(description="hour or hours to fetch, such as 2024-09-09T10 or 2024-09-01T00..2024-09-30T23")
    max_batch_size = 1000

    @classmethod
    def get_param_values(cls, params: Any, args: Any, kwargs: Any) -> Any:
        """Refuse hours that are not over."""
        values = super().get_param_values(params, args, kwargs)
        refuse_unpublished(dict(values)["hour"][-1])
        return values

    def output(self) -> list[targets.ParquetTarget]:
        """One raw file per hour."""
        return [targets.raw(hour) for hour in self.hour]

    def complete(self) -> bool:
        """Whether nothing is missing or due."""
        return not due(self.hour, settings())

    def run(self) -> None:
        """Ask each station once for each span of due hours; write what came."""
        config = settings()
        asked = due(self.hour, config)
        with client(config.airqino) as api:
            for block in _blocks(asked, timedelta(days=config.airqino.max_days_per_request)):
                wanted = {(station, hour) for hour in block for station in asked[hour]}
                answers = api.hourly_of(_spans(wanted))
                _refuse_unknown(answers)
                over = {(s, h) for s, h in wanted if raw.is_over(h, answers[s])}
                _stage(over, answers, config)
                self.trigger_event(FETCHED, self, over, answers)
                _refuse_silence(answers, block, config)
                _refuse_fast_clock(wanted - over, answers, config)


def policy(config: Settings) -> raw.Policy:
    """When hours are asked for again, from the settings."""
    source = config.airqino
    return raw.Policy(
        late_window=timedelta(hours=source.late_window_hours),
        pauses=tuple(timedelta(hours=h) for h in source.retry_pauses_hours),
        reread_after=timedelta(hours=source.reread_after_hours),
        retry_failed_at_once=config.retry_failed_at_once,
    )


def client(source: AirQino, **changes: Any) -> Client:
    """A client as the settings want it, but for the arguments of `Client` that are named."""
    credentials = Credentials(
        token_url=source.token_url,
        client_id=source.client_id,
        client_secret=source.client_secret,
        username=source.username,
        password=source.password,
    )
    options: dict[str, Any] = {
        "timeout": (source.connect_timeout_seconds, source.read_timeout_seconds),
        "retries": source.retries,
        "backoff": source.retry_backoff_seconds,
        "retry_after_max": source.retry_after_max_seconds,
        "concurrency": source.concurrency,
        "requests_per_second": source.requests_per_second,
        "credentials": credentials if source.username else None,
    }
    return Client(source.base_url, **(options | changes))


def due(hours: Iterable[datetime], config: Settings) -> dict[datetime, list[str]]:
    """The stations that are to be asked now, for each hour that has such."""
    rules = policy(config)
    asked = {}
    for day, of_day in groupby(sorted(hours), key=datetime.date):
        staged = targets.raw_day(day).rows
        for hour in of_day:
            rows = staged.get(hour, {})
            stations = [
                station
                for station in config.active_stations(hour)
                if station not in rows or raw.is_due(rows[station], config.now, rules)
            ]
            if stations:
                asked[hour] = stations
    return asked


def _blocks(hours: Iterable[datetime], span: timedelta) -> list[list[datetime]]:
    """Cut hours, in time order, into blocks that fit one request."""
    blocks: list[list[datetime]] = []
    for hour in sorted(hours):
        if not blocks or hour - blocks[-1][0] >= span:
            blocks.append([])
        blocks[-1].append(hour)
    return blocks


def _spans(wanted: Iterable[Key]) -> dict[str, tuple[datetime, datetime]]:
    """For each station the first and last hour wanted of it."""
    hours: dict[str, list[datetime]] = defaultdict(list)
    for station, hour in wanted:
        hours[station].append(hour)
    return {station: (min(of), max(of)) for station, of in sorted(hours.items())}


def _refuse_unknown(answers: dict[str, Answer]) -> None:
    """A station that the API does not know and that never answered is a mistake in the settings."""
    for station, answer in answers.items():
        if isinstance(answer.error, UnknownStationError) and not targets.station(station).exists():
            raise ConfigError(
                f"[airqino] stations: the API does not know station {station} (HTTP 404); correct AIRQINO_STATIONS "
                "or luigi.cfg; nothing was written"
            )


def _stage(wanted: set[Key], answers: dict[str, Answer], config: Settings) -> None:
    """Merge answers into the raw files; where no station answered, hours that have no file yet get none."""
    rules = policy(config)
    readings = {station: raw.readings(answer) for station, answer in answers.items()}
    exchanges = json.dumps([answer.exchange.asdict() for answer in answers.values()])
    revisions: dict[date, list[dict[str, Any]]] = defaultdict(list)
    changed: dict[datetime, dict[str, dict[str, Any]]] = {}
    by_hour: dict[datetime, list[str]] = defaultdict(list)
    for station, hour in wanted:
        by_hour[hour].append(station)
    silent = all(answer.error for answer in answers.values())
    for hour, stations in sorted(by_hour.items()):
        rows = dict(targets.raw_day(hour.date()).rows.get(hour, {}))
        if silent and not rows:
            continue
        for station in stations:
            values = readings[station].get(hour)
            fault = None if values else raw.fault(answers[station], hour)
            rows[station], found = raw.merge(rows.get(station), station, hour, values, fault, config.now, rules)
            revisions[hour.date()] += found
        changed[hour] = rows
    for station, answer in answers.items():
        for remark in answer.exchange.remarks:
            log.warning("station %s: %s", station, remark, extra={"station": station})
        if answer.response and answer.response.data:
            header = answer.response.header
            targets.station(station).write(
                pa.table(
                    {
                        "station": [station],
                        "name": [header.station_name],
                        "latitude": pa.array([header.station_lat], pa.float64()),
                        "longitude": pa.array([header.station_lon], pa.float64()),
                    }
                )
            )
    for day, found in revisions.items():
        if found:  # the ledger first: a run that is killed in between finds the same revisions again
            _record(day, found)
    _write(changed, exchanges)
    if changed:
        came = sum(hour in readings[station] for station, hour in wanted)
        span = f"{format_hour(min(changed))}…{format_hour(max(changed))}"
        log.info("%s: asked for %d rows, %d came", span, len(wanted), came)


def _write(changed: dict[datetime, dict[str, dict[str, Any]]], exchanges: str) -> None:
    rows = [row for _, of in sorted(changed.items()) for _, row in sorted(of.items())]
    table = pa.Table.from_pylist(rows, schema=raw.SCHEMA)
    content = [name for name in raw.SCHEMA.names if name not in raw.BOOKKEEPING]
    begin = 0
    for hour, of in sorted(changed.items()):
        prints = parquet.digest([[of[station][name] for name in content] for station in sorted(of)])
        parquet.write(
            targets.raw(hour).path, table.slice(begin, len(of)), content=prints, extra={"exchanges": exchanges}
        )
        begin += len(of)


def _record(day: date, found: list[dict[str, Any]]) -> None:
    """Add revisions to the day's ledger; one that is there already stays as it was first seen."""
    ledger = targets.revisions(day)
    known = ledger.rows()
    last = {(r["station"], r["observed_at"], r["reading"]): r["new"] for r in known}
    # found again after a kill between ledger and raw file, a revision is there already
    new = [r for r in found if last.get((r["station"], r["observed_at"], r["reading"]), _NEVER) != r["new"]]
    ledger.write(pa.Table.from_pylist(known + new, schema=raw.REVISION_SCHEMA))


def _refuse_fast_clock(not_over: set[Key], answers: dict[str, Answer], config: Settings) -> None:
    """An hour that is over by our clock but not by the API's would be fetched as a partial mean."""
    for station, hour in sorted(not_over)[:1]:
        served = answers[station].served_at
        raise ClockError(
            f"hour {format_hour(hour)} is not over by the API's clock ({served:%Y-%m-%dT%H:%M}), but by this "
            f"machine's ({config.now:%Y-%m-%dT%H:%M}) it is: set the clock right; nothing was written for it"
        )


def _refuse_silence(answers: dict[str, Answer], block: list[datetime], config: Settings) -> None:
    """Log each station's failure; fail when every station of the network was asked and failed."""
    failed = {station: answer for station, answer in answers.items() if answer.error}
    for station, answer in failed.items():
        log.warning(
            "station %s, %s…%s: %s: %s",
            *(station, answer.exchange.first, answer.exchange.last),
            *(type(answer.error).__name__, answer.error),
            extra={"station": station},
        )
    if failed.keys() == answers.keys() >= {s for hour in block for s in config.active_stations(hour)}:
        reasons = "; ".join(f"{station}: {a.error}" for station, a in failed.items())
        raise AllStationsFailedError(
            f"no station answered for {format_hour(block[0])}…{format_hour(block[-1])} ({reasons}); "
            f"nothing was written for these hours, the next run asks again"
        )
