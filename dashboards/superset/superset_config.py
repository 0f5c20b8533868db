"""Superset's settings for the air-quality dashboards. Every secret comes from the environment.

SUPERSET_SECRET_KEY     signs the sessions and encrypts what Superset stores (`scripts/superset up` makes one)
SUPERSET_MONGODB_URI    a MongoDB user that can only read; default: MONGODB_URI
MONGODB_DATABASE        default: air_quality
SUPERSET_STATE          folder of what Superset keeps for itself (`scripts/superset` sets it)
SUPERSET_DATABASE_URI   Superset's own database: postgresql://…@HOST/NAME; empty: SQLite in the state folder
SUPERSET_REDIS_URL      Superset's cache: redis://host:6379/0 (Redis or Valkey); empty: files in the state folder
SUPERSET_ANONYMOUS      1: everybody reads the first dashboard of each language without logging in
SUPERSET_CACHE_SECONDS  how long an answer of MongoDB is kept for the next reader (300)
SUPERSET_LOCALE         en, fr: language where none is chosen; default: the browser's
SUPERSET_HTTPS          1 behind a TLS proxy: cookies are then sent over HTTPS only
"""

import os
import sys
import threading
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cachetools
from pymongo import MongoClient

sys.path.insert(0, str(Path(__file__).parent))

import anonymous
import colours
import language
import mongodb_sql
import site_views
from sqlglot.dialects.dialect import Dialects
from superset.config import THEME_DEFAULT
from superset.sql.parse import SQLGLOT_DIALECTS

mongodb_sql.register()
# Superset reads and rewrites SQL before it is run. Of an engine that it does not list it takes SQLite's functions for
# others: the time grain of a week fails. There is no setting for this table.
SQLGLOT_DIALECTS["mongodb"] = Dialects.SQLITE

_STATE = Path(os.environ["SUPERSET_STATE"]).resolve()
_HTTPS = os.environ.get("SUPERSET_HTTPS") == "1"
ANONYMOUS = os.environ.get("SUPERSET_ANONYMOUS") == "1"

MONGODB_URI = os.environ.get("SUPERSET_MONGODB_URI") or os.environ.get("MONGODB_URI") or "mongodb://127.0.0.1:27017"
MONGODB_DATABASE = os.environ.get("MONGODB_DATABASE") or "air_quality"

SECRET_KEY = os.environ["SUPERSET_SECRET_KEY"]
SQLALCHEMY_DATABASE_URI = (
    os.environ.get("SUPERSET_DATABASE_URI") or f"sqlite:///{_STATE}/superset.db?check_same_thread=false"
)
SQLALCHEMY_TRACK_MODIFICATIONS = False


def DB_CONNECTION_MUTATOR(  # noqa: N802
    uri: Any, params: dict[str, Any], username: str, security_manager: Any, source: Any
) -> tuple[Any, dict[str, Any]]:
    """Connect to MongoDB with the URI of the environment, whatever the bundle names.

    The URI goes to the driver as it is: SQLAlchemy cannot read one with several hosts, and a password in it would
    otherwise be stored in Superset's database.
    """
    if uri.get_backend_name() == "mongodb":
        params["connect_args"] = {
            "host": MONGODB_URI,
            "database": MONGODB_DATABASE,
            "serverSelectionTimeoutMS": 5000,
            "appname": "airqino-superset",
        }
    return uri, params


def days_ago(days: int = 0) -> str:
    """Return the day (UTC) so many days ago, as the documents write it."""
    return f"{datetime.now(UTC) - timedelta(days=days):%Y-%m-%d}"


@cachetools.cached(cachetools.TTLCache(1, ttl=60), lock=threading.Lock())
def stations_by_name() -> dict[str, str]:
    """Return the ids of all stations by their names, in the order of these: the view tells equal names apart."""
    with MongoClient(MONGODB_URI, serverSelectionTimeoutMS=5000, appname="airqino-superset") as client:
        rows = client[MONGODB_DATABASE].station_names.find().sort("station_name", 1)
        return {row["station_name"]: row["station"] for row in rows}


def station_ids(chosen: list[str], most: int = 0) -> str:
    """Ids of stations as SQL writes them in a list: by an id, not by a name, MongoDB finds documents by an index.

    Args:
        chosen: The names in the filter; one that no station has any more finds nothing.
        most: How many to show where none is chosen, the first by name: hundreds of lines say nothing.
    """
    stations = stations_by_name()
    if not stations.keys() >= {*chosen}:  # one that came or was renamed just now
        stations_by_name.cache.clear()
        stations = stations_by_name()
    ids = [stations.get(name, "") for name in chosen or list(stations)[:most]]
    return quoted(ids)


def quoted(values: Iterable[str]) -> str:
    """Texts as SQL writes them in a list: ``x IN ({{ quoted(values) }})``; for none, a text that nothing is called."""
    return ", ".join("'" + value.replace("'", "''") + "'" for value in values) or "''"


# For the datasets' inner SELECTs, which are read whole: they name what they need.
JINJA_CONTEXT_ADDONS = {"days_ago": days_ago, "quoted": quoted, "station_ids": station_ids}

EXTRA_SEQUENTIAL_COLOR_SCHEMES = colours.schemes()
EXTRA_CATEGORICAL_COLOR_SCHEMES = colours.categories()

