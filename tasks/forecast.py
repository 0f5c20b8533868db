"""Forecast: the next hours of CO and PM2.5."""

import contextlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any

import luigi
import pandas as pd
import pyarrow as pa

from airqino.errors import ConfigError
from airqino.forecasting.grid import COVARIATES, WEATHER, Grid, Network, grid_of_days
from airqino.forecasting.model import HISTORY_HOURS, ForecastModel, predict, span_of
from airqino.quality.flags import flag_history
from airqino.readings import FORECAST
from airqino.stores import mongo, writes
from airqino.stores.models import Champion
from airqino.times import day_range, format_hour
from tasks import promotion, targets
from tasks.clean import CleanDay, thresholds
from tasks.parameters import HoursParameter
from tasks.settings.reading import refuse_unpublished, settings
from tasks.stage import Stage, exclusive
from tasks.staged import frame_of, stations_of

log = logging.getLogger("airqino.forecast")

#: Stations that are forecast at a time: their readings of 44 days, and what is made of them, take 0.25 GB.
_BLOCK = 600
_MOMENT = pa.timestamp("us", tz="UTC")
#: The columns of a staged forecast.
_COLUMNS = (
    *(("station", pa.string()), ("pollutant", pa.string()), ("issued_at", _MOMENT), ("target_at", _MOMENT)),
    *(("horizon_h", pa.int64()), ("p10", pa.float64()), ("p50", pa.float64()), ("p90", pa.float64())),
    *(("method", pa.string()), ("reason", pa.string()), ("last_value", pa.float64()), ("last_observed_at", _MOMENT)),
    *(("level", pa.string()), ("level_probability", pa.float64()), ("day", pa.string())),
    *(("day_exceedance", pa.float64()), ("model_version", pa.string()), ("hindcast", pa.bool_())),
)


class Forecast(Stage):
    """CO and PM2.5 of some hours after an hour, with an 80 % band, for each station.

    Unit: an hour (or several at once, as hindcasts). Complete: it was published, in Parquet and in MongoDB. What was
    published stays as it was: a later reading or model does not change it. Made for an hour that is not the last one
    published, it is a `hindcast`, from the model and the readings that preceded the hour.
    """

    hour = HoursParameter(description="hour (or hours) that is over, such as 2024-09-09T10")

    @classmethod
    def get_param_values(cls, params: Any, args: Any, kwargs: Any) -> Any:
        """Refuse hours that are not over."""
        values = super().get_param_values(params, args, kwargs)
        refuse_unpublished(dict(values)["hour"][-1])
        return values

    def force(self) -> None:
        """Refuse: whoever saw a forecast must find it again."""
        raise ConfigError("Forecast: what was published stays published, so no forecast is made a second time")

    def requires(self) -> luigi.Task:
        """Return the hourly tables of these hours' days."""
        return CleanDay(day=sorted({hour.date() for hour in self.hour}))

    def output(self) -> list[luigi.Target]:
        """Return for each hour the Parquet file, and the row in ``loads``."""
        return [t for hour in self.hour for t in (targets.forecast(hour), _load_target(hour))]

    @exclusive
    def run(self) -> None:
        """Forecast the hours that are not published yet, then load what is not in MongoDB yet."""
        live = self._is_live()
        restore([hour for hour in self.hour if not targets.forecast(hour).exists()])
        missing = [hour for hour in self.hour if not targets.forecast(hour).exists()]
        for champion, hours in groupby(missing, key=lambda hour: promotion.champion_on(hour.date(), live)):
            _stage_forecasts(list(hours), champion, hindcast=not live)
        _load_documents([hour for hour in self.hour if not _load_target(hour).exists()])

    def _is_live(self) -> bool:
        return self.hour == (settings().last_hour,)


def _load_target(hour: datetime) -> targets.LoadTarget:
    return targets.LoadTarget(f"forecast|{format_hour(hour)}")


def restore(hours: Iterable[datetime]) -> None:
    """Write the files of forecasts that were published and lost from what MongoDB holds: none is made a second time.

    Of an hour whose documents are not as they were published, none is written: a warning tells.
    """
    for hour in hours:
        if (record := _load_target(hour).record()) is None:
            continue
        found = mongo.find(targets.database(), "forecasts", {"issued_at": hour})
        rows = [document for document in found if _is_ours(document)]
        try:
            if not rows or len(rows) != record.get("documents"):
                raise ValueError(f"{len(rows)} of {record.get('documents')} documents are there")
            _restore(hour, rows, record.get("inputs"))
        except (TypeError, ValueError, OverflowError) as error:  # Arrow's own are among them
            log.warning("forecast of %s: cannot be restored from MongoDB: %s", format_hour(hour), error)
        else:
            log.warning("forecast of %s: restored from MongoDB", format_hour(hour))


def _restore(hour: datetime, rows: list[dict[str, Any]], inputs: Any) -> None:
    # by their types: text does not become a number; and what else a document holds is not the forecast's
    schema = pa.schema([(name, of) for name, of in _COLUMNS if any(name in row for row in rows)])
    table = pa.Table.from_pylist(rows, schema).to_pandas()
    targets.forecast(hour).write(table, inputs=inputs if isinstance(inputs, str) and inputs else None)


def _is_ours(document: dict[str, Any]) -> bool:
    """Tell whether a document has the id that its fields give it."""
    with contextlib.suppress(KeyError, TypeError, ValueError):
        return bool(_key(document) == document["_id"])
    return False


def loaded_hours(first: datetime, last: datetime) -> set[datetime]:
    """Return the hours from `first` to `last` whose forecasts are recorded as loaded."""
    where = {"kind": "forecast", "issued_at": {"$gte": first, "$lte": last}}
    found = mongo.ask(targets.database(), lambda db: list(db["loads"].find(where, {"issued_at": 1})))
    hours = [(load["_id"], load["issued_at"]) for load in found if isinstance(load["issued_at"], datetime)]
    return {hour for load, hour in hours if load == _load_target(hour).load}  # others are none of ours


