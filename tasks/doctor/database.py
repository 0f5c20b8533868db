"""Check that MongoDB can be reached, is secured, and gives us the rights that we need, without changing anything.

The server lists the rights (``connectionStatus``). One write is tried: it matches no document, but waits for a majority
of the members, as the loads do. What takes a second to load is loaded when the server has answered.
"""

import contextlib
import ipaddress
import re
import ssl
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pymongo import MongoClient, WriteConcern, errors
from pymongo.database import Database

from airqino.stores import indexes, refusals
from airqino.stores.paths import Paths
from tasks.doctor.checks import Result, failed, ok, same_environment, warning
from tasks.doctor.source import clock
from tasks.environment import of_database
from tasks.settings.sections import AirQino, Mongo, Staging

__all__ = ["encryption", "examine", "missing_actions", "version"]

Document = dict[str, Any]

#: The oldest server that the loads and the dashboards' views were tried with, and the oldest that is still maintained.
_OLDEST, _MAINTAINED = (6, 0), (7, 0)
#: The first of each release that is mended; in those before, zlib shows memory to whoever asks (CVE-2025-14847).
_MENDED = ((6, 0, 27), (7, 0, 28), (8, 0, 17), (8, 2, 3))
#: Seconds to find a server, and for an answer of one that was found.
_FINDING, _TIMEOUT = 1.2, 3.0
_COLLECTIONS = ("models", *indexes.INDEXES)
_ACTIONS = frozenset({"find", "insert", "update", "createIndex"})
_VIEW_ACTIONS = frozenset({"createCollection", "collMod"})


def examine(config: Mongo | None, staging: Staging | None, airqino: AirQino | None) -> Iterator[Result]:
    """Check the connection first and what was loaded last; stop where the next check makes no sense."""
    if config is None or airqino is None:
        return
    try:
        client = _client(config)
    except (errors.PyMongoError, ValueError, OSError) as error:
        yield _refusal(config, error)
        return
    with contextlib.closing(client):
        try:
            yield from _connected(client, config, staging, airqino.environment)
        except errors.PyMongoError as error:
            servers = client.topology_description.server_descriptions().values()
            yield _refusal(config, error, refusals.server_errors(servers))


def _client(config: Mongo) -> MongoClient[Document]:
    finding, limit = (int(min(config.timeout_seconds, most) * 1000) for most in (_FINDING, _TIMEOUT))
    tls: Document = {"tlsCAFile": config.tls_ca_file, "tlsCertificateKeyFile": config.tls_certificate_key_file}
    return MongoClient(
        config.uri,
        serverSelectionTimeoutMS=finding,
        connectTimeoutMS=finding,
        socketTimeoutMS=limit,
        tz_aware=True,
        appname="airqino-doctor",
        **{option: path for option, path in tls.items() if path},
    )


def _connected(client: MongoClient[Document], config: Mongo, staging: Staging | None, ours: str) -> Iterator[Result]:
    where, database = refusals.without_credentials(config.uri), client[config.database]
    database.command({"listCollections": 1, "nameOnly": True, "authorizedCollections": True})
    login = client.admin.command({"connectionStatus": 1, "showPrivileges": True})["authInfo"]
    hello = client.admin.command("hello")
    users = [user["user"] for user in login["authenticatedUsers"]]
    hosts = list(client.topology_description.server_descriptions())
    yield _access(where, users, [host for host, _ in hosts])
    compressors = client.admin.command("hello", compression=["zlib"]).get("compression", [])
    yield version(str(client.server_info()["version"]), "zlib" in compressors)
    yield encryption(client.options.pool_options._ssl_context, [host for host, _ in hosts])
    yield from clock("MongoDB clock", "MongoDB's", [hello["localTime"].replace(tzinfo=UTC)], datetime.now(UTC))
    yield _members(client, hello)
    rights = _rights(client, config.database, login["authenticatedUserPrivileges"] if users else None)
    yield rights
    if rights.outcome != "failed":
        cure = "correct MONGODB_URI, MONGODB_DATABASE or AIRQINO_ENVIRONMENT: each environment has its own"
        yield same_environment("MongoDB environment", of_database(client[config.database]), ours, cure)
        yield _indexes(client, config.database)
        if staging is not None:
            yield _days(client[config.database], staging.path)


