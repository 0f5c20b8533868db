"""SQL over MongoDB: what the charts' engine answers, against the same asked of the documents in plain Python."""

import importlib
import itertools
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa
from babel.dates import format_date, get_month_names
from babel.numbers import format_decimal
from bson.binary import Binary
from hypothesis import given, settings
from hypothesis import strategies as st
from pymongo import MongoClient

from airqino.sandbox.mongod import Mongod
from airqino.stores.indexes import ensure_indexes
from airqino.views import ensure_views

FOLDER = str(Path(__file__).resolve().parents[2] / "dashboards/superset")
sys.path.insert(0, FOLDER)
mongodb_sql, functions, sql_plan, _ = map(
    importlib.import_module, ("mongodb_sql", "sql_functions", "sql_plan", "mongodb_dialect")
)
sys.path.remove(FOLDER)

NAMES = (
    *("L'Aquila", 'a"b', "a,b", "(x)", "[x]", "50 %", "back\\slash", "trailing\\", "{b}", "{{x}}", "{% raw %}", "a:b"),
    *("SELECT x FROM y", "Größe", "北京", "' OR 1=1 --", "a%sb", "a;b", "a\nb", " ", "", "-- x", "/* x */", "?", ":x"),
)
TEXTS = st.one_of(
    st.sampled_from(NAMES), st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
)
START = datetime(2026, 1, 1)
#: All kinds of values that MongoDB may hold in one field.
VALUES = (
    *(None, True, False, -1, 0, 1, 2, 0.5, 1.0, float("nan"), float("inf"), {"a": 1}, Binary(b"a", 5)),
    *("", "0", "1", "2025-12-31", "2026-01-01", "2026-01-01 00:00:00", "2026-01-02", "z", "é", "北"),
    *(START, START - timedelta(hours=1), START + timedelta(days=1, milliseconds=7)),
)
LITERALS = ("", "0", "1", "2026-01-01", "2026-01-01 00:00:00", "2026", "{", "é", -1, 0, 1, 2, 0.5)


@pytest.fixture(scope="module")
def db(mongod: Mongod) -> Iterator[Any]:
    with MongoClient(mongod.uri) as client:
        client.drop_database("sql")
        ensure_indexes(client.sql)
        ensure_views(client.sql)
        client.sql.stations.insert_many([{"_id": f"S{i}", "name": f"Station {i}"} for i in range(4)])
        days = [f"{START - timedelta(days=n):%Y-%m-%d}" for n in range(300)]
        rows = [
            {"_id": f"{s}|{d}", "station": f"S{s}", "day": d, "hours": n % 25}
            for n, d in enumerate(days)
            for s in range(4)
        ]
        client.sql.daily_averages.insert_many(rows)
        yield client.sql
        client.drop_database("sql")


@pytest.fixture(scope="module")
def engine(db: Any, mongod: Mongod) -> sa.engine.Engine:
    mongodb_sql.register()
    return sa.create_engine(f"{mongod.uri.split('/?')[0]}/sql", poolclass=sa.pool.NullPool)


def ask(db: Any, sql: str) -> list[tuple[Any, ...]]:
    host, port = db.client.address
    cursor = mongodb_sql.connect(host=f"mongodb://{host}:{port}", database=db.name).cursor()
    return cursor.execute(sql).fetchall()


def literal(value: Any) -> str:
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)


def as_sqlite(value: Any) -> Any:
    """The value as the charts see it."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if value is None or value != value:
        return None
    return value if isinstance(value, str | int | float) else str(value)


def before(a: Any, b: Any) -> int:
    """SQLite's order: numbers before texts; -1, 0 or 1."""
    if isinstance(a, str) != isinstance(b, str):
        return 1 if isinstance(a, str) else -1
    x, y = (a.encode(), b.encode()) if isinstance(a, str) else (a, b)
    return (x > y) - (x < y)


COMPARISONS = {
    **{"=": lambda c: c == 0, "<>": lambda c: c != 0, "<": lambda c: c < 0},
    **{"<=": lambda c: c <= 0, ">": lambda c: c > 0, ">=": lambda c: c >= 0},
}


