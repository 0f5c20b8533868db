"""What a deployment holds when a drill is over, and how two of them differ."""

from collections.abc import Iterator
from typing import Any

import pyarrow.parquet as pq

from support.deployment import WHEN, Pipeline

__all__ = ["differences", "state_of"]

Rows = dict[str, dict[str, Any]]

#: What depends on when a deployment saw something, beside `WHEN`; `contents` are sums of documents, also of revisions.
_WHEN = (*WHEN, "since", "inputs", "contents")
_COLLECTIONS = ("hourly_measurements", "daily_averages", "coverage", "stations")
#: Not compared: forecasts, and the ledger of revisions, which holds what a deployment has seen (`drill.Ledger`).
_LEFT_OUT = ("/forecast/", "scores.parquet", "score_sums.parquet", "revisions.parquet")


def state_of(pipeline: Pipeline) -> dict[str, Rows]:
    """Return all that is compared: tables, collections and the loads, each as rows by a key of station and time."""
    state: dict[str, Rows] = {}
    for path in sorted(pipeline.root.glob("*/**/*.parquet")):
        name = f"{path.relative_to(pipeline.root)}"
        if (name[0].isdigit() and not any(part in f"/{name}" for part in _LEFT_OUT)) or name.startswith("stations/"):
            if not (rows := pq.ParquetFile(path).read().to_pylist()):
                continue  # of a day without any hour, which a run looked at whose window reached so far
            state[name] = {_key(number, row): _without_times(row) for number, row in enumerate(rows)}
    for name in _COLLECTIONS:
        state[name] = {f"{d['_id']}": _without_times(d) for d in pipeline.database[name].find()}
    loads = pipeline.database["loads"].find({"_id": {"$regex": "^(day|stations)"}})
    # a day without any hour, as above, is a load of nothing
    counts = ("hourly_documents", "daily_documents", "coverage_documents", "documents")
    state["loads"] = {f"{d['_id']}": _without_times(d) for d in loads if any(d.get(count) for count in counts)}
    return state


def _key(number: int, row: dict[str, Any]) -> str:
    moment = row.get("observed_at") or row.get("day")
    return f"{row.get('station')}|{moment}" if moment else f"{row.get('station')}|{number}"


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_times(of) for name, of in value.items() if name not in _WHEN}
    return [_without_times(of) for of in value] if isinstance(value, list) else value


def differences(found: dict[str, Rows], expected: dict[str, Rows]) -> Iterator[str]:
    """Yield a line for each value that differs: where, station and time, column, both values."""
    for name in sorted(found.keys() | expected.keys()):
        ours, theirs = found.get(name), expected.get(name)
        if ours is None or theirs is None:
            yield f"{name}: {'is missing' if ours is None else 'is there, and should not be'}"
            continue
        for key in sorted(ours.keys() | theirs.keys()):
            one, other = ours.get(key), theirs.get(key)
            if one is None or other is None:
                yield f"{name} {key}: {'is missing' if one is None else 'is there, and should not be'}"
                continue
            for column in sorted(one.keys() | other.keys()):
                if one.get(column) != other.get(column):
                    yield f"{name} {key} {column}: {one.get(column)!r} in place of {other.get(column)!r}"
