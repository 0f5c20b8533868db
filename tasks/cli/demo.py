"""airqino demo: the whole pipeline on parts of its own, in about a minute."""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from airqino.errors import ConfigError
from airqino.readings import CORE_HOURS, POLLUTANTS, reading
from airqino.stores import files
from airqino.stores.paths import Paths
from tasks.cli.demo_servers import Servers
from tasks.cli.main import Parser
from tasks.environment import of_root
from tasks.settings import luigi_cfg
from tasks.settings.sections import Staging

DAYS = 60
HINDCAST_DAYS = 7
#: Beyond the 47 h after the end of its day when a reading is read again.
REVISED_HOURS = 50
REVISED_STATION = "283164601"
#: Whose data the demo's are, and its settings: a week of hindsight on synthetic air says nothing of drift.
ENVIRONMENT = "demo"
SETTINGS = f"""[airqino]
environment = {ENVIRONMENT}

[forecast]
drift_skill = -1
drift_coverage_low = 0.01
drift_coverage_high = 1
"""
#: In the repository only, not in an installed package.
SUPERSET = Path(__file__).parents[2] / "scripts" / "superset"


def main(argv: Sequence[str]) -> int:
    """Run the demo."""
    parser = Parser(
        "airqino demo",
        description=f"Start a sandbox API, a MongoDB and luigid on loopback, bring {DAYS} days and the current hour "
        f"through the whole pipeline, forecast the last {HINDCAST_DAYS} days as they would have been, and show the "
        "result. A second run skips all that is done.",
    )
    parser.add_argument("--keep", action="store_true", help="leave the servers running")
    parser.add_argument("--stop", action="store_true", help="stop the servers that a run with --keep left running")
    superset = "also start Superset with the dashboards (implies --keep)"
    parser.add_argument("--superset", action="store_true", help=superset)
    arguments = parser.parse_args(argv)
    console = Console(highlight=False)
    servers = Servers(_root())
    if not arguments.stop:
        _be_on_its_own(servers.settings, argv)
    if arguments.superset and not SUPERSET.exists():
        raise ConfigError(f"there is no {SUPERSET}: for --superset run scripts/demo in a clone of the repository")
    if arguments.stop:
        if arguments.superset or (servers.root / "superset").exists():
            _superset("down", servers)
        servers.stop()
        console.print("stopped")
        return 0
    keep = arguments.keep or arguments.superset
    try:
        took = {"starting the servers": _timed(servers.start)}
        os.environ |= servers.environment()
        code = _pipeline(servers, took, console)
        if code == 0 and arguments.superset:
            code = _superset("up", servers)
    finally:
        if not keep:
            servers.stop()
    _where(servers, keep, console)
    if code == 0:  # the last line, to be opened in a browser
        console.print(f"the public page: {(servers.public / 'index.html').absolute()}", soft_wrap=True)
    return code


def _root() -> Path:
    """Return the demo's folder: never below the machine's staging root, and itself where that is exported as one."""
    named = "" if "STAGING_ROOT" in luigi_cfg.FROM_FILE else os.environ.get("STAGING_ROOT", "").strip()
    root = Path(Staging().root if named.startswith("s3://") else named or Staging().root)
    return root if of_root(root) == ENVIRONMENT else Paths(root).demo


def _be_on_its_own(own: Path, argv: Sequence[str]) -> None:
    """Begin anew with the demo's own folder of settings, in place of the machine's: they were read before we came.

    Raises:
        StagingError: The folder cannot be written.
    """
    if own == luigi_cfg.DIRECTORY:
        return
    files.write(own / "airqino.cfg", SETTINGS.encode())
    kept = {name: value for name, value in os.environ.items() if name not in luigi_cfg.FROM_FILE}
    sys.stdout.flush()
    command = [sys.executable, "-m", "tasks.cli", "demo", *argv]
    os.execve(sys.executable, command, kept | {"AIRQINO_CONFIG_DIR": str(own)})


