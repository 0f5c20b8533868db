"""A deployment that lives through a plan with its troubles, then heals; what it did is printed, a line each."""

import contextlib
import json
import os
import random
import shlex
import shutil
import signal
import statistics
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from airqino.times import HOUR
from support.chaos.ledger import Ledger
from support.chaos.life import LONGEST, SETTLING, Life
from support.chaos.meanwhile import too_early, unkept
from support.chaos.plan import WAYS, Step
from support.commands import KILLED_AT, Started
from support.damage import DAMAGES
from support.proxy import Proxy, Trouble

__all__ = ["Disturbed", "small_disk"]

#: How a run may end that was disturbed (`airqino hourly --help`): not with 40, an error nobody foresaw.
_ENDS = {0, 2, 10, 20, 25, 30, 35, 124, 143}
_DISK = "96m"
#: Lines that are told of an hour.
_SHOWN = 5
#: What a person does whom `status` tells to: other commands look, or ask for a decision.
_FOLLOWED = ("backfill", "hourly", "verify", "rerun")


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount a small disk of memory; needs root."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_DISK}", "tmpfs", f"{folder}"], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", f"{folder}"], check=True)


class Disturbed:
    """The deployment in trouble.

    Attributes:
        life: It, and its source.
        complaints: What no trouble excuses: a traceback, an exit code that nobody foresaw, a command without end.
        ledger: What its ledger of revisions must tell.
    """

    def __init__(self, life: Life, disk: Path, api: Proxy, mongo: Proxy) -> None:
        self.life, self._disk = life, disk
        self._proxies = {"api": api, "mongo": mongo}
        self._ends: dict[str, int] = {}  # of troubles that last: the hour in which each is over
        self._seconds = [4.0]
        self._orphans: set[int] = set()
        self._codes: list[int] = []  # of the commands of this hour
        self.complaints: list[str] = []
        self.ledger = Ledger(life.pipeline)

    def live(self) -> None:
        """Live through the days of the plan, each hour with its troubles."""
        plan, runs_again = self.life.plan, 0
        for hour in range(plan.days * 24):
            self._heal(hour)
            self._now(hour)
            for step in plan.history:
                if step.hour == hour:
                    self.say(f"history: {step}")
                    if step.kind == "revise":
                        self.ledger.note(step)
            steps = [step for step in plan.troubles if step.hour == hour]
            for step in steps:
                self._begin(step)
                runs_again = max(runs_again, hour + step.about["hours"] if step.kind == "outage" else 0)
            if hour >= runs_again:
                self._codes.clear()
                self._run_hour(hour, steps)
                self._look(steps)

    def recover(self) -> None:
        """End all troubles, and let cron go on until all is settled; do what the product says, and no more."""
        self._heal(None)
        self._wait_for_orphans()
        end = self.life.plan.days * 24
        for hour in SETTLING:
            self._now(end + hour)
            self._command("hourly", {0})
            if hour in (SETTLING[3], SETTLING[-1]):
                self._follow()
        told = self._command("verify", {0, 1}, "--check").stdout  # mends nothing: hourly runs have, of their own accord
        if "differ from what is staged" in told:
            self.complaints.append(f"MongoDB is not as it was meant: {told}")
        self._remove_strangers(told)
        self.life.sandbox.reset()
        self.life.at(self.life.now + HOUR / 60)
        self._command("hourly", {0})
        if asked := self.life.sandbox.stats()["data_requests"]:
            self.complaints.append(f"a run with nothing to do asks the API {asked} times")

    def say(self, text: str) -> None:
        """Print a line of what happens."""
        print(f"{self.life.now:%Y-%m-%dT%H}  {text}", flush=True)

    def _now(self, hour: int) -> None:
        self.life.configure(hour)
        self.life.at(self.life.plan.moment(hour))

    def _begin(self, step: Step) -> None:
        about, key = step.about, step.kind
        self.say(f"{step}")
        until = step.hour + about.get("hours", 1)
        match step.kind:
            case "disk":
                self._fill(about["free"])
            case "api" | "mongo":
                key = f"{step.kind}"
                self._proxies[step.kind].trouble(Trouble(about["what"], about["share"], step.hour))
            case "answers":
                self.life.sandbox.add_fault(about["what"], probability=about["share"], seconds=0)
            case "damage":
                self._damage(about["files"], f"{self.life.plan.seed}/{about['draw']}")
            case "documents":
                self._edit(about["number"], f"{self.life.plan.seed}/{about['draw']}")
                return
            case _:
                return
        self._ends[key] = max(until, self._ends.get(key, 0))

    def _heal(self, hour: int | None) -> None:
        """End the troubles that are over in an hour; without one, all."""
        over = [key for key, end in self._ends.items() if hour is None or end <= hour]
        for key in over:
            del self._ends[key]
            if key in self._proxies:
                self.say(f"{key} is well again; {self._proxies[key].hit} connections had trouble")
                self._proxies[key].hit = 0
                self._proxies[key].trouble(None)
            elif key == "disk":
                (self._disk / "ballast").unlink(missing_ok=True)
            elif key == "answers":
                self.life.sandbox.clear_faults()

    def _fill(self, free: int) -> None:
        room = shutil.disk_usage(self._disk).free
        with contextlib.suppress(OSError), (self._disk / "ballast").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(room - free, 4096))

    def _damage(self, count: int, seed: str) -> None:
        draws, root = random.Random(seed), self.life.pipeline.root
        there = [path for pattern in ("*-*-*/**/*.parquet", "stations/*.parquet") for path in root.glob(pattern)]
        there += [path for name in ("alerts", "rotation", "last_success") if (path := root / f"{name}.json").exists()]
        # a kind as often as another, though there are 24 raw hours for one table
        kinds = sorted({_kind(path.relative_to(root)) for path in there})
        for _ in range(count if there else 0):
            kind = draws.choice(kinds)
            path = draws.choice(sorted(path for path in there if _kind(path.relative_to(root)) == kind))
            way = draws.choice(WAYS[path.suffix])
            self.ledger.forget(path)
            with contextlib.suppress(OSError, StopIteration, ValueError):  # there is no other to lay in its place
                DAMAGES[way](path)
            self.say(f"damaged: {path.relative_to(root)} ({way})")

    def _edit(self, number: int, seed: str) -> None:
        """Delete documents, or change a number in them, as somebody at a shell might."""
        draws, database = random.Random(seed), self.life.pipeline.database
        for _ in range(number):
            collection = database[draws.choice(["hourly_measurements", "daily_averages", "coverage"])]
            documents = list(collection.find(sort=[("_id", 1)]))
            if not documents:
                continue
            document, deletes = draws.choice(documents), draws.random() < 0.5
            numbers = sorted(name for name, value in document.items() if isinstance(value, float))
            if deletes or not numbers:
                collection.delete_one({"_id": document["_id"]})
            else:
                collection.update_one({"_id": document["_id"]}, {"$inc": {draws.choice(numbers): 7.5}})
            self.say(f"{'deleted' if deletes or not numbers else 'changed'}: {collection.name} {document['_id']}")

    def _run_hour(self, hour: int, steps: list[Step]) -> None:
        of = {step.kind: step.about for step in steps}
        if "clock" in of:
            self._check(self._start("hourly", ahead=of["clock"]["hours_ahead"]), _ENDS)
        elif "together" in of:
            self._together(hour, of["together"]["apart"], of["together"]["killed"])
        elif "renames" in of.get("kill", ()):
            started = self._start("hourly", **{KILLED_AT: f"{of['kill']['renames']}"})
            self._check(started, _ENDS | {-signal.SIGKILL})
        elif "kill" in of:
            self._kill(self._start("hourly", "--workers", "2"), of["kill"]["whom"], of["kill"]["after"])
        else:
            began = time.monotonic()
            done = self._check(self._start("hourly"), _ENDS)
            if not self._ends and done.returncode == 0:
                self._seconds.append(time.monotonic() - began)

    def _look(self, steps: list[Step]) -> None:
        """See what an hour's runs have left; what an end with 0 promises, where all of them ended so."""
        if self._proxies["mongo"].kind == "corrupt":  # what the server was told is not what the pipeline said
            return
        found = [*too_early(self.life)]
        is_clock_right = "clock" not in {step.kind for step in steps}
        if {0} <= {*self._codes} <= {0, 10} and is_clock_right and not self._orphans_alive():
            found += unkept(self.life)
        self.complaints += [f"after the run of {self.life.now:%Y-%m-%dT%H}: {line}" for line in found[:_SHOWN]]

    def _together(self, hour: int, apart: float, killed: bool) -> None:
        begin = f"{self.life.plan.begin:%Y-%m-%dT%H}.."
        started, is_well = [], not self._ends and not killed
        self.life.sandbox.reset()
        if is_well:  # slow, so that all of them are at it before one is done; nothing else may fail, however busy it is
            self.life.configure(hour, is_hasty=False)
            self.life.sandbox.add_fault("latency", seconds=1)
        for command in (("backfill", begin, "--yes"), ("hourly",), ("hourly",)):
            started.append(self._start(*command))
            time.sleep(apart)
        if killed:
            self._kill(started.pop(1), "run", apart)
        for one in started:
            ends = {0} if "backfill" in one.command else {0, 10}  # 10: another is at it
            self._check(one, ends if is_well else _ENDS)
        if is_well:
            self.life.sandbox.clear_faults()
        asked = Counter((w["station"], w["start"], w["stop"]) for w in self.life.sandbox.stats()["windows"])
        if is_well and (twice := [window for window, count in asked.items() if count > 1]):
            self.complaints.append(
                f"{self.life.now:%Y-%m-%dT%H} runs at once did the work twice: {twice} were asked for"
            )

    def _kill(self, started: Started, whom: str, after: float) -> None:
        """Kill a run, or processes of it, at a moment of it; those that live on are its orphans."""
        seconds = after * statistics.median(self._seconds)
        time.sleep(seconds)
        family = _descendants(started.pid)
        victims = {"run": [started.pid], "worker": family[:1], "all": [started.pid, *family]}[whom]
        for pid in victims or [started.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._orphans |= {*family} - {*victims}
        self.say(f"killed {len(victims or [0])} of {1 + len(family)} processes after {seconds:.1f} s")
        self._check(started, _ENDS | {-signal.SIGKILL})

    def _wait_for_orphans(self) -> None:
        deadline = time.monotonic() + LONGEST
        while alive := self._orphans_alive():
            if time.monotonic() > deadline:
                self.complaints.append(f"processes of a killed run do not end: {alive}")
                return
            time.sleep(0.2)

    def _orphans_alive(self) -> set[int]:
        return {pid for pid in self._orphans if Path(f"/proc/{pid}").exists()}

    def _start(self, name: str, *arguments: str, ahead: int = 0, **env: str) -> Started:
        return Started(["airqino", name, *arguments], self.life.pipeline.env | self.life.clock(ahead * HOUR) | env)

    def _command(self, name: str, ends: set[int], *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._check(self._start(name, *arguments), ends)

    def _check(self, started: Started, ends: set[int]) -> subprocess.CompletedProcess[str]:
        command = shlex.join(started.command[1:])
        try:
            done = started.wait(LONGEST)
        except subprocess.TimeoutExpired as late:
            self._codes.append(-1)
            self.complaints.append(
                f"{self.life.now:%Y-%m-%dT%H} {command} did not end in {LONGEST:.0f} s: {late.stderr}"
            )
            return subprocess.CompletedProcess(started.command, -1, "", "")
        self.say(f"{command} ended with {done.returncode}")
        self._codes.append(done.returncode)
        if done.returncode not in ends or "Traceback" in done.stderr:
            said = f"{self.life.now:%Y-%m-%dT%H} {command} ended with {done.returncode}: {done.stderr[-3000:]}"
            self.complaints.append(said)
        return done

    def _follow(self, rounds: int = 2) -> None:
        """Do what status says is to be done now."""
        for _ in range(rounds):
            told = json.loads(self._command("status", {0, 1}, "--json").stdout or '{"needs": []}')
            commands = [shlex.split(need["command"]) for need in told["needs"] if need["urgent"] and need["command"]]
            commands = [words for words in commands if words[0].removeprefix("scripts/") in _FOLLOWED]
            if not commands:
                return
            for script, *arguments in commands:
                self.say(f"status says: {script} {shlex.join(arguments)}")
                self._command(script.removeprefix("scripts/").replace("rerun", "run"), {0}, *arguments)

    def _remove_strangers(self, told: str) -> None:
        """Remove the documents that verify calls not ours, as docs/on-call.md says: spoiled bytes have made them."""
        for line in told.splitlines():
            _, found, rest = line.partition("not ours, left alone: ")
            collection, _, key = rest.partition(" ")
            if found:
                deleted = 0
                for document in self.life.pipeline.database[collection].find({}, {"_id": 1}):
                    if f"{document['_id']!r:.120}" == key:
                        deleted += self.life.pipeline.database[collection].delete_one(document).deleted_count
                self.say(f"verify says: {line}; {deleted} removed")


def _kind(path: Path) -> str:
    return path.parent.name if path.parent.name in ("raw", "forecast", "stations") else path.name


def _descendants(pid: int) -> list[int]:
    """Return the processes that a process has started, and those that they have."""
    found = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += [int(child), *_descendants(int(child))]
    return found
