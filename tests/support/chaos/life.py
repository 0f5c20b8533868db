"""A deployment that lives through the source's and the operator's history of a plan, hour by hour."""

import subprocess
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from airqino.sandbox import series
from airqino.sandbox.server import Sandbox
from airqino.times import DAY, HOUR, as_utc
from support.chaos.plan import ADDED, STATIONS, Plan
from support.deployment import Pipeline

__all__ = ["LONGEST", "SETTLING", "Life", "Server", "quiet_life"]

#: Runs after the last day, in hours after it: cron's, then fewer until each hour is final (8 days, and more for hours
#: that were read late).
SETTLING = (*range(4), *(3 + 24 * day for day in (1, 3, 6, 9, 10, 11)))
#: How long a command may take. The pipeline's own limits end each wait before.
LONGEST = 260.0
#: What a deployment is told for which an hour lasts seconds.
_HASTE = {
    "airqino": {"requests_per_second": 1000, "reread_after_hours": 24},
    "forecast": {"horizons": "1, 2", "rounds": 30},
    "quality": {"dead_hours": 12},
}
#: And one in trouble, so that no wait is long; one without trouble has the usual limits, however busy the machine is.
_LIMITS = {
    "airqino": {
        "connect_timeout_seconds": 1,
        "read_timeout_seconds": 2,
        "request_seconds": 4,
        "station_seconds": 6,
        "run_seconds": 150,
        "retries": 1,
        "retry_backoff_seconds": 0.05,
        "retry_after_max_seconds": 1,
    },
    "mongo": {"timeout_seconds": 1, "failover_seconds": 2},
}


class Server(NamedTuple):
    """A mongod that runs elsewhere."""

    uri: str


