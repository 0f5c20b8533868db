"""Run: what scripts/hourly leaves behind when it ends, whether or not it succeeded; nothing here can make it fail."""

import contextlib
import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import requests
from pymongo import monitoring

from airqino.errors import StagingError
from airqino.times import HOUR, format_hour
from tasks.instruments import conditions, hook, incidents, metrics, observed
from tasks.instruments.delivery import deliver, send_unwritten
from tasks.instruments.incidents import Incident
from tasks.instruments.observed import PipelineState, note_success, observe
from tasks.instruments.tally import Tally, Writes
from tasks.settings.reading import settings, staging_root
from tasks.settings.secrets import redact

__all__ = ["Checked", "Run", "check"]

log = logging.getLogger("instruments.run")

#: Seconds for a connection and for an answer of the heartbeat's service.
_HEARTBEAT = (3, 5)


class Run:
    """An hourly run, from its beginning to its end."""

    def __init__(self, hour: datetime) -> None:
        """Begin to count, if metrics are configured."""
        self._hour, self._began = hour, time.monotonic()
        #: Whether it is for the hour that is due; a run for the past does not show that the pipeline keeps up.
        self._current = hour >= settings().last_hour - HOUR
        if self._current:
            hook.mark_hourly_run()
        self._tally: Tally | None = None
        if settings().metrics.textfile or settings().metrics.pushgateway_url:
            with _warning_only("counting for the metrics"):
                self._tally = Tally()
                hook.count_into(self._tally)
                monitoring.register(Writes(self._tally))

    def unfinished(self, reason: str) -> None:
        """Open an incident because the run could not begin, or not go on."""
        log.info("%s", reason)
        hour = format_hour(self._hour)
        with _warning_only("alert"):
            hook.record_failure("Hourly", {"hour": hour}, reason, [hour])

    def end(self, code: int) -> None:
        """Evaluate the conditions, send alerts, write metrics, and call the heartbeat's URL.

        Args:
            code: The run's exit code.
        """
        root, config, ended = staging_root(), settings(), time.time()
        succeeded = code == 0 and self._current
        if succeeded:
            with _warning_only("last_success.json"):
                note_success(root, format_hour(self._hour), datetime.fromtimestamp(ended, UTC))
        state = check(root).state
        if config.metrics.textfile or config.metrics.pushgateway_url:
            with _warning_only("metrics"):
                self._measure(root, state, code, ended)
        if succeeded and config.alerts.heartbeat_url:
            with _warning_only("[alerts] heartbeat_url", quoting=False):
                requests.get(config.alerts.heartbeat_url, timeout=_HEARTBEAT).raise_for_status()

    def _measure(self, root: Path, state: PipelineState | None, code: int, ended: float) -> None:
        config, book, seconds = settings().metrics, None, time.monotonic() - self._began
        with _warning_only("reading alerts.json"):
            book = incidents.read(root)
        registry = metrics.gauges(state, self._tally, book, observed.last_success(root), code, ended, seconds)
        if config.textfile:
            with _warning_only("[metrics] textfile"):
                metrics.write(registry, Path(config.textfile))
        if config.pushgateway_url:
            with _warning_only("[metrics] pushgateway_url"):
                metrics.push(registry, config.pushgateway_url)


class Checked(NamedTuple):
    """The outcome of a check.

    Attributes:
        state: What was observed; None where the staged files cannot be read.
        conclusive: Whether every condition was evaluated and written down; if not, the log says why.
    """

    state: PipelineState | None
    conclusive: bool


def check(root: Path, insist: bool = True) -> Checked:
    """Evaluate the conditions of a staging root, and send the channels what is new.

    Args:
        root: The staging root.
        insist: Whether to send what holds even where it cannot be written down who was told of it.
    """
    config, state, evaluated, delivered = settings().alerts, None, False, False
    with _warning_only("looking at the state of things"):
        holding: list[Incident] = []
        try:
            root.mkdir(parents=True, exist_ok=True)
            state = observe(root)
            evaluation = conditions.evaluate(state, config, datetime.now(UTC), incidents.read(root).watching_since)
            holding = evaluation.holding
            with incidents.book(root) as book:
                conditions.update(book, evaluation)
                for incident in hook.unwritten:  # there may be room again
                    book.begin(incident)
            hook.unwritten.clear()
        except (OSError, StagingError) as error:
            if insist:
                send_unwritten(root, config.urls, error, [*holding, *hook.unwritten])
                hook.unwritten.clear()
            log.info("the state of things cannot be written down: %s", error)
            return Checked(state, conclusive=False)
        evaluated = not evaluation.failed
    with _warning_only("sending alerts"):
        deliver(root, config.urls)
        delivered = True
    return Checked(state, evaluated and delivered)


@contextlib.contextmanager
def _warning_only(activity: str, quoting: bool = True) -> Iterator[None]:
    """Turn any error of the block into a warning in the log; `quoting` adds the error's own text."""
    try:
        yield
    except Exception as error:
        text = f": {redact(' '.join(str(error).split()))}" if quoting else ""  # requests quotes the URL
        log.warning("%s failed (%s%s)", activity, type(error).__name__, text)
