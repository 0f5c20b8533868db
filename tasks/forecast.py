"""Forecast: the next two hours of CO and PM2.5."""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

import luigi
import pandas as pd

from tasks import targets
from tasks.clean import CleanDay, last_hour, thresholds
from tasks.config import settings
from tasks.hours import HoursParameter, day_range, format_hour
from tasks.load import station_name
from tasks.science.quality import flag_history
from tasks.stores import models, mongo
from tasks.train import newest_version

log = logging.getLogger("airqino.forecast")

#: Days of readings that the features look back on (`tasks.science.features.LOOKBACK_HOURS`).
_LOOKBACK_DAYS = 30


class Forecast(luigi.Task):
    """CO and PM2.5 of the two hours after an hour, with an 80 % band, for each station.

    Unit: an hour (or several at once, as hindcasts). Complete: it was published, in Parquet and in MongoDB. What was
    published stays as it was: a later reading or model does not change it. Made for an hour that is not the last one
    published, it is a `hindcast`, from the model and the readings that preceded the hour.
    """

    hour = HoursParameter(description="hour (or hours) that is over, such as 2024-09-09T10")

    def requires(self) -> list[luigi.Task]:
        """The hourly tables of these hours' days."""
        ends = {day: max(of) for day, of in groupby(self.hour, key=datetime.date)}
        return [CleanDay(day=day, through=end if self._is_live() else last_hour(day)) for day, end in ends.items()]

    def output(self) -> list[luigi.Target]:
        """For each hour the Parquet file, and the row in ``loads``."""
        return [t for hour in self.hour for t in (targets.forecast(hour), _load(hour))]

    def run(self) -> None:
        """Forecast the hours that are not published yet, then load what is not in MongoDB yet."""
        missing = [hour for hour in self.hour if not targets.forecast(hour).exists()]
        for version, hours in groupby(missing, key=lambda hour: newest_version(hour.date())):
            _publish(list(hours), version, hindcast=not self._is_live())
        _load_all([hour for hour in self.hour if not _load(hour).exists()])

    def _is_live(self) -> bool:
        return self.hour == (settings().last_hour,)


def _load(hour: datetime) -> targets.LoadTarget:
    return targets.LoadTarget(f"forecast|{format_hour(hour)}")


def _publish(hours: list[datetime], version: str | None, hindcast: bool) -> None:
    """Forecast some hours with one model and stage the result, a file for each hour."""
    from tasks.science.model import predict  # LightGBM takes long to import

    first, last = hours[0].date() - timedelta(days=_LOOKBACK_DAYS), hours[-1].date()
    tables = [targets.hourly(day) for day in day_range(first, last)]
    readings = targets.frame(tables)
    # Only what was known when the hour was over: the day's tables flag a stuck run as a whole, this does not.
    readings = flag_history(
        readings.drop(columns=[c for c in readings.columns if c.endswith("_flag")]), thresholds(), causal=True
    )
    model, why_none = _model(version)
    moments = [pd.Timestamp(hour) for hour in hours]
    predicted = predict(model, readings, moments, settings().forecast.threads, no_model_reason=why_none)
    predicted = predicted.assign(model_version=version or "", hindcast=hindcast)
    inputs = targets.fingerprint(*(table.fingerprint for table in tables), version)
    for hour, moment in zip(hours, moments, strict=True):
        rows = predicted[predicted["issued_at"] == moment].reset_index(drop=True)
        targets.forecast(hour).write(rows, inputs=inputs)


def _model(version: str | None) -> tuple[Any, str]:
    """The model of a version, or None and the reason: a damaged one never stops a forecast."""
    from tasks.science.model import ForecastModel

    if version is None:
        return None, "no model yet"
    try:
        return ForecastModel.from_files(models.load(targets.root() / "models" / version)), ""
    except (OSError, ValueError) as error:
        log.warning("model %s cannot be read (%s): persistence is published", version, error)
        return None, f"model {version} cannot be read"


def _load_all(hours: Iterable[datetime]) -> None:
    for hour in hours:
        target = targets.forecast(hour)
        documents = [_document(row) for row in target.rows()]
        mongo.replace(targets.database(), "forecasts", documents)
        _load(hour).write(target.inputs or "", {"kind": "forecast", "issued_at": hour, "documents": len(documents)})


def _document(row: dict[str, Any]) -> dict[str, Any]:
    key = f"{row['station']}|{row['pollutant']}|{format_hour(row['issued_at'])}|{row['horizon_h']}"
    return {"_id": key, **row, "station_name": station_name(row["station"], settings())}
