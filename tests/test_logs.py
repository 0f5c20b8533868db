"""What a person sees of a log record, and what the log file keeps."""

import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import luigi
import pytest
from luigi.rpc import RPCError

from airqino.errors import AllStationsFailedError, ConfigError, MongoError, StagingError
from tasks.logs import Console, ConsoleFilter, ConsoleFormatter, ECSFormatter, LogFile, failure
from tasks.stage import TaskContext

ROOT = Path(__file__).resolve().parents[1]


def record(message, *args, level=logging.ERROR, name="luigi-interface", error=None):
    info = None
    if error is not None:
        try:
            raise error
        except Exception:
            info = sys.exc_info()
    return logging.LogRecord(name, level, __file__, 1, message, args, info)


def shown(*args, **options):
    return ConsoleFormatter().format(record(*args, **options))


def test_a_line_has_the_time_in_utc_the_level_and_the_message():
    of = record("station %s: %d rows", "283181971", 24, level=logging.INFO, name="airqino.fetch")
    of.created = 1725876305.5  # 2024-09-09T10:05:05.5Z
    assert ConsoleFormatter().format(of) == "10:05:05 INFO    station 283181971: 24 rows"


@pytest.mark.parametrize("error", [ConfigError, StagingError, AllStationsFailedError])
def test_an_error_of_the_pipeline_is_told_by_its_message_alone(error):
    line = shown(
        "[pid %s] Worker %s failed    %s", 7, "worker", "FetchHour(hour=2024-09-09T10)", error=error("no station")
    )
    assert line.split(" ", 2)[2] == "  FetchHour(hour=2024-09-09T10) failed: no station"
    assert error.__name__ not in line


def test_an_error_not_foreseen_is_told_by_its_kind_and_where_the_traceback_is():
    line = shown("[pid %s] Worker %s failed    %s", 7, "worker", "CleanDay(day=2024-09-09)", error=KeyError("co"))
    assert "CleanDay(day=2024-09-09) failed: KeyError: 'co' (the traceback is in " in line
    assert re.search(r"logs/pipeline-\d{4}-\d\d\.jsonl\)$", line)
    assert "File " not in line
    assert "\n" not in line


def test_unfulfilled_dependencies_are_told_without_their_ids():
    error = RuntimeError("Unfulfilled dependency at run time: FetchHour_2024_09_09T10_1a2b3c (more)")
    line = shown("%s", "CleanDay(day=2024-09-09)", error=error)
    assert line.endswith("failed: Unfulfilled dependency at run time: FetchHour_2024_09_09T10_1a2b3c")


def test_a_traceback_inside_a_message_is_cut_to_its_last_line():
    message = (
        "Luigi failed:\n  Error message:\nTraceback (most recent call last):\n"
        '  File "x.py", line 1, in <module>\n    run()\nairqino.errors.ConfigError: hour 2024-09-09T10 is not over\n'
    )
    line = shown(message)
    assert line.endswith("Luigi failed: Error message: ConfigError: hour 2024-09-09T10 is not over")
    assert "File" not in line


def test_formatting_leaves_the_record_whole_for_the_log_file():
    of = record("[pid %s] Worker %s failed    %s", 7, "worker", "T()", error=ValueError("why"))
    ConsoleFormatter().format(of)
    text = logging.Formatter("%(message)s").format(of)
    assert text.startswith("[pid 7] Worker worker failed    T()\nTraceback (most recent call last):")
    assert text.endswith("ValueError: why")


NOT_SCHEDULED = (
    "Will not run LoadDay(day=2024-09-09, through=2024-09-09T23) or any dependencies due to error in complete() "
    "method:\nTraceback (most recent call last):\n  File x\nairqino.errors.MongoError: MongoDB: gone; start it\n"
)


