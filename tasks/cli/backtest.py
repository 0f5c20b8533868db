"""airqino backtest: forecast a past time as it would have been forecast then, and score it."""

import argparse
import json
from collections.abc import Sequence
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from airqino.compute import Pool
from airqino.errors import ConfigError, SourceError
from airqino.forecasting import plots
from airqino.forecasting.backtest import backtest, score_backtest
from airqino.forecasting.day_scores import judge_days, reliability, score_days
from airqino.forecasting.scoring import null_if_undefined
from airqino.quality.flags import flag_history
from airqino.readings import CORE_HOURS, FORECAST, reading
from airqino.source.response import VALUES, parse
from airqino.times import FORMS, Span, format_hour, parse_span
from tasks.cli.arguments import caller_path
from tasks.cli.main import Parser
from tasks.settings.reading import section
from tasks.settings.sections import Compute


def main(argv: Sequence[str]) -> int:
    """Run a backtest and print its scores."""
    parser = Parser(
        "airqino backtest",
        description="Train on what lay before START, forecast every hour from START to STOP, and compare with what "
        "came and with 'no change'.",
        epilog=f"A window is {FORMS}.",
    )
    responses = "folder with <station>.json as the API answered"
    parser.add_argument("--responses", type=caller_path, required=True, metavar="DIR", help=responses)
    first = "where the hours of issue begin, such as 2024-05 or 2024-05-01T06 (UTC)"
    parser.add_argument("--start", metavar="START", help=first)
    parser.add_argument("--stop", metavar="STOP", help="where they end, such as 2024-06, which is included")
    more = "both in one, such as 2024-05..2024-06; may be given several times, for a table of each and their means"
    parser.add_argument("--window", action="append", default=[], metavar="SPAN", help=more)
    retrain = "train once before START (default), or before each week"
    parser.add_argument("--retrain", choices=("once", "weekly"), default="once", help=retrain)
    parser.add_argument("--json", type=caller_path, metavar="FILE", help="also write the scores as a list of records")
    days = "also write the scores of the chance of a bad day, and their reliability"
    parser.add_argument("--days", type=caller_path, metavar="FILE", help=days)
    figures = "also draw the skill over the horizon and the reliability of those chances (needs matplotlib)"
    parser.add_argument("--figures", type=caller_path, metavar="DIR", help=figures)
    parser.add_argument(
        "--history",
        type=caller_path,
        nargs="*",
        metavar="PATH",
        help="older answers (<station>.as-of-<day>.json, or folders of them) for hours before those of <station>.json; "
        "default: those in DIR; without PATH: none",
    )
    parser.add_argument("--threads", type=int, default=2, help="fits at a time (default 2)")
    parser.add_argument("--seed", type=int, default=1, help="random seed of the training (default 1)")
    arguments = parser.parse_args(argv)
    windows = _windows(arguments)
    if arguments.threads < 1:
        raise ConfigError(f"--threads {arguments.threads}: at least 1 is needed")
    for option, path in (("--json", arguments.json), ("--days", arguments.days)):
        if path is not None and not path.parent.is_dir():
            raise ConfigError(f"{option} {path}: the folder {path.parent} does not exist")
    if arguments.figures is not None and not arguments.figures.is_dir():
        raise ConfigError(f"--figures {arguments.figures}: no such folder")
    if arguments.figures is not None and find_spec("matplotlib") is None:
        raise ConfigError("--figures needs matplotlib, which comes with the extra registry")
    hourly = read_responses(arguments.responses, arguments.history)
    for start, stop in windows:
        _check_range(hourly, start, stop)
    tables, judged = [], []
    for start, stop in windows:
        forecasts = _run(hourly, start, stop, arguments)
        table = score_backtest(forecasts, hourly)
        judged.append(judge_days(forecasts, hourly))
        _show(table, hourly, start, stop, arguments.retrain)
        tables.append(table if len(windows) == 1 else table.assign(window=f"{format_hour(start)}..{format_hour(stop)}"))
    together = pd.concat(tables, ignore_index=True)
    _show_means(together)
    told = pd.concat(judged, ignore_index=True)
    of_days, reliable = score_days(told), reliability(told)
    _show_days(of_days, reliable)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(_records(together), indent=1) + "\n")
    if arguments.days is not None:
        both = {"scores": _records(of_days), "reliability": _records(reliable)}
        arguments.days.write_text(json.dumps(both, indent=1) + "\n")
    if arguments.figures is not None:
        _draw(together, reliable, arguments.figures)
    return 0