class Life:
    """A deployment and its source.

    Attributes:
        plan: What happens.
        pipeline: The deployment.
        sandbox: Its source, which has the history of the plan.
        now: What time it is.
        zones: The time zone of each station.
    """

    def __init__(
        self, plan: Plan, pipeline: Pipeline, sandbox: Sandbox, settings: Path, is_disturbed: bool = False
    ) -> None:
        self.plan, self.pipeline, self.sandbox, self._settings = plan, pipeline, sandbox, settings
        self._limits = _LIMITS if is_disturbed else {}
        self.now = plan.moment(0)
        self.zones = dict.fromkeys((*STATIONS, ADDED), "UTC") | {STATIONS[-1]: plan.zone}
        _tell_history(plan, sandbox)

    def configure(self, hour: int, is_hasty: bool = True) -> None:
        """Write the operator's settings as they are in an hour; not hasty: with the usual limits of waits."""
        limits = self._limits if is_hasty else {}
        begin = f"{self.plan.begin:%Y-%m-%dT%H}"
        zones = dict.fromkeys(STATIONS, "Africa/Abidjan") | {STATIONS[-1]: self.plan.zone}
        sections: dict[str, dict[str, Any]] = {name: of | limits.get(name, {}) for name, of in _HASTE.items()}
        sections |= {name: dict(of) for name, of in limits.items() if name not in sections}
        for station, zone in zones.items():
            unnamed = {"name": "", "latitude": "", "longitude": ""}  # which luigi.cfg says of two
            sections[f"stations.{station}"] = {"time_zone": zone, "valid_from": begin, **unnamed}
        stations = list(STATIONS)
        for step in self.plan.history:
            if step.hour > hour:
                continue
            section = sections.setdefault(f"stations.{step.about['station']}", {})
            if step.kind == "add a station":
                stations.append(ADDED)
                section |= {"time_zone": "UTC", "valid_from": f"{self.plan.begin + step.hour * HOUR:%Y-%m-%dT%H}"}
            elif step.kind == "retire a station":
                section["valid_to"] = f"{self.plan.begin + (step.hour - 1) * HOUR:%Y-%m-%dT%H}"
            elif step.kind.endswith("by the operator"):
                section |= {name: value for name, value in step.about.items() if name != "station"}
        text = "".join(
            f"[{name}]\n" + "".join(f"{option} = {value}\n" for option, value in of.items())
            for name, of in sections.items()
            if name != f"stations.{ADDED}" or ADDED in stations
        )
        self._settings.write_text(text)
        self.pipeline.env |= {"LUIGI_CONFIG_PATH": f"{self._settings}", "AIRQINO_STATIONS": ",".join(stations)}

    def at(self, moment: datetime) -> None:
        """Let it be some time."""
        self.now = self.sandbox.now = moment

    def clock(self, ahead: timedelta = timedelta()) -> dict[str, str]:
        """What time it is by this machine's clock."""
        return {"AIRQINO_NOW": f"{self.now + ahead:%Y-%m-%dT%H:%M:%S}"}

    def service(self, station: str) -> tuple[datetime, datetime]:
        """Return the first and the last hour of the drill's days in which a station is in service."""
        first, last = self.plan.begin, self.plan.begin + (self.plan.days * 24 - 1) * HOUR
        for step in self.plan.history:
            if step.about["station"] == station and step.kind == "add a station":
                first = self.plan.begin + step.hour * HOUR
            if step.about["station"] == station and step.kind == "retire a station":
                last = self.plan.begin + (step.hour - 1) * HOUR
        return first, last

    def run(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return self.pipeline.script(name, *arguments, timeout=LONGEST, **self.clock())


def quiet_life(plan: Plan, folder: Path, mongodb: str, every: int) -> dict[str, Any]:
    """Live undisturbed through a plan; return the state at its end.

    Args:
        plan: The plan.
        folder: Where its files lie.
        mongodb: The server's connection string.
        every: Hours between two runs: each does what those between had done.

    Raises:
        RuntimeError: A run failed, although nothing disturbs it.
    """
    from support.chaos.state import state_of  # here, for it takes a while to load

    folder.mkdir()
    with Sandbox(now=plan.begin) as sandbox:
        pipeline = Pipeline(folder / "staging", Server(mongodb), sandbox.url)
        try:
            life = Life(plan, pipeline, sandbox, folder / "airqino.cfg")
            end = plan.days * 24
            for hour in (*range(0, end, every), *(end + hour for hour in SETTLING)):
                life.configure(hour)
                life.at(plan.moment(hour))
                if (done := life.run("hourly")).returncode:
                    raise RuntimeError(f"an undisturbed run ends with {done.returncode}: {done.stderr[-2000:]}")
            return state_of(pipeline)
        finally:
            pipeline.close()


def _tell_history(plan: Plan, sandbox: Sandbox) -> None:
    """Tell a source its history, with the times at which it changes."""
    begin = plan.begin.replace(minute=0)
    end = begin + (plan.days * 24 + max(SETTLING) + 2) * HOUR
    for step in plan.history:
        about, since = step.about, plan.moment(step.hour) - HOUR / 60
        station, first = about["station"], begin + step.hour * HOUR
        match step.kind:
            case "revise":
                sandbox.override(station, about["observed_at"], about["values"], since)
            case "late":
                for hour in (first + n * HOUR for n in range(about["hours"])):
                    sandbox.override(station, hour, None)
                    sandbox.override(station, hour, {}, plan.moment(about["until"]) - HOUR / 60)
            case "rename at the source":
                sandbox.present(station, {"station_name": about["name"]}, since)
            case "move at the source":
                place = {"station_lat": about["latitude"], "station_lon": about["longitude"]}
                sandbox.present(station, place, since)
            case "drop a sensor":
                _lay_over(sandbox, station, first, end, {about["sensor"]: None})
            case "add a sensor":
                _lay_over(sandbox, station, begin - 10 * DAY, first, {about["sensor"]: None})
            case "add a column":
                _lay_over(sandbox, station, first, end, {about["column"]: 1.5})


def _lay_over(sandbox: Sandbox, station: str, first: datetime, stop: datetime, values: dict[str, Any]) -> None:
    """Lay values over the rows that there are; where there is none, they would make one."""
    for row in series.rows(station, first, stop - HOUR, now=stop):
        sandbox.override(station, as_utc(datetime.fromisoformat(row["timestamp"])), values)