def test_what_luigi_says_of_a_failure_is_told_with_its_task_and_reason():
    of = failure(record(NOT_SCHEDULED, level=logging.WARNING))
    assert of == ("LoadDay(day=2024-09-09, through=2024-09-09T23)", "MongoDB: gone; start it", True)
    failed = ("[pid %s] Worker %s failed    %s", 7, "worker", "CleanDay(day=2024-09-09)")
    assert failure(record(*failed, error=StagingError("full"))) == ("CleanDay(day=2024-09-09)", "full", True)
    task, reason, is_ours = failure(record(*failed, error=KeyError("co")))
    assert (task, reason.startswith("KeyError: 'co' (the traceback is in "), is_ours) == (failed[-1], True, False)
    assert failure(record(*failed, error=RuntimeError("Unfulfilled dependency at run time: X"))) is None
    assert failure(record("Uncaught exception in luigi", error=MongoError("gone"))) == ("", "gone", True)
    gone = failure(record("Uncaught exception in luigi", error=RPCError("Errors (2 attempts) when connecting to 'x'")))
    assert gone == ("", "luigid went away: Errors (2 attempts) when connecting to 'x'", True)


def test_a_quiet_console_shows_warnings_and_what_the_run_itself_says(monkeypatch):
    monkeypatch.setattr(ConsoleFilter, "is_quiet", True)
    shown = {
        (name, level): ConsoleFilter().filter(record("text", level=level, name=name))
        for name in ("airqino.fetch", "airqino.run", "luigi-interface")
        for level in (logging.INFO, logging.WARNING)
    }
    assert [key for key, is_shown in shown.items() if is_shown] == [
        ("airqino.fetch", logging.WARNING),
        ("airqino.run", logging.INFO),
        ("airqino.run", logging.WARNING),
    ]
    assert not ConsoleFilter().filter(record("failed %s", "X()", error=StagingError("full")))


@pytest.mark.parametrize("terminal", [True, False])
def test_json_is_only_for_what_is_no_terminal(tmp_path, terminal):
    code = (
        "import logging, logging.config; logging.config.fileConfig('tasks/logging.cfg');"
        "logging.getLogger('airqino.fetch').warning('no row')"
    )
    main, terminal_end = os.openpty()
    reader, writer = os.pipe()
    out = terminal_end if terminal else writer
    env = {"STAGING_ROOT": str(tmp_path), "LOG_CONSOLE": "json"}
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=env, stdout=out, stderr=subprocess.PIPE, text=True, timeout=30
    )
    for end in (terminal_end, writer):
        os.close(end)
    assert run.returncode == 0
    if terminal:
        assert re.fullmatch(r"\d\d:\d\d:\d\d WARNING no row\n", run.stderr)
    else:
        assert run.stderr == ""
        assert json.loads(os.read(reader, 9999))["message"] == "no row"
    for end in (main, reader):
        os.close(end)


@pytest.mark.parametrize(
    ("name", "level", "message", "wanted"),
    [
        ("airqino.fetch", logging.INFO, "24 rows", True),
        ("luigi-interface", logging.INFO, "Informed scheduler", False),
        ("luigi-interface", logging.WARNING, "Data for X() does not exist (yet?)", False),
        ("luigi-interface", logging.INFO, "\n===== Luigi Execution Summary =====\n", False),
        ("luigi-interface", logging.WARNING, NOT_SCHEDULED, True),
        ("luigi-interface", logging.INFO, "Task X_1 died unexpectedly with exit code -9", True),
        ("luigi-interface", logging.ERROR, "Failed connecting to remote scheduler", False),
        ("luigi", logging.WARNING, "Failed pinging scheduler", False),
        ("luigi", logging.WARNING, "Retrying attempt 2 of 3", False),
        ("pymongo", logging.DEBUG, "heartbeat", False),
        ("pymongo", logging.WARNING, "no primary", True),
    ],
)
def test_of_luigi_only_what_went_wrong_is_shown(name, level, message, wanted):
    assert ConsoleFilter().filter(record(message, level=level, name=name)) is wanted


def test_the_console_writes_to_standard_error(capsys):
    Console().handle(record("no rows", level=logging.WARNING, name="airqino.fetch"))
    Console().handle(record("hello", level=logging.INFO))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.fullmatch(r"\d\d:\d\d:\d\d WARNING no rows\n", captured.err)


