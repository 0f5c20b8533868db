"""airqino run: which tasks there are, what is said of a mistake, one of them run, and run again by force."""

import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from support.deployment import Pipeline

from airqino.sandbox.server import Sandbox
from airqino.stores import models, parquet

NOW = {"AIRQINO_NOW": "2026-03-10T00:05"}
DAY = "2026-03-02"
NO_MONGO = {"MONGODB_URI": "mongodb://127.0.0.1:9"}


def test_without_a_task_it_lists_them(pipeline: Pipeline) -> None:
    for arguments, code in ((("--help",), 0), ((), 2)):
        done = pipeline.script("run", *arguments)
        assert done.returncode == code
        assert "LoadDay" in done.stdout
        assert "--day 2024-03 " in done.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("LoadDays", "--day", DAY), "there is no task LoadDays; there are Backfill, CleanDay,"),
        (("LoadDay", "--dayx", DAY), "unrecognized arguments: --dayx 2026-03-02: `scripts/rerun LoadDay --help` says"),
        (("LoadDay", DAY), "unrecognized arguments: 2026-03-02"),
        (("LoadDay",), "LoadDay needs --day: day or days to work on"),
        (("LoadDay", "--day"), "argument --day: expected one argument"),
        (("LoadDay", "--day", "2026-13-02"), "'2026-13-02' is no time: write an hour"),
        (("LoadDay", "--day", "2026-03-05..2026-03-02"), "the first lies after the last, swap them"),
        (("LoadDay", "--day", "2026-04-02"), "is not over and published yet"),
        (("LoadDay", "--day", "2016-03-02"), "if that is meant, give --yes"),
        (("LoadDay", "--day", DAY, "--workers", "x"), "argument --workers: 'x' is not a whole number above 0"),
        (("LoadDay", "--day", DAY, "--workers", "0"), "argument --workers: '0' is not a whole number above 0"),
        (("LoadDay", "--day", DAY, "--through", "2026-03-05T10"), "through 2026-03-05T10 does not lie in day"),
        (("FetchHour", "--hour", "2026-03-02T10:30"), "'2026-03-02T10:30' is no time"),
        (("Hourly", "--hour", DAY), "'2026-03-02' is not an hour: write it as 2024-09-09T10"),
        (("TrainModel", "--day", "2026-03"), "'2026-03' is not a day: write it as 2024-09-09"),
        (("Backfill", "--start", "2026-03-02T10"), "Backfill needs --stop: last hour"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_mistake_is_one_line_and_writes_nothing(
    pipeline: Pipeline, sandbox: Sandbox, arguments: tuple[str, ...], told: str
) -> None:
    done = pipeline.script("run", *arguments, **NOW)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert told in done.stderr
    assert not pipeline.root.exists()
    assert sandbox.stats()["data_requests"] == 0


def test_it_goes_on_without_luigid_and_without_the_mongodb_that_a_task_does_not_need(pipeline: Pipeline) -> None:
    done = pipeline.script("run", "DailyMeans", "--day", "2026-03-01..2026-03-02", **NOW, **NO_MONGO)
    assert (done.returncode, done.stderr) == (0, "")
    assert {path.parent.name for path in pipeline.root.glob("*/daily.parquet")} == {"2026-03-01", "2026-03-02"}
    fetched = pipeline.script("run", "FetchHour", "--hour", "2026-03-03T10", **NOW, **NO_MONGO)
    assert (fetched.returncode, fetched.stdout.splitlines()[0]) == (0, "FetchHour: done")
    needs = pipeline.script("run", "LoadDay", "--day", DAY, **NOW, **NO_MONGO)
    assert (needs.returncode, needs.stdout, needs.stderr.count("\n")) == (2, "", 1)
    assert "MongoDB at mongodb://127.0.0.1:9" in needs.stderr


def test_a_success_says_what_came_and_the_means(pipeline: Pipeline, sandbox: Sandbox) -> None:
    done = pipeline.script("run", "LoadDay", "--day", "2026-03-01..2026-03-02", **NOW)
    first, counted, *means = done.stdout.splitlines()
    assert first == "LoadDay: done"
    raw = [row for path in pipeline.root.glob("2026-03-0[12]/raw/*.parquet") for row in pq.read_table(path).to_pylist()]
    number = {status: sum(row["status"] == status for row in raw) for status in ("ok", "absent", "failed")}
    assert counted == (
        f"2 days, 2026-03-01 … 2026-03-02: of {len(raw)} station-hours {number['ok']} came, "
        f"{number['absent']} had no row, {number['failed']} failed"
    )
    assert means
    for line in means:
        day, name = line.split()[:2]
        of_station = {"SMART189": "283181971", "SMART188": "283164601"}[name]
        values = [row for row in raw if f"{row['observed_at']:%Y-%m-%d}" == day and row["station"] == of_station]
        pm2_5 = [row["pm2_5"] for row in values if row["pm2_5"] is not None]
        assert f"plain {sum(pm2_5) / len(pm2_5):.1f}" in line
        carbon = [row["co"] for row in values if row["co"] is not None]
        assert ("CO at the floor" in line) == (2 * sum(value == 0 for value in carbon) >= len(carbon))
        assert not re.search(r"CO -?0\.0*\b(?!\d)", line)
    again = pipeline.script("run", "LoadDay", "--day", "2026-03-01..2026-03-02", **NOW)
    assert again.stdout.splitlines() == [
        "LoadDay: was complete, so nothing was done; --force builds it again",
        counted,
        *means,
    ]


def spoil(path: Path) -> None:
    """Change a value of a table without a trace, as a mistake in the code would have written it."""
    table = pq.ParquetFile(path).read()
    rows = [row | {"pm2_5_mean": 999.0} for row in table.to_pylist()]
    texts = {k: v for k, v in parquet.texts_in(table).items() if k not in ("fingerprint", "checksum")}
    parquet.write(path, table.from_pylist(rows, table.schema), extra=texts)


def test_force_builds_a_day_again_from_its_inputs(pipeline: Pipeline, sandbox: Sandbox) -> None:
    def run(*arguments: str) -> str:
        done = pipeline.script("run", *arguments, **NOW)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()[0]

    run("LoadDay", "--day", DAY)
    good, path = pipeline.state(), pipeline.root / DAY / "daily.parquet"
    spoil(path)
    assert run("DailyMeans", "--day", DAY).startswith("DailyMeans: was complete")
    assert pipeline.state() != good
    sandbox.reset()
    assert run("DailyMeans", "--day", DAY, "--force") == "DailyMeans: done"
    assert pipeline.state() == good

    where, spoilt = {"_id": f"283164601|{DAY}"}, {"$set": {"pm2_5_mean": 999.0}}
    pipeline.database["daily_averages"].update_one(where, spoilt)
    assert run("LoadDay", "--day", DAY).startswith("LoadDay: was complete")  # of an old day documents are counted
    assert run("LoadDay", "--day", DAY, "--force", "--workers", "2") == "LoadDay: done"
    assert pipeline.state() == good

    pipeline.database["stations"].update_many({}, {"$set": {"place": "elsewhere"}})
    assert run("LoadStations", "--force") == "LoadStations: done"
    assert not pipeline.database["stations"].count_documents({"place": "elsewhere"})

    assert sandbox.stats()["data_requests"] == 0
    inodes = {of: of.stat().st_ino for of in pipeline.root.glob("*/*.parquet")}
    assert run("CleanDay", "--day", DAY, "--force") == "CleanDay: done"
    assert {of: of.stat().st_ino for of in pipeline.root.glob("*/*.parquet")} == inodes  # what is right is left alone
    asked = pipeline.script("run", "FetchHour", "--hour", f"{DAY}T10", "--force", AIRQINO_NOW="2026-03-10T00:06")
    assert (asked.returncode, asked.stdout.splitlines()[0]) == (0, "FetchHour: done")
    assert sandbox.stats()["data_requests"] == 2
    for name, options in (("LoadNotes", ()), ("VerifyDocuments", ("--day", DAY)), ("ScoreForecasts", ("--day", DAY))):
        run(name, *options)
        assert run(name, *options, "--force") == f"{name}: done"
    now = pipeline.state()
    assert now | {"staged": {path: now["staged"].get(path) for path in good["staged"]}} == good  # scores are new


def test_force_reads_old_months_again_though_the_week_had_its_turn(pipeline: Pipeline, sandbox: Sandbox) -> None:
    assert pipeline.backfill("2026-01-28..2026-02-02", **NOW).returncode == 0
    for options, code_line, asked in (
        ((), "RereadMonth: done", 0),  # a station's first turn is the week after
        ((), "RereadMonth: was complete", 0),
        (("--force",), "RereadMonth: done", 2),
    ):
        sandbox.reset()
        done = pipeline.script("run", "RereadMonth", "--day", "2026-03-09", *options, **NOW)
        assert (done.returncode, sandbox.stats()["data_requests"]) == (0, asked), done.stderr
        assert done.stdout.startswith(code_line)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("Forecast", "--hour", "2026-03-09T10"), "what was published stays published"),
        (("Hourly",), "Hourly only starts other tasks: force the one that is meant"),
        (("Backfill", "--start", "2026-03-01T00", "--stop", "2026-03-01T23"), "asks for every hour again with --again"),
        (("TrainModel", "--day", "2026-03-02"), "model 2026-03-02 was published and stays as it is"),
    ],
)
def test_what_may_not_be_built_again_is_refused(pipeline: Pipeline, arguments: tuple[str, ...], told: str) -> None:
    card = models.ModelCard(trained=True, trained_for="2026-03-02", promoted_at="2026-03-02T00:00:00+00:00")
    models.save(pipeline.root / "models" / "2026-03-02", {}, card)
    done = pipeline.script("run", *arguments, "--force", **NOW)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert told in done.stderr
    assert not list(pipeline.root.glob("*-*-*"))
