"""The air now, written into the page itself: on a slow line Superset's code takes many seconds before it asks."""

import threading
from html import escape
from typing import Any

import cachetools
import colours
import generate
import mongodb_sql
from jinja2 import Environment
from mongodb_sql import Error
from texts import Texts, read_source

__all__ = ["air_now"]

#: So many stations, the worst first: a phone shows no more at once.
_MOST = 6
_STYLE = """<style>
#first { padding: 16px 24px; font-family: system-ui, sans-serif; }
#first ul { list-style: none; margin: 0; padding: 0; }
#first li { display: flex; flex-wrap: wrap; gap: 4px 16px; align-items: center; padding: 6px 0; }
#first strong { font-size: 30px; } #first span { padding: 4px 12px; border-radius: 6px; font-weight: 600; }
body:has([data-test="slice-container"] tbody td) #first { display: none; }
</style>"""


@cachetools.cached(cachetools.TTLCache(2, ttl=60), lock=threading.Lock())
def air_now(language: str, host: str, database: str) -> str:
    """Return the first rows of the chart "The air now" as HTML, which goes as soon as a chart is drawn.

    Args:
        language: One of `generate.LANGUAGES`.
        host: MongoDB's URI.
        database: Its database.

    Returns:
        HTML; "" where MongoDB does not answer: the charts then say why.
    """
    texts = Texts(language, read_source()["glossary"])
    try:
        rows = _rows(language, texts, host, database)
    except Error:
        return ""
    items = "".join(f"<li>{_item(row, texts)}</li>" for row in rows)
    title = escape(f"{texts('The air now')} – {texts('PM2.5')}")
    return f'<div id="first">{_STYLE}<p>{title}</p><ul>{items}</ul></div>'


def _rows(language: str, texts: Texts, host: str, database: str) -> list[tuple[Any, ...]]:
    dataset = generate.bundle(language)[f"datasets/MongoDB/station_now_{language}.yaml"]
    inner = Environment(autoescape=False).from_string(dataset["sql"]).render(filter_values=lambda *_, **__: [])
    told = {column["column_name"]: column["expression"] for column in dataset["columns"]}
    columns = ", ".join(f"({told[name]}) AS {name}" for name in ("now", "level", "age"))
    pollutant = texts("PM2.5")
    cursor = mongodb_sql.connect(host, database, serverSelectionTimeoutMS=2000).cursor()
    cursor.execute(
        f"SELECT station_name, {columns} FROM ({inner}) AS rows_now WHERE pollutant = '{pollutant}' "
        f"ORDER BY worst DESC, station_name LIMIT {_MOST}"
    )
    return list(cursor.fetchall())


def _item(row: tuple[Any, ...], texts: Texts) -> str:
    name, now, level, age = (escape(f"{cell}") for cell in row)
    colour = {texts(word): colour for word, colour in colours.LEVELS.items()}.get(row[2], "transparent")
    ink = "#fff" if colour in ("#a3243b", "#43123f") else "#16202a"
    badge = f'<span style="background:{colour};color:{ink}">{level}</span>' if level.strip("–") else ""
    return f"<b>{name}</b> <strong>{now}</strong> {badge} <small>{age}</small>"
