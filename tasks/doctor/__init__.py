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

#: Seconds for all checks together; with the start of Python, the whole stays below ten.
_SECONDS = 7.5


def examine(repository: Path, system: Path = Path("/")) -> list[Result]:
    """Check everything, side by side.

    Args:
        repository: The folder of constraints.txt, luigi.cfg and .env.
        system: The root of the file system, which holds cron's files.

    Returns:
        One result for each check, in the order in which they build on each other.
    """
    deployed = configuration.read()
    groups = [
        Group(("configuration",), lambda: [configuration.configuration(deployed, repository)]),
        Group(("Python and packages",), lambda: [configuration.packages(repository)]),
        Group(("secrets",), lambda: [configuration.permissions(repository, deployed.mongo)]),
        Group(source.NAMES, lambda: source.examine(deployed.airqino, deployed.stations)),
        Group(("probe",), lambda: source.probed(deployed.airqino, deployed.staging)),
        Group(database.NAMES, lambda: database.examine(deployed.mongo, deployed.staging, deployed.airqino)),
        Group(machine.NAMES, lambda: machine.examine(deployed.staging, deployed.alerts, deployed.airqino)),
        Group(("missing hours",), lambda: machine.missing(deployed.staging, deployed.airqino, deployed.stations)),
        Group(("luigid",), lambda: services.luigid(deployed.luigid)),
        Group(services.REGISTRY, lambda: services.registry(deployed.forecast, deployed.staging)),
        Group(("alerts",), lambda: services.alerts(deployed.alerts)),
        Group(("public page",), lambda: services.public_page(deployed.publish)),
        Group(("trigger",), lambda: trigger(repository, system, reading.staging_root())),
    ]
    return run(groups, _SECONDS)
