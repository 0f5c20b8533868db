"""CleanDay: from raw hours to the typed and flagged hourly table of a day."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from airqino.errors import ConfigError
from airqino.quality import flags
from airqino.quality import notes as operator
from airqino.quality.contexts import Context, Thresholds, contexts
from airqino.readings import NAMES
from airqino.source import raw
from airqino.stores import parquet
from airqino.stores.remembered import Remembered
from airqino.times import DAY, HOUR, day_start, format_hour, hour_range, local_day
from tasks import notes, targets, versions
from tasks.asked import asked_once
from tasks.fetch import FetchHour, due
from tasks.parameters import DaysParameter, HourParameter
from tasks.settings.reading import refuse_unpublished, settings
from tasks.stage import Stage, exclusive

#: Rows of a block of days: those of ten days of 200 stations, which take half a second; less does not pay to be sent.
_BLOCK_ROWS = 50_000
#: Rows of days whose contexts are made at a time, from these days and the week around them: a day of 10,000 stations.
_CONTEXT_ROWS = 250_000


class DayTask(Stage):
    """Base of the tasks whose unit is a day: of one, or of several at once as in a backfill."""

    day = DaysParameter(description="day or days to work on, UTC: 2024-09-09, 2024-09, or A..B of these")
    through = HourParameter(
        default=None,
        description="last hour that counts, such as 2024-09-09T10; default: the day's last, or the last one published",
    )

    @classmethod
    def get_param_values(cls, params: Any, args: Any, kwargs: Any) -> Any:
        """Fill in `through`, so that a past day always has the same one and is one task; refuse the future."""
        values = dict(super().get_param_values(params, args, kwargs))
        day, through = values["day"], values["through"]
        last = day[-1] if isinstance(day, tuple) else day
        refuse_unpublished(_first_start(last), f"day {last}: hour")
        if through is None:
            values["through"] = last_hour(last)
        else:
            refuse_unpublished(through, "through: hour")
            if not last - DAY <= through.date() <= last:  # a local day may begin on the evening before
                raise ConfigError(f"through {format_hour(through)} does not lie in day {last}")
        return [(name, values[name]) for name, _ in params]


def _first_start(day: date) -> datetime:
    """Return when a day begins: in UTC or, where a station lies east of it, at that station."""
    return min(local_day(day, zone).start for zone in {"UTC", *settings().zones.values()})


def last_hour(day: date) -> datetime:
    """Return the last hour of a day that is over and published: 23:00 for a past day."""
    return min(day_start(day) + DAY - HOUR, settings().last_hour)


class CleanDay(DayTask):
    """The hours of a UTC day, typed, one row per station and hour, each value with a quality flag.

    Unit: a day. Complete: none of its hours is missing or due, and the table was built from the raw files, the days
    around it (what the flags need of them), the operator's notes and the quality settings as they are now.
    """

    def requires(self) -> list[FetchHour]:
        """Return the hours that are missing or due, and no others."""
        return [FetchHour(hour=hour) for hour in self.due()]

    def output(self) -> list[targets.ParquetTarget]:
        """Return each day's hourly table."""
        return [targets.hourly(day) for day in self.day]

    def complete(self) -> bool:
        """Tell whether nothing is due and the tables are up to date."""
        return not self.unfinished()

    def unfinished(self) -> set[date]:
        """Return the days that have hours due, or a table that is not up to date."""
        return {hour.date() for hour in self.due()} | self.outdated()

    def outdated(self) -> set[date]:
        """Return the days whose table is not up to date, whatever is due."""
        return self._stale()

    @exclusive
    def run(self) -> None:
        """Flag the values of the days whose table is not up to date."""
        if not (stale := self._stale()):
            return
        bases = _bases(stale)
        with settings().pool() as pool:
            for some in day_blocks(sorted(stale), _CONTEXT_ROWS):
                around = _contexts(some)
                inputs = _inputs(around)
                parts = ((_raw_frame(of), {day: around[day] for day in of}, thresholds()) for of in day_blocks(some))
                for tables in pool.map(_flagged, parts):
                    for day, table in tables:
                        targets.hourly(day).write(table, inputs=inputs[day], basis=bases[day])

    @asked_once
    def due(self) -> Collection[datetime]:
        """Return the hours that are missing or due."""
        hours = (hour for day in self.day for hour in hour_range(day_start(day), day_start(day) + DAY - HOUR))
        return due((hour for hour in hours if hour <= self.through), settings())

    @asked_once
    def _stale(self) -> set[date]:
        """Return the days whose table is not there, or was built from something else."""
        if self.is_forced:
            return {*self.day}
        other = [day for day, basis in _bases(self.day).items() if targets.hourly(day).text("basis") != basis]
        built = {day: of for day in other if (of := targets.hourly(day).inputs)}
        inputs = (_inputs(_contexts(some)) for some in day_blocks(built, _CONTEXT_ROWS))
        same = {day for of_days in inputs for day, of in of_days.items() if built[day] == of}
        return {*other} - same


