"""What a run has brought: station-hours, and the daily means that came of them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from airqino.readings import Reading, reading
from airqino.source import raw
from airqino.stores import parquet
from airqino.times import DAY, Span, day_start
from tasks import targets
from tasks.settings.reading import settings
from tasks.stations import station_name

__all__ = ["hours_of", "summary"]

#: Days up to which each one's means are told; of more the span's.
_FEW = 7
#: Lines of means that are told; of a larger network the first stations'.
_LINES = 24
_TOLD = ("pm2_5", "co")


def summary(days: Sequence[date]) -> Iterator[str]:
    """Return lines on some days: how many station-hours came, and the stations' daily means, of a few stations all."""
    through, config = settings().last_hour, settings()
    spans = [Span(day_start(day), min(day_start(day) + DAY, through)) for day in days]
    span = f"{days[0]}" if len(days) == 1 else f"{len(days)} days, {days[0]} … {days[-1]}"
    yield f"{span}: {_counted(_statuses(spans))}"
    tables = [table for day in days if (table := targets.daily(day).table(remember=False)) is not None]
    stations = sorted({station for table in tables for station in pc.unique(table["station"]).to_pylist()})
    told = pa.array(stations[:_LINES], pa.string())
    rows = [row for table in tables for row in table.filter(pc.is_in(table["station"], told)).to_pylist()]
    if silent := sorted({*config.airqino.stations} - {*stations}):
        names = ", ".join(station_name(station, config) for station in silent[:_FEW])
        yield f"{names}{f' and {len(silent) - _FEW} more' if len(silent) > _FEW else ''}  no reading"
    if len(days) <= _FEW and len(days) * len(stations) <= _LINES:
        for row in rows:
            yield f"{row['day']}  {_name(row)}  {_means(row)}; {row['hours']} of {row['expected_hours']} h"
        return
    for station in stations[:_LINES]:
        own = [row for row in rows if row["station"] == station]
        yield f"{_name(own[0])}  {'; '.join(_of_span(own, reading(name), len(days)) for name in _TOLD)}"
    if len(stations) > _LINES:
        yield f"and {len(stations) - _LINES} more stations: the dashboards show them"


def hours_of(hours: Iterable[datetime]) -> str:
    """Return a line on some hours."""
    staged = (targets.raw_day(hour.date()).rows.tables.get(hour) for hour in hours)
    return _counted(Counter(status for table in staged if table is not None for status in table["status"].to_pylist()))


def _statuses(days: Iterable[Span]) -> Counter[str]:
    found: Counter[str] = Counter()
    for span in days:
        day = span.first.date()
        table = targets.hourly(day).columns(["observed_at", "status"])
        if table is None or not len(table):  # not built yet
            table = parquet.concat([raw.SCHEMA.empty_table(), *targets.raw_day(day).rows.tables.values()])
        begun, over = pc.less_equal(span.first, table["observed_at"]), pc.less_equal(table["observed_at"], span.last)
        found.update(table.filter(pc.and_(begun, over))["status"].to_pylist())
    return found


def _counted(statuses: Counter[str]) -> str:
    parts = f"{statuses['ok']:,} came, {statuses['absent']:,} had no row, {statuses['failed']:,} failed"
    return f"of {statuses.total():,} station-hours {parts}"


def _name(row: dict[str, Any]) -> str:
    return station_name(row["station"], settings())


def _means(row: dict[str, Any]) -> str:
    """Return a day's means: the checked one, and the plain one of all that was reported."""
    return ", ".join(_mean(row, reading(name)) for name in _TOLD)


def _mean(row: dict[str, Any], of: Reading) -> str:
    quality, plain = row[f"{of.name}_quality"], row[f"{of.name}_mean"]
    if plain is None:
        return f"{of.label} no value"
    if _is_at_floor(row, of):
        return f"{of.label} at the floor ({row[f'{of.name}_floor_hours']} h)"
    beside = f"plain {_number(plain, of)}"
    checked = row[f"{of.name}_checked_mean"]
    if quality == "insufficient" or checked is None:
        return f"{of.label} too few hours that count ({row[f'{of.name}_checked_hours']}; {beside})"
    note = ", suspect" if quality == "suspect" else ""
    return f"{of.label} {_number(checked, of)} {of.unit} ({beside}{note})"


def _of_span(rows: Sequence[dict[str, Any]], of: Reading, days: int) -> str:
    valid = [row for row in rows if row[f"{of.name}_quality"] in ("ok", "checked")]
    floor = sum(_is_at_floor(row, of) for row in rows)
    floored = f", at the floor on {floor}" if floor else ""
    if not valid:
        return f"{of.label} no valid day{floored}"
    checked, plain = (sum(row[f"{of.name}_{mean}"] for row in valid) / len(valid) for mean in ("checked_mean", "mean"))
    means = f"mean {_number(checked, of)} {of.unit} (plain {_number(plain, of)})"
    return f"{of.label} {means} on {len(valid)} valid of {days} days{floored}"


def _is_at_floor(row: dict[str, Any], of: Reading) -> bool:
    """Tell whether half or more of the hours that count stand at the sensor's floor: such a mean is no clean air."""
    if of.floor is None:
        return False
    floor, counted = row.get(f"{of.name}_floor_hours") or 0, row[f"{of.name}_checked_hours"]
    return bool(counted) and 2 * floor >= counted


def _number(value: float, of: Reading) -> str:
    """Write a mean; what rounds to zero of a reading with a floor is too low to be told."""
    if of.floor is not None and value < 0.5 * 10.0**-of.digits:
        return "too low"
    return f"{value:.{of.digits}f}"
