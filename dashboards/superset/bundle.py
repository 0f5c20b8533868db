"""The dashboards in Superset: bring the bundles of both languages in, and tell what was changed there since.

Superset's own commands do the work. What they leave out is done here: charts of former bundles go, and the line "now"
is tied to the chart that it is drawn from.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import generate
import yaml
from texts import read_source

__all__ = ["changes", "count", "import_bundles"]

#: Written by Superset for its own use, made anew at import or when a dashboard opens.
_DERIVED = (
    *("chart_configuration", "global_chart_configuration", "map_label_colors", "import_time", "chartsInScope"),
    *("tabsInScope", "slice_id", "datasource", "dashboards", "chartId", "excluded", "uuid", "value"),
)


def _documents(stations: Sequence[str]) -> dict[str, dict[str, Any]]:
    return {
        path: document
        for language in generate.LANGUAGES
        for path, document in generate.bundle(language, stations).items()
    }


def count() -> int:
    """Return the number of objects in the bundles."""
    return len(_documents(())) - 1


def import_bundles(stations: Sequence[str] = ()) -> list[str]:
    """Bring the bundles into Superset's database; objects already there (by UUID) are overwritten.

    Args:
        stations: Names of the stations, each to have its colour in every chart.

    Returns:
        Names of charts and datasets of former bundles that stay because somebody's own dashboard or chart uses them.
    """
    from superset.commands.importers.v1.assets import ImportAssetsCommand

    files = _documents(stations)
    ImportAssetsCommand({path: _text(document) for path, document in files.items()}).run()
    _tie_lines(files)
    return _remove_gone()


def _tie_lines(files: dict[str, dict[str, Any]]) -> None:
    """Give the charts their lines drawn from another chart, which Superset's import takes away, by its number here."""
    from superset.extensions import db
    from superset.models.slice import Slice

    charts = {f"{chart.uuid}": chart for chart in db.session.query(Slice)}
    for path, document in files.items():
        layers = document["params"]["annotation_layers"] if path.startswith("charts/") else []
        if not any(layer["sourceType"] == "table" for layer in layers):
            continue
        for source in (charts[layer["value"]] for layer in layers if layer["sourceType"] == "table"):
            columns = json.loads(source.params)["all_columns"]
            query = {"columns": columns, "metrics": [], "filters": [], "row_limit": 1}
            datasource = {"id": source.datasource_id, "type": "table"}
            asked = {"datasource": datasource, "queries": [query], "result_format": "json", "result_type": "full"}
            source.query_context = json.dumps(asked)
        tied = [layer | ({"value": charts[layer["value"]].id} if layer["sourceType"] else {}) for layer in layers]
        chart = charts[document["uuid"]]
        chart.params = json.dumps(json.loads(chart.params) | {"annotation_layers": tied})
    db.session.commit()


def _remove_gone() -> list[str]:
    """Remove charts and datasets of former bundles that nothing uses any more."""
    from superset.connectors.sqla.models import SqlaTable
    from superset.extensions import db
    from superset.models.slice import Slice

    gone, kept = read_source()["uuids"]["gone"], []
    for chart in db.session.query(Slice).filter(Slice.uuid.in_(gone["chart"])):
        if chart.dashboards:
            kept.append(f"chart {chart.slice_name}")
        else:
            db.session.delete(chart)
    db.session.commit()
    for dataset in db.session.query(SqlaTable).filter(SqlaTable.uuid.in_(gone["dataset"])):
        if db.session.query(Slice).filter_by(datasource_id=dataset.id, datasource_type="table").count():
            kept.append(f"dataset {dataset.table_name}")
        else:
            db.session.delete(dataset)
    db.session.commit()
    return kept


def changes(stations: Sequence[str] = ()) -> list[str]:
    """Tell what was changed in the browser: what to write into ``source`` to keep it.

    Args:
        stations: As at the import.

    Returns:
        For each difference of Superset's export from the bundles, a line: the file, the place in it, both values.
    """
    from superset.commands.dashboard.export import ExportDashboardsCommand
    from superset.extensions import db
    from superset.models.dashboard import Dashboard

    ours = {document["uuid"]: (path, document) for path, document in _documents(stations).items() if "uuid" in document}
    wanted = [d.id for d in db.session.query(Dashboard) if f"{d.uuid}" in ours]
    found = []
    for _, content in ExportDashboardsCommand(wanted).run():
        exported = yaml.safe_load(content())
        if exported.get("uuid") in ours and "database_name" not in exported:
            path, document = ours[exported["uuid"]]
            plain = json.loads(json.dumps(document, default=str))
            found += [f"{path}: {line}" for line in _differences(plain, exported)]
    return sorted(found)


def _differences(ours: Any, theirs: Any, place: str = "") -> Iterator[str]:
    """Compare what we wrote with what is there; what only Superset writes does not count where it says nothing."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted(ours.keys() | theirs.keys()):
            if key not in _DERIVED:
                yield from _differences(ours.get(key), theirs.get(key), f"{place}.{key}".lstrip("."))
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for number, pair in enumerate(zip(*map(_in_order, (ours, theirs)), strict=True)):
            yield from _differences(*pair, f"{place}[{number}]")
    elif (ours or None) != (theirs or None):
        yield f"{place}: {_short(ours)} → {_short(theirs)}"


def _in_order(items: list[Any]) -> list[Any]:
    """Superset keeps the columns of a dataset in no order."""
    named = all(isinstance(item, dict) and "column_name" in item for item in items)
    return sorted(items, key=lambda item: item["column_name"]) if named else items


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else f"{text[:117]}…"


class _Dumper(yaml.SafeDumper):
    """Writes what stands in several places in full in each."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(document: Any) -> str:
    return yaml.dump(json.loads(json.dumps(document)), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
