"""The checks of `scripts/doctor`: is everything there that an hourly run needs, and what to do where it is not.

Each module looks at one side of a deployment: `configuration`, `source` (the API), `database`, `machine` (the staging
root), `services` (luigid, registry, alerts) and `trigger` (cron, systemd). Nothing is changed or left behind.
docs/doctor.md lists the checks.
"""

from pathlib import Path

from tasks.doctor import configuration, database, machine, services, source
from tasks.doctor.checks import Group, Result, run
from tasks.doctor.trigger import trigger

__all__ = ["examine"]

#: Seconds for all checks together; with the start of Python, the whole stays below ten.
_SECONDS = 7.5


def examine(repository: Path, system: Path = Path("/")) -> list[Result]:
    """Check everything, side by side.

    Args:
        repository: Where constraints.txt and .env lie.
        system: The root of the file system, where cron's files and the environment's lie.

    Returns:
        One result for each check, in the order in which they build on each other.
    """
    found = configuration.read()
    groups = [
        Group(("configuration",), lambda: [configuration.configuration(found, system)]),
        Group(("Python and packages",), lambda: [configuration.packages(repository)]),
        Group(("secrets",), lambda: [configuration.permissions(repository, system, found.mongo)]),
        Group(source.NAMES, lambda: source.examine(found.airqino, found.stations)),
        Group(database.NAMES, lambda: database.examine(found.mongo)),
        Group(machine.NAMES, lambda: machine.examine(found.staging, found.alerts)),
        Group(("luigid",), lambda: services.luigid(found.luigid)),
        Group(services.REGISTRY, lambda: services.registry(found.forecast, found.staging)),
        Group(("alerts",), lambda: services.alerts(found.alerts)),
        Group(("trigger",), lambda: trigger(repository, system)),
    ]
    return run(groups, _SECONDS)
