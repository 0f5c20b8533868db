"""The AirQino pipeline's public tasks: ``luigi --module tasks <Task>``.

They are imported when the first of them is asked for, and at once where Luigi is there already: it finds a task only
after its import. So a command that runs none of them starts quickly.
"""

import importlib
import sys
from typing import Any

_LUIGI_IS_THERE = "luigi" in sys.modules

import tasks.settings.luigi_cfg  # noqa: E402, F401 - before anything that imports Luigi

__all__ = [
    "Backfill", "CleanDay", "DailyMeans", "FetchHour", "Forecast", "Hourly", "LoadDay", "LoadNotes", "LoadStations",
    "Publish", "RereadMonth", "ScoreForecasts", "TrainModel", "VerifyDocuments",
]  # fmt: skip

if _LUIGI_IS_THERE:
    importlib.import_module("tasks.graph")


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("tasks.graph"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
