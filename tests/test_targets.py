"""The staged files as the stages see them, and the loads recorded in MongoDB."""

import json
import os
import time
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airqino.errors import StagingError
from airqino.stores import files, parquet
from tasks import staged, targets
from tasks.settings import reading

DAY = date(2024, 9, 9)
MIDNIGHT = datetime(2024, 9, 9, tzinfo=UTC)


@pytest.fixture(autouse=True)
def staging(tmp_path, monkeypatch) -> Path:
    """A staging root of its own, and nothing remembered."""
    monkeypatch.setenv("STAGING_ROOT", str(tmp_path))
    reading.settings.cache_clear()
    targets._raw_days.clear()
    targets._raw_fingerprints.clear()
    yield tmp_path
    targets._raw_days.clear()
    targets._raw_fingerprints.clear()
    reading.settings.cache_clear()


def hour(number: int) -> datetime:
    return MIDNIGHT + timedelta(hours=number)


def table(number: int, *values: float) -> pa.Table:
    stations = [str(i + 1) for i in range(len(values))]
    return pa.table({"station": stations, "observed_at": [hour(number)] * len(values), "pm2_5": list(values)})


def write(number: int, *values: float) -> None:
    targets.raw(hour(number)).write(table(number, *values))


def seen() -> dict[int, list[float]]:
    return {at.hour: [row["pm2_5"] for row in rows.values()] for at, rows in targets.raw_day(DAY).rows.items()}


def settle(staging: Path) -> None:
    """Make a folder look as if it was left alone for a while."""
    os.utime(staging / "2024-09-09" / "raw", ns=(time.time_ns() - 10**10,) * 2)


# --- paths


def test_where_everything_lies(staging):
    at = hour(7)
    found = [targets.raw(at), targets.hourly(DAY), targets.daily(DAY), targets.revisions(DAY), targets.forecast(at)]
    assert [str(target.path.relative_to(staging)) for target in [*found, targets.station("42")]] == [
        "2024-09-09/raw/07.parquet",
        "2024-09-09/hourly.parquet",
        "2024-09-09/daily.parquet",
        "2024-09-09/revisions.parquet",
        "2024-09-09/forecast/07.parquet",
        "stations/42.parquet",
    ]


# --- a file


def test_a_target_that_is_not_there_is_empty():
    target = targets.daily(DAY)
    assert (target.exists(), target.fingerprint, target.inputs, target.rows()) == (False, None, None, [])
    assert staged.frame([target]).empty


def test_a_target_keeps_rows_inputs_and_more(staging):
    target = targets.daily(DAY)
    frame = pd.DataFrame({"station": ["1", "2"], "day": [DAY, DAY], "pm2_5_mean": [21.5, None]})
    assert target.write(frame, inputs="of what", through="2024-09-09T10") is True
    assert target.exists()
    assert target.inputs == "of what"
    assert [(row["station"], row["pm2_5_mean"]) for row in target.rows()] == [("1", 21.5), ("2", None)]
    assert parquet.texts_in(target.table())["through"] == "2024-09-09T10"
    pd.testing.assert_frame_equal(staged.frame([target]), frame)
    assert target.write(frame, inputs="of what", through="2024-09-09T10") is False
    assert target.fingerprint == parquet.fingerprint(pa.Table.from_pandas(frame, preserve_index=False))


def test_several_files_become_one_frame_and_missing_ones_are_left_out():
    for number in (3, 5):
        write(number, number)
    frame = staged.frame([targets.raw(hour(n)) for n in (3, 4, 5)])
    assert list(frame["pm2_5"]) == [3, 5]
    assert list(frame["observed_at"]) == [hour(3), hour(5)]
    assert staged.frame([targets.raw(hour(4))]).empty


def test_a_fingerprint_of_inputs_changes_with_each_of_them():
    one = targets.fingerprint(["a", None], {"1": "UTC"}, 0.75, 1)
    assert one == targets.fingerprint(["a", None], {"1": "UTC"}, 0.75, 1)
    others = [(["a", "b"], {"1": "UTC"}, 0.75, 1), (["a", None], {"1": "Asia/Tokyo"}, 0.75, 1)]
    others += [(["a", None], {"1": "UTC"}, 0.5, 1), (["a", None], {"1": "UTC"}, 0.75, 2)]
    assert len({one, *(targets.fingerprint(*of) for of in others)}) == 5


def test_what_is_kept_of_the_requests_comes_back():
    target = targets.raw(hour(1))
    assert targets.exchanges(target) == []
    target.write(table(1, 5.0), exchanges='[{"station": "1", "sha256": "ab"}]')
    assert targets.exchanges(target) == [{"station": "1", "sha256": "ab"}]


