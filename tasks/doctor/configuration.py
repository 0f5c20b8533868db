"""Check luigi.cfg, the version of Python and of the packages, and that others cannot read the secrets.

Each section is read on its own, so that one with a mistake does not stop the checks that need the others.
"""

import os
import re
import shlex
import stat
import sys
import warnings
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import luigi.interface
import luigi.retcodes
import luigi.scheduler
import luigi.worker
import msgspec
from luigi.configuration import LuigiConfigParser, get_config

from airqino.errors import ConfigError
from tasks.doctor.checks import Result, failed, ok, warning
from tasks.settings import luigi_cfg, reading, sections
from tasks.settings.options import Secret

__all__ = ["ENV_FILE", "Deployment", "configuration", "packages", "permissions", "read"]

S = TypeVar("S", bound=msgspec.Struct)

#: Luigi's own sections, whose wrong values it would refuse only in the middle of a run.
_LUIGI_SECTIONS = {
    "core": luigi.interface.core,
    "worker": luigi.worker.worker,
    "scheduler": luigi.scheduler.scheduler,
    "retcode": luigi.retcodes.retcode,
}
#: The file from which cron's line and the services of deploy/ take the settings and secrets.
ENV_FILE = "etc/airqino/airqino.env"
_OLDEST_PYTHON = (3, 11)


@dataclass(frozen=True)
class Deployment:
    """The settings as far as they can be read; a section with a mistake is None."""

    airqino: sections.AirQino | None
    staging: sections.Staging | None
    mongo: sections.Mongo | None
    forecast: sections.Forecasting | None
    publish: sections.Publishing | None
    alerts: sections.Alerts | None
    stations: dict[str, sections.Station]
    luigid: str
    errors: tuple[str, ...] = ()


def read() -> Deployment:
    """Read every section on its own, and keep the errors."""
    errors = [luigi_cfg.BROKEN] if luigi_cfg.BROKEN else []

    def section(struct: type[S], name: str) -> S | None:
        if not luigi_cfg.READ:
            return None  # the file cannot be read, and checking the defaults would mislead
        try:
            return reading.section(struct, name)
        except ConfigError as error:
            errors.append(str(error))
            return None

    ours: dict[str, Any] = {name: section(struct, name) for name, struct in sections.SECTIONS.items()}
    stations = {name.removeprefix("stations."): section(sections.Station, name) for name in reading.station_sections()}
    return Deployment(
        **{name: ours[name] for name in ("airqino", "staging", "mongo", "forecast", "publish", "alerts")},
        stations={name: station for name, station in stations.items() if station},
        luigid=reading.text("core", "default_scheduler_url"),
        errors=(*errors, *_luigi_errors()),
    )


def _luigi_errors() -> list[str]:
    errors = []
    for name, section in _LUIGI_SECTIONS.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about options that other parts of Luigi read
                section()
        except (ValueError, luigi.parameter.ParameterException) as error:
            errors.append(f"luigi.cfg [{name}]: {error}")
    return errors


def configuration(deployment: Deployment, system: Path) -> Result:
    """Check that every section can be read, and that no name looks misspelt."""
    name = "configuration"
    if errors := [*deployment.errors, *_unread_files()]:
        return failed(name, "; ".join(errors), "correct the file or variable named; luigi.cfg explains every option")
    if doubts := [*_misspelt(), *_pretended(deployment), *_not_loaded(system / ENV_FILE)]:
        return warning(name, "; ".join(doubts), "correct it, unless it was meant")
    files = ", ".join(path for path in LuigiConfigParser._config_paths if Path(path).is_file())
    return ok(name, f"{files}, and {sum(v in os.environ for v in sections.ENVIRONMENT)} environment variables")


def _unread_files() -> list[str]:
    """Return the files that Luigi could not open: it ignores them silently."""
    paths = [Path(path) for path in LuigiConfigParser._config_paths]
    return [f"{path} cannot be read by this user" for path in paths if path.exists() and not os.access(path, os.R_OK)]


