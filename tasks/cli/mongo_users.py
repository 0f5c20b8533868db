"""airqino mongo-users: the three users of the database, each with no more rights than it needs."""

import argparse
import json
import os
import secrets
from collections.abc import Sequence
from typing import Any

from airqino.errors import ConfigError, MongoError
from airqino.stores import mongo
from tasks import targets
from tasks.cli.main import Parser
from tasks.settings.reading import settings

Document = dict[str, Any]

_READ = ("find", "listCollections", "listIndexes")
#: Name of each user, and of its role → what it may do with the pipeline's database. None may drop a database, and
#: none but `ops` a collection.
ROLES: dict[str, tuple[str, ...]] = {
    "etl_writer": (
        *_READ,
        *("insert", "update", "createCollection", "createIndex"),  # documents, $merge; collections and views
        *("collMod", "dropIndex"),  # views and the retention brought up to date
        *("dbStats", "collStats"),  # airqino status
    ),
    "dashboard_reader": _READ,
    "ops": (
        *_READ,
        *("dbStats", "collStats", "indexStats"),
        *("insert", "update", "remove", "createCollection", "createIndex", "collMod", "dropCollection"),  # restore
    ),
}
#: Roles of the server that a user has besides: `ops` watches it. A role of one database cannot contain them.
_BESIDES = {"ops": [{"role": "clusterMonitor", "db": "admin"}]}

_EPILOG = """environment:
  MONGODB_ADMIN_URI         of a user that may make users (role userAdmin or root), with its password
  MONGODB_DATABASE          the pipeline's database, in which the users and roles are made (authSource)
  MONGODB_CA_FILE, MONGODB_CERTIFICATE_KEY_FILE   as for the pipeline
  ETL_WRITER_PASSWORD, DASHBOARD_READER_PASSWORD, OPS_PASSWORD
                            set: the user has this password from now on, also if it exists; unset: a new user's password
                            is made and printed once, an old user keeps its own"""


def main(argv: Sequence[str]) -> int:
    """Make the users and roles, or bring them up to date."""
    parser = Parser(
        "airqino mongo-users",
        description="Make the MongoDB users etl_writer (the pipeline), dashboard_reader (Superset) and ops (backup, "
        "restore, monitoring), each with a role of its own, or bring them up to date. Safe to run again.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--dry-run", action="store_true", help="print the roles as JSON; nothing is asked or changed")
    arguments = parser.parse_args(argv)
    wanted = roles(settings().mongo.database)
    if arguments.dry_run:
        print(json.dumps(wanted, indent=2))
        return 0
    db = _admin()
    for name, role in wanted.items():
        print(f"{name}: {', '.join([_ensure_role(db, name, role), *_ensure_user(db, name)])}")
    return 0


def roles(database: str) -> dict[str, Document]:
    """Return the roles' documents, as MongoDB's ``createRole`` takes them.

    Args:
        database: The pipeline's database; no role reaches beyond it, but for what `ops` sees of the server.
    """
    everywhere = {"db": database, "collection": ""}
    return {
        name: {"privileges": [{"resource": everywhere, "actions": sorted(actions)}], "roles": []}
        for name, actions in ROLES.items()
    }


def _admin() -> mongo.Database:
    """Return the pipeline's database, seen by an administrator."""
    if not (uri := os.environ.get("MONGODB_ADMIN_URI")):
        raise ConfigError("MONGODB_ADMIN_URI is not set: it names a user that may make users, and its password")
    return targets.database_at(uri)


def _ask(db: mongo.Database, request: Document) -> Document:
    """Send a command, whose errors name the variable that was used."""
    try:
        return mongo.ask(db, lambda db: db.command(request))
    except MongoError as error:
        raise MongoError(f"{error}".replace("MONGODB_URI", "MONGODB_ADMIN_URI")) from error


def _ensure_role(db: mongo.Database, name: str, role: Document) -> str:
    there = _ask(db, {"rolesInfo": name, "showPrivileges": True})["roles"]
    if not there:
        _ask(db, {"createRole": name, **role})
        return "role made"
    if _comparable(there[0]) == _comparable(role):
        return "role as it should be"
    _ask(db, {"updateRole": name, **role})
    return "role brought up to date"


def _comparable(role: Document) -> Document:
    """Return a role without order, to compare MongoDB's with ours."""
    privileges = [{**privilege, "actions": sorted(privilege["actions"])} for privilege in role["privileges"]]
    return {"privileges": privileges, "roles": role["roles"]}


def _ensure_user(db: mongo.Database, name: str) -> list[str]:
    variable = f"{name.upper()}_PASSWORD"
    given, granted = os.environ.get(variable), [{"role": name, "db": db.name}, *_BESIDES.get(name, [])]
    there = _ask(db, {"usersInfo": name})["users"]
    if not there:
        password = given or secrets.token_urlsafe(24)
        _ask(db, {"createUser": name, "pwd": password, "roles": granted})
        return ["user made", f"password from {variable}" if given else f"password (shown once): {password}"]
    right = sorted(there[0]["roles"], key=str) == sorted(granted, key=str)
    if given or not right:
        _ask(db, {"updateUser": name, "roles": granted, **({"pwd": given} if given else {})})
    return [
        "user as it should be" if right else "user brought up to date",
        f"password from {variable}" if given else "password kept",
    ]
