"""Objects in a bucket, on a real S3 server: whole or not at all, two writers, listings, damage, and clear errors."""

import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.buckets import Bucket, Store, counted, here, serving

from airqino.errors import BucketError, ConflictError, DamagedFileError, StagingError
from airqino.stores import bucket as objects
from airqino.stores import files, models, notebook, parquet, releases, s3
from airqino.stores.listings import Listings
from airqino.stores.paths import Paths


@pytest.fixture
def bucket(store: Store) -> Iterator[Bucket]:
    with here(store):
        yield store.bucket()


@pytest.fixture
def root(bucket: Bucket) -> Path:
    return files.place(bucket.root, "STAGING_ROOT")


def table(*numbers: float) -> pa.Table:
    return pa.table({"number": pa.array(numbers, pa.float64())})


# --- paths and listings


def test_an_object_is_a_path_as_a_file_is(root: Path, bucket: Bucket) -> None:
    path = root / "2024-09-09" / "raw" / "10.parquet"
    assert not path.exists()
    assert not root.is_dir()
    files.write(path, lambda file: file.write(b"some bytes"))
    assert bucket.objects() == {"air/2024-09-09/raw/10.parquet": b"some bytes"}
    assert (f"{path}", path.read_bytes()) == (f"s3://{bucket.name}/air/2024-09-09/raw/10.parquet", b"some bytes")
    assert f"{path.relative_to(root)}" == "2024-09-09/raw/10.parquet"
    assert path.is_file()
    assert path.parent.is_dir()
    assert not path.parent.is_file()
    assert [p.name for p in root.iterdir()] == ["2024-09-09"]
    assert list(path.parent.glob("*.parquet")) == list(root.rglob("*.parquet")) == [path]
    assert path.stat().st_size == len(b"some bytes")
    path.unlink()
    assert bucket.objects() == {}
    assert not root.is_dir()


def test_nothing_of_the_operating_system_takes_it_for_a_file(root: Path) -> None:
    for work in (open, Path.open):
        with pytest.raises(TypeError, match="is in a bucket, not on a disk"):
            work(root / "x.json")


def test_a_month_of_hours_is_listed_by_a_page_not_asked_one_by_one(root: Path, bucket: Bucket) -> None:
    paths = Paths(root)
    hours = [f"2024-09-{day:02}/raw/{hour:02}.parquet" for day in range(1, 31) for hour in range(24)]
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(lambda name: bucket.put(f"air/{name}", b""), [*hours, *(f"2024-10-01/x/{n}" for n in range(400))])
        )
    with bucket.asked() as asked:
        found = [(day, sorted(files.names(paths.raw_hours(day)))) for day in paths.days()]
        assert all((root / name).is_file() for name in hours)
        assert not (root / "2024-09-30" / "raw" / "24.parquet").exists()
        assert len(files.names(root / "2024-10-01" / "x")) == 400
    assert counted(asked) == {"LIST": 3}  # the days; 1,000 of 1,120 objects; the last day, which goes on
    assert len(found) == 31
    assert all(names == [f"{hour:02}.parquet" for hour in range(24)] for _, names in found[:30])


keys = st.lists(
    st.tuples(st.sampled_from(["a", "a-b", "a0", "b", "z"]), st.sampled_from(["1", "2", "c/3", "c/4", "c-/5"])),
    unique=True,
)


@given(keys, st.integers(1, 4), st.lists(st.sampled_from(["a", "a-b", "a0", "b", "m", "z"]), min_size=1))
def test_pages_of_any_size_in_any_order_say_what_is_there(
    there: list[tuple[str, str]], size: int, asked: list[str]
) -> None:
    """Against a plain list; the page is cut as S3 cuts it."""
    everything = sorted(f"root/{folder}/{name}" for folder, name in there)

    def page(**options: str) -> dict[str, Any]:
        after = options.get("ContinuationToken") or options.get("StartAfter", "")
        rest = [key for key in everything if key > after]
        entries = [{"Key": key, "ETag": key, "Size": 1, "LastModified": _Moment()} for key in rest[:size]]
        more = {"IsTruncated": True, "NextContinuationToken": rest[size - 1]} if len(rest) > size else {}
        return {"Contents": entries, **more}

    listings = Listings("root/", page)
    for folder in asked:
        assert list(listings.below(f"root/{folder}/")) == [k for k in everything if k.startswith(f"root/{folder}/")]
        assert (listings.get(f"root/{folder}/c/3") is not None) == (f"root/{folder}/c/3" in everything)