FEATURE_FLAGS = {
    "ENABLE_TEMPLATE_PROCESSING": True,
    # A dashboard's roles open it (roles.py); only for readers who have not logged in.
    "DASHBOARD_RBAC": ANONYMOUS,
    "DRILL_BY": False,
    "DRILL_TO_DETAIL": True,
    # The account is shared: nobody changes it.
    "MENU_HIDE_USER_INFO": True,
}

# New data come once an hour. An open dashboard asks every 15 minutes, and takes what another reader got in the last
# five: new data show up at most 20 minutes after the hourly run, and MongoDB is asked once, however many are reading.
_SECONDS = int(os.environ.get("SUPERSET_CACHE_SECONDS") or 300)
REDIS_URL = os.environ.get("SUPERSET_REDIS_URL") or ""


def _cache(name: str, seconds: int = 60) -> dict[str, Any]:
    """Return one cache's settings: a part of the cache server, or a folder of files."""
    if REDIS_URL:
        place = {"CACHE_TYPE": "RedisCache", "CACHE_REDIS_URL": REDIS_URL, "CACHE_KEY_PREFIX": f"superset:{name}:"}
    else:
        place = {"CACHE_TYPE": "FileSystemCache", "CACHE_DIR": f"{_STATE}/cache/{name}", "CACHE_THRESHOLD": 2000}
    return {**place, "CACHE_DEFAULT_TIMEOUT": seconds}


DATA_CACHE_CONFIG = _cache("data", _SECONDS)
CACHE_CONFIG = _cache("metadata")
FILTER_STATE_CACHE_CONFIG = _cache("filters", 7 * 86_400)
EXPLORE_FORM_DATA_CACHE_CONFIG = _cache("explore", 86_400)
DASHBOARD_AUTO_REFRESH_MODE = "fetch"
# What the filter of the step offers: day, week and month; and the hour, which charts use.
TIME_GRAIN_DENYLIST = [
    *("PT1S", "PT5S", "PT30S", "PT1M", "PT5M", "PT10M", "PT15M", "PT30M", "PT0.5H", "PT6H", "P3M", "P1Y"),
    *("1969-12-28T00:00:00Z/P1W", "1969-12-29T00:00:00Z/P1W"),
    *("P1W/1970-01-03T00:00:00Z", "P1W/1970-01-04T00:00:00Z"),
]
# A week begins on Monday.
TIME_GRAIN_ADDON_EXPRESSIONS = {"mongodb": {"P1W": "DATETIME({col}, 'start of day', 'weekday 0', '-6 days')"}}
# No picture of Superset's before each page's name, and no font to wait for.
_DOT = "%3Ccircle cx='4' cy='4' r='4' fill='%236fafd2'/%3E"
_ICON = f"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'%3E{_DOT}%3C/svg%3E"
FAVICONS = [{"href": _ICON, "type": "image/svg+xml"}]
_FONT = {"fontFamily": "system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif"}
THEME_DEFAULT = {**THEME_DEFAULT, "token": {**THEME_DEFAULT["token"], **_FONT}}
THEME_DARK = {**THEME_DEFAULT, "algorithm": "dark"}
# The default of 50,000 would cut a year of days of 200 stations.
ROW_LIMIT = 250_000
SQL_MAX_ROW = 250_000

# The role's rights are set by roles.py, and taken away by it. Without the setting nobody has the role.
PUBLIC_ROLE_LIKE = None
AUTH_ROLE_PUBLIC = "Public" if ANONYMOUS else ""
CUSTOM_SECURITY_MANAGER = anonymous.SecurityManager
WTF_CSRF_ENABLED = True
# Bytes of a request: the largest is a bundle that an admin imports by hand.
MAX_CONTENT_LENGTH = 2_000_000
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = _HTTPS
ENABLE_PROXY_FIX = _HTTPS
PERMANENT_SESSION_LIFETIME = timedelta(days=7)
RATELIMIT_STORAGE_URI = REDIS_URL or "memory://"

# No request leaves for another host: no tiles, no fonts, no frames, no usage pixel.
TALISMAN_ENABLED = True
TALISMAN_CONFIG = {
    "content_security_policy": {
        "base-uri": ["'self'"],
        "default-src": ["'self'"],
        "img-src": ["'self'", "blob:", "data:"],
        "worker-src": ["'self'", "blob:"],
        "connect-src": ["'self'"],
        "object-src": "'none'",
        "style-src": ["'self'", "'unsafe-inline'"],
        "script-src": ["'self'", "'strict-dynamic'"],
        "frame-ancestors": ["'self'"],
    },
    "content_security_policy_nonce_in": ["script-src"],
    "force_https": False,
    "session_cookie_secure": _HTTPS,
    "strict_transport_security": _HTTPS,
}

LANGUAGES = {"en": {"flag": "gb", "name": "English"}, "fr": {"flag": "fr", "name": "Français"}}
BABEL_DEFAULT_LOCALE = language.DEFAULT or "en"
BABEL_TRANSLATION_DIRECTORIES = f"translations;{language.write_catalogue(_STATE)}"
COMMON_BOOTSTRAP_OVERRIDES_FUNC = language.formats


def FLASK_APP_MUTATOR(app: Any) -> None:  # noqa: N802
    """Answer some requests before Superset does."""
    site_views.register(app, _STATE, ANONYMOUS, (MONGODB_URI, MONGODB_DATABASE))


APP_NAME = "Air quality"
LOG_LEVEL = os.environ.get("SUPERSET_LOG_LEVEL", "WARNING")
