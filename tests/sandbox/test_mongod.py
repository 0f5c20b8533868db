"""A mongod of one's own: it starts, stops, moves to another port, and survives a kill."""

import os
import socket

import pytest
from pymongo import MongoClient, WriteConcern

from airqino.errors import MongoError
from airqino.sandbox.mongod import Mongod, find_mongod, free_port


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("own-mongod")


def test_it_listens_on_loopback_alone_and_takes_no_compressed_message(folder):
    """The 6.0.5 that the `sandbox` extra brings has CVE-2025-14847, which needs zlib."""
    with Mongod(folder / "plain") as server, MongoClient(server.uri) as client:
        options = client.admin.command("getCmdLineOpts")["parsed"]["net"]
        assert options["bindIp"] == "127.0.0.1"
        assert client.admin.command("hello", compression=["zlib", "snappy", "zstd"]).get("compression", []) == []


def test_it_keeps_its_data_over_stop_kill_and_another_port(folder):
    with Mongod(folder) as first:
        assert listens(first.port)
        with MongoClient(first.uri) as client:
            assert client.admin.command("hello")["isWritablePrimary"] is True
            with client.start_session() as session, session.start_transaction():  # only a replica set has these
                client.test.things.insert_one({"_id": 1}, session=session)
        pid, port = first.pid, first.port
        first.kill()
        assert not listens(port)
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        first.start()
        assert (first.port, listens(port)) == (port, True)
        assert first.pid != pid
        with MongoClient(first.uri) as client:
            things = client.test.get_collection("things", write_concern=WriteConcern("majority"))
            things.insert_one({"_id": 2})
    assert not listens(port)
    first.stop()  # once more does no harm
    first.kill()
    with pytest.raises(MongoError, match="not running"):
        _ = first.pid
    with Mongod(folder, free_port()) as second:
        assert second.port != port
        with MongoClient(second.uri) as client:
            assert [thing["_id"] for thing in client.test.things.find().sort("_id")] == [1, 2]
            things = client.test.get_collection("things", write_concern=WriteConcern("majority"))
            things.insert_one({"_id": 3})


def test_it_listens_on_loopback_only(mongod):
    with MongoClient(mongod.uri) as client:
        options = client.admin.command("getCmdLineOpts")["parsed"]
    assert options["net"]["bindIp"] == "127.0.0.1"


def test_the_one_named_comes_first_and_it_runs(tmp_path, monkeypatch):
    real = find_mongod()
    assert os.access(real, os.X_OK)
    monkeypatch.setenv("MONGOD", str(tmp_path / "mine"))
    assert find_mongod() == tmp_path / "mine"


def test_free_ports_are_free():
    for port in {free_port() for _ in range(20)}:
        assert not listens(port)
