"""Settings: luigi.cfg, the operator's files and the environment that overrides them, read once per process and checked.

Where the files are, says `tasks.settings.luigi_cfg`; the sections are the structs of `tasks.settings.sections`.
"""

import configparser
import os
import re
import warnings
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import msgspec
from luigi.configuration import LuigiConfigParser, get_config
from msgspec import Struct

from airqino.compute import Pool
from airqino.errors import ConfigError
from airqino.names import station_id
from airqino.stores.files import is_in_bucket, place
from airqino.stores.paths import Paths
from airqino.times import format_hour
from tasks.settings import luigi_cfg, sections
from tasks.settings.sections import OPTIONS, SECTIONS, Station

__all__ = [
    "Settings",
    "log_folder",
    "origin",
    "refuse_unpublished",
    "section",
    "settings",
    "staging_root",
    "station_sections",
    "text",
]

S = TypeVar("S", bound=Struct)

#: What the name of a station's section begins with; its id follows.
_STATION = "stations."
_SECRET = {(option.section, option.name) for option in OPTIONS if option.secret}
_VARIABLES = {(option.section, option.name): option.variable for option in OPTIONS if option.variable}


#: What holds for a station without a section.
_DEFAULT = Station()


class Settings(Struct, frozen=True, kw_only=True):
    """All sections, and the moment this run takes for now."""

    airqino: sections.AirQino
    staging: sections.Staging
    quality: sections.Quality
    mongo: sections.Mongo
    forecast: sections.Forecasting
    compute: sections.Compute
    status: sections.Status
    publish: sections.Publishing
    alerts: sections.Alerts
    metrics: sections.Metrics
    logging: sections.Logging
    stations: dict[str, Station]
    now: datetime

    @property
    def last_hour(self) -> datetime:
        """Return the last hour that is over and published."""
        return self.airqino.last_hour(self.now)

    def station(self, station: str) -> Station:
        """Return the operator's settings of a station, or the defaults."""
        return self.stations.get(station, _DEFAULT)

    def zone(self, station: str) -> str:
        """Return the name of the station's time zone."""
        return self.station(station).time_zone

    @property
    def zones(self) -> dict[str, str]:
        """Return the name of the time zone of every station that is configured or has a section."""
        return {station: self.zone(station) for station in sorted({*self.airqino.stations, *self.stations})}

    def pool(self) -> Pool:
        """Return where the parts of a heavy stage run."""
        return Pool(self.compute.scheduler, self.forecast.threads)

    @property
    def common_zone(self) -> str:
        """Return the time zone that most configured stations have; of several the first."""
        zones = [self.zone(station) for station in self.airqino.stations]
        return max(dict.fromkeys(zones), key=zones.count)

    def active_stations(self, hour: datetime) -> Sequence[str]:
        """Return the configured stations that are in service in `hour`."""
        if all(of.service == (None, None) for of in self.stations.values()):  # of most networks none has a limit
            return self.airqino.stations
        return [s for s in self.airqino.stations if self.station(s).active(hour)]


def refuse_unpublished(hour: datetime, what: str = "hour") -> None:
    """Refuse an hour that is not over and published yet: its mean is partial, and would be taken for an answer.

    Raises:
        ConfigError: It lies after the last hour.
    """
    if hour > settings().last_hour:
        last = f"the last one is {format_hour(settings().last_hour)} (UTC)"
        raise ConfigError(f"{what} {format_hour(hour)} is not over and published yet: {last}")


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
    values: dict[str, Any] = {name: section(struct, name) for name, struct in SECTIONS.items()}
    stations = {name.removeprefix(_STATION): section(Station, name) for name in station_sections()}
    sections.check_bucket(values["staging"], values["forecast"])
    return Settings(**values, stations=stations, now=values["airqino"].moment())


def staging_root() -> Path:
    """Return the staging root, without checking the other settings: a run that a wrong one stops is logged as well."""
    return place(text("staging", "root") or sections.Staging().root, "STAGING_ROOT ([staging] root)")


