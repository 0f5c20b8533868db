"""What is sent to a real mongod, what it holds afterwards, and what a person is told when it cannot."""

import contextlib
import multiprocessing
import socket
import threading
import time
from datetime import UTC, datetime, timedelta

import bson
import pytest
from bson.raw_bson import RawBSONDocument
from pymongo import monitoring
from pymongo.errors import ServerSelectionTimeoutError
from pymongo.hello import Hello
from pymongo.server_description import ServerDescription
from support.proxy import Proxy, Trouble

from airqino.errors import MongoError
from airqino.sandbox.mongod import Mongod
from airqino.stores import indexes, mongo, refusals, writes

AT = datetime(2024, 9, 9, 10, tzinfo=UTC)


@pytest.fixture
def db(mongod, request):
    database = mongo.database(mongod.uri, f"test_{abs(hash(request.node.name)) % 10**12}")
    yield database
    database.client.drop_database(database.name)


def hours(count):
    return [
        {"_id": f"1|{n:02}", "station": "1", "observed_at": AT + timedelta(hours=n), "co": n / 10} for n in range(count)
    ]


def held(db, collection="hourly_measurements"):
    return list(db[collection].find().sort("_id"))


# --- writing


def test_replacing_twice_leaves_what_replacing_once_does(db):
    assert writes.replace(db, "hourly_measurements", hours(24)) == 24
    first = held(db)
    assert first == hours(24)
    assert writes.replace(db, "hourly_measurements", hours(24)) == 24
    assert held(db) == first


def test_a_document_is_replaced_whole_and_others_stay(db):
    writes.replace(db, "hourly_measurements", hours(3))
    writes.replace(db, "hourly_measurements", [{"_id": "1|01", "rh": 84.0}])
    assert held(db) == [hours(3)[0], {"_id": "1|01", "rh": 84.0}, hours(3)[2]]


def test_nothing_to_write_asks_nothing():
    nowhere = mongo.database("mongodb://127.0.0.1:9/", "x", 0.1)
    assert writes.replace(nowhere, "loads", []) == 0
    writes.update(nowhere, "loads", [])


def test_updates_are_applied_in_order(db):
    grow = {"$min": {"first": 5}, "$max": {"last": 5}}
    further = {"$min": {"first": 3}, "$max": {"last": 4}}
    writes.update(db, "stations", [({"_id": "1"}, grow, True), ({"_id": "1"}, further, True)])
    writes.update(db, "stations", [({"_id": "2"}, grow, False)])
    assert held(db, "stations") == [{"_id": "1", "first": 3, "last": 5}]


def test_times_come_back_aware_and_in_utc(db):
    writes.replace(db, "loads", [{"_id": "x", "at": AT}])
    assert mongo.find_one(db, "loads", "x") == {"_id": "x", "at": AT}
    assert mongo.find_one(db, "loads", "x")["at"].utcoffset() == timedelta(0)
    assert mongo.find_one(db, "loads", "y") is None


def test_counts_and_the_newest_equal_a_loop(db):
    documents = hours(30)
    writes.replace(db, "hourly_measurements", documents)
    start, stop = AT + timedelta(hours=5), AT + timedelta(hours=20)
    expected = sum(start <= d["observed_at"] < stop for d in documents)
    assert mongo.count(db, "hourly_measurements", "observed_at", start, stop) == expected == 15
    assert mongo.newest(db, "hourly_measurements", "observed_at") == AT + timedelta(hours=29)
    assert mongo.newest(db, "hourly_measurements", "observed_at", {"co": {"$lt": 0.35}}) == AT + timedelta(hours=3)
    assert mongo.newest(db, "hourly_measurements", "observed_at", {"station": "2"}) is None


def test_a_write_that_the_server_refuses_is_told_without_its_content(db):
    db.create_collection("loads", validator={"kind": {"$exists": True}})
    with pytest.raises(MongoError, match="a write failed") as caught:
        writes.replace(db, "loads", [{"_id": "x", "note": "S3cret"}])
    assert "S3cret" not in str(caught.value)


# --- indexes


def test_indexes_are_made_once_and_may_be_asked_for_again(db):
    indexes.ensure_indexes(db)
    indexes.ensure_indexes.cache_clear()  # as a new process
    indexes.ensure_indexes(db)
    for collection, wanted in indexes.INDEXES.items():
        there = {tuple(index["key"]) for index in db[collection].index_information().values()}
        assert there == {(("_id", 1),), *(tuple((field, 1) for field in fields) for fields in wanted)}


def test_a_day_is_found_by_its_index(db):
    indexes.ensure_indexes(db)
    writes.replace(db, "hourly_measurements", hours(24))
    plan = db["hourly_measurements"].find({"observed_at": {"$gte": AT, "$lt": AT + timedelta(hours=3)}}).explain()
    assert plan["executionStats"]["totalDocsExamined"] == 3


