"""The stages up to the daily means, run in this process: a run takes a twentieth of a second, not two seconds."""

import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any

import luigi
import pyarrow.parquet as pq
import pytest

from airqino.stores import parquet
from support.configured import use_settings
from support.deployment import ROOT, WHEN
from tasks import clean, targets
from tasks.daily import DailyMeans
from tasks.fetch import FetchHour
from tasks.settings.reading import settings

__all__ = ["Killed", "Stages", "configured", "forget", "killed_after"]


class Killed(KeyboardInterrupt):
    """The process is gone at this point. Of this kind, because Luigi takes any other for a failed task."""


class _Kill:
    """Ends a run just before a file bears its name: between two such moments nothing that lasts changes."""

    def __init__(self) -> None:
        self.renames_left: int | None = None
        sys.addaudithook(self._hook)  # cannot be taken back, but does nothing where no run is to be killed

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.renames_left is None or event != "os.rename":
            return
        self.renames_left -= 1
        if self.renames_left < 0:
            self.renames_left = None
            raise Killed(f"before {arguments[1]} was there")


_kill = _Kill()


@contextmanager
def killed_after(renames: int) -> Iterator[None]:
    """Raise `Killed` just before the file after so many gets its name."""
    _kill.renames_left = renames
    try:
        yield
    finally:
        _kill.renames_left = None


@contextmanager
def configured(folder: Path, options: Mapping[str, Mapping[str, str]], **env: str) -> Iterator[None]:
    """Take luigi.cfg with other options, and an environment without the machine's own settings.

    Args:
        folder: Where the options are written.
        options: Section → option → value.
        env: Variables.
    """
    overlay = folder / f"{uuid.uuid4().hex}.cfg"
    sections = (f"[{name}]\n" + "".join(f"{k} = {v}\n" for k, v in of.items()) for name, of in options.items())
    overlay.write_text("\n".join(sections))
    with pytest.MonkeyPatch.context() as patch:
        use_settings(patch, [ROOT / "luigi.cfg", overlay], env)
        forget()
        yield
    forget()


def forget() -> None:
    """Be as a process that has just been started."""
    settings.cache_clear()
    targets._raw_days.clear()
    targets._raw_fingerprints.clear()
    parquet._tables.clear()
    clean._contexts_known.clear()


class Stages:
    """A staging root and its runs."""

    def __init__(self, root: Path, api: str) -> None:
        self.root, self.api = root, api

    def run(
        self,
        now: datetime,
        days: tuple[date, ...],
        hours: tuple[datetime, ...] = (),
        again: bool = False,
        kill_after: int | None = None,
    ) -> bool:
        """Fetch, clean and average, as an hourly run does; with hours as a backfill does.

        Args:
            now: The moment by this machine's clock.
            days: The days to average.
            hours: The hours that a backfill fetches first.
            again: Whether it asks for what is settled too.
            kill_after: So many files get their name, then the process is gone.

        Returns:
            Whether all of it was done.
        """
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("STAGING_ROOT", f"{self.root}")
            patch.setenv("AIRQINO_BASE_URL", self.api)
            patch.setenv("AIRQINO_NOW", f"{now:%Y-%m-%dT%H:%M:%S}")
            forget()
            _kill.renames_left = kill_after
            try:
                fetch = [FetchHour(hour=hours, backfill=True, again=again)] if hours else []
                return all(_build(task) for task in [*fetch, DailyMeans(day=days)])
            except Killed:
                return False
            finally:
                _kill.renames_left = None
                forget()

    def raw(self) -> list[dict[str, Any]]:
        """All rows of the raw hours, from the files."""
        return [row for path in sorted(self.root.glob("*/raw/*.parquet")) for row in pq.read_table(path).to_pylist()]

    def state(self) -> dict[str, list[dict[str, Any]]]:
        """The rows of all tables but the ledger, without the times at which things were done."""
        return {
            f"{path.relative_to(self.root)}": [
                {k: v for k, v in row.items() if k not in WHEN} for row in pq.ParquetFile(path).read().to_pylist()
            ]
            for path in sorted(self.root.glob("*-*-*/**/*.parquet"))
            if path.name != "revisions.parquet"
        }


def _build(task: luigi.Task) -> bool:
    return bool(luigi.build([task], local_scheduler=True, log_level="ERROR", no_lock=True))
