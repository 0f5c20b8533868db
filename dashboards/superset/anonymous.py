"""What a reader who has not logged in may ask: the questions of the charts of the open dashboards, and nothing else.

Superset's rights open a dashboard by its roles (DASHBOARD_RBAC) and then answer any question on the datasets of its
charts: other columns, expressions written by hand, drilling. So each question is compared here with the chart that it
says to come from. A reader chooses values of filters, the time grain and the order.
"""

import json
from collections.abc import Iterator
from typing import Any

from flask import g
from slugs import PUBLIC
from superset.errors import ErrorLevel, SupersetError, SupersetErrorType
from superset.exceptions import SupersetSecurityException
from superset.security import SupersetSecurityManager

__all__ = ["SecurityManager", "annotation_charts", "why_refused"]

#: Steps that charts fill a line up to: a smaller one would make rows without end.
_RULES = {"1D"}
_RESULTS = {"full", "results", "post_processed", "timegrains"}


class SecurityManager(SupersetSecurityManager):  # type: ignore[misc]
    """Superset's, stricter with readers who have not logged in."""

    def raise_for_access(self, *arguments: Any, **of: Any) -> None:
        """Refuse a reader without a name all but the open dashboards and their charts' questions.

        Raises:
            SupersetSecurityException: It is refused.
        """
        user = getattr(g, "user", None)
        if user is not None and user.is_anonymous:
            dashboard, context = of.get("dashboard"), of.get("query_context")
            reason = None
            if arguments or of.keys() & {"database", "query", "sql", "table", "viz"}:
                reason = "only charts are read without logging in"
            elif dashboard is not None and dashboard.slug not in PUBLIC:
                reason = "this dashboard is not open"
            elif context is not None:
                reason = why_refused(context, self.session)
            if reason:
                kind = SupersetErrorType.DASHBOARD_SECURITY_ACCESS_ERROR
                raise SupersetSecurityException(SupersetError(reason, kind, ErrorLevel.WARNING))
        super().raise_for_access(*arguments, **of)


def why_refused(context: Any, session: Any) -> str | None:
    """Compare a question with the chart or filter that it says to come from.

    Args:
        context: Superset's query context.
        session: Of Superset's database.

    Returns:
        What is wrong with it; None if nothing is.
    """
    from superset.models.dashboard import Dashboard
    from superset.models.slice import Slice

    form = context.form_data or {}
    if not form and any(_asks(chart, context) for chart in annotation_charts(session)):
        return None
    dashboard = session.query(Dashboard).filter_by(id=_number(form.get("dashboardId"))).one_or_none()
    if dashboard is None or dashboard.slug not in PUBLIC:
        return "this dashboard is not open"
    results = {context.result_type, *(query.result_type for query in context.queries)} - {None}
    if not {str(getattr(result, "value", result)) for result in results} <= _RESULTS:
        return "only a chart's data are answered"
    if form.get("type") == "NATIVE_FILTER":
        stored = _filter(dashboard, form.get("native_filter_id"))
        ours = [target.get("datasetId") for target in stored.get("targets", [])]
        columns = {target.get("column", {}).get("name") for target in stored.get("targets", [])}
        if context.datasource.id not in ours:
            return "this is no filter of the dashboard"
    else:
        chart = session.query(Slice).filter_by(id=_number(form.get("slice_id"))).one_or_none()
        if chart is None or chart not in dashboard.slices or chart.datasource != context.datasource:
            return "this is no chart of the dashboard"
        stored = [json.loads(chart.params or "{}"), json.loads(chart.query_context or "{}")]
        columns = {column.column_name for column in context.datasource.columns}
    known = _Known(stored, columns, {metric.metric_name for metric in context.datasource.metrics})
    return next((reason for query in context.queries for reason in known.wrong(query)), None)


def annotation_charts(session: Any) -> list[Any]:
    """Return the charts whose data are drawn into charts of the open dashboards.

    Args:
        session: Of Superset's database.
    """
    from superset.models.dashboard import Dashboard
    from superset.models.slice import Slice

    charts = [chart for board in session.query(Dashboard).filter(Dashboard.slug.in_(PUBLIC)) for chart in board.slices]
    layers = [layer for chart in charts for layer in json.loads(chart.params or "{}").get("annotation_layers") or []]
    numbers = {_number(layer.get("value")) for layer in layers if layer.get("sourceType") != "NATIVE"}
    return list(session.query(Slice).filter(Slice.id.in_(numbers)))


