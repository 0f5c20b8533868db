"""Run a deployment through days of faults, and compare what it holds at the end with one that had none."""

import argparse
import signal
import sys
import tempfile
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # each command's process loads this module again
    from support.chaos.plan import Plan

_CODES = """exit codes:
  0  both hold the same, forecasts and times excepted
  1  they differ, or a command ended as none may: each difference is printed with station, time, column and values
  2  an argument is wrong, or it took longer than --minutes"""
_SHOWN = 60


def main() -> int:
    """Run the drill; return its exit code."""
    from support.chaos.plan import TROUBLES, draw

    kinds = "\n".join(f"  {kind:<10}{text}" for kind, text in TROUBLES.items())
    parser = argparse.ArgumentParser(
        "tests/drills/chaos",
        description=f"{__doc__}\n\nThe source revises its history, renames, moves, adds and retires stations, adds and "
        "drops columns, and the clocks\nchange at one station, in both. Troubles of the one:\n" + kinds,
        epilog=_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seed", type=int, required=True, help="of the plan: the same seed, the same plan")
    parser.add_argument("--days", type=int, default=30, help="simulated days (default 30)")
    parser.add_argument("--only", action="append", choices=TROUBLES, help="this kind of trouble, and others so named")
    parser.add_argument("--plan", action="store_true", help="print the plan, and do nothing")
    parser.add_argument("--minutes", type=float, help="give up after so many (default 10, and 4 for each day)")
    parser.add_argument("--quiet-every", type=int, default=3, metavar="HOURS", help="undisturbed runs (default 3)")
    arguments = parser.parse_args()
    if arguments.days < 1:
        parser.error("--days: at least 1")
    plan = draw(arguments.seed, arguments.days, arguments.only or TROUBLES)
    print(f"seed {plan.seed}: {plan.days} days from {plan.begin:%Y-%m-%dT%H}, one station in {plan.zone}")
    print("plan:", *plan.lines(), sep="\n  ", flush=True)
    if arguments.plan:
        return 0
    limit = int(60 * (arguments.minutes or 10 + 4 * plan.days))
    signal.signal(signal.SIGALRM, _late)
    signal.signal(signal.SIGTERM, _stopped)  # the disk is unmounted, the servers end
    signal.alarm(limit)
    try:
        found = _run(plan, arguments.quiet_every)
    except TimeoutError:
        print(f"seed {plan.seed}: given up after {limit / 60:.0f} minutes")
        return 2
    for line in islice(found, _SHOWN):
        print(f"DIFFERS (seed {plan.seed}): {line}")
    if len(found) > _SHOWN:
        print(f"… and {len(found) - _SHOWN} more")
    print(f"seed {plan.seed}, {plan.days} days: {'DIFFERENT' if found else 'the same'}")
    return 1 if found else 0


def _run(plan: "Plan", every: int) -> list[str]:
    from airqino.sandbox.mongod import Mongod
    from airqino.sandbox.server import Sandbox
    from support.chaos.beside import beside
    from support.chaos.drill import Disturbed, small_disk
    from support.chaos.life import Life, Server, quiet_life
    from support.chaos.state import differences, state_of
    from support.chaos.truth import untruths
    from support.deployment import Pipeline
    from support.proxy import Proxy

    with (
        tempfile.TemporaryDirectory(prefix="chaos-") as name,
        Mongod(Path(name) / "mongod") as mongod,
        Sandbox(now=plan.begin) as sandbox,
        Proxy(int(sandbox.url.rpartition(":")[2])) as api,
        Proxy(mongod.port) as mongo,
        small_disk(Path(name) / "disk") as disk,
        beside(quiet_life, plan, Path(name) / "quiet", mongod.uri, every) as quiet,
    ):
        pipeline = Pipeline(disk / "staging", Server(mongod.uri), f"http://127.0.0.1:{api.port}")
        pipeline.env["MONGODB_URI"] = f"mongodb://127.0.0.1:{mongo.port}/?directConnection=true"
        life = Life(plan, pipeline, sandbox, Path(name) / "airqino.cfg", is_disturbed=True)
        disturbed = Disturbed(life, disk, api, mongo)
        try:
            disturbed.live()
            disturbed.recover()
            found = state_of(pipeline)
            faults = [*disturbed.complaints, *disturbed.ledger.faults(), *untruths(life)]
        finally:
            pipeline.close()
        try:
            expected = quiet.recv()
        except EOFError:
            expected = "the undisturbed deployment's process has ended"
        return [*faults, *(differences(found, expected) if isinstance(expected, dict) else [expected])]


def _stopped(*_: object) -> None:
    raise SystemExit(143)


def _late(*_: object) -> None:
    raise TimeoutError


if __name__ == "__main__":
    sys.exit(main())