@settings(max_examples=60)
@given(names=st.lists(TEXTS, min_size=2, max_size=6, unique=True), other=TEXTS)
def test_any_name_finds_its_rows_and_no_other(db: Any, engine: sa.engine.Engine, names: list[str], other: str) -> None:
    db.named.drop()
    db.named.insert_many([{"station": name, "n": n} for n, name in enumerate(names)])
    station, n = sa.column("station"), sa.column("n")
    table = sa.select(station, n).select_from(sa.table("named")).subquery("virtual_table")
    for wanted in ([names[0]], names[:2], [other], [other, names[-1]]):
        query = sa.select(table.c.n).where(table.c.station.in_(wanted))
        sql = str(query.compile(engine, compile_kwargs={"literal_binds": True}))
        with engine.connect() as connection:
            found = sorted(row[0] for row in connection.exec_driver_sql(sql))
            assert sorted(row[0] for row in connection.execute(query)) == found
        assert found == [i for i, name in enumerate(names) if name in wanted], sql
        assert sql_plan.plan(sql).readings["named"].filter


@pytest.fixture(scope="module")
def kept(db: Any) -> dict[int, Any]:
    """The documents of `kinds` as the charts see them; one has no `x`."""
    db.kinds.create_index("x")
    db.kinds.insert_many([{"_id": i, "x": value} for i, value in enumerate(VALUES)] + [{"_id": len(VALUES)}])
    return {i: as_sqlite(value) for i, value in enumerate((*VALUES, None))}


@pytest.mark.parametrize("operator", [*COMPARISONS])
def test_a_comparison_of_anything_with_anything(db: Any, kept: dict[int, Any], operator: str) -> None:
    holds = COMPARISONS[operator]
    for than in LITERALS:
        condition = f"x {operator} {literal(than)}"
        found = [row[0] for row in ask(db, f"SELECT _id FROM kinds WHERE {condition} ORDER BY 1")]
        assert found == [i for i, v in kept.items() if v is not None and holds(before(v, than))], condition


def test_lists_spans_and_nulls(db: Any, kept: dict[int, Any]) -> None:
    there = {i: value for i, value in kept.items() if value is not None}
    expected = {"x IS NULL": [i for i in kept if i not in there], "x IS NOT NULL": [*there]}
    for low, high in itertools.product(LITERALS, LITERALS):
        one, two = literal(low), literal(high)
        expected |= {
            f"x IN ({one}, {two})": [i for i, v in there.items() if not before(v, low) or not before(v, high)],
            f"x NOT IN ({one}, {two})": [i for i, v in there.items() if before(v, low) and before(v, high)],
            f"x BETWEEN {one} AND {two}": [i for i, v in there.items() if before(v, low) >= 0 >= before(v, high)],
            f"NOT x = {one}": [i for i, v in there.items() if before(v, low)],
        }
    for condition, ids in expected.items():
        assert [row[0] for row in ask(db, f"SELECT _id FROM kinds WHERE {condition} ORDER BY 1")] == ids, condition
    for condition in ("x IN ('1', '2026-01-01 00:00:00')", "x = 1", "x IS NULL", "x >= '2026'"):
        outer = f"SELECT i FROM (SELECT _id AS i, x FROM kinds) AS v WHERE {condition} ORDER BY i"
        assert ask(db, outer) == ask(db, f"SELECT _id FROM kinds WHERE {condition} ORDER BY 1")


def test_values_come_as_the_charts_need_them(db: Any) -> None:
    db.any.drop()
    row = {"_id": 1, "t": START.replace(hour=14), "yes": True, "n": None, "x": 1.5, "PM2.5": 7, "l": [1], "Größe": 2}
    db.any.insert_one(row)
    found = ask(db, 'SELECT t, yes, n, x, "PM2.5", l, "Größe", missing FROM any')
    assert found == [("2026-01-01 14:00:00", 1, None, 1.5, 7, "[1]", 2, None)]
    assert ask(db, "SELECT typeof(x), typeof(yes) FROM any") == [("real", "integer")]
    assert len(ask(db, "SELECT * FROM any")[0]) == len(row)


