"""What describes the open data: the stations, the fields, the Frictionless Data Package, and the text for its users."""

import json
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

import pyarrow as pa

from airqino.opendata import guide
from airqino.opendata.about import About
from airqino.opendata.columns import plain
from airqino.opendata.fields import TABLES
from airqino.opendata.formats import as_csv
from airqino.opendata.layout import DataFolder

__all__ = ["described"]

_SOURCE = {"title": "AirQino", "path": "https://airqino-api.magentalab.it"}
#: Frictionless Data Package, version 1: what tools read today.
_PROFILE = "tabular-data-package"


def described(data: DataFolder, about: About) -> Iterator[tuple[Path, bytes]]:
    """Yield each describing file and its content, from what is in the folder; the Data Package last.

    Args:
        data: The open data, as they are now.
        about: What is said of them.
    """
    yield data.locations, as_csv(_stations(about), TABLES["stations"])
    for name, table in TABLES.items():
        yield data.schema(name), _json(table.described())
    yield data.guide, guide.text(about).encode()
    package = _package(data, about)
    yield data.package, _json(package)
    yield data.index, _index(package).encode()


def _index(package: Mapping[str, Any]) -> str:
    """Return a list of the files for people: a web server, or a bucket, may have none of its own."""
    rows = []
    for of in package["resources"]:
        twin = of["path"].removesuffix("csv") + "parquet"
        other = "" if of["name"] == "stations" else f' · <a href="{escape(twin)}">Parquet</a>'
        rows.append(f'<li>{escape(of["title"])}: <a href="{escape(of["path"])}">CSV</a>{other}</li>')
    title = escape(package["title"])
    guide = '<a href="README.md">Lisez-moi · Read me</a>, <a href="datapackage.json">datapackage.json</a>'
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}<title>{title}</title></head>\n<body><h1>{title}</h1>\n'
        f"<p>{guide}</p>\n<ul>\n" + "\n".join(rows) + "\n</ul></body></html>\n"
    )


def _stations(about: About) -> pa.Table:
    rows = [
        {
            "location_id": station,
            "location": plain(of.name),
            "latitude": of.latitude,
            "longitude": of.longitude,
            "timezone": of.time_zone,
        }
        for station, of in sorted(about.locations.items())
    ]
    return pa.Table.from_pylist(rows, TABLES["stations"].schema)


def _package(data: DataFolder, about: About) -> dict[str, Any]:
    publisher = {"title": about.publisher, "path": about.homepage, "email": about.contact, "role": "publisher"}
    licence = about.licence
    named = {
        "profile": _PROFILE,
        "name": "air-quality",
        "title": guide.title(about),
        "description": guide.DESCRIPTION,
        "homepage": about.homepage,
        "licenses": [{"name": licence.name, "title": licence.title, "path": licence.path}] if licence else [],
        "contributors": [{name: text for name, text in publisher.items() if text}] if about.publisher else [],
        "sources": [_SOURCE],
        "keywords": [
            "air quality",
            "qualité de l’air",
            "PM2.5",
            "low-cost sensors",
            *([about.place] if about.place else []),
        ],
    }
    return {name: value for name, value in named.items() if value} | {"resources": list(_resources(data, about))}


def _resources(data: DataFolder, about: About) -> Iterator[dict[str, Any]]:
    yield _resource(data, "stations", "stations", data.locations, "Stations")
    if data.changes("csv").exists():
        yield _resource(data, "changes", "changes", data.changes("csv"), "Changes")
    for station in data.stations():
        name = about.locations[station].name if station in about.locations else station
        for table, period, path in data.files(station):
            when = period.strftime("%Y" if table == "daily" else "%Y-%m")
            yield _resource(data, f"{station}-{table}-{when}", table, path, f"{plain(name)}, {table}, {when}")


def _resource(data: DataFolder, name: str, table: str, path: Path, told: str) -> dict[str, Any]:
    return {
        "name": name,
        "title": told,
        "description": TABLES[table].about,
        "profile": "tabular-data-resource",
        "path": path.relative_to(data.root).as_posix(),
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8",
        "schema": data.schema(table).relative_to(data.root).as_posix(),
    }


def _json(content: Mapping[str, Any]) -> bytes:
    """Write JSON with an item of a list in a line."""

    def text(value: Any) -> str:
        if isinstance(value, list) and value:
            return "[\n  " + ",\n  ".join(json.dumps(item, ensure_ascii=False) for item in value) + "\n ]"
        return json.dumps(value, ensure_ascii=False)

    return (
        "{\n" + ",\n".join(f" {json.dumps(name)}: {text(value)}" for name, value in content.items()) + "\n}\n"
    ).encode()
