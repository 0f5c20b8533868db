"""Is MongoDB there, safe to use, and allowed to us? Asked without writing anything.

Rights are read from the server (``connectionStatus``), and the one write that is tried changes no document: it still
waits for a majority of the members, as the loads do.
"""

import contextlib
import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pymongo import MongoClient, WriteConcern
from pymongo.errors import (
    ConfigurationError,
    InvalidURI,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WriteConcernError,
    WTimeoutError,
)

from tasks import dashboard
from tasks.doctor.checks import Result, failed, ok, shown, warning
from tasks.doctor.source import clock
from tasks.sections import Mongo
from tasks.stores import mongo as store

__all__ = ["NAMES", "encryption", "examine", "lacking", "tls_files", "version"]

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
_UNAUTHORIZED, _AUTHENTICATION_FAILED = 13, 18
_COLLECTIONS = ("stations", "models", *store.INDEXES, *dashboard.INDEXES)
_ACTIONS = frozenset({"find", "insert", "update", "createIndex"})
_VIEW_ACTIONS = frozenset({"createCollection", "collMod"})


def examine(config: Mongo | None) -> Iterator[Result]:
    """From the connection to the indexes; stops where there is no use in going on."""
    if config is None or not all(Path(f).is_file() for f in tls_files(config)):
        return  # told by the check of the configuration
    try:
        client = _client(config)
    except (PyMongoError, ValueError, OSError) as error:
        yield _refusal(config, error)
        return
    with contextlib.closing(client):
        try:
            yield from _connected(client, config)
        except PyMongoError as error:
            yield _refusal(config, error)


def tls_files(config: Mongo) -> list[str]:
    """The files that the settings name."""
    return [path for path in (config.tls_ca_file, config.tls_certificate_key_file) if path]


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
    where, database = shown(config.uri), client[config.database]
    database.command({"listCollections": 1, "nameOnly": True, "authorizedCollections": True})
    login = client.admin.command({"connectionStatus": 1, "showPrivileges": True})["authInfo"]
    hello = client.admin.command("hello")
    users = [user["user"] for user in login["authenticatedUsers"]]
    hosts = list(client.topology_description.server_descriptions())
    yield _access(where, users, [host for host, _ in hosts])
    yield version(str(client.server_info()["version"]))
    yield encryption(config, [host for host, _ in hosts])
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


def _refusal(config: Mongo, error: Exception) -> Result:
    """Tell the ways in which a server cannot be used apart; pymongo's own text may hold a part of the password."""
    name, where, text = "MongoDB", shown(config.uri), str(error).lower()
    match error:
        case ConfigurationError() | InvalidURI() | ValueError() if "wire version" not in text:
            cure = "check MONGODB_URI; write / ? # @ : and % in user and password as %2F and so on (RFC 3986)"
            return failed(name, f"{where}: the connection string is wrong ({type(error).__name__})", cure)
        case ConfigurationError():
            return failed("MongoDB version", f"{where} is too old for this client", _upgrade())
        case OperationFailure(code=18):
            cure = "check user and password in MONGODB_URI, and authSource (the database that holds the user)"
            return failed(name, f"{where} refused the credentials: authentication failed", cure)
        case OperationFailure(code=13):
            return failed(name, f"{where} wants credentials", "put user and password into MONGODB_URI")
        case OperationFailure():
            return failed(name, f"{where} refused (code {error.code})", "see the server's log")
        case ServerSelectionTimeoutError():
            return failed(name, *_unreachable(where, text))
    return failed(name, f"{where}: {type(error).__name__}", "try again; if it lasts, see the server's log")


def _unreachable(where: str, text: str) -> tuple[str, str]:
    reason = text.partition("topology")[0]  # then comes what is known of each server
    if refused := re.search(r"certificate[\w ]* failed: ([^(\[]+)", reason):
        cure = "MONGODB_CA_FILE must name the CA that signed the server's certificate; renew what has expired"
        return f"{where}: TLS refused: {' '.join(refused[1].split())}", cure
    if "ssl" in reason or "tlsv1" in reason:
        cure = (
            "does the server speak TLS, and want a certificate of ours (MONGODB_CERTIFICATE_KEY_FILE)? docs/mongodb.md"
        )
        return f"{where}: the TLS handshake failed", cure
    if "connection closed" in reason or "reset by peer" in reason:
        return f"{where} closes the connection", "it may require TLS: add ?tls=true to MONGODB_URI"
    if "primary" in reason:
        return f"{where} has no primary", "see rs.status(): a majority of the members must be up"
    why = "does not answer in time" if "timed out" in reason or "found yet" in reason else "cannot be reached"
    return f"{where} {why}", "start it (systemctl start mongod), or correct MONGODB_URI; check the firewall"


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


def encryption(config: Mongo, hosts: Iterable[str]) -> Result:
    """TLS, where the connection leaves this machine."""
    asked = re.search(r"[?&](tls|ssl)=true", config.uri, re.IGNORECASE) or config.uri.startswith("mongodb+srv")
    if asked or tls_files(config):
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
    wanted = {**dict.fromkeys(_COLLECTIONS, _ACTIONS), **dict.fromkeys(dashboard.VIEWS, _VIEW_ACTIONS)}
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
    wanted = {**store.INDEXES, **dashboard.INDEXES}
    lacks = []
    for collection in wanted:
        keys = (
            [tuple(index["key"]) for index in db[collection].index_information().values()]
            if collection in there
            else []
        )
        asked = (*store.INDEXES.get(collection, ()), *dashboard.INDEXES.get(collection, ()))
        lacks += [f"{collection} ({', '.join(f for f, _ in index)})" for index in asked if index not in keys]
    for view, (source, pipeline) in dashboard.VIEWS.items():
        if there.get(view, {}).get("options") != {"viewOn": source, "pipeline": pipeline}:
            lacks.append(f"view {view}")
    if lacks:
        return warning(
            name, f"missing or of an older version: {', '.join(lacks)}", "the next load makes them: scripts/hourly"
        )
    return ok(name, f"all there, and {len(dashboard.VIEWS)} views")
