"""airqino backup: the staging root and the database in one file."""

from collections.abc import Sequence
from datetime import UTC, datetime

from airqino.errors import ConfigError, StagingError
from airqino.stores import archive, mongo
from airqino.stores.files import is_in_bucket
from tasks import targets
from tasks.cli.arguments import caller_path
from tasks.cli.main import Parser
from tasks.cli.running import between_runs
from tasks.settings.reading import settings


def main(argv: Sequence[str]) -> int:
    """Write a back-up while no run is under way."""
    parser = Parser(
        "airqino backup",
        description="Write the staging root and all documents of the database into DIR/airqino-<time>.tar.gz. Waits "
        "for a run that is under way, and holds back the next. Only the staging root must be kept: from it "
        "`scripts/backfill` makes the documents again, without asking the API.",
    )
    parser.add_argument(
        "folder", metavar="DIR", type=caller_path, help="where to write it; better on another machine's disk"
    )
    parser.add_argument("--no-database", action="store_true", help="leave the documents out")
    arguments = parser.parse_args(argv)
    folder, root = arguments.folder.absolute(), targets.paths().root.absolute()
    if is_in_bucket(root):
        raise ConfigError(f"{root} is in a bucket: keep its versions, or copy it (docs/deployment.md, Object storage)")
    if folder == root or root in folder.parents:
        raise StagingError(f"{folder} lies in the staging root {root}: a back-up of itself; name another folder")
    if not root.is_dir():
        raise StagingError(f"there is no staging root {root}: nothing to back up; check STAGING_ROOT")
    database = None if arguments.no_database else targets.database()
    if database is not None:
        mongo.ping(database)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StagingError(f"{folder} cannot be made: {error.strerror}") from error
    path = folder / f"airqino-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.tar.gz"
    with between_runs(minutes=15):
        about = archive.write(path, root, database, settings().airqino.environment)
    documents = sum(about.documents.values())
    print(f"{path}: {about.files} files, {documents} documents, {path.stat().st_size / 1e6:.1f} MB")
    return 0
