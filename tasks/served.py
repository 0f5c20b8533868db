"""What is served to the public now, by the record that lies in each release."""

import contextlib
import json
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from airqino.errors import ConfigError
from airqino.stores import files, releases
from airqino.times import format_hour, parse_hour
from tasks.settings.reading import settings

__all__ = ["Served", "record", "served"]

#: Not for the public, and no harm in it.
_RECORD = ".published.json"


class Served(NamedTuple):
    """A release.

    Attributes:
        hour: The page's hour.
        inputs: Fingerprint of all that page and data were made of.
    """

    hour: datetime
    inputs: str


def record(release: Path, of: Served) -> None:
    """Write down what a release is.

    Raises:
        StagingError: The file cannot be written.
    """
    content = {"hour": format_hour(of.hour), "inputs": of.inputs}
    files.write(release / _RECORD, json.dumps(content).encode())


def served() -> Served | None:
    """Return the release that is served; None where there is none, no folder is named, or nobody can tell."""
    if not settings().publish.root:
        return None
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError, ConfigError):
        content = json.loads((releases.live(settings().publish.path) / _RECORD).read_bytes())
        return Served(parse_hour(content["hour"]), content["inputs"])
    return None
