"""Answers that a server has cut at a number of rows: what is missing of them, and putting the parts together.

A server that sends no more than so many rows does not say so. A round number of rows that ends far before what was
asked for is the only sign; that an hour is missing in such an answer means nothing.
"""

from datetime import datetime

from airqino.source.response import Response
from airqino.times import DAY, HOUR

__all__ = ["rest_of"]

_FEWEST, _ROUND = 100, 50  # rows: 100, 150, 200 … 500, 1,000, 5,000


def rest_of(response: Response, first: datetime, last: datetime) -> tuple[datetime, datetime] | None:
    """Return the part of a span that an answer may leave out; None for an answer that looks whole.

    Args:
        response: The answer.
        first: First hour asked for.
        last: Last hour asked for.
    """
    rows = len(response.data)
    if rows < _FEWEST or rows % _ROUND:
        return None
    hours = [row.hour for row in response.data]
    if last - max(hours) > DAY:
        return max(hours) + HOUR, last
    if min(hours) - first > DAY:  # it kept the newest
        return first, min(hours) - HOUR
    return None