# --- errors


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("mongodb://127.0.0.1:27017", "mongodb://127.0.0.1:27017"),
        ("mongodb://user:S3cret@host:1/db?w=1", "mongodb://host:1/db"),
        ("mongodb://S3cret%40host:1/db", "mongodb://host:1/db"),
        ("mongodb://user:S3%40cret@a:1,b:2,c:3/db", "mongodb://a:1,b:2,c:3/db"),
        ("mongodb+srv://user:S3cret@cluster.example/", "mongodb+srv://cluster.example/"),
        ("mongodb://user:S3@cret@host/", "mongodb://host/"),
        ("mongodb://user:S3/cret@host/db", "mongodb://host/db"),
        ("mongodb://user:S3?cret@host/db", "mongodb://host/db"),
        ("mongodb://user:S3#cret@host/db", "mongodb://host/db"),
        ("mongodb://h/?authMechanismProperties=AWS_SESSION_TOKEN:S3cret", "mongodb://h/"),
    ],
)
def test_a_connection_string_is_shown_without_user_and_password(uri, expected):
    assert refusals.without_credentials(uri) == expected


@pytest.mark.parametrize(
    "uri",
    [
        "mongodb://user:S3cret@",
        "mongodb://user:S3cret@h:x/",
        "mongodb://user:S3:cret@h/",
        "mongodb://user:S3%zzcret@h/",
        "mongodb://user:S3cret%40h:27017/",
        "mongodb://user:S3cret:h:27017/",
    ],
)
def test_a_wrong_connection_string_is_told_without_its_password(uri):
    with pytest.raises(MongoError, match="the connection string is wrong") as caught:
        mongo.database(uri, "x")
    assert "MONGODB_URI" in str(caught.value)
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize(
    "ask",
    [
        mongo.ping,
        lambda db: indexes.ensure_indexes.__wrapped__(db),
        lambda db: mongo.find_one(db, "loads", "x"),
        lambda db: writes.replace(db, "loads", [{"_id": "x"}]),
        lambda db: writes.update(db, "loads", [({"_id": "x"}, {"$set": {"a": 1}}, True)]),
        lambda db: mongo.count(db, "loads", "a", 1, 2),
        lambda db: mongo.newest(db, "loads", "a"),
    ],
)
def test_a_server_that_is_not_there_is_told_within_the_time_out(ask):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    db = mongo.database(f"mongodb://user:S3cret@127.0.0.1:{port}/?authSource=admin", "x", 0.3)
    began = time.monotonic()
    with pytest.raises(MongoError, match=f"mongodb://127.0.0.1:{port}/x cannot be reached") as caught:
        ask(db)
    assert 0.2 < time.monotonic() - began < 2
    assert "S3cret" not in f"{caught.value} {caught.value!r} {caught.value.__cause__!r}"


def test_a_server_that_takes_connections_and_says_nothing_is_told_within_the_time_out():
    with socket.create_server(("127.0.0.1", 0)) as server:
        db = mongo.database(f"mongodb://127.0.0.1:{server.getsockname()[1]}/", "x", 0.3)
        began = time.monotonic()
        with pytest.raises(MongoError, match="cannot be reached"):
            mongo.ping(db)
        assert time.monotonic() - began < 3


def test_one_that_says_nothing_after_it_was_found_is_told_within_the_longest(mongod):
    """A host that is gone without a word: the connection stands, and nothing comes through it any more."""
    with Stopped(mongod.port) as between:
        db = mongo.database(f"mongodb://127.0.0.1:{between.port}/?directConnection=true", "x", 0.5, 0.5, longest=1.0)
        mongo.ping(db)
        between.stop()
        thread = threading.Thread(target=lambda: failures.append(error_of(lambda: mongo.find_one(db, "loads", "x"))))
        failures = []
        thread.start()
        thread.join(30)
    assert len(failures) == 1, "it still waits"
    assert "MongoDB at" in failures[0]


def test_text_that_is_no_utf_8_is_read_with_a_mark_in_its_place(db):
    """The server stores what it is sent; one such document must not stop a run."""
    document = bson.encode({"_id": "1", "name": "SMART189"}).replace(b"SMART189", b"SMART\xff89")
    db["stations"].insert_one(RawBSONDocument(document))
    assert mongo.find(db, "stations", {}) == [{"_id": "1", "name": "SMART\ufffd89"}]


@pytest.mark.parametrize("seed", range(30))
def test_spoiled_bytes_on_the_way_are_an_answer_or_an_error_of_ours(mongod, seed):
    with Proxy(mongod.port) as proxy:
        proxy.trouble(Trouble("corrupt", seed=seed))
        db = mongo.database(f"mongodb://127.0.0.1:{proxy.port}/?directConnection=true", "spoiled", 0.5, 0.5, longest=1)
        for _ in range(20):
            with contextlib.suppress(MongoError):
                writes.replace(db, "hourly_measurements", hours(20))
                mongo.find(db, "hourly_measurements", {})
        assert proxy.hit
        db.client.close()


def error_of(work):
    try:
        work()
    except MongoError as error:
        return f"{error}"
    return ""


