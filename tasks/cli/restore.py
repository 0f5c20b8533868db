"""airqino restore: a back-up's files and documents, back where they were."""

from collections.abc import Sequence
from pathlib import Path

from airqino import views
from airqino.errors import ConfigError, MongoError, StagingError
from airqino.stores import archive, indexes, mongo, writes
from airqino.stores.files import is_in_bucket
from tasks import environment, targets
from tasks.cli.arguments import caller_path
from tasks.cli.main import Parser
from tasks.cli.running import lock, preflight
from tasks.settings.reading import settings


def main(argv: Sequence[str]) -> int:
    """Restore what a back-up holds, over nothing that is there."""
    parser = Parser(
        "airqino restore",
        description="Write a back-up's files into the staging root and its documents into the database. Both must be "
        "empty: move the staging root away first; --drop empties the database. The user of MONGODB_URI needs the "
        "rights of `ops` (`scripts/mongo-users`).",
    )
    parser.add_argument("file", metavar="FILE", type=caller_path, help="what `scripts/backup` wrote")
    parser.add_argument("--only", choices=("staging", "database"), help="restore one of them")
    parser.add_argument("--drop", action="store_true", help="drop the database's collections first")
    arguments = parser.parse_args(argv)
    if arguments.only != "database" and is_in_bucket(root := targets.paths().root):
        raise ConfigError(f"{root} is in a bucket: restore it with what copied it, the database with --only database")
    about = archive.check(arguments.file, targets.paths().root)
    if about.environment not in (None, settings().airqino.environment):
        told = environment.explain(f"{arguments.file}", f"{about.environment}")
        raise ConfigError(f"{told}: to restore it here, say AIRQINO_ENVIRONMENT={about.environment}")
    staging, database = arguments.only != "database", arguments.only != "staging" and bool(about.documents)
    preflight(adopt=False)  # the back-up brings its own marks
    with lock("run", wait=60) as alone:
        if not alone:
            raise StagingError("a run is under way: stop its trigger (cron, timer) and try again")
        if staging:
            _refuse_files()
        if database:
            _refuse_documents(arguments.drop)
        files = archive.extract(arguments.file, targets.paths().root) if staging else 0
        documents = _load(arguments.file) if database else 0
    print(f"restored from {arguments.file}: {files} files, {documents} documents")
    return 0


def _refuse_files() -> None:
    root = targets.paths().root
    there = sorted(entry.name for entry in root.iterdir() if not entry.name.startswith(".") and entry.name != "logs")
    if there:
        raise StagingError(f"the staging root {root} is not empty ({there[0]} …): move it away, then restore")


def _refuse_documents(drop: bool) -> None:
    database = targets.database()
    for name in mongo.collections(database):
        if drop:
            mongo.ask(database, lambda db, name=name: db.drop_collection(name))  # type: ignore[misc]
        elif mongo.ask(database, lambda db, name=name: db[name].find_one({}, {"_id": 1})):  # type: ignore[misc]
            raise MongoError(f"database {database.name} is not empty ({name} …): --drop drops its collections first")


def _load(file: Path) -> int:
    database = targets.database()
    indexes.ensure_indexes(database, settings().mongo.retention_days)
    mongo.build(database, views.ensure_views)
    return sum(writes.replace(database, collection, some) for collection, some in archive.documents(file))