def test_a_column_has_a_name_and_a_type_and_none_where_nothing_is(db: Any, engine: sa.engine.Engine) -> None:
    db.any.drop()
    cursor = engine.raw_connection().cursor()
    cursor.execute("SELECT x, COUNT(*) AS n FROM any GROUP BY x")
    assert cursor.fetchall() == []
    assert [column[:2] for column in cursor.description] == [("x", None), ("n", None)]
    db.any.insert_many([{"x": None, "t": None}, {"x": 9, "t": START, "s": "10"}])
    cursor.execute("SELECT x, x / 2.0 AS h, t, s FROM any")
    assert [column[:2] for column in cursor.description] == [
        *(("x", "INTEGER"), ("h", "FLOAT"), ("t", "DATETIME"), ("s", "STRING"))
    ]
    assert cursor.fetchone()[0] is None
    assert cursor.fetchmany(5) == [(9, 4.5, "2026-01-01 00:00:00", "10")]
    assert ask(db, "SELECT MAX(x), MAX(s) FROM any") == [(9, "10")]


def test_groups_joins_and_with_are_as_in_pandas(db: Any) -> None:
    days = pd.DataFrame(db.daily_averages.find())
    named = days.merge(pd.DataFrame(db.stations.find()).rename(columns={"_id": "station"}), on="station")
    recent = named[(named["day"] >= "2025-10-01") & named["station"].isin(["S1", "S2"])]
    by_name = [*recent.groupby("name")["hours"].sum().items()]
    inner = "SELECT station, day, hours FROM daily_averages WHERE day >= '2025-10-01' AND station IN ('S1', 'S2')"
    for sql in (
        f"SELECT name, SUM(hours) FROM ({inner}) AS d JOIN stations ON station = stations._id GROUP BY name ORDER BY 1",
        f"WITH d AS ({inner}) SELECT name, SUM(hours) FROM d JOIN stations s ON s._id = station GROUP BY 1 ORDER BY 1",
        "SELECT name, SUM(hours) FROM daily_averages d, stations s WHERE d.station = s._id AND d.day >= '2025-10-01' "
        "AND d.station IN ('S1', 'S2') GROUP BY name ORDER BY name",
        "SELECT station_name, SUM(hours) FROM (SELECT station, station_name, day, hours FROM daily_averages_named) v "
        "WHERE day >= '2025-10-01' AND station IN ('S1', 'S2') GROUP BY station_name ORDER BY 1",
        "SELECT s.name, (SELECT SUM(hours) FROM daily_averages WHERE station = s._id AND day >= '2025-10-01') AS h "
        "FROM stations s WHERE s._id IN ('S1', 'S2') ORDER BY 1",
    ):
        assert ask(db, sql) == by_name, sql
    by_station = [*days.groupby("station")["hours"].mean().items()]
    assert ask(db, "SELECT station AS s, AVG(hours) FROM daily_averages GROUP BY s ORDER BY s") == by_station
    assert ask(
        db, "SELECT station, MAX(hours) AS hours FROM daily_averages GROUP BY 1 HAVING hours > 3 ORDER BY hours, 1"
    ) == [*days.groupby("station")["hours"].max().items()]


def test_a_condition_after_an_outer_join_leaves_no_match_out(db: Any) -> None:
    db.lefts.drop()
    db.rights.drop()
    db.lefts.insert_many([{"_id": 1}, {"_id": 2}])
    db.rights.insert_one({"_id": 1, "x": 5})
    joined = "SELECT l._id FROM lefts AS l LEFT JOIN rights AS r ON l._id = r._id WHERE"
    assert ask(db, f"{joined} r.x IS NULL") == [(2,)]
    both = "SELECT a.x, b._id FROM rights AS a JOIN rights AS b ON a._id = b._id WHERE a.x = 5"
    assert ask(db, f"{both} UNION ALL SELECT x, _id FROM rights WHERE x = 6") == [(5, 1)]
    assert ask(db, f"{both} UNION ALL SELECT x, _id FROM rights") == [(5, 1), (5, 1)]
    assert ask(db, "SELECT x FROM rights WHERE x = 6 UNION ALL SELECT x FROM rights") == [(5,)]


