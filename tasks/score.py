"""ScoreForecasts: what was forecast against what came."""

import logging
from collections.abc import Iterator
from dataclasses import asdict
from datetime import date
from typing import Any

import luigi
import pandas as pd

from airqino.forecasting import scoring, windows
from airqino.readings import FORECAST, LONGEST_HORIZON
from airqino.stores import mongo, parquet, writes
from airqino.times import DAY, HOUR, day_start
from tasks import promotion, stage, targets
from tasks.asked import asked_once
from tasks.clean import CleanDay, DayTask
from tasks.parameters import DayParameter
from tasks.settings.reading import settings
from tasks.stage import exclusive
from tasks.train import drift_limits

log = logging.getLogger("airqino.score")

#: Raise when the meaning of scores.parquet changes.
_VERSION = 1
#: Raise when the meaning of score_sums.parquet changes.
_SUMS_VERSION = 1
_MEASURED = ("station", "observed_at", *FORECAST, *(f"{name}_flag" for name in FORECAST))
#: Hours that may be forecast ahead: a day's first targets were forecast the day before.
_AHEAD = LONGEST_HORIZON * HOUR
#: How far back the beginning of a drift is looked for.
_LOOK_BACK_DAYS = 60


class ScoreForecasts(DayTask):
    """Scores of the forecasts whose target lies in the day, and in the 7 and 30 days that end with it.

    Unit: a day. Complete: the day's hourly table is, the scores were made from the forecasts and hourly tables of the
    30 days as they are now, and MongoDB holds them. A published forecast never changes, so of the forecasts it counts
    which hours have one, and of the hourly tables their content. What each day's forecasts add up to is kept beside the
    scores (``score_sums.parquet``): a run counts only days of which something is new.
    """

    day = DayParameter(description="day whose forecasts are scored, UTC, such as 2024-09-09")  # type: ignore[assignment]

    def requires(self) -> luigi.Task:
        """Return the day's hourly table; those of the days before are what they are."""
        return CleanDay(day=self.day, through=self.through)

    def output(self) -> targets.ParquetTarget:
        """Return the day's scores."""
        return targets.scores(self.day)

    @asked_once
    def complete(self) -> bool:
        """Say whether the scores are up to date, and loaded."""
        if self.is_forced or not self.requires().complete():
            return False
        table = self.output().table(remember=False)  # a window's days of a large network are a gigabyte
        if table is None or parquet.texts_in(table).get("inputs") != self._inputs():
            return False
        return self._is_loaded(parquet.fingerprint_in(table))

    @exclusive
    def run(self) -> None:
        """Score, load, and say where a drift has begun."""
        before = drifted(self.day)
        scores = windows.summarise(map(self._sums, self._days()), self.day, drift_limits())
        self.output().write(scores, inputs=self._inputs())
        loaded = writes.replace(targets.database(), "forecast_scores", documents_of(self.day))
        content = targets.fingerprint(self.output().footer("fingerprint"), _VERSION)
        self._load_target().write(content, {"kind": "score", "day": f"{self.day}", "documents": loaded})
        starts = _starts(self.day, drifted(self.day) - before)
        begun = [pair for pair, start in sorted(starts.items()) if start == self.day]
        if begun and self.day >= (settings().last_hour - settings().airqino.late_window_hours * HOUR).date():
            self._warn(begun)

    def _warn(self, begun: list[tuple[str, str]]) -> None:
        pairs = ", ".join(f"{station} {pollutant}" for station, pollutant in begun)
        log.warning("forecasts have drifted: %s, in the 7 days up to %s; a model is trained", pairs, self.day)
        self.trigger_event(stage.DRIFT, self, begun)

    def _days(self) -> list[date]:
        """Return the days of the longest window, the last one first."""
        return [self.day - back * DAY for back in range(max(windows.WINDOWS))]

    def _forecasts(self, day: date) -> list[targets.ParquetTarget]:
        """Return what was published for targets in a day that have passed."""
        last = min(day_start(day) + DAY - 2 * HOUR, self.through - HOUR)
        return [targets.forecast(hour) for hour in targets.forecast_hours(day_start(day) - _AHEAD, last)]

    def _sums(self, day: date) -> pd.DataFrame:
        """Return what a day's forecasts add up to, counted again only where one came, or a reading changed."""
        target, forecasts = targets.score_sums(day), self._forecasts(day)
        hourly = (
            targets.hourly(day).footer("fingerprint") if forecasts else None
        )  # where nothing was forecast, no matter
        inputs = targets.fingerprint(_names(forecasts), hourly, _SUMS_VERSION)
        if target.footer("inputs") != inputs or (known := target.table(remember=False)) is None:
            tables = (parquet.frame([of.columns(windows.SCORED)]).reindex(columns=windows.SCORED) for of in forecasts)
            sums = windows.day_sums(tables, parquet.frame([targets.hourly(day).columns(_MEASURED)]), day)
            target.write(sums.assign(day=f"{day}"), inputs=inputs)
            return sums
        return parquet.frame([known.drop_columns("day")])

    def _inputs(self) -> str:
        days = self._days()[::-1]
        first = day_start(days[0]) - _AHEAD
        forecasts = [targets.forecast(hour) for hour in targets.forecast_hours(first, self.through - HOUR)]
        hourly = [targets.hourly(day).footer("fingerprint") for day in days] if forecasts else []
        return targets.fingerprint(_names(forecasts), hourly, asdict(drift_limits()), _VERSION)

    def _is_loaded(self, fingerprint: str) -> bool:
        record, key = self._load_target().record() or {}, f"{self.day}"
        if record.get("inputs") != targets.fingerprint(fingerprint, _VERSION):
            return False
        there, recorded = (
            mongo.count(targets.database(), "forecast_scores", "day", key, f"{key}~"),
            record.get("documents"),
        )
        return isinstance(recorded, int) and there >= recorded  # what others wrote counts as well

    def _load_target(self) -> targets.LoadTarget:
        return targets.LoadTarget(f"score|{self.day}")


def _names(forecasts: list[targets.ParquetTarget]) -> list[str]:
    root = targets.paths().root
    return [str(target.path.relative_to(root)) for target in forecasts]


def drifted(day: date) -> set[tuple[str, str]]:
    """Return the (station, pollutant) pairs that were found drifted on a day."""
    if (table := targets.scores(day).columns(("station", "pollutant", "drift"))) is None:
        return set()
    found = table.filter(table["drift"])
    return {*zip(found["station"].to_pylist(), found["pollutant"].to_pylist(), strict=True)}


def retrain_days(day: date) -> list[date]:
    """Return the days on which the drifts that last on a day began, where nothing was trained since."""
    starts = sorted({*_starts(day, drifted(day)).values()})
    return [start for start in starts if not promotion.trained_since(start, day)]


def _starts(day: date, pairs: set[tuple[str, str]]) -> dict[tuple[str, str], date]:
    return scoring.episode_starts(day, pairs, drifted, _LOOK_BACK_DAYS)


def documents_of(day: date) -> Iterator[dict[str, Any]]:
    """Give the documents that the staged scores of a day make."""
    table = targets.scores(day).table(remember=False)
    for batch in () if table is None else table.to_batches(max_chunksize=writes.BLOCK):
        yield from map(_document, batch.to_pylist())


def _document(row: dict[str, Any]) -> dict[str, Any]:
    parts = (row["station"], row["pollutant"], row["horizon_h"], row["day"], row["window_days"])
    numbers = {name: None if value != value else value for name, value in row.items()}  # NaN differs from itself
    return {"_id": "|".join(map(str, parts)), **numbers}