def log_folder() -> Path:
    """Return the folder of the log files, which is always one on a disk: by default `logs` under the staging root.

    Where that is a bucket, it is the default staging root's.
    """
    root = staging_root()
    default = Paths(Path(sections.Staging().root) if is_in_bucket(root) else root).logs
    return Path(text("logging", "folder") or default)


def text(section: str, option: str) -> str:
    """Return an option as the environment or else a file says it; empty where neither does or it cannot be read."""
    try:
        return _text(section, option)
    except ConfigError:  # told when the section is read
        return ""


def station_sections() -> list[str]:
    """Return the names of the sections on stations."""
    return [name for name in get_config().sections() if name.startswith(_STATION)]


def section(struct: type[S], name: str) -> S:
    """Read and check one section of the files and the environment.

    Raises:
        ConfigError: A value or an option's name is wrong, or two options do not go together.
    """
    hints, config = get_type_hints(struct, include_extras=True), get_config()
    if name.startswith(_STATION):
        try:
            station_id(name.removeprefix(_STATION))
        except ValueError as error:
            raise ConfigError(f"luigi.cfg [{name}]: {error}") from None
    if unknown := {*(config.options(name) if config.has_section(name) else ())} - hints.keys():
        raise ConfigError(f"{_place(name, min(unknown))}: no such option; there are {', '.join(sorted(hints))}")
    texts = {option: _text(name, option) for option in hints}
    # an empty option means its default
    values = {option: _convert(text, hints[option], name, option) for option, text in texts.items() if text}
    try:
        return struct(**values)
    except ValueError as error:  # begins with the option's name
        option, rest = re.split(r"(?=\W)", f"{error}", maxsplit=1)
        raise ConfigError(f"{origin(name, option)}{rest}") from None


def origin(section: str, option: str) -> str:
    """Return where an option's value comes from, as errors name it: its variable, or the file and its place there."""
    variable = _VARIABLES.get((section, option), "")
    if os.environ.get(variable, "").strip():
        return f"{variable} ([{section}] {option})"
    return _place(section, option)


def _place(section: str, option: str) -> str:
    return f"{luigi_cfg.where(LuigiConfigParser._config_paths, section, option)} [{section}] {option}"


def _text(section: str, option: str) -> str:
    """Return an option's text, without blanks around it; empty where it is not set.

    Raises:
        ConfigError: A file says it in a way that cannot be read.
    """
    if value := os.environ.get(_VARIABLES.get((section, option), ""), "").strip():
        return value
    try:
        return str(get_config().get(section, option, "") or "").strip()
    except configparser.InterpolationError:  # its text holds the value, which may be a secret
        cure = "write % as %%, and set the environment variable that ${…} names"
        raise ConfigError(f"{_place(section, option)}: {cure}") from None


def _convert(text: str, hint: Any, section: str, option: str) -> Any:
    many = msgspec.inspect.type_info(hint)
    is_tuple = isinstance(getattr(many, "type", many), msgspec.inspect.VarTupleType)
    raw = [part.strip() for part in text.split(",") if part.strip()] if is_tuple else text
    try:
        return msgspec.convert(raw, hint, strict=False)
    except msgspec.ValidationError as error:
        shown = "(hidden)" if (section, option) in _SECRET else repr(text)
        raise ConfigError(f"{origin(section, option)} = {shown}: allowed is {_allowed(hint) or error}") from None


def _allowed(hint: Any) -> str:
    metas = [
        *getattr(hint, "__metadata__", ()),
        *(m for a in getattr(hint, "__args__", ()) for m in getattr(a, "__metadata__", ())),
    ]
    return next((meta.description for meta in metas if getattr(meta, "description", None)), "")


def _point_luigi_to_luigid() -> None:
    """Set the option that Luigi reads itself, after the tasks are imported."""
    if url := text("core", "default_scheduler_url"):
        get_config().set("core", "default_scheduler_url", url)


warnings.filterwarnings("ignore", "(?s).*not consumed by the task 'core'")  # options that Luigi reads elsewhere
_point_luigi_to_luigid()
