"""Parquet files: what a fingerprint depends on, what a killed writer leaves, what a reader sees."""

import json
import random
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airqino.errors import DamagedFileError, StagingError
from airqino.stores import parquet, parts
from airqino.stores.remembered import Remembered

ROOT = Path(__file__).resolve().parents[2]
AT = datetime(2024, 9, 9, 10, tzinfo=UTC)
TABLE = pa.table(
    {
        "station": ["1", "2", "3"],
        "pm2_5": [21.5, None, 0.0],
        "observed_at": pa.array([AT] * 3, pa.timestamp("us", "UTC")),
    }
)


def replaced(path: Path, table: pa.Table) -> None:
    """Replace a file as another process does: this one's memory is not told."""
    temporary = path.with_name("another.tmp")
    pq.write_table(table.replace_schema_metadata({"fingerprint": "another process's"}), temporary)
    temporary.replace(path)


# --- fingerprints

cells = st.lists(
    st.tuples(
        st.one_of(st.none(), st.text(max_size=4)),
        st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)),
        st.one_of(st.none(), st.booleans()),
        st.one_of(st.none(), st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))),
    ),
    max_size=8,
)
SCHEMA = pa.schema(
    [("station", pa.string()), ("co", pa.float64()), ("final", pa.bool_()), ("at", pa.timestamp("us", tz="UTC"))]
)


def table_of(rows):
    return pa.Table.from_pylist([dict(zip(SCHEMA.names, row, strict=True)) for row in rows], schema=SCHEMA)


@given(cells, st.integers(1, 4), st.dictionaries(st.text("abc", min_size=1), st.text(max_size=3), max_size=3))
def test_a_fingerprint_does_not_depend_on_chunks_encoding_or_metadata(rows, size, extra):
    table = table_of(rows)
    expected = parquet.fingerprint(table)
    chunks = pa.concat_tables([table.slice(i, size) for i in range(0, max(len(rows), 1), size)])
    encoded = chunks.set_column(0, "station", chunks["station"].dictionary_encode())
    large = table.set_column(0, "station", table["station"].cast(pa.large_string()))
    told = table.replace_schema_metadata(extra)
    turned = table.replace_schema_metadata(dict(reversed(extra.items())))
    assert [parquet.fingerprint(t) for t in (chunks, encoded, large, told, turned)] == [expected] * 5


@given(cells.filter(len), st.data())
def test_a_fingerprint_changes_with_any_value_and_with_the_order_of_rows(rows, data):
    table = table_of(rows)
    place = data.draw(st.integers(0, len(rows) - 1))
    column = data.draw(st.integers(0, 3))
    new = data.draw(cells.filter(len))[0][column]
    changed = [list(row) for row in rows]
    changed[place][column] = new
    same = new == rows[place][column] and str(new) == str(rows[place][column])
    assert (parquet.fingerprint(table_of(changed)) == parquet.fingerprint(table)) is same
    if rows[::-1] != rows:
        assert parquet.fingerprint(table_of(rows[::-1])) != parquet.fingerprint(table)


def test_a_fingerprint_knows_a_name_a_null_and_leaves_out_what_is_bookkeeping():
    expected = parquet.fingerprint(TABLE)
    assert len(expected) == 32
    assert int(expected, 16) >= 0
    assert parquet.fingerprint(TABLE.rename_columns(["station", "pm10", "observed_at"])) != expected
    zero = TABLE.set_column(1, "pm2_5", pa.array([21.5, 0.0, 0.0]))
    assert parquet.fingerprint(zero) != expected
    counted = TABLE.append_column("attempts", pa.array([1, 2, 3]))
    assert parquet.fingerprint(counted) != expected
    assert parquet.fingerprint(counted, ignore=["attempts"]) == expected


def test_a_digest_of_a_dict_does_not_depend_on_its_order():
    assert parquet.digest({"a": 1, "b": [AT, None]}) == parquet.digest({"b": [AT, None], "a": 1})
    assert parquet.digest(["a", "b"]) != parquet.digest(["b", "a"])
    assert parquet.digest(["ab"]) != parquet.digest(["a", "b"])


# --- writing


