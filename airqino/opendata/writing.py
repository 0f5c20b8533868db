"""Write the open data: daily means, hours and forecasts of each station, what changed, and what it all means.

Each file is written as a whole, and only if what it holds changes. What is published of a time whose staged files are
gone, or are damaged, stays as it is.
"""

import contextlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from airqino.errors import DamagedFileError
from airqino.opendata import package, rows
from airqino.opendata.about import About
from airqino.opendata.built import Built, day_signatures, file_signatures, key_of, said_by, said_of
from airqino.opendata.columns import plain
from airqino.opendata.fields import TABLES
from airqino.opendata.formats import as_csv, as_parquet, discard_published, read_published
from airqino.opendata.layout import FOLDER, DataFolder, period_of
from airqino.opendata.staged import read_days
from airqino.quality import notes as operator
from airqino.quality.notes import Note
from airqino.stores import files, notebook, parquet
from airqino.stores.paths import Paths

__all__ = ["Written", "write"]

_MAKE = {"daily": rows.daily_rows, "hourly": rows.hourly_rows, "forecasts": rows.forecast_rows}
#: The column that says which staged day a row is of.
_DAY_COLUMN = {"daily": "day", "hourly": "datetimeUtc", "forecasts": "issuedUtc", "changes": "firstUtc"}
_ENDINGS = ("csv", "parquet")
#: Files of so many stations are written at a time: Arrow and the disk do most of it, and Python's lock is free then.
_THREADS = 2


@dataclass
class Written:
    """What a call of `write` did.

    Attributes:
        files: The files that were written, below the published folder.
        damaged: Staged files that could not be read; what was published of them stays, and the next call tries again.
        harmed: Published files that were damaged, and their CSV twins too: they are built again from what is staged.
    """

    files: list[str] = field(default_factory=list)
    damaged: list[Path] = field(default_factory=list)
    harmed: list[str] = field(default_factory=list)


def write(folder: Path, root: Path, about: About, days: Collection[date] | None = None) -> Written:
    """Bring the open data in a published folder up to what is staged.

    Staged files that have not changed since the last call are not read. It looks at all of them, or at those of `days`;
    notes of the operator are always looked at. Two calls at once on one folder must be kept apart by the caller.

    Args:
        folder: The published folder; the data go into `FOLDER` in it.
        root: The staging root.
        about: What is said of the data, and the stations to publish.
        days: Partitions that may have changed; None for all.

    Returns:
        What was written, and what could not be read.

    Raises:
        StagingError: A file cannot be written, or the operator's notes cannot be read.
    """
    harmed: list[str] = []
    while True:
        try:
            done = _Writer(folder, root, about).bring(days)
        except DamagedFileError as error:
            if error.path is None:
                raise
            discard_published(error.path)
            harmed.append(f"{error.path.relative_to(folder)}")
        else:
            done.harmed += harmed
            return done


