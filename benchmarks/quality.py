"""What the quality tests say of answers of the API, as the tables of docs/data-quality.md.

Run: PYTHONPATH=. .venv/bin/python benchmarks/quality.py --responses DIR [--against v0.3.0]. DIR holds answers named
``<station>.json``. Compares each station-day's quality with that of another version, counts hours by test and code,
days with CO at the floor, and days over the WHO's guideline as reported and as if the particles were dry. Checks that
the plain means are those of pandas and of the other version. Prints Markdown.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from airqino.quality import flags, means
from airqino.readings import LABELS, NAMES, POLLUTANTS, READINGS
from airqino.source.response import parse

ROOT = Path(__file__).resolve().parents[1]

#: What any version since 0.2.0 can be asked: the quality of each station-day.
_BEFORE = """
import json, sys
import pandas as pd
from airqino.quality.flags import flag_history
from airqino.quality.means import daily_means
hourly = pd.read_parquet(sys.argv[1])
days = sorted(hourly["observed_at"].dt.date.unique())
table = daily_means(flag_history(hourly), days, {})
columns = [name for name in table if name.endswith(("_mean", "_quality"))]
print(json.dumps({f"{row.station}|{row.day}": {name: getattr(row, name) for name in columns}
                  for row in table.itertuples()}))
"""


def read(folder: Path, suffix: str) -> pd.DataFrame:
    """Read the answers: station, observed_at and `NAMES`, and what a staged hour has beside."""
    tables = []
    for path in sorted(folder.glob(f"*{suffix}.json")):
        if path.name.removesuffix(f"{suffix}.json").isdigit():
            rows = parse(path.read_bytes()).data
            table = pd.DataFrame({name: [getattr(row, name) for row in rows] for name in NAMES}, dtype=float)
            at = pd.to_datetime([row.hour for row in rows], utc=True).astype("datetime64[us, UTC]")
            table = table.assign(observed_at=at, station=path.name.split(".")[0], status="ok", final=True)
            tables.append(table.drop_duplicates("observed_at", keep="last").sort_values("observed_at").iloc[:-1])
    return pd.concat(tables, ignore_index=True)


def before(hourly: pd.DataFrame, version: str) -> pd.DataFrame:
    """Return each station-day's quality by another version."""
    with tempfile.TemporaryDirectory() as folder:
        other, rows = Path(folder) / "other", Path(folder) / "rows.parquet"
        hourly.to_parquet(rows)
        subprocess.run(["git", "worktree", "add", "--quiet", other, version], cwd=ROOT, check=True)
        try:
            told = subprocess.run(
                [sys.executable, "-c", _BEFORE, rows],
                cwd=other,
                env=os.environ | {"PYTHONPATH": f"{other}"},
                check=True,
                capture_output=True,
                text=True,
            )
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", other], cwd=ROOT, check=True)
    return pd.DataFrame.from_dict(json.loads(told.stdout), orient="index")


def now(hourly: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the flagged hours and the daily means of this version."""
    flagged = flags.flag_history(hourly)
    days = sorted(flagged["observed_at"].dt.date.unique())
    daily = means.daily_means(flagged, days, {})
    return flagged, daily.set_index(daily["station"] + "|" + daily["day"].astype(str))


def table(head: list[str], rows: list[list[object]]) -> Iterator[str]:
    """Return the lines of a Markdown table."""
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    yield from ("| " + " | ".join(map(str, row)) + " |" for row in rows)
    yield ""


def qualities(old: pd.DataFrame, new: pd.DataFrame) -> Iterator[str]:
    """Count the days of each quality."""
    names = ["ok", "checked", "suspect", "insufficient"]
    rows: list[list[object]] = []
    for station, days in new.groupby("station"):
        for pollutant in sorted(POLLUTANTS, key=list(LABELS).index):
            told = old.reindex(days.index).get(f"{pollutant}_quality")
            counts = [(told == name).sum() if told is not None else "–" for name in ("ok", "suspect", "insufficient")]
            rows.append(
                [station, LABELS[pollutant], *counts, *((days[f"{pollutant}_quality"] == n).sum() for n in names)]
            )
    yield from table(["station", "", *(f"before: {n}" for n in ("ok", "suspect", "insufficient")), *names], rows)


def outcomes(flagged: pd.DataFrame) -> Iterator[str]:
    """Count the hours of each test and code."""
    rows: list[list[object]] = []
    for station, hours in flagged.groupby("station"):
        for name in (r.name for r in READINGS if r.averaged):
            for place, test in enumerate(flags.TESTS):
                codes = hours[f"{name}_tests"].str[place].value_counts()
                if {*codes.index} - {"2", "9"}:
                    rows.append([station, LABELS[name], test, *(codes.get(code, 0) for code in "12349")])
    head = ["station", "", "test", "1 pass", "2 not evaluated", "3 suspect", "4 fail", "9 missing"]
    yield from table(head, rows)


def headlines(old: pd.DataFrame, new: pd.DataFrame) -> Iterator[str]:
    """Count days at the floor and days over the guideline, and look for what must not be."""
    rows: list[list[object]] = []
    for station, days in new.groupby("station"):
        whole = days[days["co_hours"] >= 18]
        half = (2 * whole["co_floor_hours"] >= whole["co_hours"]).sum()
        zeros = whole[(whole["co_floor_hours"] == whole["co_hours"])]
        said_ok = (old.reindex(zeros.index)["co_quality"] == "ok").sum()
        vouched = days[days["pm2_5_quality"].isin(["ok", "checked"])]
        over = vouched["pm2_5_above_who"].sum(), vouched["pm2_5_dry_above_who"].sum()
        still_ok = (zeros["co_quality"] == "ok").sum()
        rows.append([station, len(whole), half, len(zeros), said_ok, still_ok, len(vouched), over[0], over[1]])
    head = [
        "station",
        "days with 18 h of CO",
        "half or more at the floor",
        "all at the floor",
        "of these ok before",
        "ok now",
        "days with PM2.5 ok or checked",
        "over 15 µg/m³ as reported",
        "over it dry (κ = 0.4)",
    ]
    yield from table(head, rows)


def main() -> None:
    """Read, compute, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--responses", type=Path, required=True, help="folder of <station>.json")
    parser.add_argument("--against", default="v0.3.0", help="a tag, branch or commit (default: v0.3.0)")
    parser.add_argument("--suffix", default="", help="of the files' names before .json, such as .as-of-2023-12-06")
    arguments = parser.parse_args()
    hourly = read(arguments.responses, arguments.suffix)
    old, (flagged, new) = before(hourly, arguments.against), now(hourly)
    for pollutant in ("co", "pm2_5"):  # the plain mean is what it was, and what pandas says
        plain = hourly.groupby([hourly["station"], hourly["observed_at"].dt.date])[pollutant].mean()
        plain.index = [f"{station}|{day}" for station, day in plain.index]
        for means_of in (old[f"{pollutant}_mean"], new[f"{pollutant}_mean"]):
            pd.testing.assert_series_equal(
                means_of.sort_index(), plain.sort_index(), check_names=False, check_index_type=False, atol=1e-9, rtol=0
            )
    print(f"{hourly['observed_at'].min():%Y-%m-%d} to {hourly['observed_at'].max():%Y-%m-%d}\n")
    for part in (qualities(old, new), headlines(old, new), outcomes(flagged)):
        print("\n".join(part))


if __name__ == "__main__":
    main()