def test_an_alias_is_no_field(db: Any) -> None:
    db.any.drop()
    db.any.insert_many([{"x": n} for n in range(6)])
    assert ask(db, "SELECT x * 2 AS y FROM any WHERE y >= 6 ORDER BY y") == [(6,), (8,), (10,)]
    assert ask(db, "SELECT x * 2 AS y FROM any WHERE y = 6") == [(6,)]
    assert ask(db, "SELECT x % 2 AS y, COUNT(*) FROM any GROUP BY y ORDER BY y") == [(0, 3), (1, 3)]
    assert ask(db, "SELECT n FROM (SELECT x, ROW_NUMBER() OVER (ORDER BY x DESC) AS n FROM any) v WHERE x = 1") == [
        (5,)
    ]
    assert ask(db, "SELECT x FROM (SELECT x FROM any ORDER BY x LIMIT 2) v WHERE x > 0") == [(1,)]


def test_a_view_is_asked_by_its_collections_index(db: Any) -> None:
    sql = "SELECT station_name, hours FROM daily_averages_named WHERE day >= '2025-12-25' AND station IN ('S1', 'S2')"
    needed = sql_plan.plan(sql).readings["daily_averages_named"].filter
    command = {"find": "daily_averages_named", "filter": needed}
    explained = db.command({"explain": command, "verbosity": "executionStats"})
    stats = explained.get("executionStats") or explained["stages"][0]["$cursor"]["executionStats"]
    assert "COLLSCAN" not in str(explained)
    assert len(ask(db, sql)) == 16
    assert stats["totalDocsExamined"] <= 16 * 3, "with the stations looked up"


@pytest.mark.parametrize(
    "sql",
    [
        *("DELETE FROM stations", "INSERT INTO stations VALUES (1)", "DROP TABLE stations", "PRAGMA user_version"),
        *("ATTACH 'x.db' AS x", "SELECT 1; SELECT 2", "SELEC 1", "", "SELECT * FROM", 'SELECT * FROM "system.views"'),
    ],
)
def test_all_but_one_select_is_refused(db: Any, sql: str) -> None:
    with pytest.raises(mongodb_sql.ProgrammingError, match=r"SELECT|server's own"):
        ask(db, sql)


def test_a_collection_that_is_not_there_is_empty(db: Any) -> None:
    assert ask(db, "SELECT station, change FROM not_yet WHERE station = 'S1'") == []
    assert ask(db, "SELECT * FROM not_yet") == []
    assert ask(db, "SELECT COUNT(*) FROM not_yet") == [(0,)]
    assert ask(db, "SELECT MAX(x) AS x FROM not_yet") == [(None,)]
    assert ask(db, "SELECT s.name FROM stations s JOIN not_yet n ON n.station = s._id WHERE change > 0") == []


def test_a_server_that_is_away_is_told(db: Any) -> None:
    away = mongodb_sql.connect(host="mongodb://127.0.0.1:9", database="sql", serverSelectionTimeoutMS=50)
    with pytest.raises(mongodb_sql.OperationalError, match="MongoDB did not answer"):
        away.cursor().execute("SELECT name FROM stations")


def test_threads_do_not_mix_their_answers(db: Any) -> None:
    wrong: list[Any] = []

    def run(number: int) -> None:
        for _ in range(30):
            found = ask(
                db,
                f"SELECT day, hours AS h{number} FROM daily_averages WHERE station = 'S{number}' AND hours = {number}",
            )
            wrong.extend(row for row in found if row[1] != number)
            wrong.extend([] if len(found) == 12 else [len(found)])

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_the_inspector_knows_collections_views_and_fields(db: Any, engine: sa.engine.Engine) -> None:
    inspector = sa.inspect(engine)
    assert "stations" in inspector.get_table_names()
    assert "daily_averages_named" in inspector.get_view_names()
    assert "daily_averages_named" not in inspector.get_table_names()
    types = {column["name"]: type(column["type"]).__name__ for column in inspector.get_columns("daily_averages")}
    assert types == {"_id": "String", "station": "String", "day": "String", "hours": "Integer"}
    assert inspector.has_table("station_now")
    assert not inspector.has_table("not_yet")
    with engine.connect() as connection:
        assert engine.dialect.do_ping(connection.connection)