class _Writer:
    """One call of `write`."""

    def __init__(self, folder: Path, root: Path, about: About) -> None:
        self.folder, self.data, self.paths, self.about = folder, DataFolder(folder / FOLDER), Paths(root), about
        self.built, self.done = Built.read(self.data.built), Written()
        self.everything: Sequence[Note] = notebook.read(self.paths.notes)
        self.notes = operator.active(self.everything)

    def bring(self, days: Collection[date] | None) -> Written:
        staged = self.paths.days()
        looked_at = staged if days is None else [day for day in staged if day in days]
        said = {station: said_of(of) for station, of in self.about.locations.items()}
        restated = {station for station, text in said.items() if self.built.locations.get(station) != text}
        noted = self._noted(staged)
        now = day_signatures(self.paths, looked_at)
        for table in _MAKE:
            changed = self._changed(table, now)
            self._bring_table(table, changed, {*changed, *(noted if table != "forecasts" else ())}, staged, restated)
        self._bring_changes(self._changed("changes", now), staged, bool(restated))
        self.built.locations = said  # one that is left out now, and comes again, is built as a whole then
        self.built.notes = {note.id: said_by(note) for note in self.notes}
        for path, content in package.described(self.data, self.about):
            self._write(path, content)
        self.built.write(self.data.built)
        return self.done

    def _noted(self, staged: Iterable[date]) -> set[date]:
        """Return the staged days that a note is about which has come, or does not hold any more."""
        said = {note.id: said_by(note) for note in self.notes}
        changed = [
            of
            for old, new in ((self.built.notes, said), (said, self.built.notes))
            for key, of in old.items()
            if new.get(key) != of
        ]
        spans = [(date.fromisoformat(first), date.fromisoformat(last)) for _, first, last in changed]
        return {day for day in staged if any(first <= day <= last for first, last in spans)}

    def _changed(self, table: str, now: Mapping[date, Mapping[str, str]]) -> dict[date, str]:
        """Return the days whose staged file is another one than was built from, and what it is now."""
        known = self.built.days.setdefault(table, {})
        return {day: of[table] for day, of in now.items() if table in of and known.get(f"{day}") != of[table]}

    def _bring_table(
        self, table: str, changed: Mapping[date, str], days: set[date], staged: Sequence[date], restated: set[str]
    ) -> None:
        """Bring the files of a table up to date: those that `days` are in, and those that are not as they were."""
        broken = self._broken(table)
        periods = {period_of(table, day) for day in days} | {period for _, period in broken}
        if restated:
            periods |= {period_of(table, day) for day in staged}
        for period in sorted(periods):
            whole = restated | {station for station, of in broken if of == period}
            of_period = [day for day in staged if period_of(table, day) == period]
            wanted = of_period if whole else [day for day in of_period if day in days]
            found, damaged = read_days(self.paths, table, wanted)
            self.done.damaged += damaged.values()
            read = [day for day in wanted if day not in damaged]
            empty = TABLES[table].schema.empty_table()
            made = empty if found is None else _MAKE[table](found, self.about.locations, self.notes)
            with ThreadPoolExecutor(_THREADS) as pool:
                written = [
                    pool.submit(self._bring_file, table, station, period, of_station, read)
                    for station, of_station in self._by_station(made)
                ]
            for of_station in written:
                of_station.result()  # its error
            for day in read:
                if day in changed:
                    self.built.days[table][f"{day}"] = changed[day]

    def _broken(self, table: str) -> set[tuple[str, date]]:
        """Return station and period of the files that are missing or that somebody changed."""
        found = set()
        for key, signatures in self.built.files.items():
            of, station, text = key.split(" ")
            if of == table and station in self.about.locations:
                period = date.fromisoformat(text)
                if file_signatures(self._both(table, station, period)) != signatures:
                    found.add((station, period))
        return found

    def _both(self, table: str, station: str, period: date) -> list[Path]:
        return [self.data.rows(table, station, period, ending) for ending in _ENDINGS]

    def _by_station(self, made: pa.Table) -> Iterable[tuple[str, pa.Table]]:
        """Cut rows into those of each station; of one without any, an empty table."""
        coded = made["location_id"].combine_chunks().dictionary_encode()
        names = coded.dictionary.to_pylist()  # in the order of the rows, as those are sorted by station
        codes = coded.indices.to_numpy(zero_copy_only=False)
        begins, ends = (np.searchsorted(codes, np.arange(len(names)), side=side) for side in ("left", "right"))
        spans = dict(zip(names, zip(begins, ends, strict=True), strict=True))
        for station in sorted(self.about.locations):
            begin, end = spans.get(station, (0, 0))
            yield station, made.slice(begin, end - begin)

    def _bring_file(self, table: str, station: str, period: date, new: pa.Table, days: Sequence[date]) -> None:
        """Put the rows of some days in the place of those that a file has of them; others there stay."""
        both = self._both(table, station, period)
        old = read_published(both[1], TABLES[table])
        if old is not None:
            old = old.filter(pc.equal(old["location_id"], station))  # somebody may have put another's there
            name = pa.repeat(pa.scalar(plain(self.about.locations[station].name)), len(old))
            place = old.column_names.index("location")
            new = _replaced(table, old.set_column(place, old.schema.field(place), name), new, days)
        elif not len(new):
            return
        self._write(both[0], as_csv(new, TABLES[table]))
        self._write(both[1], as_parquet(new, TABLES[table]))
        self.built.files[key_of(table, station, period)] = file_signatures(both)

    def _bring_changes(self, changed: Mapping[date, str], staged: Sequence[date], restated: bool) -> None:
        """Bring what changed up to date: the ledgers of these days, and all notes."""
        both = [self.data.changes(ending) for ending in _ENDINGS]
        is_as_written = self.built.changes == file_signatures(both) != ""
        said = parquet.digest([asdict(note) for note in self.everything])
        if is_as_written and not changed and not restated and self.built.said == said:
            return
        whole = restated or not is_as_written
        days = [day for day in staged if self.paths.revisions(day).exists()] if whole else sorted(changed)
        found, damaged = read_days(self.paths, "changes", days)
        self.done.damaged += damaged.values()
        read = [day for day in days if day not in damaged]
        parts = [rows.said(self.everything, self.about.locations)]
        if found is not None:
            parts.append(rows.changed_readings(found, self.about.locations))
        if (old := read_published(both[1], TABLES["changes"])) is not None:
            parts.append(_without("changes", old.filter(pc.equal(old["kind"], "revision")), read))
        order = [(name, "ascending") for name in ("changedUtc", "kind", "location_id", "firstUtc", "parameter", "note")]
        everything = pa.concat_tables(parts).sort_by(order)
        self._write(both[0], as_csv(everything, TABLES["changes"]))
        self._write(both[1], as_parquet(everything, TABLES["changes"]))
        self.built.changes, self.built.said = file_signatures(both), said
        self.built.days["changes"] |= {f"{day}": text for day, text in changed.items() if day in read}

    def _write(self, path: Path, content: bytes) -> None:
        with contextlib.suppress(OSError):
            if path.read_bytes() == content:
                return
        files.write(path, content)
        self.done.files.append(f"{path.relative_to(self.folder)}")


def _days_of(table: str, of: pa.Table) -> pa.Array:
    return of[_DAY_COLUMN[table]].cast(pa.date32(), safe=False)


def _without(table: str, of: pa.Table, days: Sequence[date]) -> pa.Table:
    """Return the rows that are of none of some days."""
    return of.filter(pc.invert(pc.is_in(_days_of(table, of), pa.array(days, pa.date32()))))


def _replaced(table: str, old: pa.Table, new: pa.Table, days: Sequence[date]) -> pa.Table:
    """Put rows of some days in the place of those there are; within a day they stay in their order."""
    if table == "forecasts":  # one is published once: what is not staged any more stays, whatever else its day has
        old = old.filter(pc.invert(pc.is_in(old["issuedUtc"], pc.unique(new["issuedUtc"]))))
        together = pa.concat_tables([old, new])
        return together.take(np.argsort(together["issuedUtc"].to_numpy(), kind="stable"))
    together = pa.concat_tables([_without(table, old, days), new])
    order = np.argsort(_days_of(table, together).to_numpy(), kind="stable")
    return together.take(order)