def _draw(scores: pd.DataFrame, reliable: pd.DataFrame, folder: Path) -> None:
    """Draw the mean skill over the windows, and how often what was told came."""
    series: dict[str, list[tuple[int, float]]] = {}
    means = scores.groupby(["station", "pollutant", "horizon_h"])["skill"].mean().reset_index()
    for record in means.to_dict("records"):
        name = f"{reading(record['pollutant']).label} {record['station']}"
        series.setdefault(name, []).append((record["horizon_h"], record["skill"]))
    plots.skill_by_horizon("Skill over the horizon", series).savefig(folder / "skill_by_horizon.png")
    if len(reliable):
        bins = list(reliable[["forecast", "observed", "n"]].itertuples(index=False, name=None))
        drawn = plots.reliability("Chance that the day's mean PM2.5 exceeds the guideline", {"all stations": bins})
        drawn.savefig(folder / "reliability.png")


def _windows(arguments: argparse.Namespace) -> list[Span]:
    """Return first and last hour of each window that is asked for."""
    spans = list(arguments.window)
    if arguments.start or arguments.stop or not spans:
        if not (arguments.start and arguments.stop):
            raise ConfigError("give --start START and --stop STOP, or --window SPAN")
        spans.insert(0, f"{arguments.start}..{arguments.stop}")
    return [parse_span(span) for span in spans]


def read_responses(folder: Path, history: Sequence[Path] | None = None) -> pd.DataFrame:
    """Read answers of the API, and flag them as they would have been flagged when each hour ended.

    Args:
        folder: Holds ``<station>.json``, the station's id being digits only.
        history: Older answers, or folders of them, used only for hours before the first one in ``<station>.json``.
            Between 2023-12 and 2024-09 the source itself replaced every negative CO by 0.0; so it is done here, or the
            same sensor would be read on two scales. Default: ``<station>.as-of-*.json`` in the folder.

    Returns:
        Readings with flags: station, observed_at (UTC), the readings and ``<reading>_flag``.

    Raises:
        ConfigError: There is no such folder, no answer in it, or a file is not one.
    """
    if not folder.is_dir():
        raise ConfigError(f"--responses {folder}: no such folder")
    mains = {path.stem: path for path in sorted(folder.glob("*.json")) if path.stem.isdigit()}
    if not mains:
        raise ConfigError(f"--responses {folder}: no <station>.json in it (a station's id is digits only)")
    older: dict[str, list[Path]] = {}
    for place in [folder] if history is None else history:
        if not place.exists():
            raise ConfigError(f"--history {place}: no such file or folder")
        paths = sorted(place.glob("*.json")) if place.is_dir() else [place]
        for path in paths:
            if ".as-of-" in path.name or (history is not None and path not in mains.values()):
                older.setdefault(path.name.split(".")[0], []).append(path)
    tables = []
    for station, path in mains.items():
        table = _read(path, station)
        for past_path in sorted(older.get(station, []), reverse=True):
            past = _read(past_path, station)
            past["co"] = past["co"].clip(lower=0.0)
            # without the last row: the hour then running, of which only a part was averaged
            past = past.sort_values("observed_at").iloc[:-1]
            table = pd.concat([past[past["observed_at"] < table["observed_at"].min()], table], ignore_index=True)
        tables.append(table)
    return flag_history(pd.concat(tables, ignore_index=True), causal=True)


def _read(path: Path, station: str) -> pd.DataFrame:
    try:
        rows = parse(path.read_bytes()).data
    except SourceError as error:
        raise ConfigError(f"{path}: {error}") from None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    if not rows:
        raise ConfigError(f"{path}: the answer has no rows")
    table = pd.DataFrame({name: [getattr(row, name) for row in rows] for name in VALUES}, dtype=float)
    table.insert(0, "observed_at", pd.to_datetime([row.hour for row in rows], utc=True).astype("datetime64[us, UTC]"))
    table.insert(0, "station", station)
    return table.drop_duplicates("observed_at", keep="last")


