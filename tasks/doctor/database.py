"""Is MongoDB there, safe to use, and allowed to us? Asked without writing anything.

Rights are read from the server (``connectionStatus``), and the one write that is tried changes no document: it still
waits for a majority of the members, as the loads do.
"""

import contextlib
import ipaddress
import re
import ssl
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from pymongo import MongoClient, WriteConcern
from pymongo.errors import (
    ConfigurationError,
    InvalidURI,
    OperationFailure,
    PyMongoError,
    WriteConcernError,
    WTimeoutError,
)

from airqino import views
from airqino.stores import mongo as store
from airqino.stores import refusals
from tasks.doctor.checks import Result, failed, ok, warning
from tasks.doctor.source import clock
from tasks.settings.sections import Mongo

__all__ = ["NAMES", "encryption", "examine", "lacking", "version"]

Document = dict[str, Any]

NAMES = (
    "MongoDB",
    "MongoDB version",
    "MongoDB TLS",
    "MongoDB clock",
    "MongoDB members",
    "MongoDB rights",
    "MongoDB indexes",
)

#: The oldest server that the loads and the dashboards' views were tried with.
_OLDEST = (6, 0)
_TIMEOUT = 3.0
_COLLECTIONS = ("stations", "models", *store.INDEXES)
_ACTIONS = frozenset({"find", "insert", "update", "createIndex"})
_VIEW_ACTIONS = frozenset({"createCollection", "collMod"})


def examine(config: Mongo | None) -> Iterator[Result]:
    """From the connection to the indexes; stops where there is no use in going on."""
    if config is None:
        return
    try:
        client = _client(config)
    except (PyMongoError, ValueError, OSError) as error:
        yield _refusal(config, error)
        return
    with contextlib.closing(client):
        try:
            yield from _connected(client, config)
        except PyMongoError as error:
            servers = client.topology_description.server_descriptions().values()
            yield _refusal(config, error, refusals.silence(servers))


def _client(config: Mongo) -> MongoClient[Document]:
    limit = int(min(config.timeout_seconds, _TIMEOUT) * 1000)
    tls: Document = {"tlsCAFile": config.tls_ca_file, "tlsCertificateKeyFile": config.tls_certificate_key_file}
    return MongoClient(
        config.uri,
        serverSelectionTimeoutMS=limit,
        connectTimeoutMS=limit,
        socketTimeoutMS=limit,
        tz_aware=True,
        appname="airqino-doctor",
        **{option: path for option, path in tls.items() if path},
    )


def _connected(client: MongoClient[Document], config: Mongo) -> Iterator[Result]:
    where, database = refusals.redact(config.uri), client[config.database]
    database.command({"listCollections": 1, "nameOnly": True, "authorizedCollections": True})
    login = client.admin.command({"connectionStatus": 1, "showPrivileges": True})["authInfo"]
    hello = client.admin.command("hello")
    users = [user["user"] for user in login["authenticatedUsers"]]
    hosts = list(client.topology_description.server_descriptions())
    yield _access(where, users, [host for host, _ in hosts])
    yield version(str(client.server_info()["version"]))
    yield encryption(client.options.pool_options._ssl_context, [host for host, _ in hosts])
    yield from clock("MongoDB clock", "MongoDB's", [hello["localTime"].replace(tzinfo=UTC)], datetime.now(UTC))
    yield _members(client, hello)
    rights = _rights(client, config.database, login["authenticatedUserPrivileges"] if users else None)
    yield rights
    if rights.outcome != "failed":
        yield _indexes(client, config.database)


def _access(where: str, users: list[str], hosts: list[str]) -> Result:
    if users:
        return ok("MongoDB", f"{where} answers {', '.join(users)}")
    if all(map(_is_loopback, hosts)):
        return ok("MongoDB", f"{where} answers; access control is off, on loopback alone")
    return warning("MongoDB", f"{where} lets everybody in", "turn on access control: scripts/mongo-users")


def _refusal(config: Mongo, error: Exception, servers: Iterable[Exception | None] = ()) -> Result:
    """Tell the ways in which a server cannot be used apart, in the words of the loads."""
    where = f"MongoDB at {refusals.redact(config.uri)}"
    if "wire version" in str(error).lower():
        return failed("MongoDB version", f"{where} is too old for this client", _upgrade())
    if isinstance(error, PyMongoError) and not isinstance(error, ConfigurationError | InvalidURI):
        text = refusals.told(where, error, servers)
    else:
        text = refusals.of_settings(error)
    told, _, cure = text.partition("; ")
    return failed("MongoDB", told, cure or "see the server's log")


def _upgrade() -> str:
    return f"upgrade MongoDB to {_OLDEST[0]}.{_OLDEST[1]} or newer, one major version at a time"


