"""A day's table and its record, while another process changes a day that its flags rest on."""

import hashlib
import json
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from support.configured import Configured

from airqino.source.answers import Attempt, answer_of
from airqino.source.response import parse
from airqino.times import DAY, HOUR, day_start, hour_range
from tasks import clean, targets
from tasks.answered import stage_answers
from tasks.clean import CleanDay
from tasks.settings.reading import settings

STATION = "283181971"


@pytest.fixture(autouse=True)
def no_settings_left() -> Iterator[None]:
    yield
    settings.cache_clear()


ONE = date(2026, 3, 2)


def stage(first: datetime, values: list[float]) -> None:
    hours = hour_range(first, first + (len(values) - 1) * HOUR)
    rows = [{"timestamp": f"{hour:%Y-%m-%d %H:%M:%S}", "CO": v} for hour, v in zip(hours, values, strict=True)]
    body = json.dumps({"header": {"station_name": "S"}, "data": rows}).encode()
    answer = answer_of(STATION, (hours[0], hours[-1]), Attempt(content=parse(body), status=200, body=body))
    stage_answers({(STATION, hour) for hour in hours}, {STATION: answer}, settings())


@pytest.mark.parametrize("at", range(5))
def test_a_day_that_changes_meanwhile_leaves_a_right_table_or_a_stale_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    Configured(tmp_path, "http://127.0.0.1:9", monkeypatch)(AIRQINO_NOW="2026-03-03T00:05")
    day_before = day_start(ONE) - DAY
    stage(day_before, [0.3 + n % 5 / 10 for n in range(24)])
    stage(day_start(ONE), [0.4 + n % 3 / 10 for n in range(24)])
    task, calls = CleanDay(day=(ONE,), through=day_start(ONE) + 23 * HOUR), [0]

    def changing(name: str) -> Any:
        of = getattr(clean, name)

        def call(*arguments: Any) -> Any:
            calls[0] += 1
            if calls[0] == at:
                stage(day_before + 22 * HOUR, [40.0, 90.0])
            return of(*arguments)

        return call

    with monkeypatch.context() as patch:
        for name in ("_bases", "_contexts", "_inputs"):
            patch.setattr(clean, name, changing(name))
        task.run()
    built = targets.hourly(ONE).table()
    assert built is not None
    if not task._stale():
        task.force()
        task.run()
        again = targets.hourly(ONE).table()
        assert again is not None
        assert built.replace_schema_metadata().equals(again.replace_schema_metadata())
    assert calls[0] >= 4, "the change came at each of them"


def test_a_day_that_becomes_final_says_nothing_new_of_the_week_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    day_before, values = day_start(ONE) - DAY, [0.3 + n % 5 / 10 for n in range(24)]
    configured = Configured(tmp_path, "http://127.0.0.1:9", monkeypatch)
    configured(AIRQINO_NOW="2026-03-03T00:05")
    stage(day_before, values)
    stage(day_start(ONE), values)

    def prints() -> tuple[object, str]:
        return targets.raw_fingerprints(day_before.date()).hours, clean._bases([ONE])[ONE]

    hours, basis = prints()
    configured(AIRQINO_NOW="2026-03-20T00:05")
    stage(day_before, values)
    final_hours, same = prints()
    assert final_hours != hours
    assert same == basis
    stage(day_before + 3 * HOUR, [9.0])
    assert prints()[1] != basis
    basis = prints()[1]
    stage(day_start(ONE) + DAY, [9.0, 9.0])  # the day after: its first hour counts
    basis, before = prints()[1], basis
    assert basis != before
    stage(day_start(ONE) + DAY + HOUR, [5.0])
    assert prints()[1] == basis


def test_what_a_table_was_built_from_is_written_down_as_version_0_8_0_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else each day of every deployment would be built again after an upgrade."""
    Configured(tmp_path, "http://127.0.0.1:9", monkeypatch)(AIRQINO_NOW="2026-03-03T00:05")
    stage(day_start(ONE), [0.4 + n % 3 / 10 for n in range(24)])
    CleanDay(day=(ONE,), through=day_start(ONE) + 23 * HOUR).run()
    hours = [
        f"{hour} {targets.raw(hour).fingerprint}" for hour in hour_range(day_start(ONE), day_start(ONE) + 23 * HOUR)
    ]
    context, rules = clean._contexts([ONE])[ONE].content, vars(clean.thresholds())
    text = json.dumps([hours, context, rules, 2], default=str, sort_keys=True)
    assert targets.hourly(ONE).inputs == hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