# --- a day of raw hours


def test_a_day_without_a_folder_is_empty(staging):
    assert targets.raw_day(DAY) == targets.RawDay(targets.RawFingerprints(), {}, None)
    (staging / "2024-09-09" / "raw").mkdir(parents=True)
    assert targets.raw_day(DAY) == targets.RawDay(targets.RawFingerprints(), {}, None)


def test_a_day_holds_its_hours_in_order_by_station():
    for number in (23, 0, 10):
        write(number, number, number + 0.5)
    found = targets.raw_day(DAY)
    assert seen() == {0: [0, 0.5], 10: [10, 10.5], 23: [23, 23.5]}
    assert list(found.rows[hour(10)]) == ["1", "2"]
    assert found.fingerprints.hours == tuple(
        f"{hour(n)} {parquet.fingerprint(table(n, n, n + 0.5))}" for n in (0, 10, 23)
    )
    assert found.table.to_pylist() == [row for n in (0, 10, 23) for row in table(n, n, n + 0.5).to_pylist()]


@pytest.mark.parametrize("rest", [True, False])
def test_new_replaced_and_deleted_hours_are_seen_at_once(staging, rest):
    expected: dict[int, list[float]] = {}
    for step in range(60):
        number = step * 7 % 5
        if step % 4 == 3 and number in expected:
            targets.raw(hour(number)).path.unlink()
            del expected[number]
        else:
            write(number, step)
            expected[number] = [step]
        assert seen() == dict(sorted(expected.items()))
        if rest and step % 10 == 0:
            settle(staging)
            assert seen() == dict(sorted(expected.items()))


def test_hours_replaced_by_another_process_are_seen_within_the_same_tick_of_the_clock(staging, monkeypatch):
    assert files._TICK_NS >= 10_000_000  # a kernel's tick is 1 to 10 ms
    monkeypatch.setattr(files, "_TICK_NS", 6 * 10**10)  # however long a step takes, its tick lasts
    folder = staging / "2024-09-09" / "raw"
    write(10, 1)
    for step in range(2, 30):
        tick = time.time_ns()
        os.utime(folder, ns=(tick, tick))
        assert seen() == {10: [step - 1]}
        temporary = folder / "another.tmp"
        pq.write_table(table(10, step).replace_schema_metadata({"fingerprint": str(step)}), temporary)
        temporary.replace(folder / "10.parquet")
        os.utime(folder, ns=(tick, tick))  # a coarse clock: the change does not show
        assert seen() == {10: [step]}


def test_a_day_left_alone_is_looked_at_once(staging):
    write(10, 1)
    settle(staging)
    first = targets.raw_day(DAY)
    assert targets.raw_day(DAY) is first
    write(11, 2)
    assert targets.raw_day(DAY) is not first


def test_a_change_of_bookkeeping_alone_keeps_fingerprints_and_shows_in_the_rows():
    target = targets.raw(hour(10))
    for attempts in (1, 2):
        rows = table(10, 5.0).append_column("attempts", pa.array([attempts]))
        parquet.write(target.path, rows, bookkeeping=["attempts"])
        found = targets.raw_day(DAY)
        assert found.fingerprints.hours == (f"{hour(10)} {parquet.fingerprint(table(10, 5.0))}",)
        assert found.rows[hour(10)]["1"]["attempts"] == attempts


def test_of_large_days_few_are_remembered_and_the_last_one_always(monkeypatch):
    days = [DAY - timedelta(days=back) for back in range(5)]
    for day in days:
        at = datetime(day.year, day.month, day.day, 10, tzinfo=UTC)
        rows = pa.table({"station": ["1"], "observed_at": pa.array([at], pa.timestamp("us", tz="UTC"))})
        parquet.write(targets.raw(at).path, rows)
    size = parquet.size_of(targets.raw_day(days[0]).table)
    assert size == targets._raw_days._size > 0
    for most, remembered in ((2.5 * size, days[-2:]), (size / 2, days[-1:])):
        monkeypatch.setattr(targets._raw_days, "most_size", most)
        targets._raw_days.clear()
        assert all(len(targets.raw_day(day).rows) == 1 for day in days)
        assert list(targets._raw_days) == remembered
    monkeypatch.setattr(targets._raw_days, "most_size", 2.5 * size)
    targets._raw_days.clear()
    assert [len(targets.raw_day(day).rows) for day in days[:2]] == [1, 1]
    parquet.write(
        targets.raw(datetime(2024, 9, 9, 11, tzinfo=UTC)).path,
        rows.set_column(1, "observed_at", pa.array([hour(11)], pa.timestamp("us", tz="UTC"))),
    )
    assert len(targets.raw_day(days[0]).rows) == 2
    assert [*targets._raw_days][-1] == days[0], "what was read last is the last to go, although it was there before"