def _access(where: str, users: list[str], hosts: list[str]) -> Result:
    if users:
        return ok("MongoDB", f"{where} answers {', '.join(users)}")
    if all(map(_is_loopback, hosts)):
        return ok("MongoDB", f"{where} answers; access control is off, on loopback alone")
    return warning("MongoDB", f"{where} lets everybody in", "turn on access control: scripts/mongo-users")


def _refusal(config: Mongo, error: Exception, servers: Iterable[Exception | None] = ()) -> Result:
    """Say why a server cannot be used, in the words of the loads."""
    where = f"MongoDB at {refusals.without_credentials(config.uri)}"
    if "wire version" in str(error).lower():
        return failed("MongoDB version", f"{where} is too old for this client", _upgrade())
    if isinstance(error, errors.PyMongoError) and not isinstance(error, errors.ConfigurationError | errors.InvalidURI):
        text = refusals.explain(where, error, servers)
    else:
        text = refusals.explain_settings(error)
    finding, _, cure = text.partition("; ")
    return failed("MongoDB", finding, cure or "look at the server's log")


def _upgrade() -> str:
    return f"upgrade MongoDB to {_OLDEST[0]}.{_OLDEST[1]} or newer, one major version at a time"


def version(text: str, has_zlib: bool) -> Result:
    """Check that the server is not older than the versions that were tried, is maintained, and shows no memory.

    Args:
        text: The version, such as 7.0.28.
        has_zlib: Whether it takes messages that zlib has compressed.
    """
    name, numbers = "MongoDB version", tuple(int(part) for part in re.findall(r"\d+", text)[:3])
    if numbers < _OLDEST:
        return failed(name, text, _upgrade())
    mended = next((first for first in _MENDED if first[:2] >= numbers[:2]), ())
    doubts = [f"{text} is past its end of life"] if numbers < _MAINTAINED else []
    cures = ["upgrade to 7.0 or newer, one major version at a time"] if doubts else []
    if has_zlib and numbers < mended:
        doubts.append(f"{text} shows memory to whoever can reach it (CVE-2025-14847, zlib is on)")
        cures.append(f"take {'.'.join(map(str, mended))} or newer, or set net.compression.compressors: disabled")
    return warning(name, "; ".join(doubts), "; ".join(cures)) if doubts else ok(name, text)


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.startswith("/"):  # a socket's path
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def encryption(context: Any, hosts: Iterable[str]) -> Result:
    """Check that a connection that leaves this machine uses TLS, and that the server's certificate is checked."""
    if context is not None:
        if context.verify_mode == ssl.CERT_NONE:
            finding = "on, but no certificate is checked: anybody can pose as the server"
            cure = "remove tlsInsecure and tlsAllowInvalidCertificates from MONGODB_URI; MONGODB_CA_FILE names the CA"
            return warning("MongoDB TLS", finding, cure)
        return ok("MongoDB TLS", "on")
    if all(map(_is_loopback, hosts)):
        return ok("MongoDB TLS", "off; the connection stays on this machine")
    finding = "off: password and readings cross the network unencrypted"
    return warning("MongoDB TLS", finding, "add ?tls=true to MONGODB_URI, and MONGODB_CA_FILE: docs/mongodb.md")


def _members(client: MongoClient[Document], hello: Document) -> Result:
    name = "MongoDB members"
    if "setName" not in hello and hello.get("msg") != "isdbgrid":
        cure = "start three members with --replSet, and run rs.initiate(): docs/mongodb.md"
        return warning(name, "a standalone server: if it stops, no other takes over", cure)
    if not hello.get("isWritablePrimary"):
        cure = "name all members in MONGODB_URI, without directConnection"
        return failed(name, "this member is not the primary", cure)
    members = [*hello.get("hosts", []), *hello.get("passives", []), *hello.get("arbiters", [])]
    servers = client.topology_description.server_descriptions()
    down = [f"{host}:{port}" for (host, port), server in servers.items() if server.server_type_name == "Unknown"]
    if down:
        finding = f"{', '.join(down)} of {len(members)} does not answer"
        return warning(name, finding, "start it: if one more stops, writes may stop")
    return ok(name, f"replica set {hello['setName']} of {len(members)}" if members else "sharded")


