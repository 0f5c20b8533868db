"""What is said in words: the headline, the states of a station, the table of hours, and how far to trust it all."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from airqino.publishing.facts import Ahead, Carbon, Hour, Snapshot, StationFacts
from airqino.publishing.stations import plain
from airqino.publishing.words import Words
from airqino.quality.notes import Note
from airqino.readings import STALE_HOURS, reading
from airqino.times import HOUR

__all__ = [
    "Clause", "Headline", "Item", "carbon", "colon", "headline", "later", "note_text", "soon", "state_note",
    "state_word", "table", "tenths", "trust",
]  # fmt: skip

#: Up to so many stations a headline names each.
_NAMED = 4
#: Labels of so many letters are not broken over two lines of the headline.
_UNBROKEN = 16
#: Forecasts for so many hours have a row of their own.
_SOON = 2
#: A ratio of two stations nearer to one than this is none worth telling.
_ALIKE = 1.15
#: Share of missing hours at night from which that is told: more than the night's 11 of 24 hours.
_MANY_AT_NIGHT = 0.55
#: Notes that are told in full, the newest ones; of the others the number.
_MOST_NOTES = 5
#: Flags of a particle sensor that cannot be used.
_FAULTY = ("dead", "stuck", "unit")

#: A line of the list "can this be trusted": what it is about, what is said, and a link (address, text).
Item = tuple[str, str, tuple[str, str] | None]


@dataclass(frozen=True)
class Clause:
    """A part of the headline: a level, its word, and where."""

    level: int
    word: str
    rest: str


@dataclass(frozen=True)
class Headline:
    """The page's answer in one sentence."""

    lead: str
    parts: tuple[Clause, ...]

    @property
    def text(self) -> str:
        """The sentence without marks."""
        return self.lead + ", ".join(clause.word + clause.rest for clause in self.parts) + "."


def headline(snapshot: Snapshot, words: Words, city: str) -> Headline:
    """Say how the air is: the worst level first, what is not measured last; each station up to four, else numbers."""
    if not snapshot.worst:
        return Headline(words.say("silent", city=city), ())
    total = len(snapshot.stations)
    parts: list[Clause] = []
    for level, group in groupby(snapshot.stations, key=lambda of: of.level):
        names = [of.label.replace(" ", "\u00a0") if len(of.label) <= _UNBROKEN else of.label for of in group]
        word = words.levels[level] if level else words.unmeasured
        form = "at" if level else "unmeasured"
        if total <= _NAMED:
            rest = words.say(f"{form}_places", places=words.listed(names))
        elif level and not parts:
            rest = words.say("at_some", n=len(names), total=total)
        else:
            rest = words.say(f"{form}_more", n=len(names))
        parts.append(Clause(level, word, rest))
    return Headline(words.say("at", clock=words.clock(snapshot.end)), tuple(parts))


def colon(words: Words) -> str:
    """Return the colon with what stands before it."""
    return "\u00a0:" if words.language == "fr" else ":"


def tenths(probability: float) -> int:
    """Return a probability as chances in ten, halves up."""
    return int(probability * 10 + 0.5)


def state_word(of: StationFacts, words: Words) -> str:
    """Return what stands in place of a level where the hour is not measured."""
    if of.now.state == "unusual":
        return str(words.unusual)
    if of.now.state == "left_out":
        return str(words.faulty if of.now.flag in _FAULTY else words.left_out)
    return str(words.stale)


def state_note(of: StationFacts, words: Words) -> str:
    """Return why an hour is not measured, and what follows from it."""
    if of.now.state == "unusual":
        return words.say("unusual_note", value=words.number(of.now.value or 0.0))
    if of.now.state == "left_out":
        why = words.why_left_out.get(of.now.flag, words.why_left_out["other"])
        return f"{why} {words.left_out_note}"
    if of.now.flag == "unasked":
        return str(words.unasked_note)
    last = of.now.last
    return str(words.stale_note if last is None or of.now.at - last.at >= STALE_HOURS * HOUR else words.missing_note)


def carbon(of: Carbon, words: Words) -> str:
    """Say what a CO sensor reads, or why that says nothing; never as 0."""
    if of.value is not None:
        return f"{words.number(of.value, reading('co').digits)}\u00a0{reading('co').unit}"
    text: str = words.carbon_state[of.state]
    return text.format(fault=words.fault.get(of.fault, ""))


def soon(of: StationFacts, snapshot: Snapshot) -> list[Ahead]:
    """Return the forecasts for the next two hours."""
    return [ahead for ahead in of.ahead if ahead.at <= snapshot.hour + _SOON * HOUR]


def later(of: StationFacts, snapshot: Snapshot) -> list[Ahead]:
    """Return the forecasts for later hours."""
    return [ahead for ahead in of.ahead if ahead.at > snapshot.hour + _SOON * HOUR]


def table(stations: Sequence[StationFacts], snapshot: Snapshot, words: Words) -> list[list[str]]:
    """Return the last 48 hours and those forecast, oldest first: the hour, then what each station says of it."""
    rows = []
    for position, hours in enumerate(zip(*(of.recent for of in stations), strict=True)):
        at = hours[0].at.astimezone(words.zone)
        day = f"{words.date(at.date(), weekday=False, year=False)}, " if not position or at.hour == 0 else ""
        rows.append([day + words.hours(at), *(_cell(hour, words) for hour in hours)])
    ahead = [{of_hour.at: of_hour for of_hour in of.ahead} for of in stations]
    for at in sorted({at for known in ahead for at in known}):
        cells = [known.get(at) for known in ahead]
        told = [f"{words.forecast} {words.number(c.mid, 0)}, {words.levels[c.level]}" if c else "–" for c in cells]
        rows.append([words.hours(at), *told])
    return rows


