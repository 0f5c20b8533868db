"""Does the AirQino API answer with what it should, to us, and by the same clock?"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import combinations
from math import asin, cos, radians, sin, sqrt
from zoneinfo import ZoneInfo

from airqino.errors import (
    AnswerTooLargeError,
    CredentialsError,
    NotJSONError,
    RateLimitedError,
    ReportedError,
    RequestRefusedError,
    ServerError,
    SourceError,
    SourceTimeoutError,
    UnexpectedShapeError,
    UnknownStationError,
    UnreachableError,
)
from airqino.source.client import Answer
from airqino.times import HOUR, floor_hour
from tasks.doctor.checks import Result, failed, ok, skipped, warning
from tasks.fetch import client
from tasks.settings.sections import AirQino, Station

__all__ = ["CLOCK_TOLERANCE", "NAMES", "clock", "examine", "places"]

NAMES = ("credentials", "API", "stations", "clock")

#: A clock further off than this takes hours for over that are not, or misses them by a run.
CLOCK_TOLERANCE = timedelta(minutes=2)
#: Connect and read time-outs in seconds; a token and an answer must both fit into the time of a check.
_TIMEOUT = (2.0, 3.0)
#: The most seconds that asking the stations may take by the limit on requests.
_ASKING = 2
#: Stations of one network further apart than this have a sign or digits lost.
_FAR_KM = 500
#: A time zone further than this from the sun's at the station's longitude: no zone in use is (China's west: 3 h).
_ZONE_HOURS = 4

_CURES: Mapping[type[SourceError], str] = {
    UnreachableError: "check AIRQINO_BASE_URL, name resolution, proxy and firewall: curl -sSI {url}",
    SourceTimeoutError: "runs wait longer ([airqino] read_timeout_seconds) and try again; if it lasts: curl -sSI {url}",
    ServerError: "nothing is wrong here: later runs catch up 72 h; if it lasts, write to the API's operator",
    RateLimitedError: "lower [airqino] requests_per_second, and see what else asks with this account or address",
    RequestRefusedError: "check AIRQINO_BASE_URL; if it is right, the API has changed: airqino/source/client.py",
    ReportedError: "read what it says; later runs ask again; if it lasts, write to the API's operator",
    AnswerTooLargeError: "something else answers in the API's place, or it has changed: curl -sS {url} | head -c 500",
    NotJSONError: "a proxy or a maintenance page answers in its place: see what curl -sS {url} says",
    UnexpectedShapeError: "the API has changed: compare with airqino/source/response.py; staged hours are safe",
}


def examine(airqino: AirQino | None, stations: Mapping[str, Station]) -> Iterator[Result]:
    """Ask for the last hours of the stations, once each."""
    if airqino is None:
        return
    answers = _ask(airqino)
    ours = datetime.now(UTC)
    credentials = _credentials(airqino, answers.values())
    yield credentials
    if credentials.outcome != "failed":
        yield _api(airqino, answers)
    yield _stations(airqino, answers, stations)
    yield from clock("clock", "the API's", [a.served_at for a in answers.values() if a.served_at], ours)


def _ask(airqino: AirQino) -> dict[str, Answer]:
    """Ask as many stations as the limit on requests allows within the time."""
    last = floor_hour(datetime.now(UTC) - timedelta(minutes=airqino.publish_delay_minutes)) - HOUR
    asked = airqino.stations[: max(1, int(_ASKING * airqino.requests_per_second))]
    timeout = min(_TIMEOUT[0], airqino.connect_timeout_seconds), min(_TIMEOUT[1], airqino.read_timeout_seconds)
    with client(airqino, timeout=timeout, retries=0, concurrency=len(asked)) as api:
        return api.hourly_of(dict.fromkeys(asked, (last - 2 * HOUR, last)))


def clock(name: str, whose: str, theirs: Iterable[datetime], ours: datetime) -> Iterator[Result]:
    """Whether this machine's clock agrees with another's; nothing where the other's is not known."""
    for moment in list(theirs)[-1:]:
        off = (ours - moment).total_seconds()
        if abs(off) > CLOCK_TOLERANCE.total_seconds():
            way = "ahead of" if off > 0 else "behind"
            cure = (
                "timedatectl set-ntp true, or in a container set the host's clock; a wrong clock asks for wrong hours"
            )
            yield failed(name, f"this machine's clock is {abs(off) / 60:.0f} min {way} {whose}", cure)
        else:
            yield ok(name, f"agrees with {whose}, within {max(1, abs(off)):.0f} s")


