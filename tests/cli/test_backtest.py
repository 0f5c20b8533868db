import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from airqino.errors import ConfigError
from airqino.readings import CORE_HOURS, HORIZONS
from tasks.cli.backtest import main, read_responses

ROOT = Path(__file__).resolve().parents[2]
REAL = ROOT.parent / "shared" / "data"
START = pd.Timestamp("2024-01-01", tz="UTC")


def answer(path, first=0, hours=500, seed=0, co=None):
    """Writes an answer of the API."""
    random = np.random.default_rng(seed)
    rows = [
        {
            "timestamp": f"{START + pd.Timedelta(hours=first + i):%Y-%m-%d %H:%M:%S}",
            "CO": co if co is not None else round(float(random.gamma(2, 0.1)), 3),
            "PM2.5": round(float(10 + 5 * np.sin(i / 24 * 2 * np.pi) + random.normal(0, 1)), 3),
            "T": 27.0 + float(random.normal()),
        }
        for i in range(hours)
    ]
    path.write_text(json.dumps({"header": {"station_name": "S"}, "data": rows}))
    return rows


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "tasks.cli", "backtest", *map(str, arguments)],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": f"{ROOT}", "COLUMNS": "140"}, capture_output=True, text=True,
    )  # fmt: skip


@pytest.mark.drill
def test_table_and_json(tmp_path):
    answer(tmp_path / "11.json")
    answer(tmp_path / "22.json", seed=1, co=0.0)
    (tmp_path / "notes.json").write_text("[]")
    out = tmp_path / "scores" / "s.json"
    out.parent.mkdir()
    span = "--start", "2024-01-19T00", "--stop", "2024-01-20T23"
    done = run("--responses", tmp_path, *span, "--json", out, "--figures", out.parent)
    assert done.returncode == 0, done.stderr
    drawn = [(out.parent / name).read_bytes() for name in ("skill_by_horizon.png", "reliability.png")]
    assert all(picture.startswith(b"\x89PNG") for picture in drawn)
    records = json.loads(out.read_text())
    assert {tuple(record) for record in records} == {
        (
            "station",
            "pollutant",
            "horizon_h",
            "n",
            "mae",
            "rmse",
            "skill",
            "coverage80",
            "mae_persistence",
            "mae_seasonal24",
            "skill_against_seasonal24",
            "winkler",
            "pinball",
        )
    }
    assert {(r["station"], r["pollutant"]) for r in records} == {("11", "co"), ("11", "pm2_5"), ("22", "pm2_5")}
    assert "coverage80" in done.stdout
    assert "22 co: nothing to score" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--start": "2024-02-30T00"}, "'2024-02-30T00' is no time"),
        ({"--start": "2024-01-21"}, "2024-01-21..2024-01-20T23: the first lies after the last, swap them"),
        ({"--window": "2024-01-21T00..2024-01-20T23"}, "2024-01-21T00..2024-01-20T23: the first lies after the last"),
        ({"--start": "", "--window": "2024-01"}, "give --start START and --stop STOP, or --window SPAN"),
        ({"--start": "2025-01-21T00", "--stop": "2025-01-22T00"}, "nothing was measured from 2025-01-21T00"),
        ({"--responses": "nowhere"}, "--responses nowhere: no such folder"),
        ({"--history": "nowhere"}, "--history nowhere: no such file"),
        ({"--threads": "0"}, "--threads 0"),
        ({"--json": "nowhere/s.json"}, "the folder nowhere does not exist"),
        ({"--figures": "nowhere"}, "--figures nowhere: no such folder"),
    ],
)
def test_mistakes_are_one_line(tmp_path, change, message):
    answer(tmp_path / "11.json")
    options = {"--responses": f"{tmp_path}", "--start": "2024-01-19T00", "--stop": "2024-01-20T23"} | change
    with pytest.raises(ConfigError) as error:
        main([text for option in options.items() for text in option])
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_mistake_ends_with_2_and_no_traceback(tmp_path):
    (tmp_path / "11.json").write_text('{"header": {}, "data": [{"timest')
    done = run("--responses", tmp_path, "--start", "2024-01-19T00", "--stop", "2024-01-20T23")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "11.json" in done.stderr
    assert "not JSON" in done.stderr


def test_no_answers(tmp_path):
    with pytest.raises(ConfigError, match=r"no <station>\.json in it"):
        read_responses(tmp_path)


def test_older_answers_come_before_the_newer_one(tmp_path):
    newer = answer(tmp_path / "11.json", first=50, hours=100)
    older = answer(tmp_path / "11.as-of-2024-01-04.json", first=0, hours=70, seed=5, co=-0.4)
    hourly = read_responses(tmp_path)
    assert list(hourly.observed_at) == list(pd.date_range(START, periods=150, freq="h"))
    assert list(hourly["pm2_5"]) == [r["PM2.5"] for r in older[:50]] + [r["PM2.5"] for r in newer]
    assert (hourly["co"][:50] == 0).all()  # as the source itself rewrote them
    assert set(hourly["co_flag"]) <= {"ok", "floor", "at_floor", "stuck"}
    assert len(read_responses(tmp_path, [])) == 100
    elsewhere = tmp_path / "old"
    elsewhere.mkdir()
    (tmp_path / "11.as-of-2024-01-04.json").rename(elsewhere / "11.as-of-2024-01-04.json")
    assert len(read_responses(tmp_path)) == 100
    assert len(read_responses(tmp_path, [elsewhere])) == 150


def test_the_running_hour_of_an_older_answer_is_left_out(tmp_path):
    answer(tmp_path / "11.json", first=50, hours=10)
    answer(tmp_path / "11.as-of-2024-01-02.json", first=0, hours=40, seed=5)
    assert len(read_responses(tmp_path)) == 39 + 10


@pytest.mark.drill
@pytest.mark.timeout(600)
@pytest.mark.skipif(not REAL.is_dir(), reason="the real answers are not there")
def test_acceptance_on_real_answers(tmp_path):
    """The two last months, trained once before them: the thresholds that the forecast must reach."""
    out = tmp_path / "scores.json"
    assert (
        main(["--responses", f"{REAL}", "--start", "2024-05-01T00", "--stop", "2024-06-30T23", "--json", f"{out}"]) == 0
    )
    rows = {(r["station"], r["pollutant"], r["horizon_h"]): r for r in json.loads(out.read_text())}
    least = {("pm2_5", 1): 0.115, ("pm2_5", 2): 0.185, ("co", 1): 0.15, ("co", 2): 0.22}
    assert {horizon for _, _, horizon in rows} == {*HORIZONS}
    for (station, pollutant, horizon), row in rows.items():
        if horizon > CORE_HOURS:
            assert row["skill_against_seasonal24"] >= 0.1, row
        dead = (station, pollutant) == ("283164601", "co")
        assert row["skill"] >= (-0.01 if dead else least.get((pollutant, horizon), 0.2)), row
        assert dead or 0.72 <= row["coverage80"] <= 0.88, row
    total = sum(r["n"] for r in rows.values())
    assert 0.77 <= sum(r["coverage80"] * r["n"] for r in rows.values()) / total <= 0.83
    assert len(read_responses(REAL)) > len(read_responses(REAL, [])) > 13_000
