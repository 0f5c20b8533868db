"""The AirQino pipeline's public tasks: ``luigi --module tasks <Task>``."""

import tasks.settings.luigi_cfg  # noqa: F401 - before anything that imports Luigi
from tasks.clean import CleanDay
from tasks.daily import DailyMeans
from tasks.fetch import FetchHour
from tasks.forecast import Forecast
from tasks.hourly import Backfill, Hourly
from tasks.instruments import hook as hook
from tasks.load import LoadDay
from tasks.score import ScoreForecasts
from tasks.train import TrainModel

__all__ = [
    "Backfill",
    "CleanDay",
    "DailyMeans",
    "FetchHour",
    "Forecast",
    "Hourly",
    "LoadDay",
    "ScoreForecasts",
    "TrainModel",
]