def version(text: str) -> Result:
    """Not older than what was tried."""
    if tuple(int(part) for part in re.findall(r"\d+", text)[:2]) < _OLDEST:
        return failed("MongoDB version", text, _upgrade())
    return ok("MongoDB version", text)


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.startswith("/"):  # a socket's path
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def encryption(context: Any, hosts: Iterable[str]) -> Result:
    """TLS, where the connection leaves this machine."""
    if context is not None:
        if context.verify_mode == ssl.CERT_NONE:
            told = "on, but no certificate is checked: anybody can pose as the server"
            cure = "take tlsInsecure and tlsAllowInvalidCertificates out of MONGODB_URI; MONGODB_CA_FILE names the CA"
            return warning("MongoDB TLS", told, cure)
        return ok("MongoDB TLS", "on")
    if all(map(_is_loopback, hosts)):
        return ok("MongoDB TLS", "off; the connection stays on this machine")
    told = "off: password and readings cross the network in the clear"
    return warning("MongoDB TLS", told, "add ?tls=true to MONGODB_URI, and MONGODB_CA_FILE: docs/mongodb.md")


def _members(client: MongoClient[Document], hello: Document) -> Result:
    name = "MongoDB members"
    if "setName" not in hello and hello.get("msg") != "isdbgrid":
        cure = (
            "start mongod with --replSet and run rs.initiate(): three members survive the loss of one; docs/mongodb.md"
        )
        return warning(name, "a standalone server: no fail-over", cure)
    if not hello.get("isWritablePrimary"):
        return failed(
            name, "this member is not the primary", "name all members in MONGODB_URI, without directConnection"
        )
    members = [*hello.get("hosts", []), *hello.get("passives", []), *hello.get("arbiters", [])]
    seen = client.topology_description
    down = [f"{h}:{p}" for (h, p), s in seen.server_descriptions().items() if s.server_type_name == "Unknown"]
    if down:
        return warning(
            name, f"{', '.join(down)} of {len(members)} does not answer", "start it: one more may stop writes"
        )
    return ok(name, f"replica set {hello['setName']} of {len(members)}" if members else "sharded")


def _rights(client: MongoClient[Document], database: str, privileges: list[Document] | None) -> Result:
    name = "MongoDB rights"
    if privileges is not None and (lacks := lacking(database, privileges)):
        told = "; ".join(f"no {', '.join(actions)} on {where}" for where, actions in lacks.items())
        return failed(name, told, "use the user etl_writer, or give it its role again: scripts/mongo-users")
    concern = WriteConcern("majority", wtimeout=2000)
    try:
        collection = client[database].get_collection("loads", write_concern=concern)
        collection.update_one({"_id": "doctor"}, {"$set": {"seen": True}})  # fits no document
    except (WTimeoutError, WriteConcernError):
        return failed(name, "a majority of the members does not confirm writes", "start the members: rs.status()")
    except OperationFailure as error:
        return failed(name, f"a write was refused (code {error.code})", "see the server's log: is its disk full?")
    return ok(name, "may read, write and make indexes and views; a majority confirms")


def lacking(database: str, privileges: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return the actions that a user lacks.

    Args:
        database: The pipeline's database.
        privileges: As ``connectionStatus`` lists them: ``resource`` and ``actions``.

    Returns:
        By collection; one that lacks nothing is left out. Where all collections lack the same, they are one entry.
    """
    wanted = {**dict.fromkeys(_COLLECTIONS, _ACTIONS), **dict.fromkeys(views.VIEWS, _VIEW_ACTIONS)}
    lacks: dict[str, list[str]] = {}
    for collection, needed in wanted.items():
        given = {a for p in privileges if _covers(p["resource"], database, collection) for a in p["actions"]}
        if missing := sorted(needed - given):
            lacks[collection] = missing
    grouped: dict[str, list[str]] = {}
    for collection, actions in lacks.items():
        same = [c for c, a in lacks.items() if a == actions]
        grouped[f"{same[0]} and {len(same) - 1} more" if len(same) > 1 else collection] = actions
    return grouped


def _covers(resource: Mapping[str, Any], database: str, collection: str) -> bool:
    """Whether a privilege's resource holds a collection; an empty name means any."""
    if resource.get("anyResource"):
        return True
    return "db" in resource and resource["db"] in ("", database) and resource["collection"] in ("", collection)


def _indexes(client: MongoClient[Document], database: str) -> Result:
    name, db = "MongoDB indexes", client[database]
    there = {found["name"]: found for found in db.list_collections()}
    if "loads" not in there:
        return ok(name, "none yet: the first load makes them")
    lacks = []
    for collection, asked in store.INDEXES.items():
        keys = (
            [tuple(index["key"]) for index in db[collection].index_information().values()]
            if collection in there
            else []
        )
        lacks += [f"{collection} ({', '.join(f for f, _ in index)})" for index in asked if index not in keys]
    for view, (source, pipeline) in views.VIEWS.items():
        if there.get(view, {}).get("options") != {"viewOn": source, "pipeline": pipeline}:
            lacks.append(f"view {view}")
    if lacks:
        return warning(
            name, f"missing or of an older version: {', '.join(lacks)}", "the next load makes them: scripts/hourly"
        )
    return ok(name, f"all there, and {len(views.VIEWS)} views")
