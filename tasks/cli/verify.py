"""airqino verify: whether MongoDB holds what is staged; what it does not is written again."""

from collections.abc import Iterator, Sequence
from datetime import date
from itertools import groupby

from rich.console import Console

from airqino.errors import ConfigError
from airqino.times import FORMS, Span, parse_span
from tasks import targets
from tasks.cli.main import Parser
from tasks.cli.running import between_runs, preflight
from tasks.instruments.runs import recorded
from tasks.restored import restore_staging
from tasks.settings.reading import settings
from tasks.stored import counted
from tasks.verify import Verified, verify

#: Exit code where something is left that differs.
_LEFT = 1


def main(argv: Sequence[str]) -> int:
    """Compare the documents of some days with the staged files, and mend them."""
    parser = Parser(
        "airqino verify",
        description="Compare the documents of some days with what their staged files make: hours, daily means, "
        "coverage, revisions, forecasts and scores. What is missing or was changed is written again; tables of an "
        "older version are built anew. Nothing is asked of the API, and documents that are not ours are left alone. "
        "Hourly runs do the same: for today and yesterday each time, for the days of the late-data window once a day.",
        epilog=f"SPAN is {FORMS}; of an hour its day is taken, and A.. goes to the end. exit codes: 0 all is as it "
        "was meant, or is now; 1 something differs: with --check anything, else documents that are not ours; 2 a "
        "setting or an argument is wrong, or MongoDB or the staging root cannot be used; 143 stopped by SIGTERM",
    )
    parser.add_argument(
        "span", nargs="?", metavar="SPAN", help="such as 2024-03-02 or 2024-03 (UTC); default: all staged days"
    )
    parser.add_argument("--check", action="store_true", help="only say what differs")
    arguments = parser.parse_args(argv)
    until = settings().last_hour
    wanted = parse_span(arguments.span, until) if arguments.span else None
    if arguments.check:
        preflight(adopt=False)
        return _verify(wanted, arguments.span, check=True)
    with recorded("verify", argv) as record:
        preflight()
        restore_staging()
        record.code = _verify(wanted, arguments.span, check=False)
        record.reason = "documents that are not ours are there" if record.code else ""
    return record.code


def _verify(wanted: Span | None, named: str | None, check: bool) -> int:
    days = [d for d in targets.paths().days() if wanted is None or wanted.first.date() <= d <= wanted.last.date()]
    if not days:
        raise ConfigError(f"of {named or 'any day'} nothing is staged, so there is nothing to compare with")
    console, found = Console(soft_wrap=True, highlight=False), []
    for verified in _by_months(days, mend=not check):
        found.append(verified)
        for line in _lines(verified):
            console.print(f"{verified.day}  {line}", markup=False)
    console.print(_summary(found, check), markup=False)
    left = [of for of in found if (not of.as_meant if check else of.foreign)]
    return _LEFT if left else 0


def _by_months(days: Sequence[date], mend: bool) -> Iterator[Verified]:
    """Let an hourly run in between two months."""
    for _, of_month in groupby(days, key=lambda day: (day.year, day.month)):
        with between_runs(minutes=15):
            yield from verify(list(of_month), mend)


def _lines(verified: Verified) -> Iterator[str]:
    if verified.outdated:
        yield verified.outdated
    if own := [difference for difference in verified.differences if difference.kind != "foreign"]:
        yield counted(own)
    for difference in verified.foreign:
        yield f"not ours, left alone: {difference.collection} {difference.key!r:.120}"


def _summary(found: Sequence[Verified], check: bool) -> str:
    differing = [of for of in found if of.outdated or len(of.foreign) < len(of.differences)]
    foreign = sum(len(of.foreign) for of in found)
    said = f"{len(found)} days, {found[0].day} … {found[-1].day}: " if found else "no day: "
    if not differing:
        said += "all documents are as they were meant"
    elif check:
        said += f"{len(differing)} differ from what is staged; scripts/verify mends them"
    else:
        said += f"{len(differing)} differed from what is staged, and were mended"
    return said + (f"; {foreign} documents are not ours: docs/on-call.md says what to do" if foreign else "")
