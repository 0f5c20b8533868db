"""The report of a month: one page of HTML that prints to two sheets of A4, in French or English.

Facts are those of `airqino.publishing.month`, words those of ``words/``; here are the sentences that need a choice. The
figures as numbers are in `airqino.publishing.month_figures`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from airqino.publishing import parts, phrases
from airqino.publishing.days import SHOWN
from airqino.publishing.month_facts import COUNTS, FLOOR, MISSING, Fault, Month, Pollution, StationMonth
from airqino.publishing.month_figures import PARTS, amount, charts, hours_of, segments, short
from airqino.publishing.page import render, style
from airqino.publishing.words import Words, capital
from airqino.quality.means import WHOLE_SHARE
from airqino.readings import reading

__all__ = ["html"]

#: Up to so many stations are named in the first lines.
_NAMED = 4
#: Notes that are told in full, the newest ones.
_MOST_NOTES = 6


@dataclass(frozen=True)
class _Row:
    """A row of the table of numbers, in words.

    `why` says why there is no mean, `low` how many of the hours are no more than a bound.
    """

    pollutant: str
    mean: str
    why: str
    valid: str
    over: str
    dry: str
    completeness: str
    low: str


def html(month: Month, language: str, city: str = "Abidjan", time_zone: str = "Africa/Abidjan") -> str:
    """Return the report of a month.

    Args:
        month: What is to be said.
        language: ``fr`` or ``en``.
        city: The city or region, as in "the air in Abidjan".
        time_zone: In which moments are told.

    Returns:
        A whole page: style and figures are in it, it asks for nothing else. The same facts give the same text.
    """
    words = Words(language, time_zone)
    name = f"{words.months[month.first.month - 1]} {month.first.year}"
    return render(
        "report.html.j2",
        w=words,
        month=month,
        style=style("report.css"),
        title=words.say("report_title", city=city, month=name) if city else words.say("report_title_any", month=name),
        heads=_heads(month, words),
        stations=[(of.label, [_row(of, told, words) for told in of.pollutants.values()]) for of in month.stations],
        rules=_rules(month, words),
        charts=[(name, charts(month, name, words)) for name in (SHOWN.name, "co")],
        hours=[
            (of, hours, segments(hours), _why_missing(hours, words))
            for of in month.stations
            for hours in of.pollutants.values()
        ],
        kinds=[
            kind for kind in PARTS if any(hours_of(p, kind) for of in month.stations for p in of.pollutants.values())
        ],
        service=list(_service(month, words, lasts=True)),
        earlier=list(_service(month, words, lasts=False)),
        revisions=list(_revisions(month, words)),
        notes=_notes(month, words),
        scores=list(_scores(month, words)),
        lead=words.report_scores_lead
        + (f" {words.report_same}" if any(not s.modelled for of in month.stations for s in of.scores) else ""),
        unjudged=words.listed(
            [
                f"{of.label}, {words.readings[told.name]}"
                for of in month.stations
                for told in of.pollutants.values()
                if told.counting and not _tells(told)
            ]
        ),
        horizons=sorted({score.horizon for of in month.stations for score in of.scores}),
        levels=[(n, parts.band_edges(n)) for n in _levels(month)],
        limit=parts.LIMIT,
        label=lambda name: words.readings[name],
    )


def _levels(month: Month) -> list[int]:
    return sorted({day.level for of in month.stations for day in of.pollutants[SHOWN.name].days if day.level})


def _heads(month: Month, words: Words) -> list[str]:
    """Say on how many days the guideline of PM2.5 was exceeded: of each station, or of many how many did."""
    told = [(of.label, of.pollutants[SHOWN.name]) for of in month.stations]
    if len(told) > _NAMED:
        worst_label, worst = max(told, key=lambda of: of[1].over)
        heads = [words.say("report_some", n=sum(of.over > 0 for _, of in told), total=len(told), limit=parts.LIMIT)]
        if worst.over:
            heads.append(
                words.say("report_over", station=worst_label, n=worst.over, total=worst.valid, limit=parts.LIMIT)
            )
        return heads
    return [
        words.say("report_over", station=label, n=of.over, total=of.valid, limit=parts.LIMIT)
        if of.valid
        else words.say("report_none", station=label)
        for label, of in told
    ]


def _row(of: StationMonth, pollution: Pollution, words: Words) -> _Row:
    name, mean = pollution.name, pollution.mean
    known, floor, dry = pollution.valid > 0, pollution.hours.get(FLOOR, 0), pollution.over_dry
    return _Row(
        pollutant=words.readings[name],
        mean="–" if mean is None else amount(mean, name, words),
        why=_of_the_mean(of, pollution, words),
        valid=words.say("report_of", n=pollution.valid, total=len(pollution.days)),
        over=f"{pollution.over}" if known else "–",
        dry=words.say("report_dry", n=dry) if known and dry is not None else "",
        completeness=_percent(pollution.completeness, words),
        low=words.say("report_low", n=floor) if floor else "",
    )


def _percent(share: float, words: Words) -> str:
    """Write a share in whole percent that is 0 or 100 only where it is exactly that."""
    whole = round(share * 100)
    return words.percent(min(max(whole, 1), 99) if 0 < share < 1 else whole)


def _of_the_mean(of: StationMonth, pollution: Pollution, words: Words) -> str:
    """Say why there is no mean, or that it is one of few days: those left out may be unlike the others."""
    if pollution.valid >= WHOLE_SHARE * len(pollution.days):
        return ""
    if pollution.valid:
        return words.say("report_few", n=pollution.valid)
    if of.silent:
        return str(words.report_why_silent)
    if not pollution.counting and not pollution.left_out:
        return str(words.report_why_none)
    if pollution.fault and pollution.fault in words.fault:
        return capital(words.fault[pollution.fault])
    if pollution.states["doubtful"] and reading(pollution.name).floor is not None:
        return str(words.report_why_low)
    return str(words.report_why_few)


def _rules(month: Month, words: Words) -> list[str]:
    """Say how the numbers are to be read."""
    co = reading("co")
    found = [
        words.say("report_rule_days", pm=parts.LIMIT, co=words.number(co.guideline or 0, 0)),
        words.report_rule_dry,
    ]
    if any(of.hours.get(FLOOR) for station in month.stations for of in station.pollutants.values()):
        found.append(words.report_rule_floor)
    if (provisional := max(of.provisional for of in month.stations)) > 0:
        found.append(f"{words.say('report_provisional', n=provisional)} {words.provisional}")
    return found


def _why_missing(of: Pollution, words: Words) -> str:
    """Say in words what a bar of hours shows."""
    told = [words.say("report_counting", n=of.counting, total=of.total)]
    if floor := of.hours.get(FLOOR, 0):
        told[0] += words.say("report_at_floor", n=floor)
    if of.left_out:
        why = ", ".join(f"{words.flag[flag]} {n}\u00a0h" for flag, n in of.left_out.items())
        told.append(words.say("report_left_out", n=sum(of.left_out.values()), why=why))
    told += [words.say(f"report_{kind}", n=of.hours[kind]) for kind in MISSING if of.hours.get(kind)]
    return f"{words.semicolon.join(told)}."


def _service(month: Month, words: Words, lasts: bool) -> Iterator[tuple[str, str]]:
    """Yield what a technician should look at: where, and what is wrong there."""
    for of in month.stations:
        if lasts and of.silent:
            yield of.label, words.report_silent
        elif lasts and of.silent_since:
            yield of.label, words.say("report_silent_since", moment=words.moment(of.silent_since))
        for fault in of.faults:
            if fault.lasts == lasts:
                yield f"{of.label}, {words.readings[fault.reading]}", _fault(fault, words)


def _fault(fault: Fault, words: Words) -> str:
    if fault.why == "no_value":
        return str(words.report_sensor_silent)
    text = words.fault[fault.why]
    return f"{text} ({words.say('report_fault_days', n=fault.days)})" if fault.days else str(text)


def _revisions(month: Month, words: Words) -> Iterator[tuple[str, str]]:
    for of in month.stations:
        if of.revised:
            date = words.date(words.day(max(told.last for told in of.revised)), weekday=False)
            what = ", ".join(f"{words.readings[told.reading]} {told.n}" for told in of.revised)
            yield of.label, words.say("report_revised", n=sum(told.n for told in of.revised), what=what, date=date)


def _notes(month: Month, words: Words) -> list[str]:
    names = {of.station.id: of.label for of in month.stations}
    told = [phrases.note_text(note, names[note.station], words) for note in month.notes if note.station in names]
    more = len(told) - _MOST_NOTES
    return [*told[:_MOST_NOTES], words.say("report_notes_more", n=more)] if more > 0 else told


def _scores(month: Month, words: Words) -> Iterator[tuple[str, Sequence[tuple[str, dict[int, str]]]]]:
    """Yield of each station and pollutant its name, and rows of what is told: what, and its text by hours ahead."""
    for of in month.stations:
        for name in of.pollutants:
            own = {score.horizon: score for score in of.scores if score.pollutant == name}
            if not own or not _tells(of.pollutants[name]):
                continue
            yield (
                f"{of.label}, {words.readings[name]}",
                [
                    (words.report_hours_judged, {h: f"{s.n}" for h, s in own.items()}),
                    (
                        words.say("report_mae", unit=reading(name).unit),
                        {h: short(s.mae, name, words) for h, s in own.items()},
                    ),
                    (words.report_skill, {h: _gain(s.skill, s.modelled, words) for h, s in own.items()}),
                    (words.report_band, {h: _percent(s.coverage, words) for h, s in own.items()}),
                ],
            )


def _tells(of: Pollution) -> bool:
    """Tell whether readings can judge a forecast: a sensor that stands at its floor agrees with any low one."""
    return reading(of.name).floor is None or of.hours.get(COUNTS, 0) > 0


def _gain(skill: float | None, modelled: float, words: Words) -> str:
    """Write a skill in percent with its sign; none where no model forecast at all: then it is "no change" itself."""
    if skill is None or not modelled:
        return "–"
    whole = round(skill * 100)
    sign = "+" if whole > 0 else "−" if whole < 0 else ""
    return sign + words.percent(abs(whole))
