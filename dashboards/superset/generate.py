"""The dashboards' bundles, one for each language, made from the YAML in ``source`` and its glossary.

Superset's own files say each thing many times over and hold one language. The source says what differs from the
defaults; what a reader sees is English there, and ``source/glossary.yaml`` has the French for each text.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from charts import chart_documents
from layout import dashboard_document
from texts import LANGUAGES, Texts, read_source, uuid

__all__ = ["LANGUAGES", "bundle"]

_DATABASE = "8821ab1b-573d-5754-b301-f68e3580ee41"
_ADDRESS = "mongodb://127.0.0.1:27017/air_quality"  # the real one comes from the environment (superset_config.py)
_TYPES = {"text": "TEXT", "number": "FLOAT", "time": "TIMESTAMP"}


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
    charts = dict(chart_documents(source["charts"], texts))
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


def _database() -> dict[str, Any]:
    never = dict.fromkeys(("expose_in_sqllab", "allow_run_async", "allow_ctas", "allow_cvas", "allow_dml"), False)
    return {
        **{"database_name": "MongoDB", "sqlalchemy_uri": _ADDRESS, "cache_timeout": None, **never},
        **{"allow_file_upload": False, "extra": {"allows_virtual_table_explore": True}, "impersonate_user": False},
        **{"configuration_method": "sqlalchemy_form", "uuid": _DATABASE, "version": "1.0.0"},
    }


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
        rows = (f"SELECT {texts.sql(_quoted(text))} AS period, {days} AS days" for text, days in periods.items())
        return "\nUNION ALL ".join(rows)
    aliases = of.get("aliases", {})
    columns = []
    for column in (column for columns in of["columns"].values() for column in columns):
        name = aliases.get(column, column)
        quoted = f'"{column}"'
        if column == "pollutant" and name == column and texts.language != "en":
            quoted = f"replace({quoted}, 'PM2.5', {texts.sql(_quoted('PM2.5'))})"
        columns.append(quoted if quoted == f'"{name}"' else f'{quoted} AS "{name}"')
    conditions = [texts.jinja(read_source()["datasets"]["filters"][name], periods) for name in of.get("filters", [])]
    where = "WHERE 1 = 1" if conditions else ""
    return "\n".join(["SELECT " + ", ".join(columns), f"FROM {of['view']}", where, *conditions]).strip()


def _quoted(text: str) -> str:
    return f"_('{text}')"
