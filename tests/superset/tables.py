"""What the expectations of all charts share: texts of both languages, and the shapes of Superset's answers."""

from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from tests.superset.raw import LABELS, Data

Table = list[dict[str, Any]]

_GLOSSARY = Path(__file__).resolve().parents[2] / "dashboards/superset/source/glossary.yaml"
_NO_BREAK, _NARROW = "\u00a0", "\u202f"
_MONTHS = {
    "en": ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"],
    "fr": ["janv.", "févr.", "mars", "avr.", "mai", "juin", "juil.", "août", "sept.", "oct.", "nov.", "déc."],
}
_WEEKDAYS = {
    "en": ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"],
    "fr": ["lun.", "mar.", "mer.", "jeu.", "ven.", "sam.", "dim."],
}


class Ordered(list[dict[str, Any]]):
    """A table whose rows must come in this order."""


@cache
def glossary() -> dict[str, str]:
    """English text → French text."""
    return dict(yaml.safe_load(_GLOSSARY.read_text(encoding="utf-8")))


def say(lang: str, text: str) -> str:
    """A text of the dashboards in a language."""
    return text if lang == "en" else glossary()[text]


def label(lang: str, pollutant: str) -> str:
    """What a pollutant is called."""
    return "PM2,5" if (pollutant, lang) == ("pm2_5", "fr") else LABELS[pollutant]


def digits(pollutant: str) -> int:
    """Decimals that a sensor can tell."""
    return 2 if pollutant == "co" else 1


def number(lang: str, amount: float, decimals: int) -> str:
    """A number, rounded as people do: 39.15 is 39.2."""
    text = f"{Decimal(f'{amount:.15g}').quantize(Decimal(10) ** -decimals, ROUND_HALF_UP):,f}"
    if not float(text.replace(",", "")):
        text = text.removeprefix("-")
    whole, _, rest = text.partition(".")
    return text if lang == "en" else whole.replace(",", _NARROW) + (f",{rest}" if rest else "")


def shown(lang: str, amount: float, pollutant: str) -> str:
    """A concentration as it is written: of CO, which has a floor, never as nothing."""
    if pollutant == "co" and amount < 0.005:
        return f"<{_NO_BREAK}{number(lang, 0.01, 2)}"
    return number(lang, amount, digits(pollutant))


def clock(lang: str, at: Any) -> str:
    """A time of day: 14:05, 14 h 05; 14:00, 14 h."""
    if lang == "en":
        return f"{at:%H:%M}"
    return f"{at.hour}{_NO_BREAK}h" + (f"{_NO_BREAK}{at:%M}" if at.minute else "")


def day_and_month(lang: str, at: Any) -> str:
    """A day of the year: 1 Nov, 1er nov."""
    first = "er" if (lang, at.day) == ("fr", 1) else ""
    return f"{at.day}{first}{_space(lang)}{_MONTHS[lang][at.month - 1]}"


def at_hour(lang: str, at: Any) -> str:
    """A day and a time: 26 Nov, 14:00; 26 nov., 14 h."""
    return f"{day_and_month(lang, at)},{_space(lang)}{clock(lang, at)}"


def on_date(lang: str, at: Any) -> str:
    """A day with its year: 26 Nov 2026."""
    return f"{day_and_month(lang, at)}{_space(lang)}{at.year}"


def weekday(lang: str, day: int) -> str:
    """Monday is 0; the blanks before the name make the chart's order."""
    return " " * day + _WEEKDAYS[lang][day]


def _space(lang: str) -> str:
    return _NO_BREAK if lang == "fr" else " "


def nothing(amount: Any) -> bool:
    """Whether there is no amount."""
    return amount is None or bool(np.isnan(amount))


def read(data: Data, collection: str) -> pd.DataFrame:
    """A collection as a data frame, each document with the present name of its station."""
    frame = pd.DataFrame(list(data.db[collection].find()))
    if "station" in frame:
        frame["station_name"] = frame["station"].map(data.names)
    return frame


def millis(moments: pd.Series) -> pd.Series:
    """Times as charts have them."""
    return pd.to_datetime(moments, utc=True).map(lambda moment: moment.timestamp() * 1000)


def wide_table(frame: pd.DataFrame, x: str, series: str, y: str, step: str | None) -> Table:
    """Rows by x, a column for each series, gaps filled up with empty rows."""
    wide = frame.pivot(index=x, columns=series, values=y).sort_index()
    if step:
        wide = wide.set_index(pd.to_datetime(wide.index, utc=True)).asfreq(step)
    wide.index = pd.Index(millis(pd.Series(wide.index)), name=x)
    return wide.reset_index().to_dict("records")