def _asks(chart: Any, context: Any) -> bool:
    """Return whether a question is, in its columns, the one that is stored with a chart."""
    stored = json.loads(chart.query_context or "{}")
    if (
        context.datasource != chart.datasource
        or str(getattr(context.result_type, "value", context.result_type)) != "full"
    ):
        return False
    known = _Known(stored, {f"{name}" for found in _values(stored, "columns") for name in found}, set())
    return not any(
        query.result_type not in (None, context.result_type) or [*known.wrong(query)] for query in context.queries
    )


def _number(value: Any) -> int:
    return value if isinstance(value, int) else int(value) if f"{value}".isdigit() else -1


def _filter(dashboard: Any, name: Any) -> dict[str, Any]:
    filters = json.loads(dashboard.json_metadata or "{}").get("native_filter_configuration", [])
    return next((each for each in filters if each.get("id") == name), {})


class _Known:
    """What a chart's question may name."""

    def __init__(self, stored: Any, columns: set[str], metrics: set[str]) -> None:
        self.columns = columns
        self.names = columns | metrics
        self.expressions = columns | {f"{text}" for text in _values(stored, "sqlExpression")}
        conditions = [each for each in _values(stored, "adhoc_filters") if isinstance(each, list)]
        self.conditions = {""} | {_joined(each, of) for each in conditions for of in ("WHERE", "HAVING")}
        self.labels = {f"{text}" for text in _values(stored, "label")}
        self.layers = [each for found in _values(stored, "annotation_layers") for each in found or []]

    def wrong(self, query: Any) -> Iterator[str]:
        """Tell what of a query the chart does not ask."""
        asked = [query.columns, query.metrics or [], query.orderby, query.filter]
        asked += [getattr(query, "series_columns", None) or [], getattr(query, "series_limit_metric", None) or []]
        if any(text not in self.expressions for text in _values(asked, "sqlExpression")):
            yield "expressions are the chart's own"
        if any(
            isinstance(each, dict) and each.get("column_name") not in self.columns for each in _values(asked, "column")
        ):
            yield "columns are the dataset's"
        names = [*query.columns, *(query.metrics or []), *(each[0] for each in query.orderby or [] if each)]
        # Of a filter that names no column of the dataset Superset takes no notice; so the period reaches its SQL.
        names += [*(getattr(query, "series_columns", None) or []), getattr(query, "series_limit_metric", None)]
        names += [getattr(query, "granularity", None)]
        if any(isinstance(name, str) and name not in self.names | self.labels for name in names):
            yield "columns and metrics are the dataset's"
        if any(isinstance(each.get("val"), dict) for each in query.filter or []):
            yield "a filter's value is a text or a number"
        if getattr(query, "time_offsets", None):
            yield "no chart compares with another time"
        rules = {f"{of}" for of in _values(query.post_processing or [], "rule")}
        if not rules <= _RULES:
            yield "the steps are the charts' own"
        extras = query.extras or {}
        if any((extras.get(key) or "") not in self.conditions for key in ("where", "having")):
            yield "conditions are the chart's own"
        if any(layer not in self.layers for layer in query.annotation_layers or []):
            yield "annotations are the chart's own"


def _joined(conditions: list[dict[str, Any]], of: str) -> str:
    """Return a chart's conditions in SQL as the browser puts them together."""
    ours = [each for each in conditions if each.get("expressionType") == "SQL" and each.get("clause") == of]
    return " AND ".join(f"({each['sqlExpression']})" for each in ours)


def _values(tree: Any, key: str) -> Iterator[Any]:
    """Yield what stands under a key anywhere in a tree."""
    if isinstance(tree, dict):
        for name, value in tree.items():
            if name == key:
                yield value
            yield from _values(value, key)
    elif isinstance(tree, list | tuple):
        for value in tree:
            yield from _values(value, key)