def _cell(hour: Hour, words: Words) -> str:
    if hour.value is not None and hour.level:
        return f"{words.number(hour.value)}, {words.levels[hour.level]}"
    return str({"unusual": words.unusual, "left_out": words.left_out}.get(hour.state, words.gap))


def trust(snapshot: Snapshot, words: Words, changes: str) -> list[Item]:
    """Return how far to trust what the page says.

    Args:
        snapshot: The stations to tell of.
        words: The words.
        changes: Address of the list of all corrections; "" without one.
    """
    items = [*(_days(of, words) for of in snapshot.stations if of.year.days), _sensors(snapshot, words)]
    items += [
        (
            words.say("pair", metres=f"{round(pair.metres, -1):.0f}"),
            words.say("pair_ratio", one=pair.one, other=pair.other, ratio=words.number(pair.ratio))
            if pair.ratio >= _ALIKE
            else words.say("pair_alike", one=pair.one, other=pair.other),
            None,
        )
        for pair in snapshot.network.pairs
    ]
    humid = [round(of.trust.humid * 100) for of in snapshot.stations if of.trust.humid is not None]
    if humid:
        low, high = min(humid), max(humid)
        share = f"{low}" if low == high else words.say("from_to", low=low, high=high)
        items.append((words.humid, words.say("humid_share", share=share), None))
    return [*items, *_scores(snapshot, words), _revisions(snapshot, words, changes), *_notes(snapshot, words)]


def _days(of: StationFacts, words: Words) -> Item:
    year = of.year
    told = words.say("measured_days", measured=year.measured, total=len(year.days))
    kinds = {"incomplete_days": "incomplete", "empty_days": "none", "doubtful_days": "doubtful"}
    others = ", ".join(
        words.say(key, n=year.states[state])
        for key, state in kinds.items()
        if year.states[state] or state != "doubtful"
    )
    why = [words.say(f"missing_{why}", n=n) for why, n in of.trust.missing.items() if n]
    text = f"{told}{words.semicolon}{others}."
    if why:
        text += " " + words.say("missing", why=", ".join(why))
    if of.trust.night is not None and of.trust.night > _MANY_AT_NIGHT:
        text += " " + words.say("night", share=round(of.trust.night * 100))
    return f"{of.label}.", text, None


def _sensors(snapshot: Snapshot, words: Words) -> Item:
    """Name the sensors that cannot be used, and those of CO that are often at their floor."""
    faulty = [
        f"{of.label}, {words.readings[name]}{colon(words)} {words.fault[why]}"
        for of in snapshot.stations
        for name, why in of.trust.faults.items()
    ]
    shares = {
        of.label: round(of.trust.co_floor * 100)
        for of in snapshot.stations
        if "co" not in of.trust.faults and of.trust.co_floor
    }
    low = [words.say("carbon_floor", station=label, share=share) for label, share in shares.items() if share]
    if len(low) > _NAMED:
        low = [words.say("carbon_floors", low=min(shares.values()), high=max(shares.values()))]
    text = f"{words.semicolon.join(faulty)}. {words.sensors_some}" if faulty else words.sensors_none
    if low:
        text += f" {words.carbon}{colon(words)} {' '.join(low)} {words.carbon_proof}"
    return words.sensors, text, None


def _scores(snapshot: Snapshot, words: Words) -> list[Item]:
    items: list[Item] = []
    for of in snapshot.stations:
        if (score := of.trust.score) is not None:
            text = words.say("score_of", mae=words.number(score.mae), inside=score.inside, n=score.n)
            items.append((words.say("score", station=of.label), text, None))
    return items or [(words.score_none, words.score_none_of, None)]


def _revisions(snapshot: Snapshot, words: Words, changes: str) -> Item:
    labels = {of.station.id: of.label for of in snapshot.stations}
    told = [
        words.say("revised", station=labels[id], n=n) for id, n in snapshot.network.revisions.items() if id in labels
    ]
    text = f"{', '.join(told)}." if told else words.none
    return words.revisions, f"{text} {words.provisional}", (changes, words.all_revisions) if changes else None


def _notes(snapshot: Snapshot, words: Words) -> list[Item]:
    labels = {of.station.id: of.label for of in snapshot.stations}
    items: list[Item] = []
    for note in snapshot.network.notes:
        if note.station not in labels or note.first is None:
            continue
        items.append((words.notes, note_text(note, labels[note.station], words), None))
    if len(items) > _MOST_NOTES:
        items = [*items[:_MOST_NOTES], (words.notes, words.say("notes_more", n=len(items) - _MOST_NOTES), None)]
    return items or [(words.notes, words.none, None)]


def note_text(note: Note, label: str, words: Words) -> str:
    """Say what an operator's note is about, and why; one that revokes another says nothing.

    Args:
        note: The note.
        label: What its station is called in public.
        words: The words.
    """
    if note.first is None:
        return ""
    first = words.moment(note.first)
    span = words.say("since", first=first)
    if note.last:
        span = words.say("span", first=first, last=words.moment(note.last + HOUR))
    return words.say(
        "note",
        noted=words.date(words.day(note.noted_at), weekday=False),
        kind=words.note_kind[note.kind],
        station=label,
        reading=words.readings[note.reading] if note.reading else words.all_readings,
        span=span,
        why=plain(note.why),
    )
