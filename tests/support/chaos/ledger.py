"""What a deployment's ledger must tell of a revision: it had the old value when the source changed it.

Two ledgers cannot be compared: a deployment that had no run between two changes has seen one of them.
"""

import contextlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from airqino.stores.paths import Paths
from support.chaos.plan import Step
from support.deployment import Pipeline

__all__ = ["Ledger"]

_COLUMNS = {"PM2.5": "pm2_5", "CO": "co"}


class _Held(NamedTuple):
    """A reading as it was staged when the source changed it."""

    station: str
    observed_at: datetime
    reading: str
    value: float


class Ledger:
    """What is known of a deployment's revisions."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline, self._paths = pipeline, Paths(pipeline.root)
        self._held: set[_Held] = set()
        self._documents: set[str] = set()

    def note(self, revision: Step) -> None:
        """Take down what is staged of readings that the source changes now."""
        station, hour = revision.about["station"], revision.about["observed_at"]
        with contextlib.suppress(OSError, ValueError, KeyError):  # the file is not there, or damaged
            for row in pq.ParquetFile(self._paths.raw(hour)).read().to_pylist():
                if row["station"] != station or row["status"] != "ok" or row["observed_at"] != hour:
                    continue
                for name, new in revision.about["values"].items():
                    if (old := row[_COLUMNS[name]]) is not None and old != new:
                        self._held.add(_Held(station, hour, _COLUMNS[name], old))

    def forget(self, path: Path) -> None:
        """A file is about to be damaged: of its readings only what MongoDB holds is known from now on."""
        self._documents |= {f"{d['_id']}" for d in self._pipeline.database["revisions"].find({}, {"_id": 1})}
        day, _, rest = f"{path.relative_to(self._pipeline.root)}".partition("/")
        if rest.startswith("raw/"):
            self._held = {h for h in self._held if self._paths.raw(h.observed_at) != path}
        elif rest == "revisions.parquet":
            self._held = {h for h in self._held if f"{h.observed_at:%Y-%m-%d}" != day}

    def faults(self) -> Iterator[str]:
        """Yield what is wrong with the ledgers: a revision without a trace, or one that MongoDB holds otherwise."""
        recorded: dict[tuple[str, datetime, str], list[dict[str, Any]]] = {}
        staged = set()
        for path in sorted(self._pipeline.root.glob("*-*-*/revisions.parquet")):
            for row in pq.ParquetFile(path).read().to_pylist():
                recorded.setdefault((row["station"], row["observed_at"], row["reading"]), []).append(row)
                staged.add((row["station"], row["observed_at"], row["reading"], row["old"], row["new"]))
        loaded = {
            (d["station"], d["observed_at"], d["reading"], d["old_reading"], d["new_reading"])
            for d in self._pipeline.database["revisions"].find()
        }
        for station, hour, reading, *values in sorted(staged ^ loaded, key=str):
            where = "staged, not in MongoDB" if (station, hour, reading, *values) in staged else "in MongoDB alone"
            yield f"revisions {station}|{hour} {reading}: {values[0]} → {values[1]} is {where}"
        for held in sorted(self._held):
            if not any(row["old"] == held.value for row in recorded.get(held[:3], ())):
                yield f"revisions {held.station}|{held.observed_at} {held.reading}: {held.value} went without a trace"
        there = {f"{d['_id']}" for d in self._pipeline.database["revisions"].find({}, {"_id": 1})}
        for key in sorted(self._documents - there):
            yield f"revisions {key}: was in MongoDB, and is gone"
