"""The staged tables of an hour, made by the library from the sandbox's answers, and what a reader sees of a page."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from airqino.forecasting.model import predict
from airqino.publishing import citymap
from airqino.publishing.page import Site
from airqino.publishing.stations import Station
from airqino.publishing.tables import Tables
from airqino.quality import notes as operator
from airqino.quality.flags import flag_history
from airqino.quality.means import daily_means
from airqino.quality.notes import Note
from airqino.readings import READINGS
from airqino.sandbox import series
from airqino.stores import parquet
from airqino.stores.paths import Paths
from support.scores import summarised

STATIONS = (
    Station("283181971", "SMART189", "Cocody", 5.365334, -3.957688, "Africa/Abidjan"),
    Station("283164601", "SMART188", "Cocody", 5.369346, -3.957688, "Africa/Abidjan"),
)
HOUR = datetime(2024, 2, 22, 12, tzinfo=UTC)
BAD, GOOD = (station.id for station in STATIONS)
SITE = Site()
MAPPED = Site(map=citymap.read(citymap.ABIDJAN))

#: What a test does to the answers: a row for each station and hour, NaN where there is no value.
Edit = Callable[[pd.DataFrame], object]


def answers(ids: Iterable[str], hour: datetime, days: int) -> pd.DataFrame:
    """What the sandbox answers in the end for the days up to an hour: station, observed_at, and the readings."""
    first, parts = hour - timedelta(days=days), []
    every = pd.date_range(first, hour, freq="h").astype("datetime64[us, UTC]")
    for id in ids:
        rows = pd.DataFrame(series.rows(id, first, hour, hour + timedelta(days=99)))
        rows.index = pd.DatetimeIndex(pd.to_datetime(rows.pop("timestamp"), utc=True)).as_unit("us")
        rows = rows.rename(columns={of.key: of.name for of in READINGS}).reindex(every)
        parts.append(rows.rename_axis("observed_at").reset_index().assign(station=id))
    return pd.concat(parts, ignore_index=True)[["station", "observed_at", *(of.name for of in READINGS)]]


def tables_of(
    stations: Sequence[Station] = STATIONS,
    hour: datetime = HOUR,
    days: int = 60,
    edit: Edit | None = None,
    notes: Sequence[Note] = (),
) -> tuple[Tables, pd.DataFrame]:
    """The tables that the pipeline would stage, forecasts by persistence; and the answers that they come from."""
    raw = answers([station.id for station in stations], hour, days)
    if edit:
        edit(raw)
    return staged(raw, {station.id: station.time_zone for station in stations}, hour, notes), raw


def staged(raw: pd.DataFrame, zones: dict[str, str], hour: datetime, notes: Sequence[Note] = ()) -> Tables:
    """The tables that some answers become."""
    there = raw[[of.name for of in READINGS]].notna().any(axis=1)
    rows = raw.assign(status=there.map({True: "ok", False: "absent"}), final=True)
    hourly = flag_history(operator.apply(rows, notes))
    every = pd.date_range(raw["observed_at"].min().floor("D"), pd.Timestamp(hour) + pd.Timedelta(days=1), freq="D")
    daily = daily_means(hourly, [day.date() for day in every], zones)
    issued = list(pd.date_range(hour - timedelta(hours=48), hour, freq="h"))
    forecasts = predict(None, hourly, issued, horizons=(1, 2), zones=zones)
    yesterday = (hour + timedelta(hours=1)).date() - timedelta(days=1)
    scores = summarised(forecasts, hourly, [yesterday])[yesterday]
    today = forecasts[forecasts["issued_at"] > pd.Timestamp(hour - timedelta(hours=24))]
    return Tables(hourly, daily, today.reset_index(drop=True), scores, pd.DataFrame(), tuple(notes))


def cut(hours: int, *stations: str) -> Edit:
    """Take away what some stations sent in the last hours."""

    def edit(raw: pd.DataFrame) -> None:
        late = raw["observed_at"] > pd.Timestamp(HOUR) - pd.Timedelta(hours=hours)
        raw.loc[raw["station"].isin(stations) & late, [*raw.columns.drop(["station", "observed_at"])]] = np.nan

    return edit


def many(number: int) -> tuple[tuple[Station, ...], Tables]:
    """Stations that read what the sandbox's two read, more and more of it."""
    made, _ = tables_of()
    stations, hourly, daily = [], [], []
    for position in range(number):
        id, of = f"{900 + position}", (BAD, GOOD)[position % 2]
        stations.append(
            Station(id, f"SMART{id}", f"Lieu {position}", 5.25 + position % 19 / 100, -4.1 + position % 27 / 100)
        )
        rows = made.hourly[made.hourly["station"] == of]
        hourly.append(rows.assign(station=id, pm2_5=rows["pm2_5"] + position))
        daily.append(made.daily[made.daily["station"] == of].assign(station=id))
    return tuple(stations), replace(made, hourly=pd.concat(hourly), daily=pd.concat(daily), forecasts=pd.DataFrame())


def stage(root: Path, tables: Tables, hour: datetime) -> Paths:
    """Write tables into a staging root as the pipeline lays them out."""
    paths = Paths(root)

    def write(path: Path, rows: pd.DataFrame) -> None:
        parquet.write(path, pa.Table.from_pandas(rows.reset_index(drop=True), preserve_index=False))

    for day, rows in tables.hourly.groupby(tables.hourly["observed_at"].dt.date):
        write(paths.hourly(day), rows)
    for day, rows in tables.daily.groupby("day"):
        write(paths.daily(day), rows)
    for issued, rows in tables.forecasts.groupby("issued_at"):
        write(paths.forecast(issued.to_pydatetime()), rows)
    write(paths.scores((hour + timedelta(hours=1)).date() - timedelta(days=1)), tables.scores)
    return paths


class _Text(HTMLParser):
    """The text of a page, without style, script and hidden marks."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._silent = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("style", "script", "symbol"):
            self._silent = tag
        self.parts.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag == self._silent:
            self._silent = ""

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.parts.append(data)


def text_of(html: str) -> str:
    """What a reader reads, with plain spaces."""
    parser = _Text()
    parser.feed(html)
    return re.sub(r"\s+", " ", "".join(parser.parts).replace("\u2060", "").replace("\u00a0", " "))
