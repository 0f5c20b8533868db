"""airqino run: which tasks there are, and one of them run."""

from support.deployment import Pipeline


def test_without_a_task_it_lists_them(pipeline: Pipeline) -> None:
    for arguments, code in ((("--help",), 0), ((), 2)):
        done = pipeline.script("run", *arguments)
        assert done.returncode == code
        assert "LoadDay" in done.stdout
        assert "2024-03-01..2024-03-31" in done.stdout


def test_a_task_that_there_is_not_is_one_line(pipeline: Pipeline) -> None:
    done = pipeline.script("run", "LoadDays", "--day", "2026-03-02")
    assert done.returncode == 2
    assert done.stderr.startswith("error: there is no task LoadDays; there are Backfill, CleanDay,")
    assert done.stderr.count("\n") == 1


def test_it_goes_on_without_luigid(pipeline: Pipeline) -> None:
    done = pipeline.script("run", "DailyMeans", "--day", "2026-03-01..2026-03-02", AIRQINO_NOW="2026-03-10T00:05")
    assert done.returncode == 0, done.stderr
    assert {path.parent.name for path in pipeline.root.glob("*/daily.parquet")} == {"2026-03-01", "2026-03-02"}
