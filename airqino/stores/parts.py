"""Parts of a large day's file, each of which is read by itself by who wants some of the stations."""

import json

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["NAME", "ROWS", "ends", "with_rows_of"]

#: The text of a file that says what its parts hold.
NAME = b"parts"
#: Rows of a part: a day of some 800 stations; a smaller file is one part.
ROWS = 20_000
_STATION = "station"


def ends(table: pa.Table) -> dict[bytes, bytes]:
    """Return the text that says which station is the first and which the last, by name, of each part of a table.

    It stands among the file's texts: Arrow ends the process where it is asked for statistics that are damaged. There is
    none of a table that is one part, or has no stations by name.
    """
    kind = table.schema.field(_STATION).type if _STATION in table.column_names else None
    if len(table) <= ROWS or kind not in (pa.string(), pa.large_string()):
        return {}
    parts = (table[_STATION].slice(begin, ROWS) for begin in range(0, len(table), ROWS))
    return {NAME: json.dumps([[of.as_py() for of in pc.min_max(part).values()] for part in parts]).encode()}


def with_rows_of(stations: tuple[str, str], text: bytes | None, number: int) -> list[int]:
    """Return which of a file's parts may have rows of stations from the first to the last.

    Args:
        stations: The first and the last station.
        text: What the file says of its parts, if anything.
        number: How many it has.
    """
    known = json.loads(text) if text else []
    if len(known) != number:
        return [*range(number)]
    first, last = stations
    return [n for n, (low, high) in enumerate(known) if None in (low, high) or (low <= last and first <= high)]
