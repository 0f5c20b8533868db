"""Every chart's data, as Superset's API gives them, against pandas over MongoDB's collections."""

from typing import Any

import pandas as pd
import pytest
import requests

from tests.superset.conftest import DASHBOARDS, Site
from tests.superset.expected import AGES, EXPECTED
from tests.superset.raw import Data
from tests.superset.tables import Table

pytestmark = pytest.mark.superset


@pytest.fixture(scope="module")
def data(site: Site) -> Data:
    return site.data()


def test_every_chart_is_compared(questions: dict[str, Any]) -> None:
    assert set(questions) == set(EXPECTED)
    assert len(questions) == sum(DASHBOARDS.values())


@pytest.mark.parametrize("chart", EXPECTED)
def test_a_chart_shows_what_follows_from_the_raw_answers(
    chart: str, site: Site, data: Data, api: requests.Session, questions: dict[str, Any]
) -> None:
    answer = api.post(f"{site.url}/api/v1/chart/data", json={**questions[chart], "force": True})
    assert answer.status_code == 200, answer.text
    results, tables = answer.json()["result"], EXPECTED[chart](data)
    assert len(results) == len(tables)
    for result, table in zip(results, tables, strict=True):
        assert table, "nothing to compare with"
        assert_same(result["data"], table)


def assert_same(rows: Table, expected: Table) -> None:
    """Compare without regard to the order of rows; numbers to 1e-6, ages to a tenth of an hour."""
    columns = sorted(set().union(*expected))
    assert sorted({column for row in rows for column in row} - {"rank"}) == columns
    texts = [c for c in columns if any(isinstance(row.get(c), str) for row in expected)]
    keys = texts + [c for c in ("day", "observed_at", "seen_at") if c in columns]
    shown, wanted = (_comparable(table, columns, keys) for table in (rows, expected))
    assert len(shown) == len(wanted)
    for column in columns:
        if column in texts:
            assert shown[column].fillna("").tolist() == wanted[column].fillna("").tolist(), column
        else:
            left, right = (pd.to_numeric(frame[column]).astype(float) for frame in (shown, wanted))
            tolerance = 0.11 if column in AGES else 1e-6
            pd.testing.assert_series_equal(left, right, rtol=0, atol=tolerance, check_names=False)


def _comparable(table: Table, columns: list[str], keys: list[str]) -> pd.DataFrame:
    """In one order, without rows that hold nothing but their key: they draw nothing."""
    frame = pd.DataFrame(table)[columns]
    levels = [column for column in columns if column not in keys]
    kept = frame.dropna(how="all", subset=levels) if levels else frame
    return kept.sort_values(keys, ignore_index=True)
