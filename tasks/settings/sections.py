"""The sections of luigi.cfg: each a frozen struct whose fields say everything about an option.

A field has the option's type and default, what is allowed (``Meta(description=…)``), the environment variable that
overrides it (`Variable`) and whether its value is secret (`Secret`). The tables that read, mask, show and check options
are derived from here.
"""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from msgspec import Meta, Struct

from airqino import names
from airqino.errors import ConfigError
from airqino.opendata.about import LICENCES
from airqino.readings import CORE_HOURS, HORIZONS, LONGEST_HORIZON
from airqino.stores.files import is_in_bucket, place
from airqino.times import HOUR, floor_hour, parse_hour
from tasks.settings.options import Secret, Variable, options

__all__ = [
    "ENVIRONMENT", "OPTIONS", "SECTIONS", "AirQino", "Alerts", "Compute", "Forecasting", "Logging", "Metrics", "Mongo",
    "Publishing", "Quality", "Staging", "Station", "Status", "check_bucket",
]  # fmt: skip

Url = Annotated[str, Meta(pattern=r"^https?://[^\s/]+", description="a URL that begins with http:// or https://")]
OptionalUrl = Annotated[str, Meta(pattern=r"^(https?://[^\s/]+.*)?$", description="empty, or an http(s) URL")]
StationId = Annotated[str, Meta(pattern=names.STATION)]
StationIds = Annotated[tuple[StationId, ...], Meta(min_length=1, description="numeric station ids, comma-separated")]
Seconds = Annotated[float, Meta(gt=0, le=3600, description="a number of seconds above 0, at most 3600")]
Count = Annotated[int, Meta(ge=1, le=1000, description="a whole number from 1 to 1000")]
Hours = Annotated[int, Meta(ge=1, le=10_000, description="a whole number of hours from 1 to 10000")]
#: A load looks back two months at the most: at days left provisional for a month, and at the rest of their month.
_FEWEST_DAYS = 62
_LICENCES = f"empty, or one of {', '.join(LICENCES)}"
Share = Annotated[float, Meta(gt=0, le=1, description="a number above 0, at most 1")]


#: A bucket, as S3 allows its name, and what the names in it begin with.
_BUCKET = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[\w.=@+-]+)*/?")
_PLACE = "a folder, or s3://bucket/prefix"


def _check_place(root: str) -> None:
    """Check the `root` of a section.

    Raises:
        ValueError: It names a bucket in a way that S3 does not know, or boto3 is not installed.
    """
    if "://" in root and not _BUCKET.fullmatch(root):
        raise ValueError(f"root = {root!r}: allowed is {_PLACE}")
    if "://" in root and find_spec("boto3") is None:
        raise ValueError(f"root = {root!r}: a bucket needs boto3: run scripts/install s3")


#: Rows of answers that are held at a time, of some 700 bytes each: a day of 10,000 stations.
ROWS_AT_ONCE = 250_000


