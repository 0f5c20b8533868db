"""Every path of the open data in a published folder. Nothing else builds one."""

import contextlib
from dataclasses import dataclass
from datetime import date
from pathlib import Path

__all__ = ["FOLDER", "DataFolder", "period_of"]

#: The folder of the open data in a published folder.
FOLDER = "data"

#: Table → how a file of it is named, from the first day of the time that it holds; see `docs/open-data.md`.
_NAMES = {"daily": "{:%Y}", "hourly": "{:%Y-%m}", "forecasts": "{:%Y-%m}-forecasts"}


def period_of(table: str, day: date) -> date:
    """Return the first day of the time that a file holds: a year of daily means, a month of anything else."""
    return day.replace(month=1, day=1) if table == "daily" else day.replace(day=1)


@dataclass(frozen=True)
class DataFolder:
    """The layout of the open data.

    Attributes:
        root: The folder ``data`` in a published folder.
    """

    root: Path

    def rows(self, table: str, station: str, period: date, ending: str) -> Path:
        """Return the file of a station's rows.

        Args:
            table: ``daily``, ``hourly`` or ``forecasts``.
            station: The station's id.
            period: First day of the year or month.
            ending: ``csv`` or ``parquet``.
        """
        return self.root / station / f"{_NAMES[table].format(period)}.{ending}"

    def files(self, station: str) -> list[tuple[str, date, Path]]:
        """Return table, period and path of each CSV file of a station, by their names."""
        found = []
        for path in sorted((self.root / station).glob("*.csv")):
            stem = path.stem.removesuffix("-forecasts")
            table = "forecasts" if stem != path.stem else "daily" if len(stem) == len("2024") else "hourly"
            with contextlib.suppress(ValueError):
                found.append((table, date.fromisoformat(f"{stem}-01-01"[: len("2024-01-01")]), path))
        return found

    def stations(self) -> list[str]:
        """Return the ids of the stations that have a folder, sorted."""
        return sorted(path.name for path in self.root.glob("[0-9]*") if path.is_dir())

    def changes(self, ending: str) -> Path:
        """Return the file of what changed after it was first published: ``csv`` or ``parquet``."""
        return self.root / f"changes.{ending}"

    @property
    def locations(self) -> Path:
        """Return the list of the stations."""
        return self.root / "stations.csv"

    def schema(self, table: str) -> Path:
        """Return the file with the fields of a table."""
        return self.root / "schemas" / f"{table}.json"

    @property
    def package(self) -> Path:
        """Return the description of all files, a Frictionless Data Package."""
        return self.root / "datapackage.json"

    @property
    def index(self) -> Path:
        """Return the list of all files, for people."""
        return self.root / "index.html"

    @property
    def guide(self) -> Path:
        """Return the text for people who use the data."""
        return self.root / "README.md"

    @property
    def built(self) -> Path:
        """Return the file that says from which staged files these were built; not for the public, and no harm in it."""
        return self.root / ".built.json"
