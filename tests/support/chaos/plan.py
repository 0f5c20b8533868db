"""What happens in the days of a drill, drawn from a seed: the same seed gives the same plan."""

import random
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from airqino.sandbox import faults
from support import proxy
from support.damage import DAMAGES

__all__ = ["ADDED", "STATIONS", "TROUBLES", "Plan", "Step", "draw"]

HOUR = timedelta(hours=1)
STATIONS = ("283181971", "283164601", "283100003")
#: Where the clocks change: the last of `STATIONS` is there.
ADDED = "283100004"
#: A zone, and when a drill begins: less than a day before its clocks change.
_CHANGES = (
    ("Europe/Berlin", datetime(2026, 3, 28, 8, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2026, 10, 24, 8, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 3, 7, 12, tzinfo=UTC)),
    ("Australia/Sydney", datetime(2026, 4, 4, 2, tzinfo=UTC)),
)
TROUBLES = {
    "kill": "a process of a run is killed (kill -9), at some moment or just before a file gets its name",
    "disk": "the disk is full",
    "api": "connections to the API are refused, cut, slow, dead or spoiled",
    "mongo": "the same of connections to MongoDB",
    "answers": "the API answers badly: 429, 5xx, cut-off, malformed, empty, doubled rows and the like",
    "damage": "files under the staging root are damaged",
    "clock": "this machine's clock is wrong for a run",
    "together": "two hourly runs and a backfill at once",
    "outage": "no run for some hours",
    "documents": "documents in MongoDB are deleted, or a number in them is another",
}
"""Each kind of trouble; of the history of the source and the operator's changes see `_history`."""

#: How often a day has each kind.
_TIMES = {"kill": 5, "damage": 2, "together": 2, "mongo": 3, "api": 3}
_SENSORS = ("NO2", "O3", "RH", "PM10")
_ANSWERS = tuple(kind for kind in faults.KINDS if kind not in ("token_expired", "unknown_station", "latency"))


@dataclass(frozen=True)
class Step:
    """Something that begins in an hour of the drill, counted from 0."""

    hour: int
    kind: str
    about: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.kind} {', '.join(f'{name} {value}' for name, value in self.about.items())}".strip()


@dataclass(frozen=True)
class Plan:
    """The days of a drill.

    Attributes:
        seed: It was drawn from.
        days: How many.
        begin: The first hour.
        zone: The time zone of the last of `STATIONS`, whose clocks change.
        history: What the source and the operator do: both deployments live through it.
        troubles: What happens to one of them.
    """

    seed: int
    days: int
    begin: datetime
    zone: str
    history: tuple[Step, ...]
    troubles: tuple[Step, ...]

    def moment(self, hour: int) -> datetime:
        """Return when the run of an hour starts: cron's five minutes past the next one."""
        return self.begin + (hour + 1) * HOUR + HOUR / 12

    def lines(self) -> list[str]:
        """Return what is to happen, a line each, by hour."""
        steps = sorted((*self.history, *self.troubles), key=lambda step: step.hour)
        return [f"{self.moment(step.hour):%Y-%m-%dT%H}  {step}" for step in steps]


def draw(seed: int, days: int, kinds: Collection[str] = tuple(TROUBLES)) -> Plan:
    """Draw a plan.

    Args:
        seed: Any number.
        days: How many, 1 or more.
        kinds: The kinds of trouble; all draws are made whichever they are, so that a kind alone comes as it does
            among the others.
    """
    zone, begin = random.Random(f"{seed}/begin").choice(_CHANGES)
    history = _history(random.Random(f"{seed}/history"), days, begin)
    troubles = _troubles(random.Random(f"{seed}/troubles"), days) + _edits(random.Random(f"{seed}/edits"), days)
    return Plan(seed, days, begin, zone, history, tuple(step for step in troubles if step.kind in kinds))


