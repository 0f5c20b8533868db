"""A dashboard's document: where its charts stand, its filters, its colours and its style."""

from collections.abc import Mapping, Sequence
from typing import Any

import colours
from texts import SOURCE, Texts, read_source

__all__ = ["dashboard_document"]

#: Height of each kind of chart, in Superset's units of 8 pixels.
_HEIGHTS = {"table": 46, "heatmap_v2": 46, "mixed_timeseries": 54, "bubble_v2": 66}
_HEIGHT = 46
#: A chart whose rows are stations is made for so many of them; more are scrolled or chosen by the filter.
_STATIONS = 8
#: Seconds after which an open dashboard asks again. New data come once an hour.
_REFRESH = 900


def dashboard_document(
    of: Mapping[str, Any],
    charts: Mapping[str, Mapping[str, Any]],
    datasets: Mapping[str, str],
    periods: Mapping[str, Any],
    stations: Sequence[str],
    texts: Texts,
) -> dict[str, Any]:
    """Make Superset's document of a dashboard.

    Args:
        of: The dashboard in the source.
        charts: Name → document of every chart.
        datasets: Name → UUID of every dataset.
        periods: The choices of the filter of the period.
        stations: Their names, each to have its colour.
        texts: Of the dashboard's language.
    """
    position = _position(of, charts, min(len(stations) or 1, _STATIONS), texts)
    metadata = {
        **{"color_scheme": "airqino", "color_scheme_domain": [], "cross_filters_enabled": True, "expanded_slices": {}},
        **{"filter_bar_orientation": "HORIZONTAL", "refresh_frequency": _REFRESH, "shared_label_colors": []},
        "label_colors": colours.of_names(texts) | colours.of_stations(stations, texts),
        "native_filter_configuration": [
            _FILTERS[name](datasets, periods, texts) | {"scope": _scope(name, charts, datasets, position)}
            for name in of["filters"]
        ],
        "timed_refresh_immune_slices": [],
    }
    return {
        **{"dashboard_title": texts(of["title"]), "description": texts(of["description"])},
        **{"css": _style(texts), "slug": of["slug"][texts.language], "certified_by": None},
        **{"certification_details": None, "published": True, "position": position, "metadata": metadata},
        **{"version": "1.0.0", "theme_uuid": None},
    }


def _position(
    of: Mapping[str, Any], charts: Mapping[str, Mapping[str, Any]], stations: int, texts: Texts
) -> dict[str, Any]:
    """Return the tree of rows, tabs and charts, and number the charts by their place."""
    position: dict[str, Any] = {
        "DASHBOARD_VERSION_KEY": "v2",
        "ROOT_ID": {"type": "ROOT", "id": "ROOT_ID", "children": ["GRID_ID"]},
        "GRID_ID": {"type": "GRID", "id": "GRID_ID", "parents": ["ROOT_ID"], "children": []},
        "HEADER_ID": {"type": "HEADER", "id": "HEADER_ID", "meta": {"text": texts(of["title"])}},
    }
    heights = of.get("heights", {})

    def add(kind: str, parent: str, meta: dict[str, Any]) -> str:
        number = 1 + sum(item["type"] == kind for item in position.values() if isinstance(item, dict))
        key = f"{kind}-{number}"
        above = position[parent]
        parents = [*above.get("parents", []), parent]
        position[key] = {"type": kind, "id": key, "parents": parents, "children": [], "meta": meta}
        above["children"].append(key)
        return key

    def add_row(parent: str, name: str) -> None:
        row = add("ROW", parent, {"background": "BACKGROUND_TRANSPARENT"})
        chart = charts[name]
        number = 1 + sum(item["type"] == "CHART" for item in position.values() if isinstance(item, dict))
        known = next((heights[key] for key in heights if name == key or name.startswith(f"{key}_")), None)
        height = known[0] + known[1] * stations if known else _HEIGHTS.get(chart["viz_type"], _HEIGHT)
        meta = {
            "uuid": chart["uuid"],
            "chartId": number,
            "sliceName": chart["slice_name"],
            "width": 12,
            "height": height,
        }
        add("CHART", row, meta)

    for row in of["rows"]:
        if isinstance(row, str):
            add_row("GRID_ID", row)
            continue
        tabs = add("TABS", "GRID_ID", {})
        for title, names in row["tabs"].items():
            tab = add("TAB", tabs, {"text": texts(title), "defaultText": "", "placeholder": ""})
            for name in names:
                add_row(tab, name)
    return position


# ----------------------------------------------------------------------------------------------------------- filters

#: What a dataset must take of the filters for a filter of the dashboard to reach its charts.
_TAKES = {
    "stations": {"stations", "eight stations", "stations and coast", "network"},
    "period": {"period", "month"},
    "pollutants": {"pollutants"},
    "step": set[str](),
}