def documents_of(hour: datetime) -> Iterator[dict[str, Any]]:
    """Give the documents that the staged forecast of an hour makes."""
    table = targets.forecast(hour).table(remember=False)
    for batch in () if table is None else table.to_batches(max_chunksize=writes.BLOCK):
        yield from ({"_id": _key(row), **row} for row in batch.to_pylist())


def _stage_forecasts(hours: list[datetime], champion: Champion | None, hindcast: bool) -> None:
    """Forecast some hours with one model and stage the result, a file for each hour.

    Large networks are forecast in blocks of stations: their readings of 44 days take gigabytes.
    """
    first, last = hours[0].date() - timedelta(days=HISTORY_HOURS // 24), hours[-1].date()
    history = _History([targets.hourly(day) for day in day_range(first, last)], hours, hindcast)
    blocks = history.blocks()
    network = Network.of(history.grid(block, FORECAST) for block in blocks) if len(blocks) > 1 else None
    champion_model, reason = _usable_model(hours[-1].date(), champion)
    parts = [
        _predict(hours, replace(history.grid(block), network=network), champion, champion_model, reason)
        for block in blocks
    ]
    version = champion.version if champion and champion_model else ""
    if champion is None and not hindcast:
        # where none was ever published, nobody can do anything but wait: no run is to warn of it each hour
        level = logging.WARNING if promotion.is_champion_lost() else logging.INFO
        log.log(level, "persistence is published: %s", promotion.no_model_reason(last))
    predicted = pd.concat(parts, ignore_index=True).assign(hindcast=hindcast)
    inputs = targets.fingerprint(
        *(table.footer("fingerprint") for table in history.tables), version, champion and champion.fallback
    )
    for hour in hours:
        rows = predicted[predicted["issued_at"] == pd.Timestamp(hour)].reset_index(drop=True)
        targets.forecast(hour).write(rows, inputs=inputs)


@dataclass(frozen=True)
class _History:
    """The hourly tables that the forecasts of some hours rest on."""

    tables: list[targets.ParquetTarget]
    hours: list[datetime]
    hindcast: bool

    def blocks(self) -> list[list[str]]:
        """Return the stations in blocks, sorted; one block where there is none."""
        stations = stations_of(self.tables)
        return [stations[i : i + _BLOCK] for i in range(0, len(stations), _BLOCK)] or [[]]

    def grid(self, stations: list[str], names: Sequence[str] = (*COVARIATES, *WEATHER)) -> Grid:
        """Return the readings of a block of stations."""
        span = span_of([pd.Timestamp(hour) for hour in self.hours])
        if self.hindcast:  # only what was known when each hour was over: the day's table flags a stuck run as a whole
            rows = frame_of(self.tables, stations)
            known = [flag_history(rows, thresholds(), causal=True)] if len(rows) else []
            return grid_of_days(known, *span, stations, names)
        used = {"station", "observed_at", *names, *(f"{name}_flag" for name in names)}
        return grid_of_days((frame_of([table], stations, used) for table in self.tables), *span, stations, names)


def _usable_model(day: date, champion: Champion | None) -> tuple[ForecastModel | None, str]:
    """Return the champion's model; None and the reason where there is none, or it cannot be used."""
    if champion is None:
        return None, promotion.no_model_reason(day)
    if not promotion.is_readable(champion.version):
        reason = f"model {champion.version} was trained by an older version of the pipeline"
        log.warning("%s: persistence is published", reason)
        return None, reason
    try:
        return ForecastModel.from_files(promotion.model_files(champion.version)), ""
    except Exception as error:  # whatever is wrong with a model never stops a forecast
        return None, _unusable(champion, error)


def _unusable(champion: Champion, error: Exception) -> str:
    reason = f"model {champion.version} cannot be used"
    log.warning("%s (%s): persistence is published", reason, error)
    return reason


def _predict(
    hours: list[datetime], grid: Grid, champion: Champion | None, model: ForecastModel | None, reason: str
) -> pd.DataFrame:
    """Return the model's forecasts with its version; persistence and "" where there is none or it cannot be used."""
    config, moments = settings().forecast, [pd.Timestamp(hour) for hour in hours]
    how: dict[str, Any] = {"num_threads": config.threads, "horizons": config.horizons, "zones": settings().zones}

    def persistence(reason: str) -> pd.DataFrame:
        return predict(None, grid, moments, **how, no_model_reason=reason)

    if champion is None or model is None:
        return persistence(reason).assign(model_version="")
    try:
        predicted = predict(model, grid, moments, **how)
    except Exception as error:  # as above
        return persistence(_unusable(champion, error)).assign(model_version="")
    fallback = pd.MultiIndex.from_frame(predicted[["station", "pollutant"]]).isin(list(champion.fallback))
    if fallback.any():  # both tables have the same rows in the same order
        instead = persistence("model has drifted here, and no better one was found")
        predicted = pd.concat([predicted[~fallback], instead[fallback]]).sort_index()
    return predicted.assign(model_version=champion.version)


def _load_documents(hours: Iterable[datetime]) -> None:
    for hour in hours:
        loaded = writes.replace(targets.database(), "forecasts", documents_of(hour))
        content = {"kind": "forecast", "issued_at": hour, "documents": loaded}
        _load_target(hour).write(targets.forecast(hour).footer("inputs") or "", content)


def _key(row: dict[str, Any]) -> str:
    return f"{row['station']}|{row['pollutant']}|{format_hour(row['issued_at'])}|{row['horizon_h']}"