def test_temporary_files_of_a_killed_writer_are_no_hours(staging):
    write(10, 1)
    (staging / "2024-09-09" / "raw" / ".11.parquet.4711.tmp").write_bytes(b"half a file")
    assert seen() == {10: [1]}


def test_days_are_remembered_apart_and_another_root_is_another_day(tmp_path, monkeypatch):
    write(10, 1)
    settle(tmp_path)
    assert seen() == {10: [1]}
    monkeypatch.setenv("STAGING_ROOT", str(tmp_path / "other"))
    reading.settings.cache_clear()
    assert seen() == {}
    write(10, 9)
    assert seen() == {10: [9]}


def test_memory_of_days_is_bounded(tmp_path):
    for back in range(targets._raw_days.most + 6):
        at = MIDNIGHT - timedelta(days=back)
        targets.raw(at).write(pa.table({"station": ["1"], "pm2_5": [float(back)]}))
        assert targets.raw_day(at.date()).rows[at]["1"]["pm2_5"] == back
    assert len(targets._raw_days) == targets._raw_days.most
    assert targets.raw_day(DAY).rows[MIDNIGHT]["1"]["pm2_5"] == 0


# --- loads


def test_a_load_is_recorded_with_its_inputs_and_when(mongod, monkeypatch):
    monkeypatch.setenv("MONGODB_URI", mongod.uri)
    monkeypatch.setenv("MONGODB_DATABASE", "test_targets")
    monkeypatch.setenv("AIRQINO_NOW", "2024-09-09T10:05")
    reading.settings.cache_clear()
    load = targets.LoadTarget(f"day|{DAY}")
    try:
        assert (load.exists(), load.record(), str(load)) == (False, None, "loads/day|2024-09-09")
        load.write("prints", {"kind": "day", "hourly_documents": 24})
        load.write("prints", {"kind": "day", "hourly_documents": 24})
        at = datetime(2024, 9, 9, 10, 5, tzinfo=UTC)
        expected = {"_id": "day|2024-09-09", "kind": "day", "hourly_documents": 24, "inputs": "prints", "loaded_at": at}
        assert load.record() == expected
        assert load.exists()
        assert targets.database()["loads"].count_documents({}) == 1
    finally:
        targets.database().client.drop_database("test_targets")


def test_a_file_is_named_by_its_path(staging):
    assert str(targets.daily(DAY)) == f"{staging}/2024-09-09/daily.parquet"


def test_the_file_says_in_which_unit_each_amount_is(staging: Path) -> None:
    columns = ["co", "co_flag", "co_tests", "co_mean", "co_hours", "pm2_5_dry_mean", "o3_8h_max", "pm10", "pm2_5", "rh"]
    target = targets.daily(DAY)
    target.write(pd.DataFrame({name: [1.0] for name in columns}).assign(day=DAY), inputs="x")
    metadata = pq.read_schema(target.path).metadata
    assert json.loads(metadata[b"units"]) == {
        "co": "mg/m³",
        "co_mean": "mg/m³",
        "pm2_5_dry_mean": "µg/m³",
        "o3_8h_max": "µg/m³",
        "pm10": "µg/m³",
        "pm2_5": "µg/m³",
        "rh": "%",
    }


def test_the_requests_of_many_stations_are_packed_and_are_not_kept_in_memory():
    target, many = targets.raw(hour(1)), [{"n": n, "sha256": sha256(b"%d" % n).hexdigest()} for n in range(400)]
    text = targets.packed(many)
    assert 4096 < len(text) < len(json.dumps(many)) / 1.5
    target.write(table(1, 5.0), exchanges=text)
    assert targets.exchanges(target) == many
    assert "exchanges" not in parquet.texts_in(target.table())
    assert target.write(table(1, 5.0), exchanges=text) is False
    assert targets.packed(many[:1]) == json.dumps(many[:1])


def test_a_large_file_is_read_before_something_is_made_of_it(monkeypatch):
    target = targets.hourly(DAY)
    target.write(table(1, *(float(n) for n in range(500))))
    content = bytearray(target.path.read_bytes())
    content[200] ^= 1
    target.path.write_bytes(content)
    monkeypatch.setattr(parquet, "_LARGE_FILE", 1000)
    assert target.fingerprint  # by its footer, which is as it was
    with pytest.raises(StagingError, match="was damaged: run again"):
        staged.refuse_damaged([target])
    assert target.fingerprint is None
    staged.refuse_damaged([target])
