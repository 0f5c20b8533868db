"""Settings: types, defaults and validation of luigi.cfg and of the environment that overrides it.

Each section is a frozen struct; a field's ``Meta(description=…)`` is what an error tells the user is allowed.
`settings` reads all of them once per process.
"""

import configparser
import os
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from types import MappingProxyType
from typing import Annotated, Any, TypeVar, get_type_hints
from zoneinfo import ZoneInfo

import msgspec
from luigi.configuration import get_config
from msgspec import Meta, Struct

from tasks.errors import ConfigError
from tasks.hours import HOUR, floor_hour, parse_hour

__all__ = ["AirQino", "Forecast", "Mongo", "Quality", "Settings", "Staging", "Station", "Status", "settings"]

S = TypeVar("S", bound=Struct)

Url = Annotated[str, Meta(pattern=r"^https?://[^\s/]+", description="a URL that begins with http:// or https://")]
OptionalUrl = Annotated[str, Meta(pattern=r"^(https?://[^\s/]+.*)?$", description="empty, or an http(s) URL")]
StationId = Annotated[str, Meta(pattern=r"^[0-9]{1,18}$")]
StationIds = Annotated[tuple[StationId, ...], Meta(min_length=1, description="numeric station ids, comma-separated")]
Seconds = Annotated[float, Meta(gt=0, le=3600, description="a number of seconds above 0, at most 3600")]
Count = Annotated[int, Meta(ge=1, le=1000, description="a whole number from 1 to 1000")]
Hours = Annotated[int, Meta(ge=1, le=10_000, description="a whole number of hours from 1 to 10000")]
Share = Annotated[float, Meta(gt=0, le=1, description="a number above 0, at most 1")]

#: Environment variable → (section, option) it overrides.
ENVIRONMENT: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "AIRQINO_BASE_URL": ("airqino", "base_url"),
        "AIRQINO_STATIONS": ("airqino", "stations"),
        "AIRQINO_CLIENT_ID": ("airqino", "client_id"),
        "AIRQINO_CLIENT_SECRET": ("airqino", "client_secret"),
        "AIRQINO_USERNAME": ("airqino", "username"),
        "AIRQINO_PASSWORD": ("airqino", "password"),
        "AIRQINO_TOKEN_URL": ("airqino", "token_url"),
        "AIRQINO_NOW": ("airqino", "now"),
        "STAGING_ROOT": ("staging", "root"),
        "MONGODB_URI": ("mongo", "uri"),
        "MONGODB_DATABASE": ("mongo", "database"),
        "MLFLOW_TRACKING_URI": ("forecast", "tracking_uri"),
        "LUIGID_URL": ("core", "default_scheduler_url"),
    }
)
#: Options whose value never appears in a message.
SECRET = frozenset({"client_secret", "password", "uri", "tracking_uri"})


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
    """Thresholds of the quality flags; see `tasks.science.quality`."""

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


class Settings(Struct, frozen=True, kw_only=True):
    """All sections, and the moment this run takes for now."""

    airqino: AirQino
    staging: Staging
    quality: Quality
    mongo: Mongo
    forecast: Forecast
    status: Status
    stations: dict[str, Station]
    now: datetime
    #: Backfills ask stations that failed again at once, whatever the pauses say.
    retry_failed_at_once: bool = False

    @property
    def last_hour(self) -> datetime:
        """The last hour that is over and published."""
        return floor_hour(self.now - timedelta(minutes=self.airqino.publish_delay_minutes)) - HOUR

    def station(self, station: str) -> Station:
        """The operator's settings of a station, or the defaults."""
        return self.stations.get(station) or Station()

    def zone(self, station: str) -> str:
        """The name of the station's time zone."""
        return self.station(station).time_zone

    def active_stations(self, hour: datetime) -> list[str]:
        """The configured stations that are in service in `hour`."""
        return [s for s in self.airqino.stations if self.station(s).active(hour)]


def refuse_unpublished(hour: datetime, what: str = "hour") -> None:
    """Refuse an hour that is not over and published yet: its mean is partial, and would be taken for an answer.

    Raises:
        ConfigError: It lies after the last hour.
    """
    if hour > settings().last_hour:
        last = settings().last_hour
        raise ConfigError(
            f"{what} {hour:%Y-%m-%dT%H} is not over and published yet: the last one is {last:%Y-%m-%dT%H} (UTC)"
        )


