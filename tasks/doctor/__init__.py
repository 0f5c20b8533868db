"""The checks of `scripts/doctor`: whether everything that an hourly run needs is there, and what to do if it is not.

Each module checks one side of a deployment: `configuration`, `source` (the API), `database`, `machine` (the staging
root), `services` (luigid, registry, alerts) and `trigger` (cron, systemd). Nothing is changed or left behind.
docs/doctor.md lists the checks.
"""

from pathlib import Path

from tasks.doctor import configuration, database, machine, services, source
from tasks.doctor.checks import Group, Result, run
from tasks.doctor.trigger import trigger
from tasks.settings import reading

__all__ = ["examine"]

#: Seconds for all checks together, of which some may wait for an answer that is slow to come. Where nothing answers at
#: all, they end in two: nobody waits longer for a connection than a second and a half. What takes long to load, as all
#: that reads tables, is loaded by the checks that need it, while others wait for their servers.
_SECONDS = 7.5
#: The results of the checks that build on each other.
_SOURCE = ("credentials", "API", "stations", "clock")
_ASPECTS = ("version", "TLS", "clock", "members", "rights", "environment", "indexes", "days")
_MONGODB = ("MongoDB", *(f"MongoDB {aspect}" for aspect in _ASPECTS))
_MACHINE = (
    *("staging root", "environment", "disk space", "temporary files", "staged files", "notes", "runs under way"),
    "last success",
)


def examine(repository: Path, system: Path = Path("/")) -> list[Result]:
    """Check everything, side by side.

    Args:
        repository: The folder of constraints.txt, luigi.cfg and .env.
        system: The root of the file system, which holds cron's files.

    Returns:
        One result for each check, in the order in which they build on each other.
    """
    of = configuration.read()
    groups = [
        Group(("configuration",), lambda: [configuration.configuration(of, repository)]),
        Group(("Python and packages",), lambda: [configuration.packages(repository)]),
        Group(("secrets",), lambda: [configuration.permissions(repository, of.mongo)]),
        Group(_SOURCE, lambda: source.examine(of.airqino, of.stations)),
        Group(("probe",), lambda: source.probed(of.airqino, of.staging)),
        Group(_MONGODB, lambda: database.examine(of.mongo, of.staging, of.airqino)),
        Group(_MACHINE, lambda: machine.examine(of.staging, of.alerts, of.airqino)),
        Group(("missing hours",), lambda: machine.missing(of.staging, of.airqino, of.stations)),
        Group(("luigid",), lambda: services.luigid(of.luigid)),
        Group(("model registry", "champion"), lambda: services.registry(of.forecast, of.staging, of.airqino)),
        Group(("alerts",), lambda: services.alerts(of.alerts)),
        Group(("public page",), lambda: services.public_page(of.publish)),
        Group(("trigger",), lambda: trigger(repository, system, reading.log_folder().parent)),
    ]
    return run(groups, _SECONDS)