@given(x=st.one_of(st.floats(-1e12, 1e12), st.integers(-(10**12), 10**12)), digits=st.integers(0, 3))
def test_numbers_are_written_as_the_cldr_has_them(x: float, digits: int) -> None:
    rounded = Decimal(f"{x:.15g}").quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP) + 0
    rounded = abs(rounded) if rounded == 0 else rounded
    pattern = "#,##0" + ("." + "0" * digits if digits else "")
    for lang in ("en", "fr"):
        assert functions.decimal(x, digits, lang) == format_decimal(rounded, pattern, lang)


def test_numbers_and_moments_by_hand(db: Any) -> None:
    written = {
        "decimal(39.15, 1, 'en')": "39.2",
        "decimal(-39.15, 1, 'fr')": "-39,2",
        "decimal(-0.04, 1, 'en')": "0.0",
        "decimal(1234567.5, 0, 'en')": "1,234,568",
        "decimal(1234.5, 1, 'fr')": "1\u202f234,5",
        "on_date('2026-11-26', 'en')": "26 Nov 2026",
        "on_date('2026-11-01', 'en')": "1 Nov 2026",
        "on_date('2026-11-01', 'fr')": "1er nov. 2026",
        "at_hour('2026-11-26 14:00:00', 'en')": "26 Nov, 14:00",
        "at_hour('2026-11-26 14:00:00', 'fr')": "26 nov., 14 h",
        "clock('2026-11-26 04:05:00', 'en')": "04:05",
        "clock('2026-11-26 14:05:00', 'fr')": "14 h 05",
        "clock('2026-11-26 00:00:00', 'fr')": "0 h",
        "weekday(1, 'en')": "Mon",
        "weekday(7, 'fr')": "dim.",
    }
    for call, text in written.items():
        found = ask(db, f"SELECT {call}")[0][0]
        assert found.replace("\u00a0", " ") == text, call
        assert " " not in found or "'en'" in call
    calls = [f"{call.partition('(')[0]}(NULL{', 1' if 'decimal' in call else ''}, 'fr')" for call in written]
    assert set(ask(db, f"SELECT {', '.join(calls)}")[0]) == {None}
    for wrong in ("decimal('x', 1, 'en')", "on_date('soon', 'en')", "clock('2026-01-01', 'de')"):
        with pytest.raises(mongodb_sql.OperationalError):
            ask(db, f"SELECT {wrong}")


@given(st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)))
def test_days_are_those_of_the_cldr(moment: datetime) -> None:
    months = ["janv.", "févr.", "mars", "avr.", "mai", "juin", "juil.", "août", "sept.", "oct.", "nov.", "déc."]
    assert [*get_month_names("abbreviated", locale="fr").values()] == months
    iso = f"{moment.replace(tzinfo=UTC):%Y-%m-%d %H:%M:%S}"
    assert functions.on_date(iso, "en") == format_date(moment, "d MMM y", locale="en")
    first = "1er" if moment.day == 1 else f"{moment.day}"
    assert functions.on_date(iso, "fr").split("\u00a0") == [first, months[moment.month - 1], f"{moment.year}"]


def test_every_function_is_known_to_sqlite(db: Any) -> None:
    arguments = {4: "(0.001, 2, 0.01, 'en')", 3: "(1.5, 1, 'en')", 2: "('2026-01-01', 'en')"}
    for function, count in functions.FUNCTIONS.items():
        call = "weekday(1, 'en')" if function is functions.weekday else function.__name__ + arguments[count]
        assert ask(db, f"SELECT {call}")[0][0], call
