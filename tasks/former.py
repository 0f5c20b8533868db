"""The loads of 0.2 and before: their keys named the stations, so that a rename loaded everything again.

What was loaded then stays loaded. `LoadStations` keeps how stations were called when it first ran, and the keys of then
are computed from that, whatever the stations are called since.
"""

from typing import Any

from msgspec import Struct

from tasks import targets
from tasks.settings.reading import Settings
from tasks.stations import station_name

__all__ = ["VERSION", "called", "then"]

#: The version of the documents of then, as the keys hold it.
VERSION = 2


class Station(Struct, frozen=True, kw_only=True):
    """The settings of a station as the keys hold them: exactly these fields, under this name, in this order."""

    name: str
    latitude: float | None
    longitude: float | None
    time_zone: str
    valid_from: str
    valid_to: str


def called(config: Settings) -> dict[str, Any]:
    """Return what the keys of then hold of the stations as they are configured now: `stations` and `names`."""
    stations = config.airqino.stations
    fields = Station.__struct_fields__
    settings = [(s, Station(**{name: getattr(config.station(s), name) for name in fields})) for s in stations]
    return {"stations": repr(settings), "names": [station_name(s, config) for s in stations]}


def then(config: Settings) -> dict[str, Any]:
    """Return the same as it was when `LoadStations` first ran; as it is now where it never did."""
    record = targets.LoadTarget("stations").record()
    return dict(record["former"]) if record else called(config)