def _scope(
    name: str, charts: Mapping[str, Mapping[str, Any]], datasets: Mapping[str, str], position: Mapping[str, Any]
) -> dict[str, Any]:
    """Return which charts a filter does not change, by their numbers: those whose dataset does not ask for it."""
    column = {"pollutants": "pollutant"}.get(name)
    taken = {
        datasets[dataset]
        for dataset, of in read_source()["datasets"]["datasets"].items()
        if _TAKES[name] & {*of.get("filters", [])}
        or column in {*of["columns"].get("text", []), *of.get("computed", {})}
    }
    changed = {
        chart["uuid"]
        for chart in charts.values()
        if chart["dataset_uuid"] in taken or (name == "step" and chart["viz_type"] == "mixed_timeseries")
    }
    placed = [item["meta"] for item in position.values() if isinstance(item, dict) and item["type"] == "CHART"]
    excluded = [meta["chartId"] for meta in placed if meta["uuid"] not in changed]
    return {"rootPath": ["ROOT_ID"], "excluded": excluded}


def _select(name: str, label: str, about: str, column: str, dataset: str, **control: Any) -> dict[str, Any]:
    return {
        **{"id": f"NATIVE_FILTER-{name}", "type": "NATIVE_FILTER", "filterType": "filter_select", "name": label},
        **{"description": about, "cascadeParentIds": []},
        "targets": [{"column": {"name": column}, "datasetUuid": dataset}],
        "controlValues": {
            **{"defaultToFirstItem": False, "enableEmptyFilter": False, "inverseSelection": False},
            **{"multiSelect": True, "searchAllOptions": False, **control},
        },
        "defaultDataMask": {"extraFormData": {}, "filterState": {}},
    }


def _stations(datasets: Mapping[str, str], _: Mapping[str, Any], texts: Texts) -> dict[str, Any]:
    about = texts("None chosen: all stations, and of lines the first eight by name")
    return _select("station", texts("Station"), about, "station_name", datasets["station_now"])


def _pollutants(datasets: Mapping[str, str], _: Mapping[str, Any], texts: Texts) -> dict[str, Any]:
    return _select("pollutant", texts("Pollutant"), texts("None chosen: all"), "pollutant", datasets["station_now"])


def _period(datasets: Mapping[str, str], periods: Mapping[str, Any], texts: Texts) -> dict[str, Any]:
    """Offer periods by their names: Superset's own filter of time shows ``2025-11-26 ≤ col < 2026-11-27``."""
    chosen = texts(next(name for name, days in periods.items() if days == 366))
    filter_ = _select(
        *("period", texts("Period"), texts("Days shown in the charts with a longer span"), "period"),
        *(datasets["periods"],),
        **{"multiSelect": False, "enableEmptyFilter": True, "sortMetric": "rows", "sortAscending": True},
    )
    filters = [{"col": "period", "op": "IN", "val": [chosen]}]
    state = {"value": [chosen], "label": chosen}
    return filter_ | {"defaultDataMask": {"extraFormData": {"filters": filters}, "filterState": state}}


def _step(datasets: Mapping[str, str], _: Mapping[str, Any], texts: Texts) -> dict[str, Any]:
    return {
        **{
            "id": "NATIVE_FILTER-step",
            "type": "NATIVE_FILTER",
            "filterType": "filter_timegrain",
            "name": texts("Step"),
        },
        **{"description": texts("Of the daily lines: by day, week or month"), "cascadeParentIds": []},
        **{"targets": [{"datasetUuid": datasets["daily"]}]},
        **{"controlValues": {}, "defaultDataMask": {"extraFormData": {}, "filterState": {}}},
    }


_FILTERS = {"stations": _stations, "pollutants": _pollutants, "period": _period, "step": _step}


# ------------------------------------------------------------------------------------------------------------- style


def _style(texts: Texts) -> str:
    """Return the style: the sentence without a table's head, the air now large, tables as cards on a phone."""
    now, state = texts("The air now"), texts("State of the data")
    rules = (SOURCE / "style.css").read_text(encoding="utf-8").partition("\n")[2]
    return rules.replace("STATE", state).replace("NOW", now).replace("HEADINGS", _headings(texts))


def _headings(texts: Texts) -> str:
    """Return the rules that write a column's heading before its cell."""
    datasets, names = read_source()["datasets"]["datasets"], read_source()["charts"]["charts"]
    found: dict[str, str] = {}
    for chart in names.values():
        of = datasets[chart["dataset"]]
        for column in chart.get("columns", [])[1:]:
            heading = of.get("labels", {}).get(column) or of.get("computed", {}).get(column, [""])[0]
            if heading:
                found[column] = texts(heading)
        if chart["kind"] == "table":
            found |= {texts(label).replace(" ", "_"): texts(label) for label in chart.get("metrics", {})}
    return "\n".join(
        f'  td[aria-labelledby="header-{key}"]::before {{ content: "{value}"; }}' for key, value in found.items()
    )