def _rights(client: MongoClient[Document], database: str, privileges: list[Document] | None) -> Result:
    name = "MongoDB rights"
    if privileges is not None and (missing := missing_actions(database, privileges)):
        finding = "; ".join(f"no {', '.join(actions)} on {where}" for where, actions in missing.items())
        return failed(name, finding, "use the user etl_writer, or give it its role again: scripts/mongo-users")
    concern = WriteConcern("majority", wtimeout=2000)
    try:
        collection = client[database].get_collection("loads", write_concern=concern)
        collection.update_one({"_id": "doctor"}, {"$set": {"seen": True}})  # matches no document
    except (errors.WTimeoutError, errors.WriteConcernError):
        cure = "start the members that rs.status() shows as down"
        return failed(name, "a majority of the members does not confirm writes", cure)
    except errors.OperationFailure as error:
        return failed(name, f"a write was refused (code {error.code})", "look at the server's log: is its disk full?")
    return ok(name, "may read, write and make indexes and views; a majority confirms")


def missing_actions(database: str, privileges: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return the actions that a user lacks.

    Args:
        database: The pipeline's database.
        privileges: As ``connectionStatus`` lists them: ``resource`` and ``actions``.

    Returns:
        By collection; one that lacks nothing is left out. Collections that lack the same share one entry.
    """
    from airqino import views

    needed = {**dict.fromkeys(_COLLECTIONS, _ACTIONS), **dict.fromkeys(views.VIEWS, _VIEW_ACTIONS)}
    lacking: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for collection, actions in needed.items():
        given = {a for p in privileges if _covers(p["resource"], database, collection) for a in p["actions"]}
        if missing := tuple(sorted(actions - given)):
            lacking[missing].append(collection)
    return {
        f"{first} and {len(more)} more" if more else first: [*actions] for actions, (first, *more) in lacking.items()
    }


def _covers(resource: Mapping[str, Any], database: str, collection: str) -> bool:
    """Return whether a privilege's resource holds a collection; an empty name means any."""
    if resource.get("anyResource"):
        return True
    return "db" in resource and resource["db"] in ("", database) and resource["collection"] in ("", collection)


def _indexes(client: MongoClient[Document], database: str) -> Result:
    from airqino import views

    name, db = "MongoDB indexes", client[database]
    collections = {collection["name"]: collection for collection in db.list_collections()}
    if "loads" not in collections:
        return ok(name, "none yet: the first load makes them")
    missing = []
    for collection, needed in indexes.INDEXES.items():
        there = db[collection].index_information() if collection in collections else {}
        keys = [tuple(index["key"]) for index in there.values()]
        wanted = {fields: tuple((field, 1) for field in fields) for fields in needed}
        missing += [f"{collection} ({', '.join(fields)})" for fields, key in wanted.items() if key not in keys]
    for view, (source, pipeline) in views.VIEWS.items():
        if collections.get(view, {}).get("options") != {"viewOn": source, "pipeline": pipeline}:
            missing.append(f"view {view}")
    if missing:
        finding = f"missing or of an older version: {', '.join(missing)}"
        return warning(name, finding, "the next load makes them: scripts/hourly")
    return ok(name, f"all of them, and {len(views.VIEWS)} views")


def _days(database: Database[Document], root: Path) -> Result:
    from tasks.versions import DAY_LOADS, by_day, days_to_load, what_is_left

    name = "MongoDB days"
    loads = by_day(database["loads"].find(DAY_LOADS, {"version": 1}))
    if days := days_to_load(loads, Paths(root)):
        cure = "wait for the hourly runs; scripts/verify loads all of them at once"
        return warning(name, what_is_left(len(days)), cure)
    return ok(name, "all that are staged are loaded")
