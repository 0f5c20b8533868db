"""A staging root of some days of the sandbox's stations, one of them in Tokyo, and what the public is told of them."""

import shutil
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa

from airqino.forecasting.model import predict
from airqino.opendata.about import LICENCES, About, Location
from airqino.quality.notes import Note
from airqino.sandbox.server import Sandbox
from airqino.stores import notebook, parquet
from airqino.stores.paths import Paths
from airqino.times import DAY, HOUR, day_range, day_start, hour_range
from support.inprocess import Stages, configured

__all__ = ["ABOUT", "DAYS", "NOTED_AT", "OTHER", "REVISED", "TOKYO", "ZONES", "add_note", "contents", "copied",
           "forecast", "revise", "stage"]  # fmt: skip

TOKYO, OTHER = "283181971", "283164601"
ZONES = {TOKYO: "Asia/Tokyo", OTHER: "UTC"}
#: Days of three months, as far as the last hour.
DAYS = tuple(day_range(date(2026, 1, 27), date(2026, 3, 2)))
NOTED_AT = datetime(2026, 3, 3, 9, tzinfo=UTC)
#: Days that the source says otherwise later (`revise`).
REVISED = DAYS[8:11]
LOCATIONS = {
    TOKYO: Location('=Cocody, "189"', 5.35, -3.957688, "Asia/Tokyo", "kappa"),
    OTHER: Location("SMART188", 5.369, None, "UTC"),
}
ABOUT = About(
    locations=LOCATIONS,
    place="Abidjan",
    publisher="Office of the air",
    homepage="https://air.example.org/",
    licence=LICENCES["CC-BY-4.0"],
)


def stage(folder: Path, days: Sequence[date] = DAYS) -> Path:
    """Bring `DAYS`, or the first of them, through the pipeline's own stages; return the staging root."""
    root, now = folder / "staging", day_start(days[-1]) + DAY + timedelta(minutes=5)
    options = {f"stations.{station}": {"time_zone": zone} for station, zone in ZONES.items()}
    options |= {"airqino": {"retries": "0", "requests_per_second": "1000"}}
    with configured(folder, options, AIRQINO_STATIONS=",".join(ZONES)), Sandbox(now=now) as api:
        for n in range(40):  # a week of CO at the floor, and a spike
            api.override(
                TOKYO, day_start(DAYS[5]) + n * HOUR, {"CO": 0.0, "PM2.5": 11.0 + n % 7, "PM10": 30.0, "RH": 60.0}
            )
        api.override(TOKYO, day_start(DAYS[5]) + 20 * HOUR, {"CO": 0.3, "PM2.5": 900.0, "PM10": 950.0, "RH": 60.0})
        hours = tuple(hour_range(day_start(days[0]), day_start(days[-1]) + 23 * HOUR))
        assert Stages(root, api.url).run(now, tuple(days), hours)
    return root


def revise(folder: Path, root: Path) -> datetime:
    """Read `REVISED` again, three weeks later, after the source changed some of it; return when it was seen."""
    now = day_start(DAYS[-1]) + 22 * DAY
    options = {f"stations.{station}": {"time_zone": zone} for station, zone in ZONES.items()}
    options |= {"airqino": {"retries": "0", "requests_per_second": "1000"}}
    with configured(folder, options, AIRQINO_STATIONS=",".join(ZONES)), Sandbox(now=now) as api:
        for n in range(30):
            row = {"CO": 0.4, "PM2.5": 12.5 + n % 9, "PM10": 40.0, "RH": 55.0}
            api.override(TOKYO, day_start(REVISED[0]) + (20 + n) * HOUR, row)
        for n in range(3):  # these are withdrawn
            api.override(OTHER, day_start(REVISED[1]) + n * HOUR, None)
        hours = tuple(hour_range(day_start(REVISED[0]), day_start(REVISED[-1]) + 23 * HOUR))
        assert Stages(root, api.url).run(now, REVISED, hours, again=True)
    return now


def forecast(root: Path, hours: Iterable[datetime]) -> None:
    """Stage what is forecast of some hours without a model, as the pipeline does."""
    paths = Paths(root)
    tables = [table for day in DAYS if (table := parquet.read(paths.hourly(day))) is not None]
    predicted = predict(None, parquet.concat(tables).to_pandas(), [pd.Timestamp(h) for h in hours], num_threads=1)
    for hour, rows in predicted.assign(model_version="", hindcast=False).groupby("issued_at"):
        table = pa.Table.from_pandas(rows.reset_index(drop=True), preserve_index=False)
        parquet.write(paths.forecast(hour.to_pydatetime()), table)


def add_note(root: Path, kind: str, number: int = 1, **fields: object) -> Note:
    """Add a note of the operator."""
    said = {"kind": kind, "station": TOKYO, "who": "someone", "why": "works next door", "noted_at": NOTED_AT} | fields
    note = Note(id=f"{NOTED_AT:%Y-%m-%d}-{number}", **said)  # type: ignore[arg-type]
    paths = Paths(root)
    return notebook.add(paths.notes, paths.lock("notes"), lambda _: note)


def contents(folder: Path) -> dict[str, bytes]:
    """Return what is in a published folder, without the record of what it was built from."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != ".built.json")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def copied(root: Path, target: Path, days: Iterable[date] = ()) -> Path:
    """Copy a staging root, with these days alone."""
    shutil.copytree(root, target, ignore=shutil.ignore_patterns("20[0-9][0-9]-*") if days else None)
    for day in days:
        shutil.copytree(Paths(root).partition(day), Paths(target).partition(day))
    return target
