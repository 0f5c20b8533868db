"""One colour for each station: its line, its forecast and band, its marked days.

Superset gives colours by name, and would give a forecast another colour than its station.
"""

from collections.abc import Mapping, Sequence

__all__ = ["of_stations", "without_stations"]

#: Told apart by colour-blind readers too; after Okabe and Ito (2008), "Color Universal Design". Black and yellow are
#: left out: too close to text and background.
_PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")

#: What follows a station's name in the charts' series → how far its colour goes towards white (or, below 0, black).
_SERIES: Mapping[str, float] = {
    "": 0,
    "__yhat": 0,
    "__yhat_lower": 0,
    "__yhat_upper": 0,
    ", not valid (< 18 h)": 0.5,
    ", provisional": -0.5,
}


def of_stations(stations: Sequence[str]) -> dict[str, str]:
    """Return the colour of each series of each station, by the series' name."""
    return {
        f"{station}{series}": _mix(_PALETTE[number % len(_PALETTE)], share)
        for number, station in enumerate(sorted(stations))
        for series, share in _SERIES.items()
    }


def without_stations(colours: Mapping[str, str]) -> dict[str, str]:
    """Return the colours that are not a station's."""
    stations = {name.removesuffix("__yhat") for name in colours if name.endswith("__yhat")}
    known = of_stations(sorted(stations))
    return {name: colour for name, colour in colours.items() if name not in known}


def _mix(colour: str, share: float) -> str:
    """Mix a colour with white, or with black where the share is below 0."""
    other, share = (255, share) if share >= 0 else (0, -share)
    parts = [round(int(colour[i : i + 2], 16) * (1 - share) + other * share) for i in (1, 3, 5)]
    return "#" + "".join(f"{part:02x}" for part in parts)
