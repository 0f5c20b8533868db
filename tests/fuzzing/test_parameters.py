"""Parameters and arguments of commands, whatever is typed: a value or one line that says what is wrong."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from support.configured import use_settings
from support.deployment import ROOT
from support.fuzzing import outcome, tried

from airqino import times
from airqino.errors import ConfigError
from tasks.cli.main import main
from tasks.parameters import DayParameter, DaysParameter, HourParameter, HoursParameter

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(3600)]

#: What commands may end with that found nothing, or had a wrong argument.
ENDS = {0, 1, 2, 20, 25, 30, 35}
_PARTS = ("2026", "-", "03", "02", "T", "10", ":00", "..", ",", " ", "99", "9999", "2000", "00", "+", "é", "٣")
typed = st.one_of(
    st.lists(st.sampled_from(_PARTS), max_size=12).map("".join),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30),
    st.sampled_from(
        ["2026-03-02T10", "2026-03-02", "2026-03", "2026-03-02..2026-04", "2026-01..", "9999", "2000..9999"]
    ),
)
UNTIL = datetime(2026, 3, 20, 9, tzinfo=UTC)


@pytest.fixture(autouse=True)
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No server answers, and the staging root is empty."""
    (tmp_path / "quick.cfg").write_text("[mongo]\ntimeout_seconds = 0.2\nfailover_seconds = 0.2\n")
    env = {
        "STAGING_ROOT": f"{tmp_path / 'staging'}",
        "AIRQINO_NOW": "2026-03-20T10:05",
        "AIRQINO_BASE_URL": "http://127.0.0.1:9",
        "MONGODB_URI": "mongodb://127.0.0.1:9/",
        "LUIGID_URL": "http://127.0.0.1:9",
    }
    use_settings(monkeypatch, [ROOT / "luigi.cfg", tmp_path / "quick.cfg"], env)


def forms(text: str) -> None:
    readers: list[tuple[Callable[[str], Any], Callable[[Any], str] | None]] = [
        (lambda t: times.parse_span(t), None),
        (lambda t: times.parse_span(t, UNTIL), None),
        (lambda t: times.parse_spans(t, UNTIL), None),
        (times.parse_month, None),
    ]
    readers += [
        (p.parse, p.serialize) for p in (HourParameter(""), HoursParameter(""), DaysParameter(""), DayParameter())
    ]
    for parse, serialize in readers:
        value, _ = outcome(partial(parse, text), ConfigError)
        if serialize and value:
            assert parse(serialize(value)) == value


def test_hours_days_and_spans() -> None:
    tried(forms, typed)


COMMANDS: list[tuple[str, ...]] = [
    ("backfill", "--dry-run"),
    ("hourly", "--dry-run", "--hour"),
    ("run", "DailyMeans", "--dry-run", "--day"),
    ("run", "FetchHour", "--dry-run", "--hour"),
    ("run", "TrainModel", "--dry-run", "--day"),
    ("run",),
    ("verify", "--check"),
    ("status",),
    ("runs",),
    ("note", "list"),
    ("note", "add"),
    ("models", "show"),
    ("stations",),
    ("settings",),
    (),
]


def test_commands(capsys: pytest.CaptureFixture[str]) -> None:
    def typed_at_a_terminal(given: tuple[tuple[str, ...], list[str]]) -> None:
        command, arguments = given
        code = main([*command, *arguments])
        told = capsys.readouterr()
        assert code in ENDS, told.err
        assert "Traceback" not in told.out + told.err

    options = st.sampled_from(
        ["--yes", "--help", "--json", "--again", "--station", "283181971", "--workers", "0", "--"]
    )
    tried(typed_at_a_terminal, st.tuples(st.sampled_from(COMMANDS), st.lists(st.one_of(typed, options), max_size=4)))
