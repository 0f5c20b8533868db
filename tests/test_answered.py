"""What answers change of the raw hours, killed at each write."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.configured import Configured

from airqino.source.answers import Answer, Attempt, answer_of
from airqino.source.response import parse
from airqino.stores import files
from airqino.times import HOUR
from tasks import targets
from tasks.answered import stage_answers
from tasks.settings.reading import settings

STATION = "283181971"


@pytest.fixture(autouse=True)
def no_settings_left() -> Iterator[None]:
    yield
    settings.cache_clear()


FIRST = datetime(2026, 3, 1, 10, tzinfo=UTC)
HOURS = [FIRST, FIRST + HOUR]


class Killed(BaseException):
    """What nothing catches, as nothing catches a kill."""


def answer(*values: float) -> Answer:
    rows = [{"timestamp": f"{hour:%Y-%m-%d %H:%M:%S}", "PM2.5": v} for hour, v in zip(HOURS, values, strict=True)]
    body = json.dumps({"header": {"station_name": "S"}, "data": rows}).encode()
    return answer_of(STATION, (HOURS[0], HOURS[-1]), Attempt(content=parse(body), status=200, body=body))


def stage(*values: float) -> None:
    stage_answers({(STATION, hour) for hour in HOURS}, {STATION: answer(*values)}, settings())


@pytest.mark.parametrize("writes", range(4))
def test_a_kill_at_any_write_loses_no_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int) -> None:
    Configured(tmp_path, "http://127.0.0.1:9", monkeypatch)(AIRQINO_NOW="2026-03-02T00:05")
    stage(1.0, 2.0)
    done, write = [0], files.write

    def killed(*arguments: Any, **options: Any) -> Any:
        if done[0] == writes:
            raise Killed
        done[0] += 1
        return write(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(files, "write", killed)
        if writes < 3:  # the ledger and two raw hours
            with pytest.raises(Killed):
                stage(1.5, 2.5)
        else:
            stage(1.5, 2.5)
    stage(1.5, 2.5)
    found = {
        (row["observed_at"], row["reading"]): (row["old"], row["new"]) for row in targets.revisions(FIRST.date()).rows()
    }
    assert found == {(HOURS[0], "pm2_5"): (1.0, 1.5), (HOURS[1], "pm2_5"): (2.0, 2.5)}
    rows = targets.raw_day(FIRST.date()).rows
    assert [rows[hour][STATION]["pm2_5"] for hour in HOURS] == [1.5, 2.5]