class AirQino(Struct, frozen=True, kw_only=True):
    """The source and how it is asked; and whose the data are."""

    environment: Annotated[
        str,
        Meta(pattern=r"^[a-z][a-z0-9-]{0,30}$", description="small letters, digits and -, such as production or test"),
        Variable("AIRQINO_ENVIRONMENT"),
    ] = "production"
    base_url: Annotated[Url, Variable("AIRQINO_BASE_URL")] = "https://airqino-api.magentalab.it"
    stations: Annotated[StationIds, Variable("AIRQINO_STATIONS")] = ("283181971", "283164601")
    project: Annotated[str, Variable("AIRQINO_PROJECT")] = "AQ54"
    connect_timeout_seconds: Seconds = 5.0
    read_timeout_seconds: Seconds = 30.0
    request_seconds: Seconds = 60.0
    station_seconds: Seconds = 100.0
    run_seconds: Annotated[float, Meta(gt=0, le=86_400, description="seconds above 0, at most 86400")] = 2700.0
    retries: Annotated[int, Meta(ge=0, le=10, description="a whole number from 0 to 10")] = 3
    retry_backoff_seconds: Annotated[float, Meta(ge=0, le=60, description="0 to 60 seconds")] = 0.5
    retry_after_max_seconds: Seconds = 120.0
    concurrency: Annotated[int, Meta(ge=1, le=64, description="a whole number from 1 to 64")] = 4
    requests_per_second: Annotated[float, Meta(gt=0, le=1000, description="above 0, at most 1000")] = 5.0
    publish_delay_minutes: Annotated[float, Meta(ge=0, le=60, description="0 to 60 minutes")] = 2.0
    max_days_per_request: Annotated[int, Meta(ge=1, le=366, description="a whole number from 1 to 366")] = 31
    token_url: Annotated[OptionalUrl, Variable("AIRQINO_TOKEN_URL")] = ""
    client_id: Annotated[str, Variable("AIRQINO_CLIENT_ID")] = ""
    client_secret: Annotated[str, Variable("AIRQINO_CLIENT_SECRET"), Secret.WHOLE] = ""
    username: Annotated[str, Variable("AIRQINO_USERNAME")] = ""
    password: Annotated[str, Variable("AIRQINO_PASSWORD"), Secret.WHOLE] = ""
    late_window_hours: Hours = 216
    retry_pauses_hours: Annotated[
        tuple[Annotated[float, Meta(gt=0)], ...],
        Meta(min_length=1, description="growing pauses in hours, comma-separated"),
    ] = (1, 2, 4, 8, 24, 48)
    reread_after_hours: Annotated[int, Meta(ge=24, le=48, description="a whole number from 24 to 48")] = 47
    reread_months: Annotated[bool, Meta(description="true or false")] = True
    now: Annotated[
        str,
        Meta(
            pattern=r"^(\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?)?$",
            description="empty, or a moment such as 2024-07-01T00:05 (UTC)",
        ),
        Variable("AIRQINO_NOW"),
    ] = ""

    def __post_init__(self) -> None:
        """Check the options that belong together."""
        if self.username and not (self.password and self.client_id and self.token_url):
            raise ConfigError(
                "[airqino] username is set, so password, client_id and token_url must be too: "
                "set AIRQINO_PASSWORD, AIRQINO_CLIENT_ID and AIRQINO_TOKEN_URL"
            )
        self.moment()

    @property
    def request_days(self) -> int:
        """The longest span of one request to all stations, in days: or answers would not fit in memory."""
        return max(min(self.max_days_per_request, ROWS_AT_ONCE // (24 * len(self.stations))), 1)

    @property
    def task_seconds(self) -> float:
        """The most seconds for one task: enough of a run is left for those that do not wait for it."""
        return self.run_seconds * 2 / 3

    @property
    def asking_seconds(self) -> float:
        """The most seconds in which one task asks the API: the later stages go on with what has come until then."""
        return self.run_seconds / 3

    def last_hour(self, now: datetime) -> datetime:
        """Return the last hour that is over and published at a moment."""
        return floor_hour(now - timedelta(minutes=self.publish_delay_minutes)) - HOUR

    def moment(self) -> datetime:
        """Return the moment to take for now: the option's, else the clock's."""
        try:
            return datetime.fromisoformat(self.now).replace(tzinfo=UTC) if self.now else datetime.now(UTC)
        except ValueError:
            allowed = "allowed is empty, or a moment that exists, such as 2024-07-01T00:05 (UTC)"
            raise ValueError(f"now = {self.now!r}: {allowed}") from None


class Station(Struct, frozen=True, kw_only=True):
    """What the operator says of one station; it wins over what the API says."""

    name: str = ""
    place: str = ""
    latitude: Annotated[float, Meta(ge=-90, le=90, description="degrees, -90 to 90")] | None = None
    longitude: Annotated[float, Meta(ge=-180, le=180, description="degrees, -180 to 180")] | None = None
    time_zone: Annotated[str, Meta(description="a time zone name such as Africa/Abidjan")] = "UTC"
    valid_from: Annotated[str, Meta(description="an hour such as 2023-09-10T00 (UTC)")] = ""
    valid_to: Annotated[str, Meta(description="an hour such as 2025-09-10T00 (UTC)")] = ""
    correction: Annotated[Literal["none", "kappa"], Meta(description="none or kappa")] = "none"

    def __post_init__(self) -> None:
        """Check what no type can say; the reader names the section."""
        for option in ("valid_from", "valid_to"):
            if text := getattr(self, option):
                try:
                    parse_hour(text)
                except ConfigError as error:
                    raise ValueError(f"{option}: {error}") from None
        try:
            ZoneInfo(self.time_zone)
        except (KeyError, ValueError, OSError):
            allowed = "allowed is a time zone name such as Africa/Abidjan"
            raise ValueError(f"time_zone = {self.time_zone!r}: {allowed}") from None

    def active(self, hour: datetime) -> bool:
        """Tell whether the station is in service in `hour`."""
        first, last = self.service
        return (first is None or first <= hour) and (last is None or hour <= last)

    @property
    def service(self) -> tuple[datetime | None, datetime | None]:
        """The first and last hour in service; None where there is no such limit."""
        return _hour(self.valid_from), _hour(self.valid_to)


@lru_cache(maxsize=4096)  # asked for each station and hour
def _hour(text: str) -> datetime | None:
    return parse_hour(text) if text else None


class Staging(Struct, frozen=True, kw_only=True):
    """Where files are staged."""

    root: Annotated[str, Meta(min_length=1, description=_PLACE), Variable("STAGING_ROOT")] = "staging"

    def __post_init__(self) -> None:
        """Check what no type can say."""
        _check_place(self.root)

    @property
    def path(self) -> Path:
        """The staging root."""
        return place(self.root, "STAGING_ROOT ([staging] root)")


class Quality(Struct, frozen=True, kw_only=True):
    """Thresholds of the quality flags; see `airqino.quality.flags`."""

    stuck_hours: Annotated[int, Meta(ge=2, le=24, description="a whole number from 2 to 24")] = 6
    dead_days: Annotated[int, Meta(ge=1, le=31, description="a whole number from 1 to 31")] = 7
    dead_hours: Annotated[int, Meta(ge=2, le=744, description="a whole number from 2 to 744")] = 96
    dead_share: Share = 0.94
    spike_deviations: Annotated[float, Meta(gt=0, description="a number above 0")] = 12.0
    humid_above: Annotated[float, Meta(ge=0, le=100, description="a number from 0 to 100")] = 70.0
    valid_share: Share = 0.75


class Mongo(Struct, frozen=True, kw_only=True):
    """The database the results are loaded into."""

    uri: Annotated[
        str,
        Meta(pattern=r"^mongodb(\+srv)?://\S+$", description="mongodb:// or mongodb+srv://"),
        Variable("MONGODB_URI"),
        Secret.LOGIN,
    ] = "mongodb://127.0.0.1:27017"
    database: Annotated[
        str,
        Meta(pattern=names.DATABASE, description="letters, digits, _ and -, at most 63; not admin, config or local"),
        Variable("MONGODB_DATABASE"),
    ] = "air_quality"
    timeout_seconds: Seconds = 5.0
    failover_seconds: Seconds = 30.0
    tls_ca_file: Annotated[str, Variable("MONGODB_CA_FILE")] = ""
    tls_certificate_key_file: Annotated[str, Variable("MONGODB_CERTIFICATE_KEY_FILE")] = ""
    retention_days: Annotated[
        int, Meta(ge=0, le=36_500, description="0 (keep all), or a whole number of days from 62 to 36500")
    ] = 0

    def __post_init__(self) -> None:
        """Check what no type can say."""
        if 0 < self.retention_days < _FEWEST_DAYS:
            allowed = f"allowed is 0 (keep all), or a whole number of days from {_FEWEST_DAYS} on"
            raise ValueError(f"retention_days = {self.retention_days}: {allowed}")
        for option in ("tls_ca_file", "tls_certificate_key_file"):
            try:
                if path := getattr(self, option):
                    Path(path).open("rb").close()
            except OSError as error:
                raise ValueError(f"{option} = {path!r}: the file cannot be read ({error.strerror})") from None


class Forecasting(Struct, frozen=True, kw_only=True):
    """Training and forecasting."""

    horizons: Annotated[
        tuple[Annotated[int, Meta(ge=1, le=LONGEST_HORIZON)], ...],
        Meta(min_length=1, description=f"hours from 1 to {LONGEST_HORIZON}, comma-separated"),
    ] = HORIZONS
    rounds: Annotated[int, Meta(ge=10, le=2000, description="a whole number from 10 to 2000")] = 200
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
        Variable("MLFLOW_TRACKING_URI"),
        Secret.LOGIN,
    ] = ""
    compare_days: Annotated[int, Meta(ge=7, le=90, description="a whole number of days from 7 to 90")] = 14
    promote_confidence: Annotated[float, Meta(ge=0.5, lt=1, description="a number from 0.5 to below 1")] = 0.90
    drift_skill: Annotated[float, Meta(ge=-1, le=1, description="a number from -1 to 1")] = 0.0
    drift_coverage_low: Share = 0.70
    drift_coverage_high: Share = 0.90
    drift_hours: Annotated[int, Meta(ge=24, le=168, description="a whole number from 24 to 168")] = 72

    def __post_init__(self) -> None:
        """Check the options that belong together."""
        if list(self.horizons) != sorted({*self.horizons, *range(1, CORE_HOURS + 1)}):
            rule = f"they must grow, and 1 to {CORE_HOURS} must be among them"
            raise ValueError(f"horizons = {', '.join(map(str, self.horizons))}: {rule}")
        if self.drift_coverage_low >= self.drift_coverage_high:
            rule = f"it must lie below drift_coverage_high = {self.drift_coverage_high}"
            raise ValueError(f"drift_coverage_low = {self.drift_coverage_low}: {rule}")


class Compute(Struct, frozen=True, kw_only=True):
    """Where the parts of a stage run that is heavy; see `airqino.compute`."""

    scheduler: Annotated[
        str,
        Meta(
            pattern=r"^((tcp|tls)://[^\s/:]+:\d+)?$",
            description="empty (this host), or a Dask scheduler such as tcp://dask-scheduler:8786",
        ),
        Variable("DASK_SCHEDULER_ADDRESS"),
    ] = ""

    def __post_init__(self) -> None:
        """Check what no type can say."""
        if self.scheduler and find_spec("distributed") is None:
            raise ValueError(f"scheduler = {self.scheduler!r}: it needs dask.distributed: run scripts/install dask")


class Status(Struct, frozen=True, kw_only=True):
    """What `scripts/status` calls late."""

    max_age_hours: Hours = 3


class Alerts(Struct, frozen=True, kw_only=True):
    """Whom to tell, and from when on; see `docs/alerts.md`."""

    urls: Annotated[str, Variable("ALERT_URLS"), Secret.URL] = ""
    heartbeat_url: Annotated[OptionalUrl, Variable("ALERT_HEARTBEAT_URL"), Secret.URL] = ""
    no_success_hours: Hours = 3
    silent_hours: Hours = 6
    revised_readings: Annotated[int, Meta(ge=1, description="a whole number above 0")] = 48
    disk_free_share: Share = 0.10


class Publishing(Struct, frozen=True, kw_only=True):
    """What the public sees, and where it lies; see `docs/public-page.md`."""

    root: Annotated[str, Variable("PUBLISH_ROOT")] = ""
    city: str = ""
    url: Annotated[OptionalUrl, Variable("PUBLISH_URL")] = ""
    map: str = ""
    publisher: str = ""
    contact: str = ""
    licence: Annotated[str, Meta(pattern=f"^({'|'.join(LICENCES)})?$", description=_LICENCES)] = ""

    def __post_init__(self) -> None:
        """Check what no type can say."""
        _check_place(self.root)
        if self.root and not self.city:
            raise ValueError("city: say of which city or region the page tells, or leave root empty")

    @property
    def path(self) -> Path:
        """The published folder; only where one is named."""
        return place(self.root, "PUBLISH_ROOT ([publish] root)")


class Metrics(Struct, frozen=True, kw_only=True):
    """Where a run leaves its Prometheus metrics."""

    textfile: Annotated[str, Variable("METRICS_TEXTFILE")] = ""
    pushgateway_url: Annotated[OptionalUrl, Variable("PUSHGATEWAY_URL"), Secret.LOGIN] = ""


class Logging(Struct, frozen=True, kw_only=True):
    """Where the log files lie, and the form of what a run says on the terminal."""

    folder: Annotated[str, Variable("LOG_FOLDER")] = ""
    console: Annotated[Literal["text", "json"], Variable("LOG_CONSOLE")] = "text"


class Core(Struct, frozen=True, kw_only=True):
    """Of Luigi's own section the option that the environment overrides."""

    default_scheduler_url: Annotated[str, Variable("LUIGID_URL")] = "http://127.0.0.1:8082"


class Smtp(Struct, frozen=True, kw_only=True):
    """Of Luigi's own section the option that is secret."""

    password: Annotated[str, Secret.WHOLE] = ""


class Sendgrid(Struct, frozen=True, kw_only=True):
    """Of Luigi's own section the option that is secret."""

    apikey: Annotated[str, Secret.WHOLE] = ""


def check_bucket(staging: Staging, forecast: Forecasting) -> None:
    """Check that the model registry is a server where the staging root is a bucket: a SQLite file cannot lie there.

    Raises:
        ConfigError: It is none, though MLflow is installed.
    """
    if not is_in_bucket(staging.path) or not find_spec("mlflow"):
        return
    if not forecast.tracking_uri or forecast.tracking_uri.startswith("sqlite"):
        raise ConfigError(
            f"[staging] root is {staging.root}, so the model registry must be a server: set MLFLOW_TRACKING_URI "
            "([forecast] tracking_uri) to an http(s), postgresql or mysql URL, or uninstall MLflow to go without"
        )


#: The pipeline's own sections by name, but those of the stations.
SECTIONS: dict[str, type[Struct]] = {
    "airqino": AirQino,
    "staging": Staging,
    "quality": Quality,
    "mongo": Mongo,
    "forecast": Forecasting,
    "compute": Compute,
    "status": Status,
    "publish": Publishing,
    "alerts": Alerts,
    "metrics": Metrics,
    "logging": Logging,
}


#: Every option that is not a station's; of Luigi's sections those that we override or mask.
OPTIONS = options({**SECTIONS, "core": Core, "smtp": Smtp, "sendgrid": Sendgrid})
#: Environment variable → the option that it overrides.
ENVIRONMENT = {option.variable: option for option in OPTIONS if option.variable}
