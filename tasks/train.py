"""TrainModel: from hourly tables to a forecast model."""

import logging
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import luigi
import pandas as pd

from tasks import targets
from tasks.config import settings
from tasks.errors import InsufficientHistoryError
from tasks.hours import DayParameter, day_range, day_start
from tasks.stores import models

log = logging.getLogger("airqino.train")


class TrainModel(luigi.Task):
    """A LightGBM model trained on what is staged before a day.

    Unit: a day, by habit each Monday. Complete: the model is there, or there was too little history and no day was
    staged since. A model is a snapshot: a late reading does not train it again, the next Monday does.
    """

    day = DayParameter(description="train on what was measured before this day, such as 2024-09-09")
    priority = 10  # before the forecast of the same run, which does not wait for it

    def output(self) -> luigi.LocalTarget:
        """The version's folder."""
        return luigi.LocalTarget(str(folder(self.day)))

    def complete(self) -> bool:
        """Whether there is nothing (more) to train."""
        card = models.card(folder(self.day))
        return card is not None and (card["trained"] or card["days"] == len(self._history()))

    def run(self) -> None:
        """Train on the history; where it is too short, say so on the card."""
        from tasks.science import model  # LightGBM takes long to import

        config, history = settings().forecast, self._history()
        about: dict[str, Any] = {"trained": False, "days": len(history), "trained_for": f"{self.day}"}
        files: dict[str, bytes] = {}
        try:
            if len(history) < config.min_train_days:
                raise InsufficientHistoryError(f"{len(history)} days staged, {config.min_train_days} needed")
            trained = model.train(
                targets.frame(history), pd.Timestamp(day_start(self.day)), seed=config.seed, num_threads=config.threads
            )
            trained = replace(trained, fingerprint=targets.fingerprint(*(t.fingerprint for t in history)))
            files = trained.to_files()
            about |= {"trained": True, "rows": trained.n_rows, "fingerprint": trained.fingerprint}
        except InsufficientHistoryError as error:
            about["reason"] = str(error)
            log.info("no model for %s: %s", self.day, error)
        models.save(folder(self.day), files, about)

    def _history(self) -> list[targets.ParquetTarget]:
        first = self.day - timedelta(days=settings().forecast.train_days)
        tables = [targets.hourly(day) for day in day_range(first, self.day - timedelta(days=1))]
        return [table for table in tables if table.exists()]


def monday(day: date) -> date:
    """The Monday of the week that a day lies in."""
    return day - timedelta(days=day.weekday())


def folder(day: date) -> Path:
    """Where the model of a day lies."""
    return targets.root() / "models" / f"{day}"


def newest_version(until: date) -> str | None:
    """The newest trained version that knows nothing of the time from `until` on."""
    for version in reversed(models.versions(targets.root() / "models")):
        if version <= f"{until}" and (models.card(targets.root() / "models" / version) or {}).get("trained"):
            return version
    return None
