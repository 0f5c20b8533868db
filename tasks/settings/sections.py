"""The sections of luigi.cfg: each a frozen struct whose types and ``Meta(description=…)`` say what is allowed."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from airqino.times import parse_hour

__all__ = [
    "AirQino",
    "Alerts",
    "Forecast",
    "Logging",
    "Metrics",
    "Mongo",
    "Quality",
    "Staging",
    "Station",
    "Status",
]

Url = Annotated[str, Meta(pattern=r"^https?://[^\s/]+", description="a URL that begins with http:// or https://")]
OptionalUrl = Annotated[str, Meta(pattern=r"^(https?://[^\s/]+.*)?$", description="empty, or an http(s) URL")]
StationId = Annotated[str, Meta(pattern=r"^[0-9]{1,18}$")]
StationIds = Annotated[tuple[StationId, ...], Meta(min_length=1, description="numeric station ids, comma-separated")]
Seconds = Annotated[float, Meta(gt=0, le=3600, description="a number of seconds above 0, at most 3600")]
Count = Annotated[int, Meta(ge=1, le=1000, description="a whole number from 1 to 1000")]
Hours = Annotated[int, Meta(ge=1, le=10_000, description="a whole number of hours from 1 to 10000")]
Share = Annotated[float, Meta(gt=0, le=1, description="a number above 0, at most 1")]


class AirQino(Struct, frozen=True, kw_only=True):
    """The source and how it is asked."""

    base_url: Url = "https://airqino-api.magentalab.it"
    stations: StationIds = ("283181971", "283164601")
    project: str = "AQ54"
    connect_timeout_seconds: Seconds = 5.0
    read_timeout_seconds: Seconds = 30.0
    retries: Annotated[int, Meta(ge=0, le=10, description="a whole number from 0 to 10")] = 3
    retry_backoff_seconds: Annotated[float, Meta(ge=0, le=60, description="0 to 60 seconds")] = 0.5
    retry_after_max_seconds: Seconds = 120.0
    concurrency: Annotated[int, Meta(ge=1, le=64, description="a whole number from 1 to 64")] = 4
    requests_per_second: Annotated[float, Meta(gt=0, le=1000, description="above 0, at most 1000")] = 5.0
    publish_delay_minutes: Annotated[float, Meta(ge=0, le=60, description="0 to 60 minutes")] = 2.0
    max_days_per_request: Annotated[int, Meta(ge=1, le=366, description="a whole number from 1 to 366")] = 31
    token_url: OptionalUrl = ""
    client_id: str = ""
    client_secret: str = ""
    username: str = ""
    password: str = ""
    late_window_hours: Hours = 72
    retry_pauses_hours: Annotated[
        tuple[Annotated[float, Meta(gt=0)], ...],
        Meta(min_length=1, description="growing pauses in hours, comma-separated"),
    ] = (1, 2, 4, 8, 24, 48)
    reread_after_hours: Annotated[int, Meta(ge=24, le=48, description="a whole number from 24 to 48")] = 47
    now: Annotated[
        str,
        Meta(
            pattern=r"^(\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?)?$",
            description="empty, or a moment such as 2024-07-01T00:05 (UTC)",
        ),
    ] = ""


class Station(Struct, frozen=True, kw_only=True):
    """What the operator says of one station; it wins over what the API says."""

    name: str = ""
    latitude: Annotated[float, Meta(ge=-90, le=90, description="degrees, -90 to 90")] | None = None
    longitude: Annotated[float, Meta(ge=-180, le=180, description="degrees, -180 to 180")] | None = None
    time_zone: Annotated[str, Meta(description="a time zone name such as Africa/Abidjan")] = "UTC"
    valid_from: Annotated[str, Meta(description="an hour such as 2023-09-10T00 (UTC)")] = ""
    valid_to: Annotated[str, Meta(description="an hour such as 2025-09-10T00 (UTC)")] = ""

    def active(self, hour: datetime) -> bool:
        """Whether the station is in service in `hour`."""
        return not (
            (self.valid_from and hour < parse_hour(self.valid_from))
            or (self.valid_to and hour > parse_hour(self.valid_to))
        )


class Staging(Struct, frozen=True, kw_only=True):
    """Where files are staged."""

    root: Annotated[str, Meta(min_length=1, description="a folder")] = "staging"


class Quality(Struct, frozen=True, kw_only=True):
    """Thresholds of the quality flags; see `airqino.quality.flags`."""

    stuck_hours: Annotated[int, Meta(ge=2, le=24, description="a whole number from 2 to 24")] = 6
    dead_days: Annotated[int, Meta(ge=1, le=31, description="a whole number from 1 to 31")] = 7
    dead_hours: Annotated[int, Meta(ge=2, le=744, description="a whole number from 2 to 744")] = 96
    dead_share: Share = 0.94
    spike_deviations: Annotated[float, Meta(gt=0, description="a number above 0")] = 12.0
    valid_share: Share = 0.75


class Mongo(Struct, frozen=True, kw_only=True):
    """The database the results are loaded into."""

    uri: Annotated[str, Meta(pattern=r"^mongodb(\+srv)?://\S+$", description="mongodb:// or mongodb+srv://")] = (
        "mongodb://127.0.0.1:27017"
    )
    database: Annotated[
        str, Meta(pattern=r"^[A-Za-z0-9_-]{1,63}$", description="letters, digits, _ and -, at most 63")
    ] = "air_quality"
    timeout_seconds: Seconds = 5.0
    failover_seconds: Seconds = 30.0
    tls_ca_file: str = ""
    tls_certificate_key_file: str = ""
    retention_days: Annotated[
        int, Meta(ge=0, le=36_500, description="0 (keep all), or a whole number of days from 62 to 36500")
    ] = 0


class Forecast(Struct, frozen=True, kw_only=True):
    """Training and forecasting."""

    train_days: Count = 400
    min_train_days: Count = 14
    threads: Annotated[int, Meta(ge=1, le=64, description="a whole number from 1 to 64")] = 2
    seed: int = 20240909
    tracking_uri: Annotated[
        str,
        Meta(
            pattern=r"^((sqlite|https?|postgresql|mysql)(\+\w+)?://\S+)?$",
            description="empty (SQLite under the staging root), or an http(s), sqlite, postgresql or mysql URL",
        ),
    ] = ""
    compare_days: Annotated[int, Meta(ge=7, le=90, description="a whole number of days from 7 to 90")] = 14
    promote_confidence: Annotated[float, Meta(ge=0.5, lt=1, description="a number from 0.5 to below 1")] = 0.90
    drift_skill: Annotated[float, Meta(ge=-1, le=1, description="a number from -1 to 1")] = 0.0
    drift_coverage_low: Share = 0.70
    drift_coverage_high: Share = 0.90
    drift_hours: Annotated[int, Meta(ge=24, le=168, description="a whole number from 24 to 168")] = 72


class Status(Struct, frozen=True, kw_only=True):
    """What `scripts/status` calls late."""

    max_age_hours: Hours = 3


class Alerts(Struct, frozen=True, kw_only=True):
    """Whom to tell, and from when on; see `docs/alerts.md`."""

    urls: str = ""
    heartbeat_url: OptionalUrl = ""
    no_success_hours: Hours = 3
    silent_hours: Hours = 6
    revised_readings: Annotated[int, Meta(ge=1, description="a whole number above 0")] = 48
    disk_free_share: Share = 0.10


class Metrics(Struct, frozen=True, kw_only=True):
    """Where a run leaves its Prometheus metrics."""

    textfile: str = ""
    pushgateway_url: OptionalUrl = ""


class Logging(Struct, frozen=True, kw_only=True):
    """The form of what a run says on the terminal."""

    console: Literal["text", "json"] = "text"