class Stopped:
    """A port that passes everything on to another, until it is stopped: then it takes all and passes nothing on."""

    def __init__(self, port):
        self.server, self.to = socket.create_server(("127.0.0.1", 0)), port
        self.port, self.sockets, self.passes = self.server.getsockname()[1], [], True
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                taken, _ = self.server.accept()
            except OSError:
                return
            beyond = socket.create_connection(("127.0.0.1", self.to))
            self.sockets += [taken, beyond]
            for one, other in ((taken, beyond), (beyond, taken)):
                threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, one, other):
        try:
            while content := one.recv(65536):
                if self.passes:
                    other.sendall(content)
        except OSError:
            return

    def stop(self):
        self.passes = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for each in (self.server, *self.sockets):
            each.close()


def test_more_stations_than_a_first_answer_holds_have_profiles(db):
    """Within a limit of time an answer in several parts is read to its end."""
    writes.replace(db, "stations", [{"_id": f"{n}"} for n in range(300)])
    assert len(mongo.build(db, lambda db: list(db["stations"].find({})))) == 300


def test_a_server_just_found_missing_is_not_waited_for_again_until_a_while_has_passed(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    db = mongo.database(f"mongodb://127.0.0.1:{port}/", "x", 1.0)
    took = []
    for patience in (30, 30, 0):
        monkeypatch.setattr(mongo, "_PATIENCE", patience)
        began = time.monotonic()
        with pytest.raises(MongoError, match="cannot be reached"):
            mongo.ping(db)
        took.append(time.monotonic() - began)
    assert took[1] < 0.5
    assert min(took[0], took[2]) > 0.9


# --- processes


def _ping_in_child(uri, name, parent_client, queue):
    database = mongo.database(uri, name)
    writes.replace(database, "loads", [{"_id": "child"}])
    queue.put(id(database.client) != parent_client)


@pytest.mark.filterwarnings("ignore:.*fork")
def test_each_process_opens_its_own_client(mongod, db):
    mongo.ping(db)
    assert mongo.database(mongod.uri, db.name).client is db.client
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_ping_in_child, args=(mongod.uri, db.name, id(db.client), queue))
    child.start()
    assert queue.get(timeout=20) is True
    child.join(20)
    assert child.exitcode == 0
    assert held(db, "loads") == [{"_id": "child"}]


# --- production


def test_writes_are_acknowledged_by_a_majority_and_may_be_repeated(mongod, db):
    sent = []

    class Listener(monitoring.CommandListener):
        def started(self, event):
            sent.append((event.command_name, event.command))

        def succeeded(self, event): ...

        def failed(self, event): ...

    monitoring.register(listener := Listener())
    try:
        heard = mongo.database(mongod.uri, db.name, 5.5)  # a client of its own
        writes.replace(heard, "loads", [{"_id": "x"}])
        writes.update(heard, "loads", [({"_id": "x"}, {"$set": {"n": 1}}, True)])
        mongo.ask(heard, lambda db: db["loads"].aggregate([{"$merge": "copies"}]))
    finally:
        monitoring._LISTENERS.command_listeners.remove(listener)
    commands = [command for name, command in sent if name in ("insert", "update", "aggregate")]
    # of a majority that does not confirm nobody waits for ever
    assert [command["writeConcern"] for command in commands] == [{"w": "majority", "wtimeout": 30_000}] * 3
    assert ["txnNumber" in command for command in commands] == [True, True, False]  # $merge is repeated by `ask`


@pytest.mark.parametrize("failover", [20.0, 0.5])
def test_a_server_that_comes_back_is_waited_for(tmp_path, failover):
    with Mongod(tmp_path) as own:
        db = mongo.database(own.uri, "x", 0.4, failover)
        writes.replace(db, "loads", [{"_id": f"{n}"} for n in range(5)])
        own.kill()
        thread = threading.Timer(1.5, own.start)
        thread.start()
        merge = [{"$merge": {"into": "copies", "whenMatched": "replace"}}]
        try:
            if failover < 1:
                with pytest.raises(MongoError, match="cannot be reached"):
                    mongo.ask(db, lambda db: db["loads"].aggregate(merge))
            else:
                mongo.ask(db, lambda db: db["loads"].aggregate(merge))
                assert held(db, "copies") == held(db, "loads")
        finally:
            thread.join()


@pytest.mark.parametrize("heard", [False, True])
def test_a_server_that_says_nothing_is_no_set_without_a_primary(heard: bool):
    """One that has not answered yet has no error either."""
    hello = Hello({"ok": 1, "secondary": True, "setName": "rs0", "hosts": ["h:1"], "maxWireVersion": 17})
    server = ServerDescription(("h", 1), hello) if heard else ServerDescription(("h", 1))
    told = refusals.explain("MongoDB", ServerSelectionTimeoutError(), refusals.server_errors([server]))
    assert ("has no primary" in told) == heard
    assert ("cannot be reached" in told) != heard
