"""Publish: the public page and the open data of an hour."""

import logging
from contextlib import ExitStack
from dataclasses import asdict
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import msgspec
import pyarrow as pa

from airqino.errors import DamagedFileError, StagingError
from airqino.opendata import writing
from airqino.opendata.about import LICENCES, About
from airqino.opendata.built import day_signatures, file_signatures
from airqino.opendata.formats import discard_published
from airqino.opendata.layout import FOLDER, DataFolder
from airqino.publishing import citymap, publish, snapshot, tables
from airqino.publishing.page import Site
from airqino.publishing.stations import Station
from airqino.stores import parquet, releases
from airqino.stores.locks import held
from airqino.times import DAY, HOUR, format_hour
from tasks import targets
from tasks.parameters import HourParameter
from tasks.served import Served, record, served
from tasks.settings.reading import refuse_unpublished, settings
from tasks.stage import Stage
from tasks.staged import set_aside
from tasks.stations import locations, public_stations

__all__ = ["Publish"]

log = logging.getLogger("airqino.publish")

#: Seconds to wait for a run that publishes, or a backfill, to let go of the staging root.
_WAIT = 300
#: How often it is begun anew, because what it rests on changed meanwhile.
_TRIES = 5


class Publish(Stage):
    """The public page of an hour, its feed, badges and ``now.json``, and the open data, in ``[publish] root``.

    Unit: an hour. Complete: what is served is of this hour or a later one, and was made of what is staged now, which
    the hourly run has loaded before; or no folder is named. Nothing waits for it, and nothing fails with it.
    """

    hour = HourParameter(description="hour that is over, such as 2024-09-09T10")

    def complete(self) -> bool:
        """Tell whether the served folder is up to date."""
        if not settings().publish.root:
            return True
        refuse_unpublished(self.hour)
        there, hour = served(), self._shown()
        return not self.is_forced and there is not None and there == Served(hour, _inputs(hour))

    def run(self) -> None:
        """Write the next release, and serve it."""
        with ExitStack() as stack:
            for name in ("stage.Publish", "run"):  # what is staged stays as it is until all is written
                if not stack.enter_context(held(targets.paths().lock(name), wait=_WAIT)):
                    told = f"another run has held {targets.paths().lock(name)} for {_WAIT // 60} minutes"
                    raise StagingError(f"{told}: see what it does; the next hourly run publishes")
            hour, root = self._shown(), settings().publish.path
            with releases.new_release(root, kept=[FOLDER]) as release:
                record(release, Served(hour, _write(release, hour)))
            log.info("%s is published in %s", format_hour(hour), root)
        self.is_forced = False

    def _shown(self) -> datetime:
        """Return the hour to show: a page does not go back to an earlier one, unless the clock does."""
        there = served()
        return there.hour if there and self.hour < there.hour <= settings().last_hour else self.hour


def _write(release: Path, hour: datetime) -> str:
    """Write all files of a release, and return the fingerprint of what they were made of."""
    for _ in range(_TRIES):
        inputs = _inputs(hour)
        done = writing.write(release, targets.paths().root, _about())
        for name in done.harmed:
            log.error("%s was damaged where it is served: it is built again from what is staged", name)
        for path in done.damaged:
            set_aside(path, DamagedFileError(f"{path} is damaged"))
        if done.damaged:  # an hour that is there must not be told as one without readings
            raise DamagedFileError(f"{done.damaged[0]} was damaged: the next run makes it again, and publishes")
        stations = _stations(hour)
        try:
            told = tables.read(targets.paths(), DataFolder(release / FOLDER), [of.id for of in stations], hour, _table)
        except DamagedFileError as error:
            if error.path is None:
                raise
            log.error("%s: it is built again from what is staged", error)
            discard_published(error.path)
            continue
        publish.write(release, snapshot.take(told, stations, hour), _site())
        if inputs == _inputs(hour):
            return inputs
    raise StagingError(f"what is staged in {targets.paths().root} changed again and again: the next run publishes")


def _inputs(hour: datetime) -> str:
    """Return the fingerprint of all that page and data of an hour are made of."""
    config, paths = settings(), targets.paths()
    others = (paths.scores((hour + HOUR).date() - DAY), paths.notes)
    return targets.fingerprint(
        [(f"{day}", of) for day, of in day_signatures(paths, paths.days()).items()],
        [file_signatures([path]) for path in others],
        {station: asdict(of) for station, of in locations(config).items()},
        [asdict(of) for of in _stations(hour)],
        msgspec.to_builtins(config.publish),
        version("airqino-pipeline"),
    )


def _table(path: Path) -> pa.Table | None:
    try:
        return parquet.read(path)
    except DamagedFileError as error:
        set_aside(path, error)
        raise


def _stations(hour: datetime) -> list[Station]:
    """Return the stations that the page shows: those in service."""
    return public_stations(settings().active_stations(hour), settings())


def _site() -> Site:
    of, zone = settings().publish, settings().common_zone
    return Site(
        of.city, zone, _address(), citymap.read(of.map) if of.map else None, of.publisher, of.contact, of.licence
    )


def _about() -> About:
    of = settings().publish
    licence = LICENCES.get(of.licence)
    return About(locations(settings()), of.city, of.publisher, _address(), of.contact, licence)


def _address() -> str:
    """Return the address of the served folder, ending with a slash; "" where it is not known."""
    url = settings().publish.url
    return f"{url.rstrip('/')}/" if url else ""
