"""The dashboards' bundles, one for each language, made from the YAML in ``source`` and its glossary.

Superset's own files say each thing many times over and hold one language. The source says what differs from the
defaults; what a reader sees is English there, and ``source/glossary.yaml`` has the French for each text.
"""

import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import yaml
from layout import dashboard_document
from texts import Texts

__all__ = ["LANGUAGES", "SOURCE", "bundle", "read_source"]

LANGUAGES = ("en", "fr")
SOURCE = Path(__file__).parent / "source"
_DATABASE = "8821ab1b-573d-5754-b301-f68e3580ee41"
#: What is not said otherwise in source/uuids.yaml has its UUID from this one and its name.
_NAMESPACE = UUID("55477cae-4eb0-5c35-8a2e-979797203737")

_ADDRESS = "mongodb://127.0.0.1:27017/air_quality"  # the real one comes from the environment (superset_config.py)
_TYPES = {"text": "TEXT", "number": "FLOAT", "time": "TIMESTAMP"}


@cache
def read_source() -> dict[str, Any]:
    """Return the source: the content of each of its files, by the file's name."""
    return {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(SOURCE.glob("*.yaml"))}


def bundle(language: str, stations: Iterable[str] = ()) -> dict[str, dict[str, Any]]:
    """Make one language's bundle.

    Args:
        language: One of `LANGUAGES`.
        stations: Names of the stations, each to have its colour in every chart.

    Returns:
        Superset's documents, by their path in the bundle.

    Raises:
        MissingTextError: The glossary has no translation of some texts; it names all of them.
    """
    source, texts = read_source(), Texts(language, read_source()["glossary"])
    charts = dict(_charts(source["charts"], texts))
    files = {
        "metadata.yaml": {"version": "1.0.0", "type": "assets", "timestamp": "2026-01-01T00:00:00+00:00"},
        "databases/MongoDB.yaml": _database(),
    }
    macros, periods = source["datasets"]["macros"], source["dashboards"]["periods"]
    for name, dataset in source["datasets"]["datasets"].items():
        files[f"datasets/MongoDB/{name}_{language}.yaml"] = _dataset(name, dataset, macros, periods, texts)
    for name, chart in charts.items():
        files[f"charts/{name}_{language}.yaml"] = chart
    for name, dashboard in source["dashboards"]["dashboards"].items():
        datasets = {name: uuid("dataset", name, language) for name in source["datasets"]["datasets"]}
        document = dashboard_document(dashboard, charts, datasets, periods, [*stations], texts)
        files[f"dashboards/{name}_{language}.yaml"] = document | {"uuid": uuid("dashboard", name, language)}
    texts.check()
    return files


def uuid(kind: str, name: str, language: str) -> str:
    """Return the UUID of a dashboard, chart or dataset, the same in every installation."""
    english = read_source()["uuids"][kind].get(name) or f"{uuid5(_NAMESPACE, f'{kind}/{name}')}"
    return english if language == "en" else f"{uuid5(UUID(english), language)}"


def _database() -> dict[str, Any]:
    never = dict.fromkeys(("expose_in_sqllab", "allow_run_async", "allow_ctas", "allow_cvas", "allow_dml"), False)
    return {
        **{"database_name": "MongoDB", "sqlalchemy_uri": _ADDRESS, "cache_timeout": None, **never},
        **{"allow_file_upload": False, "extra": {"allows_virtual_table_explore": True}, "impersonate_user": False},
        **{"configuration_method": "sqlalchemy_form", "uuid": _DATABASE, "version": "1.0.0"},
    }


# ---------------------------------------------------------------------------------------------------------- datasets


def _dataset(
    name: str, of: Mapping[str, Any], macros: Mapping[str, str], periods: Mapping[str, Any], texts: Texts
) -> dict[str, Any]:
    labels = of.get("labels", {})
    plain = [
        _column(of.get("aliases", {}).get(column, column), _TYPES[kind], labels.get(column, ""), None, texts)
        for kind, columns in of["columns"].items()
        for column in columns
    ]
    computed = [
        _column(column, "TEXT", label, texts.sql(_expanded(f"{sql}", macros)), texts)
        for column, (label, sql) in of.get("computed", {}).items()
    ]
    language = "" if texts.language == "en" else f" ({texts.language})"
    return {
        **{"table_name": f"{texts(of['title'])}{language}", "main_dttm_col": None, "description": None},
        **{"default_endpoint": None, "offset": 0, "cache_timeout": None, "catalog": None, "schema": None},
        **{"sql": _select(of, periods, texts), "params": None, "template_params": None, "filter_select_enabled": True},
        **{"fetch_values_predicate": None, "extra": None, "normalize_columns": False, "always_filter_main_dttm": False},
        **{"folders": None, "uuid": uuid("dataset", name, texts.language)},
        "metrics": [_metric(of, texts)],
        "columns": plain + computed,
        **{"version": "1.0.0", "database_uuid": _DATABASE},
    }


def _expanded(sql: str, macros: Mapping[str, str]) -> str:
    for name, body in macros.items():
        sql = re.sub(rf"\b{name}\(([^()]*)\)", lambda found, body=body: body.replace("$", found[1]), sql)  # type: ignore[misc]
    return sql


#: Columns of days, which are texts without a time of day.
_DAYS = ("day", "month", "calendar_month")