def test_what_is_written_comes_back_with_its_fingerprint(tmp_path):
    path = tmp_path / "2024-09-09" / "raw" / "10.parquet"
    assert parquet.write(path, TABLE, extra={"inputs": "of what"}) is True
    pd.testing.assert_frame_equal(pd.read_parquet(path), TABLE.to_pandas())
    texts = parquet.texts_in(parquet.read(path))
    assert texts.keys() == {"fingerprint", "inputs", "checksum"}
    assert (texts["fingerprint"], texts["inputs"]) == (parquet.fingerprint(TABLE), "of what")
    assert parquet.fingerprint_in(parquet.read(path)) == parquet.fingerprint(TABLE)
    assert [p.name for p in path.parent.iterdir()] == ["10.parquet"]


def test_a_large_table_comes_back_as_well(tmp_path):
    big = pa.table({"hour": list(range(5000)), "pm2_5": [i / 7 for i in range(5000)]})
    parquet.write(tmp_path / "big.parquet", big)
    assert pq.read_table(tmp_path / "big.parquet").to_pydict() == big.to_pydict()


def test_unchanged_content_is_not_written_again(tmp_path):
    path = tmp_path / "x.parquet"
    parquet.write(path, TABLE, extra={"inputs": "a"})
    before = path.stat()
    again = TABLE.replace_schema_metadata({"pandas": "{}"})
    assert parquet.write(path, again, extra={"inputs": "a"}) is False
    assert path.stat() == before
    parquet._tables.clear()  # as a new process
    assert parquet.write(path, again, extra={"inputs": "a"}) is False
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize(
    ("table", "extra"), [(TABLE, {"inputs": "b"}), (TABLE, {}), (TABLE.slice(0, 2), {"inputs": "a"})]
)
def test_new_rows_or_new_inputs_are_written(tmp_path, table, extra):
    path = tmp_path / "x.parquet"
    parquet.write(path, TABLE, extra={"inputs": "a"})
    before = path.stat().st_ino
    assert parquet.write(path, table, extra=extra) is True
    assert path.stat().st_ino != before
    assert pq.read_table(path).to_pylist() == table.to_pylist()


def test_bookkeeping_is_written_though_the_fingerprint_stays(tmp_path):
    path = tmp_path / "x.parquet"
    for attempts in (1, 2):
        counted = TABLE.append_column("attempts", pa.array([attempts] * 3))
        assert parquet.write(path, counted, bookkeeping=["attempts"]) is True
        assert parquet.fingerprint_in(parquet.read(path)) == parquet.fingerprint(TABLE)
    assert pq.read_table(path)["attempts"].to_pylist() == [2, 2, 2]


def test_rows_that_stay_keep_the_fingerprint_that_another_version_gave_them(tmp_path):
    path = tmp_path / "x.parquet"
    parquet.write(path, TABLE)
    table = parquet.read(path)
    texts = table.schema.metadata | {b"fingerprint": b"that of 0.8"}
    del texts[b"checksum"]
    pq.write_table(table.replace_schema_metadata(texts), path)
    assert parquet.write(path, TABLE, extra={"inputs": "others"}) is True
    found = parquet.texts_in(parquet.read(path))
    assert (found["fingerprint"], found["inputs"]) == ("that of 0.8", "others")
    parquet.write(path, TABLE.slice(1))
    assert parquet.fingerprint_in(parquet.read(path)) == parquet.fingerprint(TABLE.slice(1))


WRITER = """
import sys
from pathlib import Path
import pyarrow as pa
from airqino.stores import parquet, parts
path, number = Path(sys.argv[1]), int(sys.argv[2])
print("ready", flush=True)
while True:
    number += 1
    parquet.write(path, pa.table({"number": [number] * 20_000}))
"""


def test_a_killed_writer_leaves_the_old_file_or_the_new_one(tmp_path):
    path, chance = tmp_path / "x.parquet", random.Random(20240909)
    parquet.write(path, pa.table({"number": [0] * 20_000}))
    last = reads = 0
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(last)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout.readline() == "ready\n"
            begin, end, numbers = time.monotonic(), time.monotonic() + chance.uniform(0.02, 0.25), {last}
            # on a busy machine the writer may need longer for its first file
            while time.monotonic() < end or (numbers == {last} and time.monotonic() < begin + 20):
                numbers = set(parquet.read(path)["number"].to_pylist())
                assert len(numbers) == 1
                reads += 1
            writer.kill()
        (number,) = set(pq.read_table(path)["number"].to_pylist())
        assert parquet.read(path)["number"][0].as_py() == number
        assert number >= last
        last = number
    assert last > 0
    assert reads > 3


# --- reading


def test_a_file_that_is_not_there_is_nothing(tmp_path):
    missing = tmp_path / "x.parquet"
    assert parquet.read(missing) is None
    (tmp_path / "file").touch()
    assert parquet.read(tmp_path / "file" / "x.parquet") is None