class _Moment:
    def timestamp(self) -> float:
        return 0.0


def test_what_others_write_is_seen_after_a_lock_and_ones_own_at_once(root: Path, bucket: Bucket) -> None:
    assert not (root / "day" / "a").exists()
    bucket.put("air/day/a", b"another host's")
    assert not (root / "day" / "a").exists()  # a moment ago there was none
    (root / "day" / "b").put(b"ours")  # type: ignore[attr-defined]
    assert (root / "day" / "b").exists()
    files.forget()
    assert (root / "day" / "a").exists()


# --- writing


def test_a_reader_sees_one_content_or_the_other(root: Path) -> None:
    path, contents, ended = root / "x.json", [b"a" * 500_000, b"b" * 700_000], threading.Event()
    files.write(path, contents[0])

    def write() -> None:
        for n in range(20):
            files.write(path, contents[n % 2])
        ended.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = set()
    while not ended.is_set():
        objects._contents.clear()
        seen.add(path.read_bytes())
    writer.join()
    assert seen <= set(contents)


@pytest.mark.parametrize("there", [None, b"old"])
def test_of_two_writers_who_meet_one_loses_and_is_told(root: Path, bucket: Bucket, there: bytes | None) -> None:
    path, outcomes = root / "day" / "x.json", list[str]()
    before = files.write(path, there) if there else None
    barrier = threading.Barrier(2)

    def write(content: bytes) -> None:
        barrier.wait()
        try:
            files.write(path, content, over=before)
            outcomes.append(content.decode())
        except ConflictError as error:
            outcomes.append(f"{error}")

    writers = [threading.Thread(target=write, args=(content,)) for content in (b"one", b"two")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    told = f"{path} was written by somebody else at the same moment; run again"
    (won,) = {*outcomes} - {told}
    assert sorted(outcomes) == sorted([won, told])
    assert bucket.objects()["air/day/x.json"] == won.encode()


def test_a_table_is_not_written_over_one_that_was_not_seen(root: Path, bucket: Bucket, tmp_path: Path) -> None:
    path = root / "day" / "daily.parquet"
    parquet.write(path, table(1))
    parquet.write(tmp_path / "theirs", table(2))
    bucket.put("air/day/daily.parquet", (tmp_path / "theirs").read_bytes())
    with pytest.raises(ConflictError):
        parquet.write(path, table(3))
    files.forget()
    assert parquet.write(path, table(3))
    assert not parquet.write(path, table(3))
    assert parquet.read(path).equals(table(3))  # type: ignore[union-attr]


def test_a_new_folder_is_there_at_once(root: Path) -> None:
    folder = root / "2024-09-09" / "raw"
    made = files.new_folder(folder)
    files.write(made.__enter__() / "00.parquet", b"")  # and killed
    assert (folder.is_dir(), files.names(folder), list(folder.glob("*")), files.state(folder)) == (False, [], [], None)
    with files.new_folder(folder) as made:
        files.write(made / "01.parquet", b"")
        assert not folder.is_dir()
    assert sorted(files.names(folder)) == ["00.parquet", "01.parquet"]


def test_a_model_is_whole_or_not_there(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = root / "models" / "2024-09-09"
    about = models.ModelCard(trained=True, trained_for="2024-09-09")
    content = {"a.txt": b"first", "b.txt": b"second"}
    models.save(folder, content, about)
    assert models.load(folder) == content
    assert models.versions(root / "models") == ["2024-09-09"]

    write = files.write

    def stop(path: Path, *arguments: Any) -> files.Signature:
        if path.name == "b.txt":
            raise KeyboardInterrupt
        return write(path, *arguments)

    monkeypatch.setattr(files, "write", stop)
    with pytest.raises(KeyboardInterrupt):  # while it is written once more
        models.save(folder, content | {"a.txt": b"other"}, about)
    assert models.versions(root / "models") == []
    monkeypatch.undo()
    models.save(folder, {"a.txt": b"other"}, about)
    assert models.load(folder) == {"a.txt": b"other"}
    assert models.card(folder).trained  # type: ignore[union-attr]
    (folder / models.CARD).unlink()
    with pytest.raises(DamagedFileError, match="holds no model card"):
        models.card(folder)


def test_lost_notes_are_missed(root: Path) -> None:
    path = root / "operator" / "notes.jsonl"
    assert (notebook.is_lost(path), notebook.read(path)) == (False, [])
    notebook._write(path, [])
    assert notebook.read(path) == []
    path.unlink()
    assert notebook.is_lost(path)
    with pytest.raises(StagingError, match="is gone: scripts/note list brings it back"):
        notebook.read(path)


def test_what_was_published_is_replaced_and_what_is_gone_is_removed(bucket: Bucket) -> None:
    root = files.place(f"s3://{bucket.name}/public")
    with releases.new_release(root, kept=["data"]) as release:
        for name in ("index.html", "badge-1.svg", "en/index.html", "data/1/2024.csv"):
            files.write(release / name, b"first")
    bucket.put("public/robots.txt", b"the operator's")
    with releases.new_release(root, kept=["data"]) as release:
        for name in ("index.html", "en/index.html"):
            files.write(release / name, b"second")
    kept = {name: content for name, content in bucket.objects().items() if "/." not in name}
    assert kept == {
        "public/data/1/2024.csv": b"first",
        "public/en/index.html": b"second",
        "public/index.html": b"second",
        "public/robots.txt": b"the operator's",
    }
    page = bucket.client.head_object(Bucket=bucket.name, Key="public/index.html")
    assert page["ContentType"] == "text/html; charset=utf-8"


def test_anothers_page_is_left_alone(bucket: Bucket) -> None:
    bucket.put("public/index.html", b"another's")
    with pytest.raises(StagingError, match=r"index\.html is in the way"):
        releases.new_release(files.place(f"s3://{bucket.name}/public")).__enter__()
    assert bucket.objects() == {"public/index.html": b"another's"}


# --- remembered tables, and damage


def test_a_table_is_read_again_when_its_object_is_another(root: Path, bucket: Bucket, tmp_path: Path) -> None:
    path = root / "day" / "daily.parquet"
    parquet.write(path, table(1, 2))
    parquet._tables.clear()
    with bucket.asked() as asked:
        assert [parquet.read(path).num_rows for _ in range(5)] == [2] * 5  # type: ignore[union-attr]
    assert counted(asked).get("GET") == 1
    parquet.write(tmp_path / "theirs", table(3))
    bucket.put("air/day/daily.parquet", (tmp_path / "theirs").read_bytes())
    files.forget()
    assert parquet.read(path).to_pydict() == {"number": [3]}  # type: ignore[union-attr]


def test_of_a_footer_the_end_is_asked_for(root: Path, bucket: Bucket) -> None:
    path = root / "day" / "hourly.parquet"
    parquet.write(path, table(*range(100_000)), extra={"inputs": "x" * 10})
    parquet._tables.clear()
    assert parquet.footer(path)["inputs"] == "x" * 10  # type: ignore[index]
    assert len(path.read_end(1000)) == 1000  # type: ignore[attr-defined]
    parquet.write(path, table(1), extra={"inputs": "y" * 100_000})  # longer than what is asked for first
    parquet._tables.clear()
    assert parquet.footer(path)["inputs"] == "y" * 100_000  # type: ignore[index]
    for content in (b"", b"no Parquet", b"PAR1"):
        bucket.put("air/day/hourly.parquet", content)
        files.forget()
        with pytest.raises(DamagedFileError, match=f"{path} cannot be read"):
            parquet.footer(path)
    assert parquet.footer(root / "day" / "none.parquet") is None


def test_a_small_file_is_asked_for_once_while_it_stays(root: Path, bucket: Bucket) -> None:
    bucket.put("air/models/champion.json", b"one")
    path = root / "models" / "champion.json"
    with bucket.asked() as asked:
        assert [path.read_bytes() for _ in range(5)] == [b"one"] * 5
    assert counted(asked) == {"GET": 1, "LIST": 1}
    bucket.put("air/models/champion.json", b"two")
    files.forget()
    assert path.read_bytes() == b"two"


def test_a_damaged_object_is_set_aside_once(root: Path, bucket: Bucket) -> None:
    path = root / "2024-09-09" / "daily.parquet"
    bucket.put("air/2024-09-09/daily.parquet", b"no Parquet")
    with pytest.raises(DamagedFileError, match=f"{path} cannot be read"):
        parquet.read(path)
    for _ in range(2):  # two that find it
        files.set_aside(path, root, root / "quarantine")
    assert not path.exists()
    ((key, content),) = bucket.objects().items()
    assert key.startswith("air/quarantine/2024-09-09/daily.parquet.")
    assert content == b"no Parquet"
    assert [p.name for p in (root / "quarantine").rglob(files.SET_ASIDE)] == [key.rpartition("/")[2]]


def test_a_damaged_folder_is_set_aside_whole(root: Path, bucket: Bucket) -> None:
    models.save(root / "models" / "2024-09-09", {"a": b"1"}, models.ModelCard(trained_for="2024-09-09"))
    target = files.set_aside(root / "models" / "2024-09-09", root, root / "quarantine")
    assert not (root / "models" / "2024-09-09").exists()
    assert (target / "a").read_bytes() == b"1"
    assert all(key.startswith("air/quarantine/models/2024-09-09.") for key in bucket.objects())


# --- errors


def test_a_bucket_that_is_not_there_is_named(store: Store) -> None:
    with here(store):
        root = files.place("s3://no-such-bucket/air", "STAGING_ROOT ([staging] root)")
        for work in (root.is_dir, (root / "x.json").read_bytes, lambda: files.write(root / "x.json", b"")):
            with pytest.raises(
                BucketError, match=r"^STAGING_ROOT .* = s3://no-such-bucket/air: there is no bucket no-s"
            ):
                work()


def test_refused_credentials_are_told_and_not_shown(tmp_path: Path) -> None:
    with serving(tmp_path, INITIAL_NO_AUTH_ACTION_COUNT="1") as store:
        bucket = store.bucket()
        with here(store):
            path = files.place(bucket.root, "STAGING_ROOT") / "x.json"
            with pytest.raises(BucketError, match=r"refused \(.+\): check AWS_ACCESS_KEY_ID") as told:
                files.write(path, b"")
    assert "a-secret" not in f"{told.value!r}"


def test_no_credentials_at_all(store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with here(store, AWS_EC2_METADATA_DISABLED="true", HOME=f"{tmp_path}"):
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        with pytest.raises(BucketError, match=r"no credentials that can be used .*set AWS_ACCESS_KEY_ID and"):
            files.names(files.place("s3://some-bucket/air", "STAGING_ROOT"))


def test_a_server_that_is_away_is_told_soon_and_is_no_damage(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "_READ", 0.3)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))  # refuses connections until it listens
        at = f"http://127.0.0.1:{server.getsockname()[1]}"
        with here(store, AWS_ENDPOINT_URL=at):
            root, begun = files.place("s3://some-bucket/air", "STAGING_ROOT"), time.monotonic()
            with pytest.raises(BucketError, match=f"{re.escape(at)} does not answer .*check the network, AWS_ENDPOINT"):
                parquet.load(root / "day" / "daily.parquet")
            assert time.monotonic() - begun < 10
            server.listen()
            with pytest.raises(BucketError):
                (root / "day" / "daily.parquet").exists()
        server.setblocking(False)
        with pytest.raises(BlockingIOError):  # asked a moment ago: nobody has come again
            server.accept()


def test_a_server_that_never_answers_has_an_end(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "_READ", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        at = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with here(store, AWS_ENDPOINT_URL=at):
            path, begun = files.place("s3://some-bucket/air") / "x", time.monotonic()
            with pytest.raises(BucketError, match="does not answer"):
                path.read_bytes()
    assert time.monotonic() - begun < 10
