"""Staged files as Luigi targets: what is damaged is moved away and is from then on as if it were not there."""

import contextlib
import functools
import itertools
import json
import logging
from collections.abc import Collection, Iterable, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import luigi
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from airqino.errors import DamagedFileError, StagingError
from airqino.readings import unit_of
from airqino.stores import files, parquet
from airqino.stores.paths import Paths
from airqino.times import HOUR, day_start
from tasks import asked
from tasks.environment import check_root
from tasks.settings.reading import settings
from tasks.settings.sections import Staging

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ParquetTarget", "frame", "frame_of", "lost_days", "lost_files", "lost_forecasts", "lost_scores", "paths",
    "refuse_damaged", "runs", "set_aside", "stations_of",
]  # fmt: skip

log = logging.getLogger("airqino.staging")


class ParquetTarget(luigi.Target):
    """One Parquet file, with a fingerprint of its rows and those of its inputs in its metadata.

    A damaged file is moved into the quarantine when it is read, told once, and from then on as if it were not there: it
    is fetched or built again.
    """

    def __init__(self, path: Path, column: str = "", value: Any = None) -> None:
        """Name the file; nothing is read or made.

        Args:
            path: The file.
            column: A column that has `value` in each row, or the file is another one under this name.
            value: See `column`; a day stands for all its moments.
        """
        self.path, self._column, self._value = path, column, value

    def __str__(self) -> str:
        """Return the path."""
        return str(self.path)

    def exists(self) -> bool:
        """Tell whether the file is there."""
        return files.signature(self.path) is not None

    def table(self, remember: bool = True) -> pa.Table | None:
        """Return the rows; None where there is no file, or a damaged one, which is then moved away.

        Args:
            remember: Keep them in memory for who asks next: not where many large tables are read once.
        """
        try:
            return parquet.read(self.path, self.check, remember)
        except DamagedFileError as error:
            set_aside(self.path, error)
            return None

    def footer(self, name: str) -> str | None:
        """Return a text of the file's metadata without reading the rows; None where there is no file, or no text."""
        try:
            return (parquet.footer(self.path) or {}).get(name)
        except DamagedFileError as error:
            set_aside(self.path, error)
            return None

    def columns(self, names: Collection[str], stations: tuple[str, str] | None = None) -> pa.Table | None:
        """Return some columns of the rows, which are not kept in memory; None as `table`.

        Args:
            names: The columns.
            stations: The first and the last station whose rows are wanted; others may be among them.
        """
        try:
            return parquet.read_columns(self.path, names, stations)
        except DamagedFileError as error:
            set_aside(self.path, error)
            return None

    def check(self, table: pa.Table) -> None:
        """Check that a table can be this file's.

        Raises:
            DamagedFileError: It is another's.
        """
        if not self._column:
            return
        column = table.column(self._column) if self._column in table.column_names else None
        values = set() if column is None else set(pc.unique(column).to_pylist())
        if isinstance(self._value, date) and not isinstance(self._value, datetime):
            values = {value.date() if isinstance(value, datetime) else value for value in values}
        if column is None or values - {self._value}:
            raise DamagedFileError(f"{self.path} holds other rows than those of {self._value}")

    @property
    def fingerprint(self) -> str | None:
        """Fingerprint of the rows; None where there is no file."""
        return self.text("fingerprint")

    @property
    def inputs(self) -> str | None:
        """Fingerprint of the inputs it was built from; None where there is no file."""
        return self.text("inputs")

    def text(self, name: str) -> str | None:
        """Return a text of the file's metadata; None where there is no file, or none of that name."""
        if parquet.is_large(self.path):
            return self.footer(name)
        table = self.table()
        return None if table is None else parquet.texts_in(table).get(name)

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows as plain dicts; none where there is no file."""
        table = self.table()
        return [] if table is None else table.to_pylist()

    def write(self, table: "pa.Table | pd.DataFrame", inputs: str | None = None, **extra: str) -> bool:
        """Write the file atomically, unless it holds exactly this already.

        The metadata's ``units`` holds the unit of each column with a concentration or weather, as JSON.

        Args:
            table: The rows.
            inputs: Fingerprint of what they were built from.
            extra: More text for the metadata.

        Returns:
            Whether the file was written.
        """
        if not isinstance(table, pa.Table):
            table = pa.Table.from_pandas(table, preserve_index=False)
        texts = {"inputs": inputs} if inputs else {}
        if units := {name: unit for name in table.column_names if (unit := unit_of(name))}:
            texts["units"] = json.dumps(units, ensure_ascii=False)
        return parquet.write(self.path, table, extra=extra | texts)


def refuse_damaged(targets: Iterable[ParquetTarget]) -> None:
    """Read large files, of which only the texts were looked at, before something is made of them under their names.

    Raises:
        StagingError: One is damaged. It is moved away.
    """
    for target in targets:
        if parquet.is_large(target.path) and target.table(remember=False) is None:
            raise StagingError(f"{target.path} was damaged: run again, and it is made again")


def frame(targets: list[ParquetTarget]) -> "pd.DataFrame":
    """Return the rows of several files as one data frame; empty where none exists."""
    return parquet.frame(target.table() for target in targets)


def runs(column: pa.ChunkedArray) -> Iterator[tuple[int, int]]:
    """Give the first row of each run of equal values in a column, and the row after it."""
    codes = column.combine_chunks().dictionary_encode().indices.to_numpy()
    return itertools.pairwise([*np.flatnonzero(np.diff(codes, prepend=-1)), len(codes)])


def stations_of(targets: Iterable[ParquetTarget]) -> list[str]:
    """Return the sorted stations that have rows in some files."""
    names: set[str] = set()
    for target in targets:
        if (table := target.columns(["station"])) is not None:
            names.update(pc.unique(table["station"]).to_pylist())
    return sorted(names)


def frame_of(
    targets: Iterable[ParquetTarget], stations: Collection[str], columns: Collection[str] | None = None
) -> "pd.DataFrame":
    """Return the rows of some stations in several files; of large files only these are held.

    Args:
        targets: The files.
        stations: The stations.
        columns: The columns that are wanted, where there are such; None: all.
    """
    wanted, rows = pa.array(sorted(stations), pa.string()), []
    ends = (min(stations), max(stations)) if stations else None
    for target in targets:
        table = target.table(remember=False) if columns is None else target.columns(columns, ends)
        if table is not None:
            rows.append(table.filter(pc.is_in(table["station"], wanted)))
    return parquet.frame(rows)


def paths() -> Paths:
    """Return the layout of the staging root.

    Raises:
        ConfigError: It belongs to another environment.
    """
    layout = _layout(settings().staging)
    check_root(layout.root)
    return layout


@functools.lru_cache(maxsize=8)  # asked for each file
def _layout(staging: Staging) -> Paths:
    return Paths(staging.path)


#: What is built, or fetched, with its day.
_OF_DAYS = ("hourly.parquet", "daily.parquet", "revisions.parquet")


def lost_files(paths: Paths) -> list[Path]:
    """Return the files that were damaged, moved away, and are not there again."""
    found = (_original(path, paths) for path in paths.quarantine.rglob(files.SET_ASIDE))
    return sorted({path for path in found if not path.exists()})


def _original(path: Path, paths: Paths) -> Path:
    """Return where a file of the quarantine was."""
    return paths.root / path.relative_to(paths.quarantine).with_name(path.name.rsplit(".", 2)[0])


def lost_days() -> list[date]:
    """Return the days of which a damaged raw hour, table or ledger was moved away and is not there again."""
    return _days_of(path for path in lost_files(paths()) if path.parent.name == "raw" or path.name in _OF_DAYS)


def lost_scores() -> list[date]:
    """Return the days whose scores were damaged, moved away, and are not there again."""
    return _days_of(path for path in lost_files(paths()) if path.name == "scores.parquet")


def lost_forecasts() -> list[datetime]:
    """Return the hours whose forecasts were damaged, moved away, and are not there again."""
    gone = [path for path in lost_files(paths()) if path.parent.name == "forecast" and path.stem.isdigit()]
    return sorted(day_start(day) + int(path.stem) * HOUR for path in gone for day in _days_of([path]))


def _days_of(found: Iterable[Path]) -> list[date]:
    days = set()
    for path in found:
        with contextlib.suppress(ValueError):
            days.add(date.fromisoformat(path.relative_to(paths().root).parts[0]))
    return sorted(days)


def set_aside(path: Path, error: DamagedFileError) -> None:
    """Move a damaged file into the quarantine, and say so."""
    if asked.only_looks():
        log.warning("%s: a run would set it aside, and make it again", error)
        return
    target = files.set_aside(path, paths().root, paths().quarantine)
    log.error("%s: it is kept as %s, and made again", error, target)