def test_a_file_that_did_not_change_is_read_once(tmp_path):
    path = tmp_path / "x.parquet"
    parquet.write(path, TABLE)
    first = parquet.read(path)
    assert parquet.read(path) is first
    replaced(path, TABLE)
    assert parquet.read(path) is not first
    assert parquet.read(path).to_pylist() == first.to_pylist()


def test_a_replaced_file_is_seen_at_once_though_many_are_replaced_within_milliseconds(tmp_path):
    path = tmp_path / "x.parquet"
    for number in range(300):
        replaced(path, pa.table({"number": [number]}))
        assert parquet.read(path)["number"].to_pylist() == [number]


def test_a_file_that_was_taken_away_is_not_remembered(tmp_path):
    path = tmp_path / "x.parquet"
    parquet.write(path, TABLE)
    path.unlink()
    assert parquet.read(path) is None
    assert parquet.write(path, TABLE) is True


@pytest.mark.parametrize("content", [b"", b"PAR1 but no more", b"x" * 5000])
def test_a_damaged_file_is_named_and_stays_until_it_is_built_again(tmp_path, content):
    path = tmp_path / "10.parquet"
    path.write_bytes(content)
    with pytest.raises(DamagedFileError, match=r"10\.parquet cannot be read"):
        parquet.read(path)
    assert path.read_bytes() == content
    assert parquet.write(path, TABLE) is True
    assert pq.read_table(path).to_pylist() == TABLE.to_pylist()


def test_a_file_cut_anywhere_is_damaged(tmp_path):
    path = tmp_path / "10.parquet"
    parquet.write(path, TABLE)
    whole = path.read_bytes()
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedFileError, match=str(path)):
            parquet.read(path)


def test_whichever_bit_flips_no_other_value_is_read(tmp_path):
    """Wherever a bit of a file flips, it is found, or what is read is what was written."""
    path = tmp_path / "10.parquet"
    parquet.write(path, TABLE, extra={"inputs": "of what", "exchanges": "[]"})
    whole, draw, found = path.read_bytes(), random.Random(20241125), 0
    for position in range(len(whole)):
        flipped = bytearray(whole)
        flipped[position] ^= 1 << draw.randrange(8)
        path.write_bytes(flipped)
        try:
            table = parquet.read(path)
        except DamagedFileError:
            found += 1
        else:
            assert table.to_pydict() == TABLE.to_pydict(), position
            texts = parquet.texts_in(table)
            assert (texts["fingerprint"], texts["inputs"]) == (parquet.fingerprint(TABLE), "of what"), position
    assert found > 0.5 * len(whole)


def test_a_foreign_file_and_one_that_the_caller_refuses_are_damaged(tmp_path):
    path = tmp_path / "10.parquet"
    pq.write_table(TABLE, path)
    with pytest.raises(DamagedFileError, match="not the file that was written under this name"):
        parquet.read(path)

    def refuse(table):
        raise DamagedFileError(f"{len(table)} rows of another hour")

    parquet.write(path, TABLE)
    replaced(path, TABLE)
    with pytest.raises(DamagedFileError, match="3 rows of another hour"):
        parquet.read(path, refuse)


def test_a_file_of_the_version_before_has_no_checksum(tmp_path):
    path = tmp_path / "10.parquet"
    pq.write_table(TABLE.replace_schema_metadata({"fingerprint": "of 0.1"}), path)
    assert parquet.fingerprint_in(parquet.read(path)) == "of 0.1"


def test_a_file_in_place_of_a_folder_cannot_be_written_to(tmp_path):
    (tmp_path / "2024-09-09").write_text("no folder")
    path = tmp_path / "2024-09-09" / "raw" / "10.parquet"
    with pytest.raises(StagingError, match="cannot be written") as caught:
        parquet.write(path, TABLE)
    assert str(path) in str(caught.value)


def test_a_folder_in_place_of_the_file_cannot_be_replaced_and_nothing_is_left_behind(tmp_path):
    path = tmp_path / "10.parquet"
    path.mkdir()
    with pytest.raises(StagingError, match=str(path)):
        parquet.write(path, TABLE)
    assert list(tmp_path.iterdir()) == [path]