@cache
def settings() -> Settings:
    """Read and check every setting, once per process.

    Returns:
        The settings; `now` is the moment of the first call, so that one run has one idea of what is due.

    Raises:
        ConfigError: A value or an option's name is wrong.
    """
    _point_luigi_to_luigid()
    airqino = _section(AirQino, "airqino")
    if airqino.username and not (airqino.password and airqino.client_id and airqino.token_url):
        raise ConfigError(
            "[airqino] username is set, so password, client_id and token_url must be too: "
            "set AIRQINO_PASSWORD, AIRQINO_CLIENT_ID and AIRQINO_TOKEN_URL"
        )
    forecast = _section(Forecast, "forecast")
    if forecast.drift_coverage_low >= forecast.drift_coverage_high:
        raise ConfigError(
            f"luigi.cfg [forecast] drift_coverage_low = {forecast.drift_coverage_low}: it must lie below "
            f"drift_coverage_high = {forecast.drift_coverage_high}"
        )
    try:
        now = datetime.fromisoformat(airqino.now).replace(tzinfo=UTC) if airqino.now else datetime.now(UTC)
    except ValueError:
        raise ConfigError(
            f"AIRQINO_NOW ([airqino] now) = {airqino.now!r}: allowed is empty, or a moment that exists, such as "
            "2024-07-01T00:05 (UTC)"
        ) from None
    return Settings(
        airqino=airqino,
        staging=_section(Staging, "staging"),
        quality=_section(Quality, "quality"),
        mongo=_section(Mongo, "mongo"),
        forecast=forecast,
        status=_section(Status, "status"),
        stations=_stations(),
        now=now,
        retry_failed_at_once=os.environ.get("RETRY_FAILED_AT_ONCE") == "1",
    )


def _stations() -> dict[str, Station]:
    stations = {}
    for section in get_config().sections():
        if not section.startswith("stations."):
            continue
        station = _section(Station, section)
        for option in ("valid_from", "valid_to"):
            if text := getattr(station, option):
                try:
                    parse_hour(text)
                except ConfigError as error:
                    raise ConfigError(f"luigi.cfg [{section}] {option}: {error}") from None
        try:
            ZoneInfo(station.time_zone)
        except (KeyError, ValueError, OSError):
            raise ConfigError(
                f"luigi.cfg [{section}] time_zone = {station.time_zone!r}: allowed is a time zone name such as "
                "Africa/Abidjan"
            ) from None
        stations[section.removeprefix("stations.")] = station
    return stations


def _section(struct: type[S], section: str) -> S:
    """Read one section of luigi.cfg and the environment into its struct."""
    config = get_config()
    try:
        texts = dict(config.items(section)) if config.has_section(section) else {}
    except configparser.InterpolationError as error:  # its text holds the value, which may be a secret
        raise ConfigError(
            f"luigi.cfg [{section}] {error.option}: write % as %%, and set the environment variable that ${{…}} names"
        ) from None
    source = {option: f"luigi.cfg [{section}] {option}" for option in texts}
    for variable, (of_section, option) in ENVIRONMENT.items():
        if of_section == section and (text := os.environ.get(variable)):
            texts[option] = text
            source[option] = f"{variable} ([{section}] {option})"
    hints = get_type_hints(struct, include_extras=True)
    if unknown := texts.keys() - hints.keys():
        raise ConfigError(f"luigi.cfg [{section}] {min(unknown)}: no such option; there are {', '.join(sorted(hints))}")
    values = {
        option: _convert(text.strip(), hints[option], option, source[option])
        for option, text in texts.items()
        if text.strip()  # an empty option means its default
    }
    return struct(**values)


def _convert(text: str, hint: Any, option: str, source: str) -> Any:
    many = msgspec.inspect.type_info(hint)
    is_tuple = isinstance(getattr(many, "type", many), msgspec.inspect.VarTupleType)
    raw = [part.strip() for part in text.split(",") if part.strip()] if is_tuple else text
    try:
        return msgspec.convert(raw, hint, strict=False)
    except msgspec.ValidationError as error:
        shown = "(hidden)" if option in SECRET else repr(text)
        raise ConfigError(f"{source} = {shown}: allowed is {_allowed(hint) or error}") from None


def _allowed(hint: Any) -> str:
    metas = [
        *getattr(hint, "__metadata__", ()),
        *(m for a in getattr(hint, "__args__", ()) for m in getattr(a, "__metadata__", ())),
    ]
    return next((meta.description for meta in metas if getattr(meta, "description", None)), "")


def _point_luigi_to_luigid() -> None:
    """Luigi reads this option itself, after the tasks are imported."""
    if url := os.environ.get("LUIGID_URL"):
        get_config().set("core", "default_scheduler_url", url)


warnings.filterwarnings("ignore", "(?s).*not consumed by the task 'core'")  # options that Luigi reads elsewhere
_point_luigi_to_luigid()
