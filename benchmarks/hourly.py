"""How long an hourly run with one new hour takes, beside the same with another version of this repository.

Run: .venv/bin/python benchmarks/hourly.py [--against v0.2.0] [--hours 8]. Real parts on loopback: the sandbox API, a
mongod, the pipeline's own commands, two weeks staged. Both versions run each hour, one after the other, the first in
turns. Prints the seconds' medians and their ratio; asserts nothing.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from airqino.sandbox.mongod import Mongod
from airqino.sandbox.server import Sandbox

ROOT = Path(__file__).resolve().parents[1]
#: A Tuesday, so that the week's model is there when the hours are run.
START = datetime(2026, 3, 3, 0, 5, tzinfo=UTC)
DAYS = 14


def run(source: Path, env: dict[str, str], now: datetime, *command: str) -> tuple[float, float]:
    """Run a command of the version in a folder at a moment; return its wall and CPU time in seconds."""
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "tasks.cli", *command],
        cwd=source,
        env=env | {"AIRQINO_NOW": f"{now:%Y-%m-%dT%H:%M}", "PYTHONPATH": f"{source}"},
        check=True,
        stderr=subprocess.DEVNULL,
    )
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", default="v0.2.0", help="a tag, branch or commit (default: v0.2.0)")
    parser.add_argument("--hours", type=int, default=8, help="hours to run (default: 8)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Mongod(Path(folder) / "mongod") as mongod, Sandbox(now=START) as api:
        other = Path(folder) / "other"
        subprocess.run(["git", "worktree", "add", "--quiet", other, arguments.against], cwd=ROOT, check=True)
        try:
            sources = {arguments.against: other, "this": ROOT}
            envs = {
                name: os.environ
                | {
                    "AIRQINO_BASE_URL": api.url,
                    "STAGING_ROOT": f"{folder}/staging-{number}",
                    "MONGODB_URI": mongod.uri,
                    "MONGODB_DATABASE": f"version_{number}",
                    "LUIGID_URL": "http://127.0.0.1:9",
                }
                for number, name in enumerate(sources)
            }
            first, last = (f"{START - days * timedelta(days=1) - timedelta(hours=1):%Y-%m-%dT%H}" for days in (DAYS, 0))
            for name, source in sources.items():
                run(source, envs[name], START, "backfill", first, last)
                run(source, envs[name], START, "hourly")
            took: dict[str, list[tuple[float, float]]] = {name: [] for name in sources}
            for hour in range(1, arguments.hours + 1):
                api.now = START + timedelta(hours=hour)
                for name in list(sources)[:: 1 if hour % 2 else -1]:
                    took[name].append(run(sources[name], envs[name], api.now, "hourly"))
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", other], cwd=ROOT, check=True)
    table = Table("version", "wall (median, s)", "ratio", "CPU (median, s)", "ratio", title="hourly run, one new hour")
    wall, cpu = ({name: median(times) for name, times in _nth(took, n).items()} for n in (0, 1))
    for name in took:
        ratios = [f"{of[name] / of[arguments.against]:.2f}" for of in (wall, cpu)]
        table.add_row(name, f"{wall[name]:.2f}", ratios[0], f"{cpu[name]:.2f}", ratios[1])
    Console().print(table)


def _nth(took: dict[str, list[tuple[float, float]]], number: int) -> dict[str, list[float]]:
    return {name: [times[number] for times in of] for name, of in took.items()}


if __name__ == "__main__":
    main()