def _column(name: str, type_: str, label: str, expression: str | None, texts: Texts) -> dict[str, Any]:
    written_as = "%Y-%m-%d" if type_ == "TIMESTAMP" and name in _DAYS else None
    return {
        **{"column_name": name, "verbose_name": texts(label) or None, "is_dttm": type_ == "TIMESTAMP"},
        **{"is_active": True, "type": type_, "advanced_data_type": None, "groupby": True, "filterable": True},
        **{"expression": expression, "description": None, "python_date_format": written_as},
        **{"datetime_format": None, "extra": None},
    }


def _metric(of: Mapping[str, Any], texts: Texts) -> dict[str, Any]:
    """Return what a list of filter options is ordered by, or the number of rows."""
    return {
        **{"metric_name": "rows", "verbose_name": texts("Rows"), "metric_type": None, "description": None},
        **{"expression": of.get("rows", "COUNT(*)"), "d3format": None, "currency": None, "extra": None},
        "warning_text": None,
    }


def _select(of: Mapping[str, Any], periods: Mapping[str, Any], texts: Texts) -> str:
    """Return the inner SELECT. For each chart it is read whole, so it asks for what the filters leave."""
    if "view" not in of:
        rows = (
            f"SELECT {texts.sql(_quoted(text))} AS period, {days or 36500} AS days" for text, days in periods.items()
        )
        return "\nUNION ALL ".join(rows)
    aliases = of.get("aliases", {})
    columns = []
    for column in (column for columns in of["columns"].values() for column in columns):
        name = aliases.get(column, column)
        quoted = f'"{column}"'
        if column == "pollutant" and name == column and texts.language != "en":
            quoted = f"replace({quoted}, 'PM2.5', {texts.sql(_quoted('PM2.5'))})"
        columns.append(quoted if quoted == f'"{name}"' else f'{quoted} AS "{name}"')
    conditions = [texts.jinja(_CONDITIONS[name], periods) for name in of.get("filters", [])]
    where = "WHERE 1 = 1" if conditions else ""
    return "\n".join(["SELECT " + ", ".join(columns), f"FROM {of['view']}", where, *conditions]).strip()


def _quoted(text: str) -> str:
    return f"_('{text}')"


#: What each filter of the dashboards adds to the inner SELECT; `PERIODS` is a dictionary of days, `POLLUTANTS` names.
_CONDITIONS = {
    "period": "AND \"day\" >= '{{ days_ago(PERIODS.get((filter_values('period', remove_filter=True) or [''])[0], 366)) }}'",
    "month": "AND \"month\" >= '{{ days_ago(PERIODS.get((filter_values('period', remove_filter=True) or [''])[0], 366))[:7] }}-01'",
    "stations": "{% if filter_values('station_name') %}AND \"station\" IN ({{ station_ids(filter_values('station_name')) }}){% endif %}",
    "eight stations": "AND \"station\" IN ({{ station_ids(filter_values('station_name'), 8) }})",
    "network": (
        "AND {% if filter_values('station_name') %}\"station\" IN ({{ station_ids(filter_values('station_name')) }})"
        '{% else %}"station" IS NULL{% endif %}'
    ),
    "pollutants": "{% if filter_values('pollutant') %}AND \"pollutant\" IN ({{ quoted(POLLUTANTS) }}){% endif %}",
}


# ------------------------------------------------------------------------------------------------------------ charts


def _charts(source: Mapping[str, Any], texts: Texts) -> Iterable[tuple[str, dict[str, Any]]]:
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
        **{"slice_name": texts.filled(title, of), "description": texts.filled(chart["about"], of)},
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


#: WHO global air quality guidelines, 2021, table 0.1: of the year's mean.
_ANNUAL = {"pm2_5": 5, "pm10": 15, "no2": 10}


def _guidelines(of: Mapping[str, Any]) -> Iterable[tuple[str, float]]:
    """Return the guidelines to draw; that of CO is so far above what is measured that nothing else could be read."""
    if of["name"] == "co":
        return
    of_a_day = "WHO guideline, highest 8-hour mean: {limit}" if of["name"] == "o3" else "WHO guideline, a day: {limit}"
    yield of_a_day, of["guideline"]
    if of["name"] in _ANNUAL:
        yield "WHO guideline, a year: {limit}", _ANNUAL[of["name"]]


def _line(name: str, height: float) -> dict[str, Any]:
    shown = {"show": True, "showLabel": False, "hideLine": False, "showMarkers": False}
    nothing = {"sourceType": "", "timeColumn": "", "titleColumn": "", "descriptionColumns": [], "intervalEndColumn": ""}
    return {
        **{"name": name, "annotationType": "FORMULA", "value": f"{height}", "style": "dashed", "width": 2},
        **{"color": "#a3243b", "opacity": "", "overrides": {"time_range": None}, **shown, **nothing},
    }


def _level_colours(of: Mapping[str, Any], texts: Texts) -> list[dict[str, Any]]:
    """Colour the cells of a level by its word."""
    import colours

    return [
        {
            **{"column": column, "operator": "=", "targetValue": texts(word), "colorScheme": colour},
            **{"columnFormatting": column, "objectFormatting": "BACKGROUND_COLOR", "useGradient": False},
        }
        for column in of.get("columns", [of.get("column")])
        for word, colour in colours.LEVELS.items()
    ]