def _superset(action: str, servers: Servers) -> int:
    env = os.environ | {"STAGING_ROOT": str(servers.root.absolute())}
    return subprocess.run([SUPERSET, action], env=env, check=False).returncode


def _timed(work: Callable[[], Any]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def _pipeline(servers: Servers, took: dict[str, float], console: Console) -> int:
    """Backfill, hindcast, run the hour; show what came of it."""
    from airqino.times import DAY, HOUR, format_hour
    from tasks.cli import backfill, hourly, publish
    from tasks.settings.reading import settings
    from tasks.stage import stage_seconds

    before, last = servers.requests(), settings().last_hour
    if not (servers.root / "stations").exists():
        console.print(f"[bold]backfilling as it was {REVISED_HOURS} hours ago, before the source changed its mind[/] …")
        took["backfilling as it was two days ago"] = _timed(lambda: _before_a_revision(servers, last))
    first, hindcast, end = (format_hour(last - ago) for ago in (DAYS * DAY, HINDCAST_DAYS * DAY, HOUR))
    steps: list[tuple[str, Callable[[Sequence[str]], int], list[str]]] = [
        (f"backfilling {DAYS} days", backfill.main, [first, end]),
        (f"forecasting the last {HINDCAST_DAYS} days in hindsight", backfill.main, [hindcast, end, "--hindcast"]),
        ("running the current hour", hourly.main, []),  # the last, so that nothing is left for the next run
        ("publishing the page and the open data", publish.main, []),
    ]
    for title, run, arguments in steps:
        console.print(f"[bold]{title}[/] …")
        began = time.monotonic()
        if code := run(arguments):
            return code
        took[title] = time.monotonic() - began
    _show(last, console)
    stages = Table(title="How long it took", title_justify="left")
    stages.add_column("step or stage")
    stages.add_column("seconds", justify="right")
    took |= {f"  stage {name}": s for name, s in stage_seconds.items() if name not in ("Hourly", "Backfill")}
    for name, seconds in took.items():
        stages.add_row(name, f"{seconds:.1f}")
    console.print(stages)
    console.print(f"requests to the API in this run: [bold]{servers.requests() - before}[/]")
    return 0


def _before_a_revision(servers: Servers, last: datetime) -> None:
    """Fetch what there was two days ago; since then the source has changed three readings, as real ones do."""
    then = last - timedelta(hours=REVISED_HOURS)
    moment = f"{then + timedelta(hours=1, minutes=5):%Y-%m-%dT%H:%M}"
    servers.tell_sandbox("now", now=f"{moment}:00+00:00")
    span = [f"{hour:%Y-%m-%dT%H}" for hour in (last - timedelta(days=DAYS), then)]
    backfill = [sys.executable, "-m", "tasks.cli", "backfill", *span]
    subprocess.run(backfill, env=os.environ | {"AIRQINO_NOW": moment}, check=True)
    servers.tell_sandbox("now", now=None)
    for number, hour in enumerate(_newest_read(3)):
        values = {"PM2.5": 12.5 + number, "PM10": 31.0 + number}
        servers.tell_sandbox("override", station=REVISED_STATION, hour=f"{hour:%Y-%m-%dT%H}:00:00+00:00", values=values)


def _newest_read(count: int) -> list[datetime]:
    """Return the newest hours of which the station to revise had PM2.5: others have nothing that could change."""
    from tasks import targets

    read = {"station": REVISED_STATION, "pm2_5": {"$ne": None}}
    newest = targets.database()["hourly_measurements"].find(read).sort("observed_at", -1).limit(count)
    return [document["observed_at"] for document in newest]


def _show(last: datetime, console: Console) -> None:
    """Show the newest readings, the day's means and the next two hours, as MongoDB holds them."""
    from tasks import targets

    database = targets.database()
    title = f"{last:%Y-%m-%d %H:%M} UTC, the last hour that is over"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1), show_edge=False)
    ahead = [f"in {hours} h" for hours in range(1, CORE_HOURS + 1)]
    for column in ("station", "", "hour", "day so far", *ahead):
        table.add_column(column, justify="left" if column in ("station", "") else "right")
    notes = []
    for station in database["stations"].find().sort("_id"):
        hour = database["hourly_measurements"].find_one({"station": station["_id"], "observed_at": last}) or {}
        for pollutant in POLLUTANTS:
            label, digits = reading(pollutant).label, reading(pollutant).digits
            day = database["daily_averages"].find_one({"_id": f"{station['_id']}|{last:%Y-%m-%d}"}) or {}
            where = {"station": station["_id"], "pollutant": pollutant, "issued_at": last}
            where["horizon_h"] = {"$lte": CORE_HOURS}
            forecasts = list(database["forecasts"].find(where).sort("horizon_h"))
            flag = hour.get(f"{pollutant}_flag", "absent")
            now = _number(hour.get(pollutant)) if flag in _AS_NUMBERS else flag.replace("_", " ")
            hours, floor = day.get(f"{pollutant}_checked_hours", 0), day.get(f"{pollutant}_floor_hours", 0)
            rests_on = f"{hours} h, {floor} at the floor" if floor else f"{hours} h"
            number = "too low" if floor and 2 * floor >= hours else _number(day.get(f"{pollutant}_checked_mean"))
            mean = f"{number} ({rests_on})"
            table.add_row(station["name"], label, now, mean, *(_band(f, digits) for f in forecasts))
            notes += [f"{station['name']} {label}: {f['method']}, {f['reason']}" for f in forecasts if f["reason"]]
    console.print(table)
    units = ", ".join(f"{reading(pollutant).label} in {reading(pollutant).unit}" for pollutant in POLLUTANTS)
    console.print(f"{units}; means of the hours that count; forecasts with their 80 % band, by LightGBM except:")
    for note in dict.fromkeys(notes):
        console.print(f"  {note}")


