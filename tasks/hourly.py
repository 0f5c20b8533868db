"""Hourly and Backfill: the entry points."""

from collections.abc import Iterator
from datetime import date
from functools import cached_property
from typing import Any

import luigi

from airqino.errors import ConfigError
from airqino.forecasting.windows import WINDOWS
from airqino.times import DAY, HOUR, day_range, day_start, format_hour, hour_range
from tasks import promotion, targets
from tasks.daily import local_days
from tasks.errata import LoadNotes
from tasks.fetch import FetchHour
from tasks.forecast import Forecast, loaded_hours
from tasks.load import LoadDay, LoadStations, neighbours_of, provisional_days
from tasks.parameters import HourParameter
from tasks.reread import RereadMonth
from tasks.score import ScoreForecasts, retrain_days
from tasks.settings.reading import refuse_unpublished, settings
from tasks.stage import Stage
from tasks.staged import lost_days, lost_scores
from tasks.train import TrainModel, monday
from tasks.verify import VerifyDocuments
from tasks.versions import DAYS_PER_RUN, older_days


class Hourly(Stage):
    """Everything for one hour, and whatever is missing or due in the late-data window before it.

    Unit: an hour. Complete: the window's days, the notes and the stations are loaded and the forecasts scored, the
    week's model is trained, the hour's forecast is out, where a model has drifted, another was trained, the window's
    documents were compared with the staged files on this day, and each station's old month was read again.
    """

    hour = HourParameter(
        default=None, description="hour to run, such as 2024-09-09T10; default: the last one that is published"
    )

    @classmethod
    def get_param_values(cls, params: Any, args: Any, kwargs: Any) -> Any:
        """Fill in the hour, so that the task's id names it."""
        values = dict(super().get_param_values(params, args, kwargs))
        values["hour"] = values["hour"] or settings().last_hour
        refuse_unpublished(values["hour"])
        return [(name, values[name]) for name, _ in params]

    def force(self) -> None:
        """Refuse: it builds nothing itself."""
        raise ConfigError(
            "Hourly only starts other tasks: force the one that is meant, such as LoadDay --day 2024-03-02"
        )

    def later(self) -> list[luigi.Task]:
        """Return what follows the loads."""
        return [*self._afterwards(), *self._retrainings(), *self._upkeep()]

    def requires(self) -> list[luigi.Task]:
        """Return the notes, and the loads that are to be done: each day's by itself, so that none holds up another."""
        return [LoadNotes(), *(LoadDay(day=day) for day in sorted(self._loads().unfinished()))]

    def complete(self) -> bool:
        """Tell whether all of it is done."""
        return all(task.complete() for task in [LoadNotes(), self._loads(), *self.later()])

    def run(self) -> Iterator[list[luigi.Task]]:
        """Train on what was loaded, forecast and score, none waiting for another; then what the hour can do without."""
        if self._is_outdated:  # persistence now is better than waiting for a model that can be used
            yield [Forecast(hour=self.hour)]
        yield self._afterwards()
        yield self._retrainings()
        yield self._upkeep()

    def _loads(self) -> LoadDay:
        """Return the loads of the window's days, in every station's zone, and of those before it that are not final.

        With them, older days of which a file was damaged: what it held is in MongoDB, but no longer on disk. And some
        that an older version has loaded. MongoDB is asked for all days as for one.
        """
        older = [*lost_days(), *self._taken_over]
        return LoadDay(day={*self._days(), *(day for day in older if day < self.hour.date())})

    @cached_property
    def _taken_over(self) -> list[date]:
        """Return the days of an older version that this run loads: Luigi asks again when they are, and gets no more."""
        return older_days()[:DAYS_PER_RUN]

    def _days(self) -> list[date]:
        window = day_range(*local_days(self.hour - settings().airqino.late_window_hours * HOUR, self.hour))
        return [*provisional_days(window[0]), *window]

    @cached_property
    def _is_outdated(self) -> bool:
        """Tell whether the champion was outdated when the run began: another is made at once, not on Monday."""
        return promotion.is_outdated()

    def _afterwards(self) -> list[luigi.Task]:
        scores = [ScoreForecasts(day=day) for day in sorted({*self._days(), *lost_scores()})]
        training = TrainModel(day=self.hour.date() if self._is_outdated else monday(self.hour.date()))
        return [training, Forecast(hour=self.hour), *self._unloaded(), *scores, LoadStations()]

    def _unloaded(self) -> list[luigi.Task]:
        """Return the forecasts of the window that are staged but not loaded, or loaded but no longer staged."""
        first, last = self.hour - settings().airqino.late_window_hours * HOUR, self.hour - HOUR
        unequal = {*targets.forecast_hours(first, last)} ^ loaded_hours(first, last)
        return [Forecast(hour=hour) for hour in sorted(unequal)]

    def _retrainings(self) -> list[luigi.Task]:
        """Return a training for each drift that lasts, on the day that it began."""
        return [TrainModel(day=day) for day in retrain_days(self.hour.date())]

    def _upkeep(self) -> list[luigi.Task]:
        """Return what the hour can do without: the day's look at the documents, the week's reading of an old month."""
        return [VerifyDocuments(day=self._days()), *self._rereadings()]

    def _rereadings(self) -> list[luigi.Task]:
        """Return the week's reading of an old month, if the operator wants it."""
        return [RereadMonth(day=monday(self.hour.date()))] if settings().airqino.reread_months else []


