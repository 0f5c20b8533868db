"""The dashboards as files: import them into Superset, export them from it, so that both are the same again.

Superset's own commands do the work. Its export names files by row number and writes row numbers of its database into
the dashboards; `normalise` replaces them with numbers that are the same in every installation.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import colours
import yaml

__all__ = ["FOLDER", "export_bundle", "import_bundle", "normalise", "read"]

FOLDER = Path(__file__).parent / "bundle"

_METADATA = {"version": "1.0.0", "type": "assets", "timestamp": "2026-01-01T00:00:00+00:00"}
#: What the bundle says of the database; the real one comes from the environment (superset_config.py).
_URI = "mongodb://127.0.0.1:27017/air_quality?mode=dashboard"
#: Written by Superset for its own use, made anew at import or when a dashboard opens.
_DERIVED = ("chart_configuration", "global_chart_configuration", "map_label_colors", "import_time", "chartsInScope")


def read(folder: Path = FOLDER) -> dict[str, str]:
    """Return the bundle's files: path inside the bundle → text."""
    return {f"{path.relative_to(folder)}": path.read_text() for path in sorted(folder.rglob("*.yaml"))}


def import_bundle(stations: Sequence[str] = (), folder: Path = FOLDER) -> None:
    """Bring the bundle into Superset's database; objects already there (by UUID) are overwritten.

    Args:
        stations: Names of the stations, each to have its colour in every chart.
        folder: The bundle.
    """
    from superset.commands.importers.v1.assets import ImportAssetsCommand

    files = read(folder)
    for name in files:
        if name.startswith("dashboards/"):
            dashboard = yaml.safe_load(files[name])
            dashboard["metadata"]["label_colors"].update(colours.of_stations(stations))
            files[name] = _text(dashboard)
    ImportAssetsCommand(files).run()


def export_bundle(folder: Path = FOLDER) -> list[str]:
    """Write the bundle from Superset's database.

    Returns:
        The files that changed, are new or gone.
    """
    from superset.commands.dashboard.export import ExportDashboardsCommand
    from superset.extensions import db
    from superset.models.dashboard import Dashboard

    known = {yaml.safe_load(text).get("uuid") for name, text in read(folder).items() if name.startswith("dashboards/")}
    wanted = [d.id for d in db.session.query(Dashboard) if not known or f"{d.uuid}" in known]
    exported = {name: content() for name, content in ExportDashboardsCommand(wanted).run()}
    files, before = normalise(exported), read(folder)
    for gone in before.keys() - files.keys():
        (folder / gone).unlink()
    for name, text in files.items():
        if before.get(name) != text:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
    return sorted(name for name in before.keys() | files.keys() if before.get(name) != files.get(name))


def normalise(exported: Mapping[str, str]) -> dict[str, str]:
    """Make an export the same wherever it comes from: file names without row numbers, charts numbered by place.

    Args:
        exported: Superset's export: path → YAML text.

    Returns:
        The bundle's files: path → YAML text.
    """
    documents = {_name(name): yaml.safe_load(text) for name, text in exported.items()}
    documents["metadata.yaml"] = _METADATA
    for name, document in documents.items():
        kind = name.partition("/")[0]
        if kind == "databases":
            document["sqlalchemy_uri"] = _URI
        elif kind == "datasets":
            document["columns"].sort(key=lambda column: (bool(column["expression"]), column["column_name"]))
            document["metrics"].sort(key=lambda metric: metric["metric_name"])
        elif kind == "charts":
            for key in ("datasource", "slice_id", "dashboards"):
                document["params"].pop(key, None)
            document["params"] = dict(sorted(document["params"].items()))
        elif kind == "dashboards":
            _renumber(document)
    return {name: _text(document) for name, document in sorted(documents.items())}


def _name(path: str) -> str:
    """``x/charts/Daily_mean_CO_12.yaml`` → ``charts/daily_mean_co.yaml``."""
    path = re.sub(r"^[^/]*export[^/]*/", "", path)
    folder, _, file = path.rpartition("/")
    stem = file.removesuffix(".yaml")
    if folder not in ("", "databases"):
        stem = re.sub(r"[^a-z0-9]+", "_", re.sub(r"_\d+$", "", stem).lower()).strip("_")
    return f"{folder}/{stem}.yaml" if folder else f"{stem}.yaml"


def _renumber(dashboard: dict[str, Any]) -> None:
    """Give the charts the numbers 1, 2, … by their place in the dashboard."""
    position, metadata = dashboard["position"], dashboard["metadata"]
    charts = [item["meta"] for item in _in_order(position, "ROOT_ID") if item["type"] == "CHART"]
    numbers = {meta["chartId"]: number for number, meta in enumerate(charts, 1)}
    for meta in charts:
        meta["chartId"] = numbers[meta["chartId"]]
    for key in _DERIVED:
        metadata.pop(key, None)
    metadata["label_colors"] = colours.without_stations(metadata.get("label_colors") or {})
    for native in metadata.get("native_filter_configuration", []):
        for key in ("chartsInScope", "tabsInScope"):
            native.pop(key, None)
        native["scope"]["excluded"] = sorted(numbers[i] for i in native["scope"]["excluded"] if i in numbers)
    dashboard["position"] = dict(sorted(position.items()))
    dashboard["metadata"] = dict(sorted(metadata.items()))


def _in_order(position: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    item = position[key]
    return [item, *(below for child in item.get("children", []) for below in _in_order(position, child))]


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, so that a change in one shows as one."""


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)


def _text(document: Any) -> str:
    plain = json.loads(json.dumps(document, default=str))
    return yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
