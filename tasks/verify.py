"""VerifyDocuments, and what `airqino verify` does: compare what MongoDB holds with what is staged, and mend it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from airqino.stores import writes
from airqino.times import DAY, HOUR, day_start, hour_range
from tasks import forecast, score, targets
from tasks.daily import DailyMeans
from tasks.ledgers import restore_ledgers
from tasks.load import LoadDay, load_days, loaded_days
from tasks.parameters import DaysParameter
from tasks.restored import restore_staging
from tasks.settings.reading import settings
from tasks.stage import Stage, alone
from tasks.stored import Difference, compare, differences, is_as_recorded, tell

__all__ = ["Verified", "VerifyDocuments", "verify"]


@dataclass(frozen=True)
class Verified:
    """What was found of a day.

    Attributes:
        day: The day, UTC.
        outdated: Why it was, or is to be, loaded as a whole; "" where it was loaded as it is staged.
        differences: Which documents differ, where that could be told; foreign ones are left alone.
    """

    day: date
    outdated: str
    differences: Sequence[Difference]

    @property
    def foreign(self) -> list[Difference]:
        """Return the documents that are left alone."""
        return [difference for difference in self.differences if difference.kind == "foreign"]

    @property
    def as_meant(self) -> bool:
        """Tell whether nothing is to be said of it."""
        return not self.outdated and not self.differences


class VerifyDocuments(Stage):
    """The documents of the late-data window, compared with the staged files once a day, and mended.

    Unit: some days. Complete: it was done on their last day, or later; not in a future that a wrong clock had seen.
    """

    day = DaysParameter(description="days to look at, UTC, such as 2024-09-01..2024-09-09")

    def output(self) -> targets.LoadTarget:
        """Return the row in ``loads``."""
        return targets.LoadTarget("verify")

    def complete(self) -> bool:
        """Tell whether it was done."""
        done, last = (self.output().record() or {}).get("day"), f"{self.day[-1]}"
        # east of UTC the last day begins before that of the hour
        newest = max(last, f"{settings().last_hour:%Y-%m-%d}")
        return not self.is_forced and isinstance(done, str) and last <= done <= newest

    def run(self) -> None:
        """Compare, mend, and say what was found."""
        for verified in verify(self.day):
            tell(verified.day, verified.differences)
        self.output().write("", {"kind": "verify", "day": f"{self.day[-1]}"})
        self.is_forced = False


def verify(days: Sequence[date], mend: bool = True) -> Iterator[Verified]:
    """Compare the documents of some days with what their staged files make; nothing is asked of the API.

    Args:
        days: The days, sorted; those of which nothing is staged are left out.
        mend: Whether to build what is not up to date, and to write what is missing or changed.

    Yields:
        What was found of each day, after it was mended.

    Raises:
        MongoError: MongoDB does not answer.
        StagingError: Another run holds a stage for long.
    """
    for day in days:
        targets.raw_day(day)  # which sets aside what is damaged, so that it comes back first
        for of in (targets.hourly, targets.daily):
            of(day).table(remember=False)
    if mend:
        restore_staging()
    days = [day for day in days if targets.paths().raw_hours(day).is_dir()]
    if not days:
        return
    outdated = _outdated(days)
    if mend and (unbuilt := [day for day, why in outdated.items() if why == _TABLES]):
        means = DailyMeans(day=unbuilt)
        means.requires().run()  # not through Luigi, which would first fetch what is due
        means.run()
    if mend:
        restore_ledgers(days)
    for day in days:
        comparable = mend or outdated.get(day) != _TABLES
        verified = Verified(day, outdated.get(day, ""), _differences(day, mend, day in outdated) if comparable else [])
        if mend:
            _mend(verified)
        yield verified


_TABLES = "its tables were built from other readings or by an older version"
_LOAD = "it was not loaded as it is staged"


def _outdated(days: list[date]) -> dict[date, str]:
    tables = DailyMeans(day=days).outdated()
    not_loaded = {*days} - loaded_days(days)
    return {day: _TABLES if day in tables else _LOAD for day in days if day in tables | not_loaded}


def _differences(day: date, mend: bool, is_outdated: bool) -> list[Difference]:
    config, record = settings(), targets.LoadTarget(f"day|{day}").record() or {}
    found = [] if not is_outdated and is_as_recorded(day, record) else differences(day, config)
    first, last = day_start(day), day_start(day) + DAY - HOUR
    unstaged = forecast.loaded_hours(first, last) - {*targets.forecast_hours(first, last)}
    if unstaged and mend:
        forecast.restore(sorted(unstaged))
        unstaged -= {*targets.forecast_hours(first, last)}
    found += _forecasts(first, last, unstaged, config.airqino.stations)
    if targets.scores(day).exists():
        scores = compare("forecast_scores", {"day": f"{day}"}, score.documents_of(day), config.airqino.stations)
        # of a sensor that is not scored any more, the scores of before stay
        found += [d for d in scores if d.kind != "foreign" or f"|{day}|" not in f"{d.key}"]
    return found


def _forecasts(first: datetime, last: datetime, unstaged: set[datetime], stations: Sequence[str]) -> list[Difference]:
    """Compare the forecasts of some hours, each by itself: of 10,000 stations a day's are a million documents."""
    found = list[Difference]()
    for hour in hour_range(first, last):
        issued = {"$gte": hour, "$lt": hour + HOUR, "$nin": [hour] if hour in unstaged else []}
        found += compare("forecasts", {"issued_at": issued}, forecast.documents_of(hour), stations)
    ours = [difference for difference in found if difference.kind != "foreign"]
    # one of ours may stand in another hour, and with a list of times one stands in many
    others = {repr(difference.key): difference for difference in found if difference.kind == "foreign"}
    for difference in ours:
        others.pop(repr(difference.key), None)
    return [*ours, *others.values()]


def _mend(verified: Verified) -> None:
    wrong = {difference.collection for difference in verified.differences if difference.kind != "foreign"}
    forecasts_or_scores = wrong & {"forecasts", "forecast_scores"}
    if verified.outdated or wrong - forecasts_or_scores:
        with alone(LoadDay.__name__):
            load_days([verified.day])
    database, day = targets.database(), verified.day
    if "forecasts" in wrong:
        hours = targets.forecast_hours(day_start(day), day_start(day) + DAY - HOUR)
        writes.replace(database, "forecasts", (document for hour in hours for document in forecast.documents_of(hour)))
    if "forecast_scores" in wrong:
        writes.replace(database, "forecast_scores", score.documents_of(day))