def day_blocks(days: Iterable[date], rows: int | None = None) -> list[list[date]]:
    """Cut days into blocks of at most so many rows, or of one day; None: as many as it pays to give another worker."""
    ordered = list(days)
    size = max((rows or _BLOCK_ROWS) // (24 * len(settings().airqino.stations)), 1)
    return [ordered[i : i + size] for i in range(0, len(ordered), size)]


def _flagged(rows: pd.DataFrame, around: Mapping[date, Context], thresholds: Thresholds) -> list[tuple[date, pa.Table]]:
    starts = {pd.Timestamp(day_start(day)): context for day, context in around.items()}
    flagged = pd.concat([flags.unflagged(rows), flags.flag_days(rows, starts, thresholds)], axis=1)
    return list(split_days(flagged, flagged["observed_at"].dt.date, around, ["station", "observed_at"]))


def split_days(
    rows: pd.DataFrame, day_of_row: "pd.Series[Any]", days: Iterable[date], order: list[str]
) -> Iterator[tuple[date, pa.Table]]:
    """Cut rows into one table for each day, an empty one where a day has none.

    Args:
        rows: Rows of these days.
        day_of_row: The day of each row.
        days: The days.
        order: Columns that each day's rows are sorted by.
    """
    rows = rows.assign(_day=day_of_row).sort_values(["_day", *order], ignore_index=True)
    sorted_days, table = rows.pop("_day"), pa.Table.from_pandas(rows, preserve_index=False)
    for day in days:
        begin, end = sorted_days.searchsorted(day, side="left"), sorted_days.searchsorted(day, side="right")
        yield day, table.take(np.arange(begin, end))  # a slice would be sent with the whole table


def _raw_frame(days: Iterable[date]) -> pd.DataFrame:
    """Return the raw rows of some days, without bookkeeping, and what the operator says of them."""
    return operator.apply(_raw_rows(days, lambda name: name not in raw.BOOKKEEPING), notes.active())


def _raw_rows(days: Iterable[date], is_wanted: Callable[[str], bool]) -> pd.DataFrame:
    tables = [table for day in days if (table := targets.raw_day(day).table) is not None]
    some = [table.select([*filter(is_wanted, table.column_names)]) for table in tables or [raw.SCHEMA.empty_table()]]
    rows: pd.DataFrame = parquet.concat(some).to_pandas()
    return rows


def thresholds() -> Thresholds:
    """Return the rules' numbers, from the settings."""
    q = settings().quality
    return Thresholds(q.stuck_hours, q.dead_days, q.dead_hours, q.dead_share, q.spike_deviations, q.humid_above)


def _inputs(around: Mapping[date, Context]) -> dict[date, str]:
    """Return the fingerprint of all that each day's table is built from, with just these contexts."""
    rules = vars(thresholds())
    return {
        day: targets.fingerprint(
            targets.raw_fingerprints(day).hours, context.content, rules, versions.HOURLY, *_noted(day)
        )
        for day, context in around.items()
    }


def _bases(days: Iterable[date]) -> dict[date, str]:
    """Return the fingerprint of the raw hours that each day's table rests on, with the readings around them.

    While it is as the table has it, nothing needs to be read. If it is another, the table may be up to date all the
    same: few changes around a day change what its flags need to know.
    """
    rules = thresholds()
    return {
        day: targets.fingerprint(
            targets.raw_fingerprints(day).hours, around, vars(rules), versions.HOURLY, *_noted(day)
        )
        for day, around in _around(days, rules).items()
    }


def _noted(day: date) -> list[list[str]]:
    """Return what notes do to a day; nothing at all where they do nothing, so that its fingerprint is as without."""
    effects = notes.effects(day_start(day), day_start(day) + DAY - HOUR)
    return [effects] if effects else []


_Fingerprints = tuple[str | tuple[str, ...], ...]
#: Contexts in memory; their size is in stations: of 10,000 a day's has some 60 MB.
_contexts_known = Remembered[date, Context](most=64, most_size=20_000)


def _contexts(days: Iterable[date]) -> dict[date, Context]:
    """Return what the flags of each day need to know of the days around it.

    It is computed once for as long as the readings of the days before, and of the first hour after it, and what notes
    say of them stay as they are.
    """
    rules = thresholds()
    fingerprints = _around(days, rules)
    found = {day: _contexts_known.get(day, (of, rules)) for day, of in fingerprints.items()}
    known = {day: context for day, context in found.items() if context is not None}
    if unknown := [day for day in fingerprints if day not in known]:
        days_around = sorted({d for day in unknown for d in (*_before(day, rules), day + DAY)})
        rows = _raw_rows(days_around, {"station", "observed_at", *NAMES}.__contains__)
        if noted := notes.active():
            rows = operator.apply(rows, noted)
        starts = [pd.Timestamp(day_start(day)) for day in unknown]
        for day, context in zip(unknown, contexts(rows, starts, rules), strict=True):
            known[day] = context
            _contexts_known.keep(day, (fingerprints[day], rules), context, len(settings().airqino.stations))
    return {day: known[day] for day in fingerprints}


def _around(days: Iterable[date], rules: Thresholds) -> dict[date, _Fingerprints]:
    """Return the fingerprints of the readings that each day's context is made from, and what notes do to them.

    Of the readings alone: a day becomes final each day, and the week after it need not be looked at for that.
    """
    wanted = {d for day in days for d in (*_before(day, rules), day + DAY)}
    staged = {d: targets.raw_fingerprints(d) for d in wanted}
    return {
        day: (
            *(staged[d].readings for d in _before(day, rules)),
            staged[day + DAY].first_readings,
            tuple(notes.effects(day_start(day) - rules.dead_days * DAY, day_start(day) + DAY)),
        )
        for day in days
    }


def _before(day: date, rules: Thresholds) -> list[date]:
    return [day - timedelta(days=back) for back in range(rules.dead_days, 0, -1)]