def _credentials(airqino: AirQino, answers: Iterable[Answer]) -> Result:
    """Tell no, refused and untestable credentials apart."""
    name = "credentials"
    errors = [answer.error for answer in answers if answer.error]
    for error in errors:
        found, _, cure = str(error).partition("; ")
        if isinstance(error, CredentialsError):
            return failed(name, found, cure)
        if "token endpoint" in found:
            where = f"check AIRQINO_TOKEN_URL and the way there: curl -sSI {airqino.token_url}"
            return failed(name, found, where)
    if not airqino.username:
        return skipped(name, "AIRQINO_USERNAME is not set: the API is asked without a token")
    return ok(name, f"the token endpoint gives {airqino.username} a token")


def _api(airqino: AirQino, answers: Mapping[str, Answer]) -> Result:
    wrong = {s: a.error for s, a in answers.items() if a.error and not isinstance(a.error, UnknownStationError)}
    for error in wrong.values():
        cure = next((cure for kind, cure in _CURES.items() if isinstance(error, kind)), "")
        whose = "" if len(wrong) == len(answers) else f" (of {', '.join(wrong)}; the others answer)"
        return failed("API", f"{airqino.base_url}: {error}{whose}", cure.format(url=airqino.base_url))
    slowest = max(answer.exchange.seconds for answer in answers.values())
    return ok("API", f"{airqino.base_url} answers in {slowest:.1f} s, in the shape it should")


def _stations(airqino: AirQino, answers: Mapping[str, Answer], stations: Mapping[str, Station]) -> Result:
    name = "stations"
    if unknown := [s for s, answer in answers.items() if isinstance(answer.error, UnknownStationError)]:
        cure = "correct AIRQINO_STATIONS ([airqino] stations); where all are unknown, AIRQINO_BASE_URL may be wrong"
        return failed(name, f"the API does not know {', '.join(unknown)}", cure)
    now = datetime.now(UTC)
    doubts = places({s: stations.get(s, Station()) for s in airqino.stations}, now)
    if doubts:
        return warning(name, "; ".join(doubts), "correct the [stations.<id>] sections of luigi.cfg")
    asked = "" if len(answers) == len(airqino.stations) else f"; {len(answers)} of them asked"
    silent = [s for s, answer in answers.items() if answer.response and not answer.response.data]
    quiet = f"; no row in the last 3 hours: {', '.join(silent)}" if silent else ""
    return ok(name, f"{len(airqino.stations)} in service, places and time zones plausible{asked}{quiet}")


def places(stations: Mapping[str, Station], now: datetime) -> list[str]:
    """What is implausible about stations' places and time zones.

    Args:
        stations: By id.
        now: A moment, for the zones' offsets.
    """
    doubts = []
    located: dict[str, tuple[float, float]] = {}
    for id_, station in stations.items():
        if not station.active(now):
            doubts.append(f"{id_} is out of service (valid_from {station.valid_from}, valid_to {station.valid_to})")
        if station.latitude is None or station.longitude is None:
            doubts.append(f"{id_} has no latitude and longitude, and the API's are unreliable")
            continue
        located[id_] = station.latitude, station.longitude
        offset = (now.astimezone(ZoneInfo(station.time_zone)).utcoffset() or timedelta()) / HOUR
        if abs(station.longitude / 15 - offset) > _ZONE_HOURS:
            doubts.append(f"{id_}: time_zone {station.time_zone} does not fit longitude {station.longitude}")
    for (one, at), (other, there) in combinations(located.items(), 2):
        distance = _kilometres(at, there)
        if distance > _FAR_KM:
            doubts.append(f"{one} and {other} lie {distance:.0f} km apart: has a coordinate lost its sign?")
            break
        if distance == 0:
            doubts.append(f"{one} and {other} have the same coordinates")
            break
    return doubts


def _kilometres(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Great-circle distance by the haversine formula."""
    (lat1, lon1), (lat2, lon2) = ((radians(a), radians(b)) for a, b in (one, other))
    h = sin((lat2 - lat1) / 2) ** 2 + cos(lat1) * cos(lat2) * sin((lon2 - lon1) / 2) ** 2
    return 12742 * asin(min(1.0, sqrt(h)))
