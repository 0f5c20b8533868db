"""Days of faults end as the same days without: `tests/drills/chaos`, of which this runs some seeds."""

import subprocess
from zoneinfo import ZoneInfo

import pytest
from support.chaos.plan import TROUBLES, draw
from support.commands import ROOT


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [ROOT / "tests" / "drills" / "chaos", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_seed_gives_the_same_plan_and_another_seed_another() -> None:
    shown = [run("--seed", seed, "--days", "2", "--plan").stdout for seed in ("7", "7", "8")]
    assert shown[0] == shown[1]
    assert shown[0] != shown[2]
    assert shown[0].splitlines()[2:] == [f"  {line}" for line in draw(7, 2).lines()]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_plan_of_two_days_has_each_kind_of_trouble_and_a_change_of_clocks(seed: int) -> None:
    plan = draw(seed, 2)
    assert {step.kind for step in plan.troubles} == TROUBLES.keys()
    assert all(0 <= step.hour < 48 for step in (*plan.history, *plan.troubles))
    offsets = {plan.moment(hour).astimezone(ZoneInfo(plan.zone)).utcoffset() for hour in range(48)}
    assert len(offsets) == 2


def test_a_kind_alone_comes_as_it_does_among_the_others() -> None:
    assert draw(5, 3, ["kill"]).troubles == tuple(step for step in draw(5, 3).troubles if step.kind == "kill")


@pytest.mark.drill
@pytest.mark.timeout(1200)
def test_two_days() -> None:
    done = run("--seed", "1", "--days", "2")
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


@pytest.mark.nightly
@pytest.mark.timeout(2400)
@pytest.mark.parametrize("seed", range(11, 21))
def test_five_days(seed: int) -> None:
    done = run("--seed", f"{seed}", "--days", "5")
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
