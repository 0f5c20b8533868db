"""Superset's settings for the two air-quality dashboards. Every secret comes from the environment.

SUPERSET_SECRET_KEY     signs the sessions and encrypts what Superset stores (`scripts/superset up` makes one)
SUPERSET_MONGODB_URI    a MongoDB user that can only read; default: MONGODB_URI
MONGODB_DATABASE        default: air_quality
SUPERSET_STATE          folder of Superset's own database and cache (`scripts/superset` sets it)
SUPERSET_HTTPS          1 behind a TLS proxy: cookies are then sent over HTTPS only
"""

import os
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cachetools
from pymongo import MongoClient

sys.path.insert(0, str(Path(__file__).parent))

import colours
import mongodb_sqlite

mongodb_sqlite.register()

_STATE = Path(os.environ["SUPERSET_STATE"]).resolve()
_HTTPS = os.environ.get("SUPERSET_HTTPS") == "1"

MONGODB_URI = os.environ.get("SUPERSET_MONGODB_URI") or os.environ.get("MONGODB_URI") or "mongodb://127.0.0.1:27017"
MONGODB_DATABASE = os.environ.get("MONGODB_DATABASE") or "air_quality"

SECRET_KEY = os.environ["SUPERSET_SECRET_KEY"]
SQLALCHEMY_DATABASE_URI = f"sqlite:///{_STATE}/superset.db?check_same_thread=false"
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
            "mode": mongodb_sqlite.MODE,
            "database": MONGODB_DATABASE,
            "serverSelectionTimeoutMS": 5000,
            "appname": "airqino-superset",
        }
    return uri, params


def days_ago(days: int = 0) -> str:
    """Return the day (UTC) so many days ago, as the documents write it."""
    return f"{datetime.now(UTC) - timedelta(days=days):%Y-%m-%d}"


@cachetools.cached(cachetools.TTLCache(1, ttl=60), lock=threading.Lock())
def _stations() -> dict[str, str]:
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
    stations = _stations()
    ids = [stations.get(name, "") for name in chosen or list(stations)[:most]]
    return ", ".join("'" + station.replace("'", "''") + "'" for station in ids) or "''"


# For the datasets' inner SELECTs, which are read whole: they name what they need.
JINJA_CONTEXT_ADDONS = {"days_ago": days_ago, "station_ids": station_ids}

EXTRA_SEQUENTIAL_COLOR_SCHEMES = [colours.pm2_5_scheme()]

FEATURE_FLAGS = {
    "ENABLE_TEMPLATE_PROCESSING": True,
    "DASHBOARD_RBAC": False,
    "DRILL_BY": False,
    "DRILL_TO_DETAIL": False,
}

# New data comes once an hour: a minute's cache makes a busy dashboard fast and never stale.
_CACHE = {"CACHE_TYPE": "FileSystemCache", "CACHE_DEFAULT_TIMEOUT": 60, "CACHE_THRESHOLD": 2000}
DATA_CACHE_CONFIG = {**_CACHE, "CACHE_DIR": f"{_STATE}/cache/data"}
CACHE_CONFIG = {**_CACHE, "CACHE_DIR": f"{_STATE}/cache/metadata"}
FILTER_STATE_CACHE_CONFIG = {**_CACHE, "CACHE_DIR": f"{_STATE}/cache/filters", "CACHE_DEFAULT_TIMEOUT": 7 * 86_400}
EXPLORE_FORM_DATA_CACHE_CONFIG = {**_CACHE, "CACHE_DIR": f"{_STATE}/cache/explore", "CACHE_DEFAULT_TIMEOUT": 86_400}
# A refresh asks MongoDB, not the cache: what the next hourly run loaded shows up.
DASHBOARD_AUTO_REFRESH_MODE = "force"
# The default of 50,000 would cut a year of days of 200 stations.
ROW_LIMIT = 250_000
SQL_MAX_ROW = 250_000

PUBLIC_ROLE_LIKE = None
AUTH_ROLE_PUBLIC = "Public"
WTF_CSRF_ENABLED = True
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = _HTTPS
ENABLE_PROXY_FIX = _HTTPS
PERMANENT_SESSION_LIFETIME = timedelta(days=7)
RATELIMIT_STORAGE_URI = "memory://"

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
BABEL_DEFAULT_LOCALE = os.environ.get("SUPERSET_LOCALE", "en")
APP_NAME = "Air quality"
LOG_LEVEL = os.environ.get("SUPERSET_LOG_LEVEL", "WARNING")
