"""Settings: types, defaults and validation of luigi.cfg and of the environment that overrides it.

The sections are the structs of `tasks.settings.sections`; `settings` reads all of them once per process.
"""

import configparser
import os
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, get_type_hints
from zoneinfo import ZoneInfo

import msgspec
from luigi.configuration import get_config
from msgspec import Struct

from airqino.errors import ConfigError
from airqino.times import HOUR, floor_hour, parse_hour
from tasks.settings import luigi_cfg
from tasks.settings.sections import (
    AirQino,
    Alerts,
    Forecast,
    Logging,
    Metrics,
    Mongo,
    Quality,
    Staging,
    Station,
    Status,
)

__all__ = ["Settings", "refuse_unpublished", "section", "settings", "station_sections"]

S = TypeVar("S", bound=Struct)

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
        "MONGODB_CA_FILE": ("mongo", "tls_ca_file"),
        "MONGODB_CERTIFICATE_KEY_FILE": ("mongo", "tls_certificate_key_file"),
        "MLFLOW_TRACKING_URI": ("forecast", "tracking_uri"),
        "ALERT_URLS": ("alerts", "urls"),
        "ALERT_HEARTBEAT_URL": ("alerts", "heartbeat_url"),
        "METRICS_TEXTFILE": ("metrics", "textfile"),
        "PUSHGATEWAY_URL": ("metrics", "pushgateway_url"),
        "LOG_CONSOLE": ("logging", "console"),
        "LUIGID_URL": ("core", "default_scheduler_url"),
    }
)
#: Options whose value never appears in a message.
SECRET = frozenset({"client_secret", "password", "uri", "tracking_uri", "urls", "heartbeat_url", "pushgateway_url"})

#: A load looks back two months at the most: at days left provisional for a month, and at the rest of their month.
_FEWEST_DAYS = 62


class Settings(Struct, frozen=True, kw_only=True):
    """All sections, and the moment this run takes for now."""

    airqino: AirQino
    staging: Staging
    quality: Quality
    mongo: Mongo
    forecast: Forecast
    status: Status
    alerts: Alerts
    metrics: Metrics
    logging: Logging
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

    @property
    def zones(self) -> dict[str, str]:
        """Station → name of its time zone, of every station that is configured or has a section."""
        return {station: self.zone(station) for station in sorted({*self.airqino.stations, *self.stations})}

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
    if luigi_cfg.BROKEN:
        raise ConfigError(luigi_cfg.BROKEN)
    _point_luigi_to_luigid()
    airqino = section(AirQino, "airqino")
    return Settings(
        airqino=airqino,
        staging=section(Staging, "staging"),
        quality=section(Quality, "quality"),
        mongo=section(Mongo, "mongo"),
        forecast=section(Forecast, "forecast"),
        status=section(Status, "status"),
        alerts=section(Alerts, "alerts"),
        metrics=section(Metrics, "metrics"),
        logging=section(Logging, "logging"),
        stations={name.removeprefix("stations."): section(Station, name) for name in station_sections()},
        now=_moment(airqino),
        retry_failed_at_once=os.environ.get("RETRY_FAILED_AT_ONCE") == "1",
    )


def station_sections() -> list[str]:
    """The names of the sections on stations."""
    return [name for name in get_config().sections() if name.startswith("stations.")]


def section(struct: type[S], name: str) -> S:
    """Read and check one section of luigi.cfg and the environment.

    Raises:
        ConfigError: A value or an option's name is wrong, or two options do not go together.
    """
    read = _section(struct, name)
    if isinstance(read, AirQino):
        _check_credentials(read)
        _moment(read)
    elif isinstance(read, Forecast):
        _check_drift(read)
    elif isinstance(read, Mongo):
        _check_mongo(read)
    elif isinstance(read, Station):
        _check_station(read, name)
    return read


def _check_credentials(airqino: AirQino) -> None:
    if airqino.username and not (airqino.password and airqino.client_id and airqino.token_url):
        raise ConfigError(
            "[airqino] username is set, so password, client_id and token_url must be too: "
            "set AIRQINO_PASSWORD, AIRQINO_CLIENT_ID and AIRQINO_TOKEN_URL"
        )


def _check_drift(forecast: Forecast) -> None:
    if forecast.drift_coverage_low >= forecast.drift_coverage_high:
        raise ConfigError(
            f"luigi.cfg [forecast] drift_coverage_low = {forecast.drift_coverage_low}: it must lie below "
            f"drift_coverage_high = {forecast.drift_coverage_high}"
        )


def _moment(airqino: AirQino) -> datetime:
    """What is taken for now."""
    try:
        return datetime.fromisoformat(airqino.now).replace(tzinfo=UTC) if airqino.now else datetime.now(UTC)
    except ValueError:
        raise ConfigError(
            f"AIRQINO_NOW ([airqino] now) = {airqino.now!r}: allowed is empty, or a moment that exists, such as "
            "2024-07-01T00:05 (UTC)"
        ) from None


def _check_mongo(mongo: Mongo) -> None:
    if 0 < mongo.retention_days < _FEWEST_DAYS:
        raise ConfigError(
            f"luigi.cfg [mongo] retention_days = {mongo.retention_days}: allowed is 0 (keep all), or a whole number of "
            f"days from {_FEWEST_DAYS} on"
        )
    for variable in ("MONGODB_CA_FILE", "MONGODB_CERTIFICATE_KEY_FILE"):
        option = ENVIRONMENT[variable][1]
        if path := getattr(mongo, option):
            try:
                Path(path).open("rb").close()
            except OSError as error:
                raise ConfigError(
                    f"{variable} ([mongo] {option}) = {path!r}: the file cannot be read ({error.strerror})"
                ) from None


def _check_station(station: Station, section: str) -> None:
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