def _misspelt() -> list[str]:
    known_sections = [*sections.SECTIONS, *_LUIGI_SECTIONS]
    doubts = [
        f"luigi.cfg has a section [{name}]: is [{close[0]}] meant?"
        for name in get_config().sections()
        if name not in known_sections
        and not name.startswith("stations.")
        and (close := get_close_matches(name.partition(".")[0], [*known_sections, "stations"], cutoff=0.8))
    ]
    for variable in os.environ.keys() - sections.ENVIRONMENT.keys():
        if close := get_close_matches(variable, sections.ENVIRONMENT, cutoff=0.85):
            doubts.append(f"{variable} is set, but nothing reads it: is {close[0]} meant?")
    return doubts


def _pretended(deployment: Deployment) -> list[str]:
    now = deployment.airqino.now if deployment.airqino else ""
    return [f"[airqino] now (AIRQINO_NOW) pretends that it is {now}: every run does the same hour"] if now else []


def _not_loaded(path: Path) -> list[str]:
    """Return which variables this shell lacks that cron's line and the service load."""
    try:
        names = re.findall(r"(?m)^(?:export )?([A-Z_]+)=(?!(?:''|\"\")?$)", path.read_text())
    except OSError:
        return []
    unset = [n for n in names if n in (*sections.ENVIRONMENT, "LUIGI_CONFIG_PATH") and n not in os.environ]
    text = f"{path} sets {', '.join(unset[:3])}, which this shell lacks: set -a; . {path}; set +a, then check again"
    return [text] if unset else []


def packages(repository: Path) -> Result:
    """Check that Python and the packages are those that the pipeline was tested with."""
    name, python = "Python and packages", ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < _OLDEST_PYTHON:
        return failed(name, f"Python {python}", "Python 3.11 or newer is needed: set PYTHON and run scripts/install")
    try:
        pins = re.findall(r"^([\w.-]+)==(\S+)$", (repository / "constraints.txt").read_text(), re.MULTILINE)
    except OSError:
        return ok(name, f"Python {python}; no constraints.txt to compare with")
    installed = {d.name.lower().replace("_", "-"): d.version for d in metadata.distributions()}
    different = [
        f"{package} {version} (tested: {pinned})"
        for package, pinned in pins
        if (version := installed.get(package.lower().replace("_", "-"))) not in (None, pinned)
    ]
    if different:
        rebuild = "rm -rf .venv && scripts/install"
        return warning(name, f"Python {python}; {', '.join(different[:5])}, {len(different)} in all", rebuild)
    return ok(name, f"Python {python}; packages as in constraints.txt")


def permissions(repository: Path, system: Path, mongo: sections.Mongo | None) -> Result:
    """Check that only their owner and group can read files with secrets."""
    name = "secrets"
    paths = [repository / ".env", repository / "deploy" / ".env", system / ENV_FILE]
    paths += [path for path in map(Path, LuigiConfigParser._config_paths) if path.is_file() and _holds_secret(path)]
    if mongo and mongo.tls_certificate_key_file:
        paths.append(Path(mongo.tls_certificate_key_file))
    files = [path for path in paths if path.is_file()]
    if readable := [f"{path}" for path in files if path.stat().st_mode & stat.S_IROTH]:
        return warning(name, f"others can read {', '.join(readable)}", f"chmod o-rwx {shlex.join(readable)}")
    shown = ", ".join(map(str, files))
    return ok(name, f"{shown}: others cannot read it" if files else "no file with secrets")


def _holds_secret(path: Path) -> bool:
    options = "|".join(option.name for option in sections.OPTIONS if option.secret in (Secret.WHOLE, Secret.URL))
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return False
    return bool(re.search(rf"(?m)^({options})[ \t]*[=:][ \t]*\S|://[^\s/@]+:[^\s/@]+@", text))
