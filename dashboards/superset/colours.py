"""One colour for each station, its line, its forecast and band, its marked days; and one for each level of PM2.5.

Superset gives colours by name, and would give a forecast another colour than its station; and it stretches a scale over
whatever is shown, so that the worst of clean days would be as red as a day of smoke.
"""

from collections.abc import Mapping, Sequence

__all__ = ["of_stations", "pm2_5_scheme", "without_stations"]

#: Top of each level of a day's PM2.5, µg/m³, and its colour, on the map and in the calendar: the guideline of the WHO
#: (2021) for 24 hours, then its interim targets 4, 2 and 1.
_LEVELS: Sequence[tuple[int, str]] = ((15, "#2e8b57"), (25, "#e6b800"), (50, "#e67e22"), (75, "#c0392b"))
_ABOVE = "#7b1fa2"
#: How far the lowest values of a level go towards white.
_PALEST = 0.6

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
    ", suspect": 0.75,
    ", provisional": -0.5,
    ", some hours too low to measure": 0.25,
    ", provisional, some hours too low to measure": -0.25,
}


def of_stations(stations: Sequence[str]) -> dict[str, str]:
    """Return the colour of each series of each station, by the series' name."""
    return {
        f"{station}{series}": _mix(_PALETTE[number % len(_PALETTE)], share)
        for number, station in enumerate(sorted(stations))
        for series, share in _SERIES.items()
    }


def pm2_5_scheme() -> dict[str, object]:
    """Return the levels as a colour scale of Superset, from 0 to 75 µg/m³, each level from pale to full.

    Superset spreads the colours evenly, here one every half a µg/m³; what lies above 75 has the last one.
    """
    colours, bottom = [_mix(_LEVELS[0][1], _PALEST)], 0
    for top, colour in _LEVELS:
        halves = range(2 * bottom + 1, 2 * top + 1)
        colours += [_mix(colour, _PALEST * (2 * top - half) / (2 * top - 2 * bottom)) for half in halves]
        bottom = top
    return {
        "id": "pm2_5_levels",
        "label": "PM2.5, 0 to 75 µg/m³",
        "description": "Levels of the daily mean by the WHO guideline and its interim targets",
        "isDiverging": False,
        "colors": [*colours[:-1], _ABOVE],
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