def _check_range(hourly: pd.DataFrame, start: datetime, stop: datetime) -> None:
    first, last = hourly["observed_at"].min(), hourly["observed_at"].max()
    if start > last or stop < first:
        raise ConfigError(
            f"nothing was measured from {format_hour(start)} to {format_hour(stop)}: "
            f"the answers go from {first:%Y-%m-%dT%H} to {last:%Y-%m-%dT%H}"
        )


def _run(hourly: pd.DataFrame, start: datetime, stop: datetime, arguments: argparse.Namespace) -> pd.DataFrame:
    columns = (TextColumn("{task.description:<24}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("backtest")

        def progress(done: int, total: int, text: str) -> None:
            bar.update(task, completed=done, total=total, description=text)

        first, last = pd.Timestamp(start), pd.Timestamp(stop)
        with Pool(section(Compute, "compute").scheduler, arguments.threads) as pool:
            return backtest(hourly, first, last, arguments.retrain, progress, arguments.seed, pool)


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the scores as JSON knows them: a number that is not defined becomes null."""
    return [
        {str(k): null_if_undefined(v) if isinstance(v, float) else v for k, v in record.items()}
        for record in table.to_dict("records")
    ]


def _show_means(table: pd.DataFrame) -> None:
    """Print for each pollutant and horizon what its series and windows have on average."""
    names = ["skill", "skill_against_seasonal24", "coverage80", "winkler", "pinball"]
    means = table.groupby(["pollutant", "horizon_h"])[names].mean().reset_index()
    view = Table(title="Means over stations" + (" and windows" if "window" in table else ""))
    for name in means.columns:
        view.add_column(str(name), justify="left" if name == "pollutant" else "right", no_wrap=True)
    for record in means.to_dict("records"):
        view.add_row(*(f"{value:.3f}" if isinstance(value, float) else str(value) for value in record.values()))
    console = Console(width=None if Console().is_terminal else 160)
    console.print(view)
    core = table[table["horizon_h"] <= CORE_HOURS]
    console.print(f"mean skill of the {len(core)} series up to {CORE_HOURS} h: {core['skill'].mean():.4f}")


def _show_days(scores: pd.DataFrame, reliable: pd.DataFrame) -> None:
    """Print how good the chances of a bad day were."""
    console = Console(width=None if Console().is_terminal else 160)
    if not len(scores):
        console.print("chance of a bad day: nothing to score")
        return
    every = scores["hour"].isin((-1, 0, 6, 9, 12, 15, 18, 21))
    for title, table in (
        ("Today's mean PM2.5 above the guideline: Brier scores by hour of the day (-1: all)", scores[every]),
        ("How often it came, by the chance that was told, with the bootstrap's 90 % band", reliable),
    ):
        view = Table(title=title)
        for name in table.columns:
            view.add_column(str(name), justify="left" if name == "station" else "right", no_wrap=True)
        for record in table.to_dict("records"):
            view.add_row(*(f"{value:.3f}" if isinstance(value, float) else str(value) for value in record.values()))
        console.print(view)


def _show(table: pd.DataFrame, hourly: pd.DataFrame, start: datetime, stop: datetime, retrain: str) -> None:
    console = Console(width=None if Console().is_terminal else 180)
    view = Table(title=f"Forecasts issued {format_hour(start)} … {format_hour(stop)}, trained {retrain}")
    for name in table.columns:
        view.add_column(str(name), justify="left" if name in ("station", "pollutant") else "right", no_wrap=True)
    for record in table.to_dict("records"):
        view.add_row(*(f"{value:.3f}" if isinstance(value, float) else str(value) for value in record.values()))
    console.print(view)
    console.print("MAE and RMSE: " + ", ".join(f"{name} in {reading(name).unit}" for name in FORECAST))
    scored = set(zip(table["station"], table["pollutant"], strict=True))
    for station in hourly["station"].unique():
        for pollutant in FORECAST:
            if (station, pollutant) not in scored:
                console.print(f"{station} {pollutant}: nothing to score (no usable sensor, or nothing measured)")