def test_tables_put_together_keep_their_order_and_no_metadata():
    one = TABLE.replace_schema_metadata({"fingerprint": "1"})
    two = pa.table({"station": ["9"], "co": [0.4]}).replace_schema_metadata({"fingerprint": "2"})
    both = parquet.concat(iter([one, two]))
    assert both["station"].to_pylist() == ["1", "2", "3", "9"]
    assert both["co"].to_pylist() == [None, None, None, 0.4]
    assert both.schema.metadata is None


def test_memory_is_bounded_and_what_fell_out_is_read_again(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "_tables", Remembered(most=3, most_size=10**9))
    for number in range(10):
        parquet.write(tmp_path / f"{number}.parquet", pa.table({"number": [number]}))
    assert len(parquet._tables) == 3
    assert [parquet.read(tmp_path / f"{n}.parquet")["number"][0].as_py() for n in range(10)] == list(range(10))


def test_tables_in_memory_have_a_limit_in_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "_tables", Remembered(most=100, most_size=3 * parquet.size_of(TABLE)))
    for number in range(9):
        parquet.write(tmp_path / f"{number}.parquet", TABLE)
        parquet.write(tmp_path / f"{number}.parquet", TABLE, extra={"once": "more"})
    assert [path.stem for path in parquet._tables] == ["6", "7", "8"]
    assert parquet._tables._size == 3 * parquet.size_of(TABLE)


@pytest.mark.parametrize("rows", [2, 200])
def test_what_a_table_takes_is_known(rows: int) -> None:
    """By what the system gives the process: a small table is mostly what surrounds its values."""
    code = f"""
import gc, pyarrow as pa
from airqino.stores import parquet
taken = lambda: int(open("/proc/self/statm").read().split()[1]) * 4096
make = lambda: pa.table({{f"c{{n}}": pa.array([float(k) for k in range({rows})]) for n in range(17)}})
some, before = [make() for _ in range(100)], taken()
some += [make() for _ in range(2000)]
gc.collect()
print((taken() - before) / 2000 / parquet.size_of(some[0]))
"""
    ratio = float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout)
    assert 0.5 < ratio < 2


def test_a_table_without_rows_says_nothing_of_the_types_of_others():
    """Such as a forecast of an hour before the first reading: pandas calls each of its columns a number."""
    empty = pa.table({"station": pa.array([], pa.float64()), "co": pa.array([], pa.float64())})
    rows = pa.table({"station": ["1", "2"], "co": [0.5, None]})
    for tables in ([empty, rows], [rows, empty], [None, empty, rows, empty]):
        assert parquet.frame(tables)["station"].tolist() == ["1", "2"]
        assert parquet.frame(tables)["co"].tolist()[0] == 0.5
    assert list(parquet.frame([empty, empty]).columns) == ["station", "co"]
    assert len(parquet.frame([empty, None])) == 0


@given(rows=st.lists(st.integers(0, 9), min_size=1, max_size=60), first=st.integers(0, 9), span=st.integers(0, 4))
def test_of_a_large_file_the_parts_with_the_stations_are_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[int], first: int, span: int
) -> None:
    table = pa.table({"station": [f"90000000{n}" for n in sorted(rows)], "co": list(range(len(rows)))})
    path, ends = (
        tmp_path_factory.mktemp("large") / "day.parquet",
        (f"90000000{first}", f"90000000{min(first + span, 9)}"),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "ROWS", 5)
        patch.setattr(parquet, "_LARGEST", 0)  # so that it is not remembered
        parquet.write(path, table)
        read = parquet.read_columns(path, ["co", "station"], ends)
        assert parquet.read_columns(path, ["co", "station"]).replace_schema_metadata().equals(table)
    within = [row for row in table.to_pylist() if ends[0] <= row["station"] <= ends[1]]
    assert [row for row in read.to_pylist() if ends[0] <= row["station"] <= ends[1]] == within
    assert len(read) <= len(within) + 8, "at most the rest of a part on each side"


def test_a_large_file_of_a_version_that_did_not_say_what_its_parts_hold_is_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pa.table({"station": ["900000001"] * 7 + ["900000002"] * 7})
    monkeypatch.setattr(parts, "ROWS", 5)
    monkeypatch.setattr(parquet, "_LARGEST", 0)
    for number, ends in enumerate([[], [["900000001", "900000001"]], [[None, None]] * 3]):
        monkeypatch.setattr(parts, "ends", lambda table, ends=ends: {parts.NAME: json.dumps(ends).encode()})
        parquet.write(path := tmp_path / f"{number}.parquet", table)
        assert len(parquet.read_columns(path, ["station"], ("900000002", "900000002"))) == 14
