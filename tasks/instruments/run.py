"""Run: what scripts/hourly leaves behind when it ends, whatever came of it; nothing here can make it fail."""

import contextlib
import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import requests
from pymongo import monitoring

from airqino.times import HOUR, format_hour
from tasks.instruments import conditions, hook, incidents, metrics, observed
from tasks.instruments.delivery import deliver
from tasks.instruments.observed import Observed, note_success, observe
from tasks.instruments.tally import Tally, Writes
from tasks.settings.reading import settings, staging_root
from tasks.settings.secrets import redact

__all__ = ["Run", "check"]

log = logging.getLogger("instruments.run")

#: Seconds for a connection and for an answer of the heartbeat's service.
_HEARTBEAT = (3, 5)


class Run:
    """An hourly run, from its beginning to its end."""

    def __init__(self, hour: datetime) -> None:
        """Begin to count, where somebody reads the metrics."""
        self._hour, self._began = hour, time.monotonic()
        #: Whether it brings the hour that is due; one of the past says nothing of how things stand.
        self._current = hour >= settings().last_hour - HOUR
        if self._current:
            hook.of_hourly_run()
        self._tally: Tally | None = None
        wanted = settings().metrics
        if wanted.textfile or wanted.pushgateway_url:
            with _never_fails("counting for the metrics"):
                self._tally = Tally()
                hook.count_into(self._tally)
                monitoring.register(Writes(self._tally))

    def unfinished(self, why: str) -> None:
        """Note that the run could not begin, or not go on."""
        log.info("%s", why)
        hour = format_hour(self._hour)
        with _never_fails("alert"):
            hook.failed("Hourly", {"hour": hour}, why, [hour])

    def end(self, code: int) -> None:
        """Judge, tell, measure.

        Args:
            code: The run's exit code.
        """
        root, config, ended = staging_root(), settings(), time.time()
        succeeded = code == 0 and self._current
        if succeeded:
            with _never_fails("last_success.json"):
                note_success(root, format_hour(self._hour), datetime.fromtimestamp(ended, UTC))
        seen = check(root).seen
        if config.metrics.textfile or config.metrics.pushgateway_url:
            with _never_fails("metrics"):
                self._measure(root, seen, code, ended)
        if succeeded and config.alerts.heartbeat_url:
            with _never_fails("[alerts] heartbeat_url", quoting=False):
                requests.get(config.alerts.heartbeat_url, timeout=_HEARTBEAT).raise_for_status()

    def _measure(self, root: Path, seen: Observed | None, code: int, ended: float) -> None:
        wanted, book, seconds = settings().metrics, None, time.monotonic() - self._began
        with _never_fails("reading alerts.json"):
            book = incidents.read(root)
        made = metrics.registry(seen, self._tally, book, observed.last_success(root), code, ended, seconds)
        if wanted.textfile:
            with _never_fails("[metrics] textfile"):
                metrics.write(made, Path(wanted.textfile))
        if wanted.pushgateway_url:
            with _never_fails("[metrics] pushgateway_url"):
                metrics.push(made, wanted.pushgateway_url)


class Checked(NamedTuple):
    """What came of a check.

    Attributes:
        seen: What was observed; None where the staged files cannot be read.
        settled: Whether everything was judged and written down; if not, the log says why.
    """

    seen: Observed | None
    settled: bool


def check(root: Path) -> Checked:
    """Judge the conditions, and tell the channels what is new."""
    config, seen, judged, told = settings().alerts, None, False, False
    with _never_fails("looking at the state of things"):
        root.mkdir(parents=True, exist_ok=True)
        seen = observe(root)
        with incidents.book(root) as book:
            verdict = conditions.judge(seen, config, datetime.now(UTC), book.watching_since)
            conditions.settle(book, verdict)
        judged = not verdict.failed
    with _never_fails("sending alerts"):
        deliver(root, config.urls)
        told = True
    return Checked(seen, judged and told)


@contextlib.contextmanager
def _never_fails(what: str, quoting: bool = True) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        told = f": {redact(' '.join(str(error).split()))}" if quoting else ""  # requests quotes the URL
        log.warning("%s failed (%s%s)", what, type(error).__name__, told)