def test_the_log_file_is_made_with_the_first_record_and_keeps_tracebacks(tmp_path, monkeypatch):
    monkeypatch.setenv("STAGING_ROOT", str(tmp_path / "staging"))
    handler = LogFile()
    assert list(tmp_path.iterdir()) == []
    handler.emit(record("failed %s", "T()", error=ValueError("why")))
    handler.close()
    (file,) = (tmp_path / "staging" / "logs").iterdir()
    line = json.loads(file.read_text())
    assert re.fullmatch(r"pipeline-\d{4}-\d\d\.jsonl", file.name)
    assert line["message"] == "failed T()"
    assert (line["error"]["type"], line["error"]["message"]) == ("ValueError", "why")
    assert "raise error" in line["error"]["stack_trace"]


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path, monkeypatch, capsys):
    (tmp_path / "staging").write_text("no folder")
    monkeypatch.setenv("STAGING_ROOT", str(tmp_path / "staging"))
    monkeypatch.setattr(logging, "raiseExceptions", True)
    LogFile().emit(record("hello"))
    assert capsys.readouterr() == ("", "")
    assert (tmp_path / "staging").read_text() == "no folder"


def test_a_log_on_a_full_disk_stops_nothing_and_shows_no_traceback(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("STAGING_ROOT", str(tmp_path / "staging"))
    monkeypatch.setattr(logging, "raiseExceptions", True)
    handler = LogFile()
    path = Path(handler.baseFilename)
    path.parent.mkdir(parents=True)
    path.symlink_to("/dev/full")
    for _ in range(2):
        handler.handle(record("hello"))
    assert capsys.readouterr() == ("", "")


def test_the_logging_settings_send_a_record_to_people_and_to_the_file(tmp_path):
    code = (
        "import logging, logging.config; logging.config.fileConfig('tasks/logging.cfg');"
        "logging.getLogger('airqino.fetch').info('24 rows');"
        "logging.getLogger('luigi-interface').info('Informed scheduler')"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"STAGING_ROOT": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert run.returncode == 0, run.stderr
    assert re.fullmatch(r"\d\d:\d\d:\d\d INFO    24 rows\n", run.stderr)
    (file,) = (tmp_path / "logs").iterdir()
    first, second = map(json.loads, file.read_text().splitlines())
    assert [first["message"], second["message"]] == ["24 rows", "Informed scheduler"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["@timestamp"])
    assert first["log.level"] == "info"
    assert first["log"]["logger"] == "airqino.fetch"
    assert first["process"]["pid"] == second["process"]["pid"]
    assert first["trace"]["id"] == second["trace"]["id"]
    assert first["ecs.version"]


def test_a_machine_gets_on_standard_output_what_the_file_gets(tmp_path):
    code = (
        "import logging, logging.config; logging.config.fileConfig('tasks/logging.cfg');"
        "logging.getLogger('airqino.fetch').warning('station %s: no row', '77', extra={'station': '77'});"
        "logging.getLogger('luigi-interface').info('Informed scheduler')"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"STAGING_ROOT": str(tmp_path), "LOG_CONSOLE": "json"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    (file,) = (tmp_path / "logs").iterdir()
    assert run.stdout == file.read_text()
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    assert [line["message"] for line in lines] == ["station 77: no row", "Informed scheduler"]
    assert lines[0]["labels"] == {"station": "77"}
    assert "labels" not in lines[1]


def test_while_a_task_runs_its_name_and_hour_stand_in_each_line():
    class Day(luigi.Task):
        day = luigi.Parameter()

    of = record("24 rows", level=logging.INFO, name="airqino.clean")
    with TaskContext(SimpleNamespace(task=Day(day="2024-09-09"), status_reporter=SimpleNamespace(_scheduler=None))):
        assert json.loads(ECSFormatter().format(of))["labels"] == {"task": "Day", "day": "2024-09-09"}
    assert "labels" not in json.loads(ECSFormatter().format(of))
    assert "labels.task" not in of.__dict__
