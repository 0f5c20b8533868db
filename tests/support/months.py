"""A staging root of one month, made by the library from answers, with forecasts scored day by day."""

import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from airqino.forecasting.model import predict
from airqino.publishing.month_tables import last_day
from airqino.quality import notes as operator
from airqino.quality.flags import flag_history
from airqino.quality.means import daily_means
from airqino.quality.notes import Note
from airqino.readings import READINGS
from airqino.stores import notebook, parquet
from airqino.stores.paths import Paths
from airqino.times import day_range
from support.deployment import REAL
from support.public import STATIONS
from support.scores import summarised

#: Days before the month: enough for the tests that look at weeks.
_BEFORE = 30
NAMES = {of.key: of.name for of in READINGS}


def hours_of(month: date) -> pd.DatetimeIndex:
    """Every hour of a month, of the days before that its flags rest on, and of the day after."""
    first = pd.Timestamp(month, tz="UTC") - pd.Timedelta(days=_BEFORE)
    return pd.date_range(first, pd.Timestamp(last_day(month), tz="UTC") + pd.Timedelta(hours=47), freq="h").as_unit(
        "us"
    )


def made_up(month: date, ids: Sequence[str] = tuple(station.id for station in STATIONS), seed: int = 1) -> pd.DataFrame:
    """Answers that no test has anything to say about: 8 to 12 µg/m³ of PM2.5, CO around 0.5 mg/m³, dry air."""
    random, at = np.random.default_rng(seed), hours_of(month)
    parts = []
    for id in ids:
        wave = np.sin(np.arange(len(at)) / 24 * 2 * np.pi)
        noise = random.uniform(-0.5, 0.5, (8, len(at)))
        readings = {
            "co": 0.5 + 0.1 * wave + 0.1 * noise[0],
            "no2": 20 + 3 * wave + noise[1],
            "o3": 30 - 5 * wave + 2 * noise[2],
            "pm10": 20 + 3 * wave + 2 * noise[3],
            "pm2_5": 10 + 1.5 * wave + noise[4],
            "t": 27 + 2 * wave + noise[5],
            "rh": 55 - 8 * wave + 2 * noise[6],
            "t_int": 300 + 20 * wave + 8 * noise[7],
        }
        parts.append(pd.DataFrame({"station": id, "observed_at": at, **{k: v.round(2) for k, v in readings.items()}}))
    return pd.concat(parts, ignore_index=True)


def real(month: date) -> pd.DataFrame:
    """The real answers of the hours that `hours_of` has."""
    parts = []
    for station in STATIONS:
        rows = pd.DataFrame(json.loads((REAL / f"{station.id}.json").read_text())["data"]).set_index("timestamp")
        rows.index = pd.DatetimeIndex(pd.to_datetime(rows.index, utc=True)).as_unit("us")
        rows = rows.rename(columns=NAMES).reindex(hours_of(month)).reindex(columns=list(NAMES.values()))
        parts.append(rows.rename_axis("observed_at").reset_index().assign(station=station.id))
    return pd.concat(parts, ignore_index=True)


def forecasts_of(raw: pd.DataFrame, month: date) -> pd.DataFrame:
    """What is forecast of a month without a model, an hour and two ahead."""
    hourly = flag_history(operator.apply(_rows(raw), ()))
    issued = pd.date_range(pd.Timestamp(month, tz="UTC") - pd.Timedelta(hours=2), hours_of(month)[-1], freq="h")
    return predict(None, hourly, list(issued), horizons=(1, 2), zones={})


def _rows(raw: pd.DataFrame) -> pd.DataFrame:
    """Answers as rows of raw hours; a column ``status`` that is there already stays."""
    there = raw[list(NAMES.values())].notna().any(axis=1).map({True: "ok", False: "absent"})
    return raw.assign(status=raw["status"].fillna(there) if "status" in raw else there, final=True)


def stage(
    root: Path,
    raw: pd.DataFrame,
    month: date,
    zones: dict[str, str] | None = None,
    notes: Sequence[Note] = (),
    forecasts: pd.DataFrame | None = None,
    revisions: pd.DataFrame | None = None,
) -> Paths:
    """Write what the pipeline would stage of a month: hours, daily means, scores, revisions, notes.

    Args:
        root: The staging root to make.
        raw: Answers, from `made_up` or `real`; rows that are dropped were never asked for.
        month: The month's first day.
        zones: Time zones of the stations.
        notes: The operator's notes.
        forecasts: What was forecast; None for nothing.
        revisions: Rows of ``revisions.parquet``.
    """
    paths, days = Paths(root), day_range(month, last_day(month))

    def write(path: Path, rows: pd.DataFrame) -> None:
        parquet.write(path, pa.Table.from_pandas(rows.reset_index(drop=True), preserve_index=False))

    hourly = flag_history(operator.apply(_rows(raw), notes))
    for day, rows in hourly.groupby(hourly["observed_at"].dt.date):
        write(paths.hourly(day), rows)
    for day, rows in daily_means(hourly, days, zones or {}).groupby("day"):
        write(paths.daily(day), rows)
    if forecasts is not None:
        for day, scores in summarised(forecasts, hourly, days, (1, 7)).items():
            write(paths.scores(day), scores)
    if revisions is not None:
        for day, rows in revisions.groupby(revisions["observed_at"].dt.date):
            write(paths.revisions(day), rows)
    if notes:
        notebook.restore(paths.notes, paths.lock("notes"), notes)
    return paths
