"""The sandbox's honest answers: a made-up series or replayed files, with what was overridden on purpose."""

import json
import re
from collections import ChainMap
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airqino.readings import READINGS
from airqino.sandbox import series
from airqino.sandbox.faults import Reply
from airqino.times import HOUR, as_utc, floor_hour

__all__ = ["Records"]

_MINUTE = timedelta(minutes=1)
#: Minutes past the hour of its raw rows, and how far each is from the hour's mean: together by nothing.
_WITHIN_AN_HOUR = ((2, 0.10), (12, -0.04), (22, 0.02), (32, -0.08), (42, 0.06), (52, -0.06))


class Records:
    """What the API knows."""

    def __init__(self, replay: Path | str | None, stations: Iterable[str] | None) -> None:
        """Read the replay files.

        Args:
            replay: Folder of answers named `<station>.json`; None serves made-up series.
            stations: The only stations known; None for every file of `replay`, or any number.

        Raises:
            ValueError: The folder is missing, holds no answer, or holds a file that is none.
        """
        self._replay = _read_answers(Path(replay)) if replay is not None else None
        self._stations = set(stations) if stations is not None else None
        self._overrides: dict[tuple[str, str], list[tuple[datetime, dict[str, Any] | None]]] = {}
        self._presented: dict[str, list[tuple[datetime, dict[str, Any]]]] = {}

    def reply(self, station: str, start: datetime, stop: datetime, now: datetime) -> Reply:
        """Answer a data request.

        Args:
            station: Station id as it came.
            start: First hour asked for, itself included.
            stop: Last hour asked for, itself included.
            now: Time of asking; hours that begin later have no row.
        """
        if not self._knows(station):
            return Reply(404, json.dumps({"message": f"Station {station} not found"}))
        first, last = _stamp(start), _stamp(min(stop, now))
        if self._replay is not None:
            rows = [row for row in self._replay[station]["data"] if first <= row["timestamp"] <= last]
        else:
            rows = series.rows(station, start, stop, now)
        header = self._header(station, now)
        return Reply(200, json.dumps({"header": header, "data": self._overridden(station, rows, first, last, now)}))

    def station_list(self, now: datetime) -> list[dict[str, Any]]:
        """Return what a project's listing says at `now` of the stations known by name, whatever the project.

        Names and coordinates are as public clients read them. The id is the sandbox's own: it was not seen.
        """
        return [
            {
                "station_id": station,
                "station_name": header.get("station_name"),
                "description": "",
                "latitude": header.get("station_lat"),
                "longitude": header.get("station_lon"),
            }
            for station, header in self._headers(now).items()
        ]

    def sensor_list(self) -> list[dict[str, str]]:
        """Return the sensors that stations have; the shape is the sandbox's own."""
        return [{"sensor_name": reading.key, "unit": reading.unit} for reading in READINGS]

    def raw_rows(self, name: str, start: datetime, stop: datetime, now: datetime) -> Reply:
        """Answer a request for what a station sent from `start` to before `stop`: some rows for each hour.

        Their mean is the row of the hour; the times are UTC, whatever the habits.
        """
        station = next((s for s, header in self._headers(now).items() if header.get("station_name") == name), None)
        if station is None:
            return Reply(404, json.dumps({"message": f"Station {name} not found"}))
        hourly = json.loads(self.reply(station, start, stop - HOUR, now).body)["data"]
        rows = [
            {"utc_timestamp": f"{datetime.fromisoformat(row['timestamp']) + minutes * _MINUTE}"}
            | {sensor: value * (1 + swing) for sensor, value in row.items() if sensor != "timestamp"}
            for row in hourly
            for minutes, swing in _WITHIN_AN_HOUR
            if as_utc(datetime.fromisoformat(row["timestamp"])) + minutes * _MINUTE <= now
        ]
        return Reply(200, json.dumps({"raw_data": rows}))

    def _headers(self, now: datetime) -> dict[str, dict[str, Any]]:
        known = sorted(self._replay if self._replay is not None else self._stations or series.DEFAULT_STATIONS)
        return {station: self._header(station, now) for station in known if self._knows(station)}

    def _header(self, station: str, now: datetime) -> dict[str, Any]:
        header: dict[str, Any] = self._replay[station]["header"] if self._replay else series.header(station)
        begun = (changes for since, changes in self._presented.get(station, ()) if since <= now)
        return dict(ChainMap(*[*begun][::-1], header))

    def present(self, station: str, header: dict[str, Any], since: datetime) -> None:
        """Change what a station's answers and the listing say of it from some time on: it is renamed, or moved.

        Args:
            station: Station id.
            header: Field of the header → what it says; fields not named stay as they are.
            since: Time-zone-aware time from which it holds.
        """
        changes = [*self._presented.get(station, []), (since, dict(header))]
        self._presented = self._presented | {station: sorted(changes, key=lambda change: change[0])}

    def override(
        self, station: str, hour: datetime, values: dict[str, Any] | None, since: datetime | None = None
    ) -> None:
        """Change what the row of an hour shows from some time on; of several changes the latest begun holds.

        Args:
            station: Station id.
            hour: Time-zone-aware beginning of the hour.
            values: Sensor → reading, laid over the row as the source has it: sensors not named keep theirs,
                one named None has no key, and `{}` shows the row unchanged. None: there is no row.
            since: Time-zone-aware time from which it holds; None for ever.
        """
        key = (station, _stamp(floor_hour(hour)))
        change = (since or datetime.min.replace(tzinfo=UTC), None if values is None else dict(values))
        changes = [*self._overrides.get(key, []), change]
        # A new dict each time: the server's thread may be going through the old one.
        self._overrides = self._overrides | {key: sorted(changes, key=lambda change: change[0])}

    def _knows(self, station: str) -> bool:
        numeric = re.fullmatch("[1-9][0-9]{0,17}", station) is not None
        replayed = self._replay is None or station in self._replay
        return numeric and replayed and (self._stations is None or station in self._stations)

    def _overridden(
        self, station: str, rows: list[series.Row], first: str, last: str, now: datetime
    ) -> list[series.Row]:
        by_stamp = {row["timestamp"]: row for row in rows}
        for (of_station, stamp), changes in self._overrides.items():
            begun = [values for since, values in changes if since <= now]
            if of_station != station or not first <= stamp <= last or not begun:
                continue
            if (values := begun[-1]) is None:
                by_stamp.pop(stamp, None)
            elif values or stamp in by_stamp:
                row = by_stamp.get(stamp, {}) | {"timestamp": stamp} | values
                by_stamp[stamp] = {name: value for name, value in row.items() if value is not None}
        return [by_stamp[stamp] for stamp in sorted(by_stamp)]


def _stamp(moment: datetime) -> str:
    """Return a time in the API's own form, whose order as text is the order in time."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "seconds")


def _read_answers(folder: Path) -> dict[str, dict[str, Any]]:
    """Return station → answer of every `<station>.json`; other names are other snapshots and left alone."""
    if not folder.is_dir():
        raise ValueError(f"the replay folder {folder} does not exist")
    answers = {}
    for path in sorted(folder.glob("*.json")):
        if not path.stem.isdigit():
            continue
        try:
            answer = json.loads(path.read_bytes())
            if not isinstance(answer["header"], dict) or not all(row["timestamp"] for row in answer["data"]):
                raise ValueError("header or timestamps are missing")
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"the replay file {path} is not an answer of the API: {error!r}") from None
        answers[path.stem] = answer
    if not answers:
        raise ValueError(f"the replay folder {folder} holds no <station>.json")
    return answers
