"""airqino probe: the report on the screen and in a file, its exit codes, and what the doctor makes of it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from support.configured import Configured

from airqino.sandbox.habits import Habits
from airqino.sandbox.server import Sandbox
from airqino.source.probe import Report
from airqino.stores.paths import Paths
from tasks.cli.main import main
from tasks.doctor.source import probed
from tasks.settings.sections import AirQino, Staging

NOW = datetime(2024, 9, 9, 10, 30, tzinfo=UTC)
AT = {"AIRQINO_NOW": "2024-09-09T10:30", "COLUMNS": "80"}


def test_the_report(
    configure: Configured, sandbox: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sandbox.now, sandbox.habits = NOW, Habits.parse(["end_exclusive"])
    configure(**AT)
    assert main(["probe"]) == 0
    shown, errors = capsys.readouterr()
    lines = [line.rstrip() for line in shown.splitlines()]
    assert errors == ""
    assert len(lines) == 1 + 12 + 1
    assert max(map(len, lines)) <= 80
    assert lines[4] == "end_date         holds  exclusive: runs ask for 59 minutes more"
    assert lines[-1] == "12 hold"
    sandbox.habits = Habits.parse(["zone:2", "oldest:500"])
    assert main(["probe", "--json"]) == 1
    printed = json.loads(capsys.readouterr().out)
    report = msgspec.json.decode(Paths(tmp_path / "staging").probe.read_bytes(), type=Report)
    assert msgspec.convert(printed, Report) == report
    assert (report.base_url, report.station, report.at) == (sandbox.url, "283181971", NOW)
    assert [verdict.name for verdict in report.of("does not hold")] == ["time zone", "longest span"]
    assert all(verdict.cure for verdict in report.of("does not hold"))


@pytest.mark.parametrize(
    ("env", "code", "told"),
    [
        ({"AIRQINO_BASE_URL": "http://127.0.0.1:9"}, 30, "http://127.0.0.1:9: no connection"),
        ({"AIRQINO_STATIONS": "0"}, 2, "does not know this station"),
        ({"AIRQINO_STATIONS": "x"}, 2, "numeric station ids"),
        ({"STAGING_ROOT": "/proc/staging"}, 2, "staging root /proc/staging cannot be written"),
    ],
)
def test_what_cannot_be_asked_is_one_line(
    configure: Configured, capsys: pytest.CaptureFixture[str], env: dict[str, str], code: int, told: str
) -> None:
    configure(**env)
    assert main(["probe"]) == code
    shown, errors = capsys.readouterr()
    assert shown == ""
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1
    assert told in errors


def test_a_token_that_is_missing_is_a_wrong_setting(
    configure: Configured, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    sandbox.add_fault("unauthorized")
    configure()
    assert main(["probe"]) == 2
    assert "AIRQINO_CLIENT_SECRET" in capsys.readouterr().err


# --- what the doctor says


def doctor(root: Path, base_url: str = "http://h") -> tuple[str, str]:
    (result,) = probed(AirQino(base_url=base_url), Staging(root=f"{root}"))
    return result.outcome, result.finding


def test_the_doctor_knows_the_last_report(tmp_path: Path) -> None:
    assert doctor(tmp_path) == ("skipped", "never probed: run scripts/probe")
    at = (datetime.now(UTC) - timedelta(days=3)).isoformat()
    verdicts = [
        {"name": "dates", "outcome": "holds", "seen": "honoured"},
        {"name": "hour", "outcome": "not known", "seen": "no raw rows"},
    ]

    def write(*more: dict[str, str]) -> None:
        report = {"at": at, "base_url": "http://h", "station": "1", "verdicts": [*verdicts, *more]}
        Paths(tmp_path).probe.write_text(json.dumps(report))

    write()
    assert doctor(tmp_path) == ("ok", "1 of 2 assumptions hold, 3 days ago; not known: hour")
    assert doctor(tmp_path, "http://other") == ("skipped", "the last result is of http://h: run scripts/probe")
    write({"name": "time zone", "outcome": "does not hold", "seen": "UTC+2"})
    assert doctor(tmp_path) == ("warning", "does not hold, 3 days ago: time zone")
    Paths(tmp_path).probe.write_text("{")
    assert doctor(tmp_path)[0] == "warning"
    assert list(probed(None, Staging(root=f"{tmp_path}"))) == []