def _history(draws: random.Random, days: int, begin: datetime) -> tuple[Step, ...]:
    """Draw what the source and the operator do: revisions and late rows each day, all else once."""
    hours, steps = days * 24, []
    for day in range(days):
        for _ in range(8):
            hour = day * 24 + draws.randrange(24)
            about = {
                "station": draws.choice(STATIONS),
                "observed_at": begin + draws.randrange(max(0, hour - 60), hour + 1) * HOUR,
                "values": {"PM2.5": round(draws.uniform(2, 60), 2), "CO": round(draws.uniform(0.1, 2), 3)},
            }
            steps.append(Step(hour, "revise", about))
        first, pause = day * 24 + draws.randrange(18), draws.randrange(3, 16)
        late = {"station": draws.choice(STATIONS), "hours": draws.randrange(1, 6), "until": first + pause}
        steps.append(Step(first, "late", late))
    once: dict[str, dict[str, Any]] = {
        "rename at the source": {"station": draws.choice(STATIONS), "name": f"SMART{draws.randrange(900, 999)}"},
        "move at the source": {"station": draws.choice(STATIONS), "latitude": 5.4, "longitude": -4.05},
        "rename by the operator": {"station": draws.choice(STATIONS), "name": f"Place {draws.randrange(100)}"},
        "move by the operator": {"station": draws.choice(STATIONS), "latitude": 5.31, "longitude": -3.99},
        "add a station": {"station": ADDED},
        "retire a station": {"station": draws.choice(STATIONS[:2])},
        "drop a sensor": {"station": draws.choice(STATIONS), "sensor": draws.choice(_SENSORS)},
        "add a sensor": {"station": ADDED, "sensor": draws.choice(_SENSORS)},
        "add a column": {"station": draws.choice(STATIONS), "column": "NO"},
    }
    steps += [Step(draws.randrange(2, hours - 2), kind, about) for kind, about in once.items()]
    return tuple(sorted(steps, key=lambda step: (step.hour, step.kind)))


def _troubles(draws: random.Random, days: int) -> tuple[Step, ...]:
    """Draw each kind once a day or more, in hours of its own."""
    steps = []
    left: dict[str, list[str]] = {"api": [], "mongo": []}
    for day in range(days):
        kinds = [kind for kind in TROUBLES if kind != "documents" for _ in range(_TIMES.get(kind, 1))]
        hours = draws.sample(range(day * 24 + (day == 0), (day + 1) * 24), len(kinds))
        for hour, kind in zip(hours, kinds, strict=True):
            drawn = draws.random()
            about: dict[str, Any] = {
                "kill": draws.choice(
                    [
                        {"whom": draws.choice(["run", "worker", "all"]), "after": round(0.2 + 0.9 * drawn, 3)},
                        {"whom": "run", "renames": int(40**drawn) - 1},
                    ]
                ),
                "disk": {"hours": draws.randrange(1, 3), "free": draws.choice([0, 8_192, 65_536])},
                "answers": {"what": draws.choice(_ANSWERS), "share": round(0.4 + 0.6 * drawn, 2), "hours": 1},
                "damage": {"files": draws.randrange(2, 5), "draw": round(drawn, 3)},
                "clock": {"hours_ahead": draws.choice([1, 2, 30, 50, 220, -1, -3, -30])},
                "together": {"apart": round(drawn, 2), "killed": draws.random() < 0.3},
                "outage": {"hours": draws.randrange(2, 5)},
            }
            if kind in left and not left[kind]:  # each of them once before any comes twice
                left[kind] = draws.sample([*proxy.KINDS], len(proxy.KINDS))
            how = {"share": round(0.4 + 0.6 * drawn, 2), "hours": draws.randrange(1, 3)}
            steps.append(Step(hour, kind, about.get(kind) or {"what": left[kind].pop()} | how))
    return tuple(sorted(steps, key=lambda step: step.hour))


def _edits(draws: random.Random, days: int) -> tuple[Step, ...]:
    hours = [hour for day in range(days) for hour in sorted(draws.sample(range(day * 24 + 6, day * 24 + 24), 4))]
    return tuple(
        Step(h, "documents", {"number": draws.randrange(2, 6), "draw": round(draws.random(), 3)}) for h in hours
    )


#: Ways to damage a file that the pipeline can tell; of a state file of its own form another content it cannot.
WAYS = {".parquet": tuple(DAMAGES), ".json": ("empty", "cut")}
