"""The colours: of the levels, of each station and what is drawn of it, of a day's completeness.

Superset gives colours by name, and would give a forecast another colour than its station; and it stretches a scale over
whatever is shown, so that the worst of clean days would be as red as a day of smoke.
"""

import colorsys
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["LEVELS", "PALETTE", "categories", "of_names", "of_stations", "schemes"]

#: The levels of the European Air Quality Index and their colours: those of the public page, told apart by colour-blind
#: readers too.
LEVELS: Mapping[str, str] = {
    "good": "#c3e1f5",
    "fair": "#6fafd2",
    "moderate": "#f4c63d",
    "poor": "#e0762a",
    "very poor": "#a3243b",
    "extremely poor": "#43123f",
}
_NOTHING = "#9e9e9e"
_COAST = "#b9cdd8"
#: Upper ends of the index's bands of hourly values, µg/m³ (European Environment Agency, ETC HE Report 2024/17).
_BANDS: Mapping[str, Sequence[int]] = {
    "pm2_5": (5, 15, 50, 90, 140),
    "pm10": (15, 45, 120, 195, 270),
    "no2": (10, 25, 60, 100, 150),
    "o3": (60, 100, 120, 160, 180),
}
#: Colours of a scale for each µg/m³: a value that is rounded to a tenth never lies between two levels.
_PER_UNIT = 10

#: Told apart by colour-blind readers too; after Okabe and Ito (2008), "Color Universal Design". Black and yellow are
#: left out: too close to text and background.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
#: Degrees between the hues of further stations: the golden angle never comes back to one.
_GOLDEN_ANGLE = 137.508

#: What follows a station's name in the charts' series → how far its colour goes towards white (or, below 0, black).
_SERIES: Mapping[str, float] = {
    "": 0,
    "__yhat": 0,
    "__yhat_lower": 0,
    "__yhat_upper": 0,
    ", fewer than 18 h": 0.5,
    ", suspect": 0.75,
    ", provisional": -0.5,
    ", some hours too low to measure": 0.25,
    ", provisional, some hours too low to measure": -0.25,
}


def of_stations(stations: Sequence[str], texts: Any) -> dict[str, str]:
    """Return the colour of each series of each station, by the series' name; no two stations share one."""
    return {
        f"{station}{texts(series) if series.startswith(',') else series}": _mix(_colour(number), share)
        for number, station in enumerate(sorted(stations))
        for series, share in _SERIES.items()
    }


def _colour(number: int) -> str:
    """Return the colour of a station: the palette's, then hues between them, lighter and darker by turns."""
    if number < len(PALETTE):
        return PALETTE[number]
    hue = number * _GOLDEN_ANGLE % 360 / 360
    lightness, saturation = ((0.35, 0.75), (0.5, 0.55), (0.42, 0.9))[number % 3]
    return "#" + "".join(f"{round(255 * part):02x}" for part in colorsys.hls_to_rgb(hue, lightness, saturation))


#: What is right, in doubt and wrong; and the pollutants.
_RIGHT, _DOUBT, _WRONG = "#2f6f93", "#e69f00", "#a3243b"
_NAMED: Mapping[str, str] = {
    **{"no recent reading": _NOTHING, "no reading": _NOTHING, "coast and lagoon": _COAST},
    **{"Received": _RIGHT, "No row at the source": _DOUBT, "Request failed": _WRONG},
    **{"suspect (3): counts": _DOUBT, "failed (4): left out": _WRONG},
    **{"CO at the floor": _WRONG, "Fine particles in humid air": _RIGHT},
    **{"Mean chance told, %": _RIGHT, "Days that exceeded, %": _DOUBT, "Number of days": _NOTHING},
    **dict(zip(("PM2.5", "PM10", "NO2", "O3", "CO"), PALETTE, strict=False)),
}


def of_names(texts: Any) -> dict[str, str]:
    """Return the colours of the levels, and of what else has a meaning, by its name."""
    return {texts(name): colour for name, colour in {**LEVELS, **_NAMED}.items()} | {" ": "#ffffff"}


def categories() -> list[dict[str, Any]]:
    """Return the scale of what has no colour of its own, such as a station that came after the last import."""
    return [_scheme("airqino", [_colour(number) for number in range(24)])]


def schemes() -> list[dict[str, Any]]:
    """Return the scales of colours for Superset, which spreads each evenly over the bounds that a chart gives.

    Of the levels of a pollutant, a colour for each tenth of a µg/m³, from 0 to a tenth above the highest band but one,
    flat within each level; what lies above has the last colour. Of completeness, from pale to dark, from 0 to 100 %.
    """
    found = []
    for pollutant, bands in _BANDS.items():
        *below, above = LEVELS.values()
        colours = [below[0]]
        for bottom, top, colour in zip((0, *bands), bands, below, strict=False):
            colours += [colour] * ((top - bottom) * _PER_UNIT)
        found.append(_scheme(f"levels_{pollutant}", [*colours, above]))
    return [*found, _scheme("completeness", ["#f4e3d7", "#f0b48a", "#8fb8cc", "#2f6f93", "#0c3545"])]


def _scheme(name: str, colours: Sequence[str]) -> dict[str, Any]:
    return {"id": name, "label": name, "description": "", "isDiverging": False, "colors": [*colours]}


def _mix(colour: str, share: float) -> str:
    """Mix a colour with white, or with black where the share is below 0."""
    other, share = (255, share) if share >= 0 else (0, -share)
    parts = [round(int(colour[i : i + 2], 16) * (1 - share) + other * share) for i in (1, 3, 5)]
    return "#" + "".join(f"{part:02x}" for part in parts)
