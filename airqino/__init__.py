"""The AirQino library: read stations' answers, check readings, average them, forecast them, and store them.

It knows no Luigi and no settings file, and importing a part of it loads only what that part uses. `airqino.read` brings
days, hours, forecasts or changes into a data frame.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airqino.opendata.frames import read as read

__all__ = ["read"]


def __getattr__(name: str) -> Any:
    """Import `read`, with pandas, when it is first asked for."""
    if name == "read":
        from airqino.opendata.frames import read

        return read
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