class Backfill(Stage):
    """The same for a past range of whole days, fetched in few large requests.

    Unit: a range. Complete: the notes, the stations and each of its days are loaded, and with `hindcast` each of its
    hours has a forecast. `scripts/backfill` runs it month by month with a progress bar.
    """

    start = HourParameter(description="first hour, such as 2023-09-10T11")
    stop = HourParameter(description="last hour, such as 2024-06-30T23")
    hindcast = luigi.BoolParameter(default=False, description="also forecast each hour as it would have been then")
    again = luigi.BoolParameter(default=False, description="ask for every hour again, those that are settled too")

    @classmethod
    def get_param_values(cls, params: Any, args: Any, kwargs: Any) -> Any:
        """Check the range."""
        values = dict(super().get_param_values(params, args, kwargs))
        if values["start"] > values["stop"]:
            start, stop = format_hour(values["start"]), format_hour(values["stop"])
            raise ConfigError(f"start {start} lies after stop {stop}: swap them")
        refuse_unpublished(values["stop"], "stop")
        return [(name, values[name]) for name, _ in params]

    def force(self) -> None:
        """Refuse: it builds nothing itself."""
        raise ConfigError(
            "Backfill asks for every hour again with --again; what is built from them, a task builds again"
        )

    def later(self) -> list[luigi.Task]:
        """Return all that it starts."""
        return [*self._first(), *self._loads(), *self._neighbours(), *self._models(), *self._forecasts(), *self._last()]

    def complete(self) -> bool:
        """Tell whether the days are loaded and the hindcasts out."""
        return all(t.complete() for t in [*self._first(), *self._loads(), *self._forecasts(), *self._last()])

    def run(self) -> Iterator[list[luigi.Task]]:
        """Fetch, then clean, average and load; then train the weeks' models, forecast from them, and score."""
        yield self._first()
        yield [*self._loads(), *self._neighbours()]
        yield self._models()
        yield self._forecasts()
        yield self._last()

    def _first(self) -> list[luigi.Task]:
        """Fetch whole days, or half a day's mean would mislead; who starts a backfill has mended what failed.

        What is built then rests on the notes, also where only MongoDB still has them.
        """
        begin = day_start(self.start.date())
        hours = hour_range(begin, min(day_start(self.stop.date()) + DAY - HOUR, settings().last_hour))
        return [LoadNotes(), FetchHour(hour=hours, backfill=True, again=self.again)]

    def _last(self) -> list[luigi.Task]:
        return [*self._scores(), LoadStations()]

    def _loads(self) -> list[luigi.Task]:
        return [LoadDay(day=day_range(*local_days(self.start, self.stop)))]

    def _neighbours(self) -> list[luigi.Task]:
        """Load the days around the range whose flags may depend on it, where they have been through the pipeline."""
        neighbours = neighbours_of(*local_days(self.start, self.stop))
        return [LoadDay(day=neighbours)] if neighbours else []

    def _models(self) -> list[luigi.Task]:
        """Return the trainings of the weeks that are forecast."""
        mondays = {monday(day) for day in day_range(self.start.date(), self.stop.date())} if self.hindcast else ()
        return [TrainModel(day=day) for day in sorted(mondays)]

    def _forecasts(self) -> list[luigi.Task]:
        """Return all hours as hindcasts; without, those whose forecast is staged and gone from MongoDB."""
        if self.hindcast:
            return [Forecast(hour=hour_range(self.start, self.stop))]
        hours = {*targets.forecast_hours(self.start, self.stop)}
        if hours:
            hours -= loaded_hours(self.start, self.stop)
        return [Forecast(hour=hours)] if hours else []

    def _scores(self) -> list[luigi.Task]:
        """Score the range where it is forecast, and the month after it where that was scored before."""
        days = day_range(self.start.date(), self.stop.date() + (max(WINDOWS) - 1) * DAY)
        hindcast = [day for day in days if self.hindcast and day <= self.stop.date()]
        return [ScoreForecasts(day=day) for day in days if day in hindcast or targets.scores(day).exists()]
