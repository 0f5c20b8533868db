"""Check the settings' files, the version of Python and of the packages, and that others cannot read the secrets.

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
from tasks.settings import env_file, luigi_cfg, reading, sections
from tasks.settings.editing import differences
from tasks.settings.options import Secret

__all__ = ["Deployment", "configuration", "packages", "permissions", "read"]

S = TypeVar("S", bound=msgspec.Struct)

#: Luigi's own sections, whose wrong values it would refuse only in the middle of a run.
_LUIGI_SECTIONS = {
    "core": luigi.interface.core,
    "worker": luigi.worker.worker,
    "scheduler": luigi.scheduler.scheduler,
    "retcode": luigi.retcodes.retcode,
}
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
            errors.append(f"section [{name}]: {error}")
    return errors


def configuration(deployment: Deployment, repository: Path) -> Result:
    """Check that every section can be read, and that no name looks misspelt."""
    name = "configuration"
    if errors := [*deployment.errors, *_unread_files()]:
        return failed(name, "; ".join(errors), "correct the file or variable named; luigi.cfg explains every option")
    if doubts := [*_misspelt(), *_pretended(deployment), *_hidden()]:
        return warning(name, "; ".join(doubts), "correct it, unless it was meant")
    if moved_out := _edited(repository):
        return warning(name, *moved_out)
    return ok(name, _search_path())


def _search_path() -> str:
    """Return the files that settings may come from, in the order in which they override each other."""
    files = luigi_cfg.sources(LuigiConfigParser._config_paths)
    told = [f"{source.path}{'' if source.there else ' (absent)'}" for source in files]
    own = sum(name in os.environ and name not in luigi_cfg.FROM_FILE for name in sections.ENVIRONMENT)
    return f"{', '.join(told)}, and {own} variables of this process"


def _edited(repository: Path) -> tuple[str, str] | None:
    """Return that the checkout's luigi.cfg was edited, and the command that moves the changes out of it."""
    path = repository / "luigi.cfg"
    if not path.is_file() or not (found := differences(path, luigi_cfg.SHIPPED)):
        return None
    names = [f"[{section}] {option}" for section, options in found.items() for option in options]
    told = f"{path} was edited ({', '.join(names[:3])}; {len(names)} in all): the next upgrade collides with it"
    return told, f"as root: cd {shlex.quote(f'{repository}')} && scripts/settings --move-out"


def _unread_files() -> list[str]:
    """Return the files that Luigi could not open: it ignores them silently."""
    paths = [Path(path) for path in LuigiConfigParser._config_paths]
    return [f"{path} cannot be read by this user" for path in paths if path.exists() and not os.access(path, os.R_OK)]


def _misspelt() -> list[str]:
    known_sections = [*sections.SECTIONS, *_LUIGI_SECTIONS]
    doubts = [
        f"{_named_in(name)} has a section [{name}]: is [{close[0]}] meant?"
        for name in get_config().sections()
        if name not in known_sections
        and not name.startswith("stations.")
        and (close := get_close_matches(name.partition(".")[0], [*known_sections, "stations"], cutoff=0.8))
    ]
    for variable in os.environ.keys() - sections.ENVIRONMENT.keys():
        if close := get_close_matches(variable, sections.ENVIRONMENT, cutoff=0.85):
            doubts.append(f"{variable} is set, but nothing reads it: is {close[0]} meant?")
    return doubts


def _named_in(section: str) -> str:
    options = get_config().options(section) or [""]
    return luigi_cfg.where(LuigiConfigParser._config_paths, section, options[0])


def _pretended(deployment: Deployment) -> list[str]:
    now = deployment.airqino.now if deployment.airqino else ""
    return [f"[airqino] now (AIRQINO_NOW) pretends that it is {now}: every run does the same hour"] if now else []


def _hidden() -> list[str]:
    """Return which variables this shell sets otherwise than airqino.env: what cron starts does not know them."""
    path = luigi_cfg.directory() / luigi_cfg.ENV_FILE.name
    said = env_file.values(path) if not luigi_cfg.BROKEN else {}
    of_shell = {name: os.environ.get(name, "") for name in (*sections.ENVIRONMENT, "LUIGI_CONFIG_PATH")}
    names = [name for name, value in of_shell.items() if value and said.get(name) not in (None, "", value)]
    text = f"this shell sets {', '.join(names[:3])} otherwise than {path}, which is what cron uses: unset it"
    return [text] if names else []


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
        rebuild = "scripts/install --again"
        return warning(name, f"Python {python}; {', '.join(different[:5])}, {len(different)} in all", rebuild)
    return ok(name, f"Python {python}; packages as in constraints.txt")


def permissions(repository: Path, mongo: sections.Mongo | None) -> Result:
    """Check that only their owner and group can read files with secrets."""
    name = "secrets"
    paths = [repository / ".env", repository / "deploy" / ".env", luigi_cfg.directory() / luigi_cfg.ENV_FILE.name]
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
