"""Metrics: what Prometheus gets of the last hourly run, by a file for node-exporter and by a Pushgateway."""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from airqino.stores import files
from tasks.instruments.incidents import KINDS, Book
from tasks.instruments.observed import SENSORS, PipelineState, Success
from tasks.instruments.tally import Tally

if TYPE_CHECKING:  # takes 50 ms: imported only by a run with metrics
    from prometheus_client import CollectorRegistry

__all__ = ["JOB", "gauges", "push", "write"]

#: The Pushgateway's job.
JOB = "airqino"
_PUSH_SECONDS = 5
#: Values of the labels → value of the metric.
Samples = Mapping[tuple[str, ...], float]


def gauges(
    state: PipelineState | None,
    tally: Tally | None,
    book: Book | None,
    success: Success | None,
    code: int,
    ended: float,
    seconds: float,
) -> "CollectorRegistry":
    """Return all metrics as gauges; what could not be observed is left out rather than zero.

    Args:
        state: The state of stations, forecasts and disk.
        tally: What the run counted; None where it could not.
        book: The incidents; None where they cannot be read.
        success: The last run that succeeded, this one included.
        code: The run's exit code.
        ended: Unix time of its end.
        seconds: How long it took.
    """
    from prometheus_client import CollectorRegistry, Gauge

    registry = CollectorRegistry()

    def add(name: str, meaning: str, samples: float | Samples, *labels: str) -> None:
        gauge = Gauge(f"airqino_{name}", meaning, labels, registry=registry)
        for values, amount in samples.items() if isinstance(samples, Mapping) else [((), samples)]:
            (gauge.labels(*values) if values else gauge).set(amount)

    if success:
        add("last_success_timestamp_seconds", "End of the last hourly run that succeeded", success.at.timestamp())
    add("last_run_timestamp_seconds", "End of the last hourly run", ended)
    add("run_success", "Whether the last hourly run succeeded", code == 0)
    add("run_duration_seconds", "Duration of the last hourly run", seconds)
    if tally:
        _add_counts(tally, add)
    if book:
        lasting = Counter(incident.kind for incident in book.open())
        add("open_incidents", "Open alerts", {(kind,): lasting[kind] for kind in KINDS}, "kind")
    if state:
        _add_state(state, add)
    return registry


def _add_counts(tally: Tally, add: Callable[..., None]) -> None:
    for name, meaning, label, counted in (
        ("stage_duration_seconds", "Seconds that the tasks of a stage took in the last run", "stage", "seconds"),
        ("tasks_failed", "Failed tasks of the last run", "stage", "failed"),
        ("requests", "Requests of the last run by HTTP status, after retries", "status", "requests"),
        ("documents_upserted", "Documents written to MongoDB in the last run", "collection", "documents"),
    ):
        add(name, meaning, {(value,): amount for value, amount in sorted(tally.totals(counted).items())}, label)
    add("hours_fetched", "Station-hours that came with a reading in the last run", tally.total("hours"))
    add("rows_fetched", "Rows that the API sent in the last run", tally.total("rows"))


def _add_state(state: PipelineState, add: Callable[..., None]) -> None:
    if state.revisions is not None:
        add("revised_readings", "Readings that the source changed, seen in the last run", state.readings_revised_now)
    stations = [s for s in state.stations if s.in_service]  # one that was taken down would be called silent for ever
    newest = {(s.station,): s.newest.timestamp() for s in stations if s.newest}
    add("newest_hour_timestamp_seconds", "Beginning of the newest hour with a reading", newest, "station")
    completeness = {(s.station,): s.completeness for s in stations}
    add("completeness_ratio", "Share of the last 24 published hours with a reading", completeness, "station")
    dead = {(s.station, sensor): sensor in s.broken for s in stations for sensor in SENSORS if s.flags.get(sensor)}
    add("sensor_dead", "Whether a sensor is dead, stuck, at_floor, offset or unit", dead, "station", "sensor")
    for column, name, meaning in (
        ("skill", "forecast_skill", "7-day skill of the forecasts against persistence"),
        ("coverage80", "forecast_coverage80", "7-day share of readings inside the 80 % band"),
    ):
        rows = [row for row in state.scores if row[column] is not None and math.isfinite(row[column])]
        scores = {(row["station"], row["pollutant"], f"{row['horizon_h']}"): row[column] for row in rows}
        add(name, meaning, scores, "station", "pollutant", "horizon")
    if state.disk_free is not None:
        add("disk_free_ratio", "Free share of the staging root's disk", state.disk_free)


def write(registry: "CollectorRegistry", path: Path) -> None:
    """Write the text file, atomically.

    Raises:
        OSError: Its folder is missing.
        StagingError: It cannot be written.
    """
    from prometheus_client import generate_latest

    path.parent.stat()  # a folder that is missing is a mistake in the settings: none is made
    files.write(path, generate_latest(registry))


def push(registry: "CollectorRegistry", url: str) -> None:
    """Replace what the Pushgateway has of the job; user and password of the URL are sent as basic authentication.

    Raises:
        OSError: It does not answer, or refuses.
    """
    from prometheus_client import push_to_gateway
    from prometheus_client.exposition import basic_auth_handler, default_handler

    parts = urlsplit(url)
    without_login = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")

    def send(
        url: str, method: str, timeout: float | None, headers: list[tuple[str, str]], data: bytes
    ) -> Callable[[], None]:
        if parts.username:
            login = unquote(parts.username), unquote(parts.password or "")
            return basic_auth_handler(url, method, timeout, headers, data, *login)
        return default_handler(url, method, timeout, headers, data)

    push_to_gateway(without_login, job=JOB, registry=registry, timeout=_PUSH_SECONDS, handler=send)
