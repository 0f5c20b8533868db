"""ScoreForecasts: what was forecast against what came."""

import logging
from dataclasses import asdict
from datetime import date
from typing import Any

import luigi
import pandas as pd

from airqino.forecasting import scoring
from airqino.readings import LONGEST_HORIZON
from airqino.stores import mongo
from airqino.times import DAY, HOUR, day_range, day_start
from tasks import promotion, stage, targets
from tasks.clean import CleanDay, DayTask
from tasks.parameters import DayParameter
from tasks.settings.reading import settings
from tasks.stage import exclusive
from tasks.staged import frame
from tasks.train import drift_limits

log = logging.getLogger("airqino.score")

#: Raise when the meaning of scores.parquet changes.
_VERSION = 1
#: Hours that may be forecast ahead: a day's first targets were forecast the day before.
_AHEAD = LONGEST_HORIZON * HOUR
#: How far back the beginning of a drift is looked for.
_LOOK_BACK = 60 * DAY


class ScoreForecasts(DayTask):
    """Scores of the forecasts whose target lies in the day, and in the 7 and 30 days that end with it.

    Unit: a day. Complete: the day's hourly table is, the scores were made from the forecasts and hourly tables of the
    30 days as they are now, and MongoDB holds them. A published forecast never changes, so of the forecasts it counts
    which hours have one, and of the hourly tables their content.
    """

    day = DayParameter(description="day whose forecasts are scored, UTC, such as 2024-09-09")  # type: ignore[assignment]

    def requires(self) -> luigi.Task:
        """Return the day's hourly table; those of the days before are what they are."""
        return CleanDay(day=self.day, through=self.through)

    def output(self) -> targets.ParquetTarget:
        """Return the day's scores."""
        return targets.scores(self.day)

    def complete(self) -> bool:
        """Say whether the scores are up to date, and loaded."""
        if self.is_forced:
            return False
        return self.requires().complete() and self.output().inputs == self._inputs() and self._is_loaded()

    @exclusive
    def run(self) -> None:
        """Score, load, and say where a drift has begun."""
        before = drifted(self.day)
        matched = scoring.match(frame(self._forecasts()), frame(self._hourly()))
        self.output().write(scoring.summarise(matched, self.day, drift_limits()), inputs=self._inputs())
        documents = documents_of(self.day)
        mongo.replace(targets.database(), "forecast_scores", documents)
        self._load_target().write(self._content(), {"kind": "score", "day": f"{self.day}", "documents": len(documents)})
        begun = [pair for pair in sorted(drifted(self.day) - before) if _start(self.day, pair) == self.day]
        if begun and self.day >= (settings().last_hour - settings().airqino.late_window_hours * HOUR).date():
            self._warn(begun)

    def _warn(self, begun: list[tuple[str, str]]) -> None:
        pairs = ", ".join(f"{station} {pollutant}" for station, pollutant in begun)
        log.warning("forecasts have drifted: %s, in the 7 days up to %s; a model is trained", pairs, self.day)
        self.trigger_event(stage.DRIFT, self, begun)

    def _forecasts(self) -> list[targets.ParquetTarget]:
        """Return what was published for targets in the longest window that have passed."""
        first, last = day_start(self.day) - (max(scoring.WINDOWS) - 1) * DAY - _AHEAD, self.through - HOUR
        return [targets.forecast(hour) for hour in targets.forecast_hours(first, last)]

    def _hourly(self) -> list[targets.ParquetTarget]:
        first = self.day - (max(scoring.WINDOWS) - 1) * DAY
        return [targets.hourly(day) for day in day_range(first, self.day)]

    def _inputs(self) -> str:
        forecasts, root = self._forecasts(), targets.paths().root
        names = [str(target.path.relative_to(root)) for target in forecasts]
        hourly = [target.fingerprint for target in self._hourly()] if forecasts else []
        return targets.fingerprint(names, hourly, asdict(drift_limits()), _VERSION)

    def _content(self) -> str:
        return targets.fingerprint(self.output().fingerprint, _VERSION)

    def _is_loaded(self) -> bool:
        record, key = self._load_target().record() or {}, f"{self.day}"
        if record.get("inputs") != self._content():
            return False
        there, recorded = (
            mongo.count(targets.database(), "forecast_scores", "day", key, f"{key}~"),
            record.get("documents"),
        )
        return isinstance(recorded, int) and there >= recorded  # what others wrote counts as well

    def _load_target(self) -> targets.LoadTarget:
        return targets.LoadTarget(f"score|{self.day}")


def drifted(day: date) -> set[tuple[str, str]]:
    """Return the (station, pollutant) pairs that were found drifted on a day."""
    return {(row["station"], row["pollutant"]) for row in targets.scores(day).rows() if row["drift"]}


def retrain_days(day: date) -> list[date]:
    """Return the days on which the drifts that last on a day began, where nothing was trained since."""
    starts = sorted({_start(day, pair) for pair in drifted(day)})
    return [start for start in starts if not promotion.trained_since(start, day)]


def _start(day: date, pair: tuple[str, str]) -> date:
    earlier = [d for d in day_range(day - _LOOK_BACK, day - DAY) if pair in drifted(d)]
    return scoring.episode_start(day, earlier)


def documents_of(day: date) -> list[dict[str, Any]]:
    """Return the documents that the staged scores of a day make."""
    return [_document(row) for row in targets.scores(day).rows()]


def _document(row: dict[str, Any]) -> dict[str, Any]:
    parts = (row["station"], row["pollutant"], row["horizon_h"], row["day"], row["window_days"])
    numbers = {name: None if pd.isna(value) else value for name, value in row.items()}
    return {"_id": "|".join(map(str, parts)), **numbers}