#: Flags of values that are shown as numbers.
_AS_NUMBERS = ("ok", "humid", "level")


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return "< 0.01" if 0 <= value < 0.005 else f"{value:.2f}"  # as on the page: 0.00 would say that there is none


def _band(forecast: dict[str, Any], digits: int) -> str:
    if forecast["p50"] is None:
        return "–"
    if _end(forecast, "p50", digits) == "too low":
        return "too low"
    p10, p50, p90 = (_end(forecast, p, digits) for p in ("p10", "p50", "p90"))
    return f"{p50} ({p10}–{p90})"


def _end(forecast: dict[str, Any], quantile: str, digits: int) -> str:
    """Return a number of a forecast; what the sensor cannot tell from nothing is no number."""
    too_low = reading(forecast["pollutant"]).floor is not None and forecast[quantile] < 0.5 * 10**-digits
    return "too low" if too_low else f"{forecast[quantile]:.{digits}f}"


def _where(servers: Servers, keep: bool, console: Console) -> None:
    from tasks.instruments import incidents

    paths = Paths(servers.root)
    console.print(
        f"staged Parquet files: {paths.partition(datetime.now(UTC))}/, models: {paths.models}/, log: {paths.logs}/"
    )
    for incident in incidents.read(servers.root).open():
        console.print(f"open alert, as of any such sensor: {incident.title}", soft_wrap=True)
    if keep and servers.pids:
        console.print(f"luigid: {servers.url('luigid')}/static/visualiser/index.html")
        console.print(f"sandbox: {servers.url('sandbox')}/__stats")
        console.print(f"MongoDB: {servers.environment()['MONGODB_URI']}, database air_quality")
        console.print("to run other commands on them, paste this into a shell:")
        places = ("STAGING_ROOT", "PUBLISH_ROOT")
        for name, value in servers.environment().items():
            text = str(Path(value).absolute()) if name in places else value
            console.print(f"export {name}={shlex.quote(text)}", markup=False, soft_wrap=True)
        console.print("stop them with: scripts/demo --stop")
    else:
        console.print("the servers are stopped; scripts/demo --keep leaves them running to look at")
