"""What the API answered to the questions that tell its habits."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from airqino.errors import CredentialsError, RateLimitedError, SourceError
from airqino.source.listing import Moments
from airqino.source.values import tidy

__all__ = ["Asked", "Seen", "reason"]

_LONGEST_REASON = 60


def reason(status: int | None, error: SourceError) -> str:
    """Say why there is no answer, in a few words."""
    refused = status is not None and status != 200
    return f"HTTP {status}" if refused else tidy(error, _LONGEST_REASON)


@dataclass(frozen=True)
class Asked:
    """A question for hourly means, and what came.

    Attributes:
        start: The start_date as sent.
        end: The end_date as sent.
        rows: Each timestamp with its readings; empty where there is an error.
        status: Of the answer; None where there was none.
        error: Why there are no rows.
        remarks: What was not read as documented.
    """

    start: datetime
    end: datetime
    rows: Moments = field(default_factory=dict)
    status: int | None = 200
    error: SourceError | None = None
    remarks: tuple[str, ...] = ()

    @property
    def outside(self) -> list[datetime]:
        """Timestamps that were not asked for."""
        return sorted(moment for moment in self.rows if not self.start <= moment <= self.end)

    @property
    def unclear(self) -> bool:
        """Whether the error says nothing about what was asked."""
        return self.status is None or isinstance(self.error, CredentialsError | RateLimitedError)

    @property
    def answer(self) -> str:
        """What came, in a few words."""
        if self.error:
            return reason(self.status, self.error)
        return f"{self.status} with {len(self.rows)} rows" if self.rows else f"{self.status} without rows"


@dataclass(frozen=True)
class Seen:
    """What the API answered.

    Attributes:
        now: The API's time when it was first asked, ours where it does not say it.
        max_days: The longest span that the pipeline asks for in one request.
        recent: The newest days.
        days: How many, `max_days` if that was not refused.
        refused: Longer spans than `recent` that were refused.
        year: The last 364 days.
        before: The days before the first row of `year`, where it begins late.
        bounds: Three hours that have rows.
        gap: Hours that have no row.
        nowhere: The last day of a station that there is not.
        raw: What the station sent on a day of `recent`; empty where the API does not say it.
        no_raw: Why `raw` is empty.
        requests: How many were sent.
        seconds: How long they took.
        limits: For each answer 429, which request it was and the seconds it asked to wait, if any.
        offset: Our clock less the API's; None where it does not say the time.
        age: How long caches held an answer at most, in seconds.
    """

    now: datetime
    max_days: int
    recent: Asked
    days: int
    refused: tuple[Asked, ...] = ()
    year: Asked | None = None
    before: Asked | None = None
    bounds: Asked | None = None
    gap: Asked | None = None
    nowhere: Asked | None = None
    raw: Moments = field(default_factory=dict)
    no_raw: str = "none came"
    requests: int = 1
    seconds: float = 0.0
    limits: tuple[tuple[int, float | None], ...] = ()
    offset: timedelta | None = None
    age: float = 0.0

    @property
    def dates_ignored(self) -> bool:
        """Whether the same rows come whatever is asked for."""
        bounds = self.bounds
        return bounds is not None and bool(bounds.outside) and bounds.rows.keys() == self.recent.rows.keys()
