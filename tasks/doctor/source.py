"""Check that the AirQino API answers our requests in the right form, and that its clock agrees with ours."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import combinations
from shlex import quote
from zoneinfo import ZoneInfo

import msgspec

from airqino import errors
from airqino.source.client import Answer
from airqino.source.identity import Place, distance
from airqino.source.probe import CLOCK_TOLERANCE, Report
from airqino.stores.paths import Paths
from airqino.times import DAY, HOUR
from tasks.doctor.checks import Result, failed, ok, skipped, warning
from tasks.fetch import client
from tasks.settings.sections import AirQino, Staging, Station

__all__ = ["clock", "examine", "places", "probed"]

#: Connect and read time-outs in seconds; a token and an answer must both fit into the time of a check.
_TIMEOUT = (1.5, 3.0)
#: Seconds in which the stations are asked; the limit on requests says how many that are.
_ASKING = 2
#: If two stations of one network are further apart than this, a coordinate has probably lost its sign or digits.
_FAR_KM = 500
#: No time zone in use differs by more than this from solar time at its longitude (the west of China: 3 h).
_ZONE_HOURS = 4

_CURES: Mapping[type[errors.SourceError], str] = {
    errors.UnreachableError: "check AIRQINO_BASE_URL, name resolution, proxy and firewall: curl -sSI {url}",
    errors.SourceTimeoutError: "runs wait longer ([airqino] read_timeout_seconds). If it lasts: curl -sSI {url}",
    errors.ServerError: "wait: later runs catch up 9 days. If it lasts, write to the API's operator",
    errors.RateLimitedError: "lower [airqino] requests_per_second, and find what else uses this account or address",
    errors.RequestRefusedError: "check AIRQINO_BASE_URL. If it is right, the API has changed: airqino/source/client.py",
    errors.NotJSONError: "a proxy or a maintenance page answers instead: look at the output of curl -sS {url}",
    errors.UnexpectedShapeError: "the API has changed: compare with airqino/source/response.py. Staged hours are safe",
    errors.ReportedError: "read what it says; later runs ask again. If it lasts, write to the API's operator",
    errors.AnswerTooLargeError: "something else answers instead, or the API has changed: curl -sS {url} | head -c 500",
}


def examine(airqino: AirQino | None, stations: Mapping[str, Station]) -> Iterator[Result]:
    """Ask the API once for the last hours of each station."""
    if airqino is None:
        return
    answers = _ask(airqino)
    our_time = datetime.now(UTC)
    credentials = _credentials(airqino, answers.values())
    yield credentials
    if credentials.outcome != "failed":
        yield _api(airqino, answers)
    yield _stations(airqino, answers, stations)
    yield from clock("clock", "the API's", [a.served_at for a in answers.values() if a.served_at], our_time)


def _ask(airqino: AirQino) -> dict[str, Answer]:
    """Ask as many stations as the limit on requests allows in `_ASKING` seconds."""
    last = airqino.last_hour(datetime.now(UTC))
    asked = airqino.stations[: max(1, int(_ASKING * airqino.requests_per_second))]
    timeout = min(_TIMEOUT[0], airqino.connect_timeout_seconds), min(_TIMEOUT[1], airqino.read_timeout_seconds)
    with client(airqino, timeout=timeout, retries=0, concurrency=len(asked)) as api:
        return api.hourly_of(dict.fromkeys(asked, (last - 2 * HOUR, last)))


def clock(name: str, whose: str, their_times: Iterable[datetime], our_time: datetime) -> Iterator[Result]:
    """Compare this machine's clock with another's; no result where the other's time is not known.

    Args:
        name: The check's name.
        whose: Names the other clock, such as "the API's".
        their_times: What it showed; the last one counts.
        our_time: What this machine's clock showed then.
    """
    for their_time in list(their_times)[-1:]:
        off = (our_time - their_time).total_seconds()
        if abs(off) > CLOCK_TOLERANCE.total_seconds():
            way = "ahead of" if off > 0 else "behind"
            cure = "timedatectl set-ntp true; in a container, set the host's clock. A wrong clock fetches wrong hours"
            yield failed(name, f"this machine's clock is {abs(off) / 60:.0f} min {way} {whose}", cure)
        else:
            yield ok(name, f"agrees with {whose}, within {max(1, abs(off)):.0f} s")


def _credentials(airqino: AirQino, answers: Iterable[Answer]) -> Result:
    """Distinguish missing, refused and untestable credentials."""
    name = "credentials"
    for error in filter(None, (answer.error for answer in answers)):
        finding, _, cure = str(error).partition("; ")
        if isinstance(error, errors.CredentialsError):
            return failed(name, finding, cure)
        if "token endpoint" in finding:
            cure = f"check AIRQINO_TOKEN_URL and the network: curl -sSI {quote(airqino.token_url)}"
            return failed(name, finding, cure)
    if not airqino.username:
        return skipped(name, "AIRQINO_USERNAME is not set: requests are sent without a token")
    return ok(name, f"the token endpoint gives {airqino.username} a token")


def _api(airqino: AirQino, answers: Mapping[str, Answer]) -> Result:
    failures = {s: a.error for s, a in answers.items() if a.error}
    failures = {s: e for s, e in failures.items() if not isinstance(e, errors.UnknownStationError)}
    for error in failures.values():
        cure = next((cure for kind, cure in _CURES.items() if isinstance(error, kind)), "")
        whose = "" if len(failures) == len(answers) else f" (of {', '.join(failures)}; the others answer)"
        return failed("API", f"{airqino.base_url}: {error}{whose}", cure.format(url=quote(airqino.base_url)))
    slowest = max(answer.exchange.seconds for answer in answers.values())
    return ok("API", f"{airqino.base_url} answers in {slowest:.1f} s, in the right form")


def _stations(airqino: AirQino, answers: Mapping[str, Answer], stations: Mapping[str, Station]) -> Result:
    name = "stations"
    if unknown := [s for s, answer in answers.items() if isinstance(answer.error, errors.UnknownStationError)]:
        cure = "correct AIRQINO_STATIONS ([airqino] stations). If all are unknown, AIRQINO_BASE_URL may be wrong"
        return failed(name, f"the API does not know {', '.join(unknown)}", cure)
    now = datetime.now(UTC)
    doubts = places({s: stations.get(s, Station()) for s in airqino.stations}, now)
    if doubts:
        return warning(name, "; ".join(doubts), "correct the [stations.<id>] sections of airqino.cfg")
    asked = "" if len(answers) == len(airqino.stations) else f"; {len(answers)} of them asked"
    silent = [s for s, answer in answers.items() if answer.response and not answer.response.data]
    quiet = f"; no row in the last 3 hours: {', '.join(silent)}" if silent else ""
    return ok(name, f"{len(airqino.stations)} in service, places and time zones plausible{asked}{quiet}")


def probed(airqino: AirQino | None, staging: Staging | None) -> Iterator[Result]:
    """Tell what `airqino probe` last found, and how long ago."""
    if airqino is None or staging is None:
        return
    name, path, cure = "probe", Paths(staging.path).probe, "scripts/probe says what was seen and what to do"
    try:
        report = msgspec.json.decode(path.read_bytes(), type=Report)
    except (FileNotFoundError, NotADirectoryError):
        yield skipped(name, "never probed: run scripts/probe")
        return
    except (OSError, msgspec.MsgspecError):
        yield warning(name, f"{path} cannot be read", "scripts/probe writes it again")
        return
    if report.base_url != airqino.base_url:
        yield skipped(name, f"the last result is of {report.base_url}: run scripts/probe")
        return
    wrong, unknown = (", ".join(verdict.name for verdict in report.of(o)) for o in ("does not hold", "not known"))
    age = f"{(datetime.now(UTC) - report.at) / DAY:.0f} days ago"
    if wrong:
        yield warning(name, f"does not hold, {age}: {wrong}", cure)
    else:
        held = f"{len(report.of('holds'))} of {len(report.verdicts)} assumptions hold"
        yield ok(name, f"{held}, {age}{f'; not known: {unknown}' if unknown else ''}")


def places(stations: Mapping[str, Station], now: datetime) -> list[str]:
    """Return what is implausible about stations' places and time zones.

    Args:
        stations: By id.
        now: A moment, for the zones' offsets.
    """
    doubts = []
    located: dict[str, Place] = {}
    for id_, station in stations.items():
        if not station.active(now):
            doubts.append(f"{id_} is out of service (valid_from {station.valid_from}, valid_to {station.valid_to})")
        if station.latitude is None or station.longitude is None:
            doubts.append(f"{id_} has no latitude and longitude, and the API's are unreliable")
            continue
        located[id_] = Place(id_, station.latitude, station.longitude)
        offset = (now.astimezone(ZoneInfo(station.time_zone)).utcoffset() or timedelta()) / HOUR
        if abs(station.longitude / 15 - offset) > _ZONE_HOURS:
            doubts.append(f"{id_}: time_zone {station.time_zone} does not fit longitude {station.longitude}")
    for (one, one_place), (other, other_place) in combinations(located.items(), 2):
        metres = distance(one_place, other_place) or 0.0
        if metres > _FAR_KM * 1000:
            doubts.append(f"{one} and {other} lie {metres / 1000:.0f} km apart: has a coordinate lost its sign?")
            break
        if metres == 0:
            doubts.append(f"{one} and {other} have the same coordinates")
            break
    return doubts
