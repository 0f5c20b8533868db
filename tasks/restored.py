"""What is gone from the staging root and MongoDB still holds: it comes back before a run asks for anything.

Notes, the stations' histories, damaged forecasts, and the readings of whole days or of damaged hours. The source may
not have them any more, or others; what it has changed is then found as a revision. Ledgers come back with the loads.
"""

from tasks.errata import restore_lost
from tasks.fetch import FetchHour
from tasks.forecast import restore
from tasks.from_documents import restore_hours, unstaged_days
from tasks.stage import alone
from tasks.staged import lost_days, lost_forecasts
from tasks.stations import restore_histories

__all__ = ["restore_staging"]


def restore_staging() -> None:
    """Write what is gone from the staging root, and MongoDB still holds; nothing is asked of the API.

    Raises:
        StagingError: A file cannot be written.
        MongoError: The database cannot be reached, or refuses.
    """
    restore_lost()
    restore(lost_forecasts())
    if days := {*unstaged_days(), *lost_days()}:
        restore_histories(every=True)
        with alone(FetchHour.__name__):  # which writes the same files
            restore_hours(days)
