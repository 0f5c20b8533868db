"""The charts' documents, from what the source says of each."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import colours
from texts import Texts, uuid

__all__ = ["chart_documents"]


def chart_documents(source: Mapping[str, Any], texts: Texts) -> Iterable[tuple[str, dict[str, Any]]]:
    """Make the document of each chart.

    Args:
        source: ``source/charts.yaml``.
        texts: Of the charts' language.

    Returns:
        Each chart's name, with that of its pollutant where it has one, and Superset's document.
    """
    for name, chart in source["charts"].items():
        for pollutant in chart.get("each", [None]):
            of = source["pollutants"][pollutant] | {"name": pollutant} if pollutant else {}
            full = f"{name}_{pollutant}" if pollutant else name
            yield full, _chart(full, chart, source["kinds"].get(chart["kind"], {}), of, texts)


def _chart(
    name: str, chart: Mapping[str, Any], defaults: Mapping[str, Any], of: Mapping[str, Any], texts: Texts
) -> dict[str, Any]:
    title = chart["title"]
    if of.get("name") in ("pm2_5", "co"):
        title = chart.get("forecast_title", title)
    params = dict(defaults) | {"viz_type": chart["kind"], "annotation_layers": []}
    params |= _query(chart, of, texts)
    if "b" in chart:
        params |= {f"{key}_b": value for key, value in _query(chart["b"], of, texts).items()}
    params |= {key: _filled(value, of, texts, key) for key, value in chart.get("params", {}).items()}
    for key in ("size", "x", "y"):
        if isinstance(params.get(key), dict):
            ((label, sql),) = params[key].items()
            params[key] = _adhoc(label, f"{sql}", of, texts)
    if isinstance(chart.get("metrics"), dict) and chart["kind"] == "heatmap_v2":
        params["metric"] = params.pop("metrics")[0]
    if "columns" in chart:
        params["all_columns"] = chart["columns"]
        params["order_by_cols"] = [json.dumps([c, how == "asc"]) for c, how in chart.get("order", {}).items()]
    params["annotation_layers"] += _lines(chart, of, texts)
    if "levels" in chart:
        params["conditional_formatting"] = _level_colours(chart["levels"], texts)
    return {
        **{
            "slice_name": texts.filled(title, of),
            "description": texts.filled(chart.get(f"about_{of.get('name')}", chart["about"]), of),
        },
        **{"certified_by": None, "certification_details": None, "viz_type": chart["kind"]},
        "params": dict(sorted(params.items())),
        **{"query_context": None, "cache_timeout": None, "uuid": uuid("chart", name, texts.language)},
        **{"version": "1.0.0", "dataset_uuid": uuid("dataset", chart["dataset"], texts.language)},
    }


def _query(chart: Mapping[str, Any], of: Mapping[str, Any], texts: Texts) -> dict[str, Any]:
    """Return filters, groups and metrics as Superset writes them."""
    where = chart.get("where", {})
    pairs: Iterable[Any] = where.items() if isinstance(where, dict) else ((sql, None) for sql in where)
    found: dict[str, Any] = {"adhoc_filters": [_filter(*pair, of, texts) for pair in pairs]}
    found["groupby"] = chart.get("groupby", [])
    if "metrics" in chart:
        found["metrics"] = [_adhoc(label, f"{sql}", of, texts) for label, sql in chart["metrics"].items()]
    return found


def _filter(subject: str, value: Any, of: Mapping[str, Any], texts: Texts) -> dict[str, Any]:
    name = {"clause": "WHERE", "filterOptionName": f"filter_{re.sub('[^a-z0-9]+', '_', f'{subject}{value}'.lower())}"}
    if value is None:
        return {"expressionType": "SQL", "sqlExpression": texts.sql(subject), **name}
    if value == "not null":
        how: dict[str, Any] = {"operator": "IS NOT NULL", "operatorId": "IS_NOT_NULL", "comparator": None}
    else:
        how = {"operator": "==", "operatorId": "EQUALS", "comparator": _filled(value, of, texts)}
    return {"expressionType": "SIMPLE", "subject": subject, **how, **name}


def _adhoc(label: str, sql: str, of: Mapping[str, Any], texts: Texts) -> dict[str, Any]:
    """Return a metric. Superset takes a label with a dot for a path, and draws nothing."""
    option = f"metric_{re.sub('[^a-z0-9]+', '_', label.lower()).strip('_')}"
    sql = texts.sql(sql.format(**of) if of else sql)
    return {
        **{"expressionType": "SQL", "sqlExpression": sql, "label": texts(label)},
        **{"optionName": option, "hasCustomLabel": True},
    }


def _filled(value: Any, of: Mapping[str, Any], texts: Texts, key: str = "") -> Any:
    """Fill the pollutant in, and translate titles of axes and what is marked."""
    if isinstance(value, list):
        return [_filled(part, of, texts, key) for part in value]
    if not isinstance(value, str):
        return value
    if key.endswith(("_title", "_label")):
        return texts.filled(value, of)
    text = value.format(**of) if of else value
    if text != value and re.fullmatch(r"[\d.]+", text):
        return float(text)
    return texts(marked[1]) if (marked := re.fullmatch(r"_\((.*)\)", text)) else text


def _lines(chart: Mapping[str, Any], of: Mapping[str, Any], texts: Texts) -> list[dict[str, Any]]:
    lines = [(texts(name), height) for name, height in chart.get("lines", {}).items()]
    if chart.get("guidelines"):
        lines = [(texts(name).format(limit=height), height) for name, height in _guidelines(of)]
    layers = [_line(name, height) for name, height in lines]
    if chart.get("now"):
        # `bundle.py` puts in the number that the chart has in this installation
        event = {"annotationType": "EVENT", "sourceType": "table", "value": uuid("chart", "present", texts.language)}
        names = {"timeColumn": "now_at", "titleColumn": "", "descriptionColumns": [], "intervalEndColumn": ""}
        layers.append(_line(texts("now"), 0) | event | names | {"color": "#333333", "width": 1, "showLabel": True})
    return layers


def _guidelines(of: Mapping[str, Any]) -> Iterable[tuple[str, float]]:
    """Return the guidelines to draw; that of CO is so far above what is measured that nothing else could be read."""
    if of["name"] == "co":
        return
    of_a_day = "WHO guideline, highest 8-hour mean: {limit}" if of["name"] == "o3" else "WHO guideline, a day: {limit}"
    yield of_a_day, of["guideline"]
    if "annual" in of:
        yield "WHO guideline, a year: {limit}", of["annual"]


def _line(name: str, height: float) -> dict[str, Any]:
    shown = {"show": True, "showLabel": False, "hideLine": False, "showMarkers": False}
    nothing = {"sourceType": "", "timeColumn": "", "titleColumn": "", "descriptionColumns": [], "intervalEndColumn": ""}
    return {
        **{"name": name, "annotationType": "FORMULA", "value": f"{height}", "style": "dashed", "width": 2},
        **{"color": "#a3243b", "opacity": "", "overrides": {"time_range": None}, **shown, **nothing},
    }


def _level_colours(columns: Iterable[str], texts: Texts) -> list[dict[str, Any]]:
    """Colour the cells of levels by their words."""
    return [
        {
            **{"column": column, "operator": "=", "targetValue": texts(word), "colorScheme": colour},
            **{"columnFormatting": column, "objectFormatting": "BACKGROUND_COLOR", "useGradient": False},
        }
        for column in columns
        for word, colour in colours.LEVELS.items()
    ]
