"""The indexes in MongoDB: of every collection, and the one by which hourly documents expire."""

from collections.abc import Mapping
from functools import lru_cache

from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from airqino.stores.mongo import Database, Document, build

__all__ = ["INDEXES", "ensure_indexes"]

#: The server's code for a document with arrays in two fields of an index.
_PARALLEL_ARRAYS = 171
#: Name of the index by which hourly documents expire.
EXPIRY = "expiry"

#: The fields (ascending) of every index, for the queries of the loads, the commands, the views and the dashboards.
INDEXES: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "hourly_measurements": (("observed_at", "station"), ("station", "observed_at")),
    "daily_averages": (("day", "station"), ("station", "day")),
    "coverage": (("day", "station"),),
    "forecasts": (("issued_at", "station"), ("station", "issued_at"), ("target_at", "station")),
    "forecast_scores": (("day", "station"), ("station", "day")),
    "revisions": (("observed_at", "station"), ("seen_at",)),
    "profiles": (("station", "month"), ("month", "weekday")),
    "stations": (("name",),),
    "loads": (("kind", "loaded_at"), ("kind", "issued_at"), ("kind", "version")),
}


@lru_cache(maxsize=8)
def ensure_indexes(db: Database, retention_days: int = 0) -> None:
    """Make the indexes that are missing; asked once per process and database.

    Args:
        db: The database.
        retention_days: Days after which MongoDB drops an hourly document; 0: never.
    """

    def make(db: Database) -> None:
        for collection, indexes in INDEXES.items():
            for fields in indexes:
                try:
                    db[collection].create_index(list(fields))
                except OperationFailure as error:
                    if error.code != _PARALLEL_ARRAYS:  # in a document of others; `scripts/doctor` names the index
                        raise
        _expire(db["hourly_measurements"], retention_days * 86_400)

    build(db, make)


def _expire(collection: Collection[Document], seconds: int) -> None:
    """Make, change or drop the index by which documents expire."""
    index = collection.index_information().get(EXPIRY)
    if index is None and seconds:
        collection.create_index("observed_at", name=EXPIRY, expireAfterSeconds=seconds)
    elif index is not None and not seconds:
        collection.drop_index(EXPIRY)
    elif index is not None and index["expireAfterSeconds"] != seconds:
        new = {"name": EXPIRY, "expireAfterSeconds": seconds}
        collection.database.command("collMod", collection.name, index=new)
