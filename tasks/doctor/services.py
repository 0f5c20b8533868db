"""Check what runs use but can do without: luigid, the model registry, a champion, a channel for alerts."""

import contextlib
import re
import socket
import sqlite3
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import requests

from airqino.errors import ConfigError, StagingError
from airqino.publishing import citymap
from airqino.stores import files, models, releases
from airqino.stores.paths import Paths
from airqino.times import DAY
from tasks.doctor.checks import Result, ok, warning
from tasks.settings.sections import AirQino, Alerts, Forecasting, Publishing, Staging

__all__ = ["alerts", "luigid", "public_page", "registry"]

#: Seconds to connect to a server, and for its answer.
_TIMEOUT = (1.5, 2.0)


def luigid(url: str) -> Iterator[Result]:
    """Check that the central scheduler answers; runs go on without it."""
    name, cure = "luigid", "runs go on with the local scheduler; start luigid, or correct LUIGID_URL"
    try:
        answer = requests.get(f"{url.rstrip('/')}/api/ping", timeout=_TIMEOUT)
    except (requests.RequestException, ValueError):
        yield warning(name, f"{_shown(url)} does not answer", cure)
        return
    if answer.status_code == 404:
        yield warning(name, f"{_shown(url)} answers, but it is not luigid", cure)
    else:  # luigid answers 500, because arguments are missing
        yield ok(name, f"{_shown(url)} answers")


def registry(forecast: Forecasting | None, staging: Staging | None, airqino: AirQino | None) -> Iterator[Result]:
    """Check that trainings can be recorded, and which model is published."""
    if forecast is None or staging is None:
        return
    paths = Paths(staging.path)
    if not forecast.tracking_uri and files.is_in_bucket(paths.root):
        yield ok("model registry", "none: models are kept in the staging root alone")
    else:
        yield _registry(forecast.tracking_uri or f"sqlite:///{paths.registry.absolute()}", bool(forecast.tracking_uri))
    if paths.root.is_dir():
        yield _champion(paths, _without_champion(paths, forecast.min_train_days, airqino))


def _registry(uri: str, is_named: bool) -> Result:
    """Check without MLflow: its import takes seconds, and it makes a file that is not there."""
    name, where = "model registry", _shown(uri)
    if find_spec("mlflow") is None:
        if not is_named and not Path(uri.partition(":///")[2]).exists():
            return ok(name, "none: models are kept in the staging root alone; scripts/install registry adds MLflow")
        cure = "scripts/install registry; until then forecasts go on, but trainings are not recorded"
        return warning(name, f"{where} cannot be used: MLflow is not installed", cure)
    cure = "start it, or correct MLFLOW_TRACKING_URI; until then forecasts go on, but trainings are not recorded"
    try:
        if uri.startswith("sqlite"):
            path = Path(uri.partition(":///")[2])
            if not path.exists():
                return ok(name, f"{path} is not there yet: the first training makes it")
            with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
                database.execute("SELECT count(*) FROM registered_models")
        elif uri.startswith("http"):
            requests.get(f"{uri.rstrip('/')}/health", timeout=_TIMEOUT).raise_for_status()
        else:
            parts = urlsplit(uri)
            port = parts.port or (5432 if uri.startswith("postgresql") else 3306)
            socket.create_connection((parts.hostname or "localhost", port), _TIMEOUT[0]).close()
    except (OSError, ValueError, sqlite3.Error) as error:  # requests' errors are OSErrors
        return warning(name, f"{where} cannot be used ({type(error).__name__})", cure)
    return ok(name, f"{where} answers")


def _without_champion(paths: Paths, days_needed: int, airqino: AirQino | None) -> str:
    """Say what to do where no model is published."""
    if len([day for day in paths.days() if paths.hourly(day).exists()]) >= days_needed:
        return (
            "wait: a model is trained on Mondays, and published if it is better; how the last did: scripts/models list"
        )
    wait = f"wait: once {days_needed} staged days are there, a model is trained"
    if airqino is None:
        return wait
    # the week's model is trained on what lies before its Monday
    first = airqino.last_hour(airqino.moment()) - (days_needed + 7) * DAY
    return f"{wait}. Sooner: scripts/backfill {first:%Y-%m-%d}.. and then scripts/hourly"


def _champion(paths: Paths, cure_of_none: str) -> Result:
    name = "champion"
    try:
        champion = models.read_champion(paths.champion)
    except StagingError:
        cure = "the next hourly run names the newest that was promoted; another: scripts/models list, "
        cure += "then scripts/models promote VERSION"
        return warning(name, f"{paths.champion} cannot be read", cure)
    if champion is None:
        return warning(name, "none: forecasts are persistence", cure_of_none)
    try:
        models.load(paths.model(champion.version))
    except StagingError:
        cure = "scripts/hourly gets them from the registry, trains this week's again, or publishes the one before"
        return warning(name, f"the files of {champion.version} are missing or damaged", cure)
    return ok(name, f"{champion.version}, promoted {champion.promoted_at[:16]}")


def alerts(config: Alerts | None) -> Iterator[Result]:
    """Check that alerts are sent to somebody."""
    if config is None:
        return
    schemes = re.findall(r"(?:^|\s)(\w+)://", config.urls)
    if not schemes:
        cure = "set ALERT_URLS to a channel: docs/alerts.md"
        yield warning("alerts", "no channel is set: failures are only in the log", cure)
    else:
        heartbeat = "and a heartbeat" if config.heartbeat_url else "no heartbeat (ALERT_HEARTBEAT_URL)"
        yield ok("alerts", f"{', '.join(schemes)}; {heartbeat}")


def public_page(config: Publishing | None) -> Iterator[Result]:
    """Check that the page and the open data can be written, and that the map can be read."""
    if config is None:
        return
    name, root = "public page", config.path
    if not config.root:
        yield ok(name, "no folder is named: nothing is published")
        return
    cure = "correct PUBLISH_ROOT, or let this user write there; until then what is served gets old"
    try:
        files.probe(root)
        if releases.is_anothers(root):
            yield warning(
                name, f"{root} holds a page of another's: index.html", "name a folder of its own: PUBLISH_ROOT"
            )
            return
        if config.map:
            citymap.read(config.map)
    except OSError as error:
        yield warning(name, f"{root} cannot be written ({error.strerror})", cure)
    except ConfigError as error:
        yield warning(name, f"{error}", "correct [publish] map")
    else:
        rights = config.licence or "no licence, so nobody may use the data: set [publish] licence"
        yield ok(name, f"{root}; {rights}")


def _shown(url: str) -> str:
    """Return a URL without user, password and options."""
    return re.sub(r"//[^/]*@", "//", url).partition("?")[0]
