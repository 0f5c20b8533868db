"""Metrics: what Prometheus gets of the last hourly run, by a file for node-exporter and by a Pushgateway."""

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from tasks.instruments.incidents import KINDS, Book
from tasks.instruments.observed import SENSORS, PipelineState, Success
from tasks.instruments.tally import Tally

if TYPE_CHECKING:  # takes 50 ms: imported only by a run with metrics
    from prometheus_client import CollectorRegistry

__all__ = ["JOB", "gauges", "push", "write"]

#: The Pushgateway's job.
JOB = "airqino"
_PUSH_SECONDS = 5


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

    def gauge(name: str, meaning: str, *labels: str) -> Any:
        return Gauge(f"airqino_{name}", meaning, labels, registry=registry)

    if success:
        gauge("last_success_timestamp_seconds", "End of the last hourly run that succeeded").set(success.at.timestamp())
    gauge("last_run_timestamp_seconds", "End of the last hourly run").set(ended)
    gauge("run_success", "Whether the last hourly run succeeded").set(code == 0)
    gauge("run_duration_seconds", "Duration of the last hourly run").set(seconds)
    if tally:
        _of_tally(tally, gauge)
    if book:
        incidents = gauge("open_incidents", "Open alerts", "kind")
        lasting = Counter(incident.kind for incident in book.open())
        for kind in KINDS:
            incidents.labels(kind).set(lasting[kind])
    if state:
        _of_state(state, gauge)
    return registry


def _of_tally(tally: Tally, gauge: Callable[..., Any]) -> None:
    for name, meaning, label, counted in (
        ("stage_duration_seconds", "Seconds that the tasks of a stage took in the last run", "stage", "seconds"),
        ("tasks_failed", "Failed tasks of the last run", "stage", "failed"),
        ("requests", "Requests of the last run by HTTP status, after retries", "status", "requests"),
        ("documents_upserted", "Documents written to MongoDB in the last run", "collection", "documents"),
    ):
        metric = gauge(name, meaning, label)
        for value, amount in sorted(tally.totals(counted).items()):
            metric.labels(value).set(amount)
    gauge("hours_fetched", "Station-hours that came with a reading in the last run").set(tally.total("hours"))
    gauge("rows_fetched", "Rows that the API sent in the last run").set(tally.total("rows"))


def _of_state(state: PipelineState, gauge: Callable[..., Any]) -> None:
    if state.revisions is not None:
        revised = gauge("revised_readings", "Readings that the source changed, seen in the last run")
        revised.set(state.readings_revised_now)
    newest = gauge("newest_hour_timestamp_seconds", "Beginning of the newest hour with a reading", "station")
    completeness = gauge("completeness_ratio", "Share of the last 24 published hours with a reading", "station")
    dead = gauge("sensor_dead", "Whether a sensor is dead or stuck", "station", "sensor")
    for station in state.stations:
        if not station.in_service:  # one that was taken down would be called silent for ever
            continue
        if station.newest:
            newest.labels(station.station).set(station.newest.timestamp())
        completeness.labels(station.station).set(station.completeness)
        for sensor in SENSORS:
            if station.flags.get(sensor):
                dead.labels(station.station, sensor).set(sensor in station.broken)
    labels = ("station", "pollutant", "horizon")
    skill = gauge("forecast_skill", "7-day skill of the forecasts against persistence", *labels)
    coverage = gauge("forecast_coverage80", "7-day share of readings inside the 80 % band", *labels)
    for row in state.scores:
        for metric, value in ((skill, row["skill"]), (coverage, row["coverage80"])):
            if value is not None and math.isfinite(value):
                metric.labels(row["station"], row["pollutant"], f"{row['horizon_h']}").set(value)
    if state.disk_free is not None:
        gauge("disk_free_ratio", "Free share of the staging root's disk").set(state.disk_free)


def write(registry: "CollectorRegistry", path: Path) -> None:
    """Write the text file, atomically.

    Raises:
        OSError: Its folder is missing or cannot be written.
    """
    from prometheus_client import write_to_textfile

    write_to_textfile(str(path), registry)


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
