"""deploy/windows: the task is well-formed and built as the Task Scheduler's schema 1.2 wants it. It was not run."""

import re
import shlex
from xml.etree import ElementTree

import pytest
from support.deployment import ROOT

NS = {"t": "http://schemas.microsoft.com/windows/2004/02/mit/task"}
TASK = ElementTree.parse(ROOT / "deploy" / "windows" / "airqino-hourly.xml").getroot()


def text(path: str) -> str:
    found = TASK.findall(path, NS)
    assert len(found) == 1, path
    return (found[0].text or "").strip()


def names(path: str) -> list[str]:
    return [child.tag.removeprefix(f"{{{NS['t']}}}") for child in TASK.find(path, NS)]


def test_the_parts_are_those_of_the_schema_in_its_order() -> None:
    assert TASK.tag == f"{{{NS['t']}}}Task"
    assert TASK.get("version") == "1.2"
    assert names(".") == ["RegistrationInfo", "Triggers", "Principals", "Settings", "Actions"]
    # sequences of the schema: triggerBaseType, then calendarTriggerType; repetitionType; execActionType
    assert names("t:Triggers/t:CalendarTrigger") == ["Repetition", "StartBoundary", "Enabled", "ScheduleByDay"]
    assert names("t:Triggers/t:CalendarTrigger/t:Repetition") == ["Interval", "Duration", "StopAtDurationEnd"]
    assert names("t:Actions/t:Exec") == ["Command", "Arguments"]
    assert TASK.find("t:Actions", NS).get("Context") == TASK.find("t:Principals/t:Principal", NS).get("id")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("t:Triggers/t:CalendarTrigger/t:Repetition/t:Interval", "PT1H"),
        ("t:Triggers/t:CalendarTrigger/t:Repetition/t:Duration", "P1D"),
        ("t:Triggers/t:CalendarTrigger/t:ScheduleByDay/t:DaysInterval", "1"),
        ("t:Settings/t:MultipleInstancesPolicy", "IgnoreNew"),
        ("t:Settings/t:StartWhenAvailable", "true"),
        ("t:Principals/t:Principal/t:RunLevel", "LeastPrivilege"),
    ],
)
def test_it_runs_hourly_one_at_a_time_and_makes_up_for_a_missed_start(path: str, value: str) -> None:
    assert text(path) == value


def test_it_starts_five_minutes_past_and_ends_before_the_next() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT00:05:00Z", text("t:Triggers/t:CalendarTrigger/t:StartBoundary"))
    assert 5 + int(re.fullmatch(r"PT(\d+)M", text("t:Settings/t:ExecutionTimeLimit"))[1]) < 60


def test_it_calls_the_hourly_run_within_wsl() -> None:
    assert text("t:Actions/t:Exec/t:Command").endswith(r"\wsl.exe")
    arguments = shlex.split(text("t:Actions/t:Exec/t:Arguments"))
    assert arguments[:8] == [
        *("--distribution", "Debian", "--user", "airqino", "--cd", "/srv/airqino", "--exec", "/bin/sh")
    ]
    assert arguments[-1] == "exec scripts/hourly >>/var/log/airqino/hourly.log 2>&1"
    assert (ROOT / "scripts" / "hourly").exists()
