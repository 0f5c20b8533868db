"""What holds, at and beside each limit, and what nobody can tell."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from tasks.instruments import metrics
from tasks.instruments.conditions import evaluate, update
from tasks.instruments.incidents import Book, Incident
from tasks.instruments.observed import PipelineState, StationRevisions, StationState, Success
from tasks.instruments.shape import MissingField, Shape
from tasks.instruments.tally import Tally
from tasks.missing import MissingHours
from tasks.settings.sections import Alerts

NOW = datetime(2024, 9, 9, 11, 5, tzinfo=UTC)
LAST = NOW.replace(hour=10, minute=0)
HOUR = timedelta(hours=1)
LIMITS = Alerts(no_success_hours=3, silent_hours=6, revised_readings=48, disk_free_share=0.1)
STATION = StationState(
    station="77",
    name="SMART77",
    newest=LAST,
    asked=True,
    reason="",
    completeness=1.0,
    flags={"co": "ok", "pm2_5": "spike"},
    in_service=True,
)
SCORE = {"station": "77", "pollutant": "pm2_5", "horizon_h": 1, "day": "2024-09-09", "window_days": 7, "drift": False}
FINE = PipelineState(
    now=NOW,
    last_hour=LAST,
    stations=[STATION],
    scores=[SCORE | {"skill": 0.2, "coverage80": 0.8}],
    revisions=[],
    disk_free=0.5,
    success=Success("2024-09-09T10", NOW),
)


def holding(state: PipelineState) -> list[str]:
    return [incident.key for incident in evaluate(state, LIMITS, NOW, NOW).holding]


def station(**changes) -> PipelineState:
    return replace(FINE, stations=[replace(STATION, **changes)])


def test_nothing_holds_where_all_is_well():
    assert holding(FINE) == []


def test_damaged_files_are_one_incident_that_names_them():
    files = tuple((Path(f"/data/quarantine/2024-09-0{d}/daily.parquet.x"), NOW - d * HOUR) for d in range(1, 6))
    (incident,) = evaluate(replace(FINE, damaged=files), LIMITS, NOW, NOW).holding
    assert (incident.key, incident.since) == ("damaged_file|", NOW - 5 * HOUR)
    assert incident.title.startswith("5 damaged files were set aside")
    assert "2024-09-03/daily.parquet.x and 2 more" in incident.text


def test_a_damaged_file_that_does_not_come_back_is_not_forgotten_after_a_day():
    state = replace(FINE, gone=(Path("/data/2024-09-01/forecast/07.parquet"),))
    late = evaluate(replace(state, success=Success("2024-09-08T10", NOW - 30 * HOUR)), LIMITS, NOW, NOW).holding
    (untried,) = (incident for incident in late if incident.kind == "damaged_file")
    assert (untried.key, untried.units) == ("damaged_file|", ["/data/2024-09-01/forecast/07.parquet"])
    assert "\n    scripts/hourly\n" in untried.text
    (incident,) = evaluate(state, LIMITS, NOW, NOW).holding
    assert (incident.key, incident.title) == ("damaged_file|lost", "a damaged file is lost")
    assert "/data/2024-09-01/forecast/07.parquet" in incident.text
    (command,) = [line.strip() for line in incident.text.splitlines() if line.startswith("    ")]
    assert command.startswith("mv ")


def test_hours_that_no_hourly_run_fetches_are_one_incident_with_the_command_that_does():
    days = date(2024, 8, 1), date(2024, 8, 4)
    (incident,) = evaluate(replace(FINE, overdue=MissingHours(96, 5, 7, 7, *days)), LIMITS, NOW, NOW).holding
    assert incident.key == "hours_missing|"
    assert "2024-08-01 … 2024-08-04, 96 station-hours were never asked for and 5 failed" in incident.text
    assert "\n    scripts/backfill\n" in incident.text
    book = Book(incidents={incident.key: incident})
    update(book, evaluate(replace(FINE, overdue=None), LIMITS, NOW, NOW))  # MongoDB does not answer
    assert [i.kind for i in book.open()] == ["hours_missing"]
    update(book, evaluate(replace(FINE, overdue=MissingHours(absent=50)), LIMITS, NOW, NOW))
    assert book.open() == []


@pytest.mark.parametrize(("hours", "holds"), [(3, False), (3.01, True)])
def test_no_success(hours, holds):
    state = replace(FINE, success=Success("2024-09-09T07", NOW - hours * HOUR))
    assert holding(state) == ["no_success|"] * holds


@pytest.mark.parametrize(("hours", "holds"), [(2.9, False), (3.1, True)])
def test_where_nothing_ever_succeeded_it_counts_from_when_somebody_looked(hours, holds):
    incidents = evaluate(replace(FINE, success=None), LIMITS, NOW, NOW - hours * HOUR).holding
    assert [i.kind for i in incidents] == ["no_success"] * holds
    assert all("None has succeeded yet" in i.text for i in incidents)


@pytest.mark.parametrize(
    ("changes", "holds"),
    [
        ({"newest": LAST - 5 * HOUR}, False),
        ({"newest": LAST - 6 * HOUR}, True),
        ({"newest": None}, True),
        ({"newest": LAST - 90 * HOUR, "in_service": False}, False),
        ({"newest": LAST - 90 * HOUR, "asked": False}, False),
    ],
)
def test_station_silent(changes, holds):
    assert holding(station(**changes)) == ["station_silent|77"] * holds


def test_a_silent_station_is_told_with_its_last_hour_and_the_next_one_to_ask_for():
    (one,) = evaluate(station(newest=LAST - 8 * HOUR, reason="no row"), LIMITS, NOW, NOW).holding
    assert one.since == LAST - 7 * HOUR
    assert "station SMART77 (77) is silent" in one.title
    assert "Its newest hour with a reading is 2024-09-09T02" in one.text
    assert "\n    scripts/rerun FetchHour --hour 2024-09-09T03 --backfill\n" in one.text


def test_of_a_silent_station_it_is_told_what_is_known():
    never = station(newest=None)
    (one,) = evaluate(never, LIMITS, NOW, NOW).holding
    assert one.text.startswith("It has never sent a reading. The API gives no reason.")
    (one,) = evaluate(replace(never, revisions=None), LIMITS, NOW, NOW).holding  # MongoDB does not answer
    assert "never" not in one.text
    assert "it is not known: MongoDB does not answer. The API" in one.text


@pytest.mark.parametrize(
    ("flag", "holds"),
    [(f, True) for f in ("dead", "stuck", "at_floor", "offset", "unit")]
    + [(f, False) for f in ("out_of_range", "floor", "ok")],
)
def test_sensor_dead(flag, holds):
    assert holding(station(flags={"co": flag, "pm2_5": "ok"})) == ["sensor_dead|77 co"] * holds


def test_a_silent_sensor_is_told_with_its_newest_value():
    (one,) = evaluate(station(silent_sensors={"co": LAST - 7 * HOUR}), LIMITS, NOW, NOW).holding
    assert (one.key, one.since) == ("sensor_silent|77 co", LAST - 6 * HOUR)
    assert one.title == "CO sensor of SMART77 (77) is silent"
    assert "\n    scripts/rerun FetchHour --hour 2024-09-09T04 --again\n" in one.text


def test_a_sensor_of_a_station_out_of_service_is_not_silent():
    assert holding(station(silent_sensors={"co": LAST - 7 * HOUR}, in_service=False)) == []


def test_a_field_that_is_gone_everywhere_is_one_incident_and_its_sensors_are_not_silent_too():
    gone = MissingField("pm2_5", LAST - 2 * HOUR, ("PM25",))
    state = replace(station(silent_sensors={"pm2_5": LAST - 2 * HOUR}), shape=Shape(missing=(gone,)))
    (one,) = evaluate(state, LIMITS, NOW, NOW).holding
    assert (one.key, one.since) == ("shape_changed|pm2_5", LAST - HOUR)
    assert "'PM2.5'" in one.title
    assert "Unknown fields have appeared: 'PM25'." in one.text


def test_what_is_silent_or_gone_for_longer_than_the_staged_days_stays_open():
    book = Book()
    gone = Shape(missing=(MissingField("o3", LAST - 90 * HOUR, ()),))
    update(book, evaluate(replace(station(silent_sensors={"co": LAST - 90 * HOUR}), shape=gone), LIMITS, NOW, NOW))
    begun = ["sensor_silent|77 co", "shape_changed|o3"]
    assert [i.key for i in book.open()] == begun
    later = replace(station(sensors_not_seen=frozenset({"co"})), shape=Shape(not_seen=frozenset({"o3"})))
    update(book, evaluate(later, LIMITS, NOW, NOW))
    assert [i.key for i in book.open()] == begun
    update(book, evaluate(FINE, LIMITS, NOW, NOW))
    assert book.open() == []


@pytest.mark.parametrize(("is_read", "lasts"), [(False, True), (True, False)])
def test_answers_that_nobody_could_read_are_over_when_the_last_hour_was_read(is_read, lasts):
    book = Book()
    book.begin(Incident(kind="shape_changed", since=NOW, title="t", text="t"))
    update(book, evaluate(replace(FINE, shape=Shape(is_read=is_read)), LIMITS, NOW, NOW))
    assert [i.kind for i in book.open()] == ["shape_changed"] * lasts


def test_drift_is_one_incident_for_both_horizons():
    bad = SCORE | {"drift": True, "skill": -0.5, "coverage80": 0.4}
    (one,) = evaluate(replace(FINE, scores=[bad, bad | {"horizon_h": 2}]), LIMITS, NOW, NOW).holding
    assert one.key == "drift|77 pm2_5"
    assert "2 h ahead: skill -0.50, 40% inside the 80 % band" in one.text


def test_a_score_without_figures_is_told_all_the_same():
    (one,) = evaluate(
        replace(FINE, scores=[SCORE | {"drift": True, "skill": None, "coverage80": None}]), LIMITS, NOW, NOW
    ).holding
    assert "1 h ahead: skill –, – inside the 80 % band" in one.text


@pytest.mark.parametrize(("counts", "holds"), [((47,), False), ((48,), True), ((24, 24), True)])
def test_mass_revision_counts_the_stations_of_a_run_together(counts, holds):
    revisions = [
        StationRevisions(NOW, f"{n}", count, LAST - 50 * HOUR, LAST - 47 * HOUR) for n, count in enumerate(counts)
    ]
    assert holding(replace(FINE, revisions=revisions)) == ["mass_revision|"] * holds


def test_revisions_of_several_runs_are_no_mass():
    revisions = [StationRevisions(NOW - n * HOUR, "77", 40, LAST - 50 * HOUR, LAST - 47 * HOUR) for n in range(5)]
    assert holding(replace(FINE, revisions=revisions)) == []


@pytest.mark.parametrize(("free", "holds"), [(0.1, False), (0.0999, True), (None, False)])
def test_disk_low(free, holds):
    assert holding(replace(FINE, disk_free=free)) == ["disk_low|"] * holds


BAD = PipelineState(
    now=NOW,
    last_hour=LAST,
    stations=[replace(STATION, newest=LAST - 9 * HOUR, flags={"co": "dead", "pm2_5": "ok"})],
    scores=[SCORE | {"drift": True, "skill": -0.5, "coverage80": 0.4}],
    revisions=[StationRevisions(NOW, "77", 100, LAST - 50 * HOUR, LAST - 47 * HOUR)],
    disk_free=0.01,
    success=Success("2024-09-09T01", NOW - 9 * HOUR),
)


def test_what_held_ends_when_it_does_not_hold_any_more():
    book = Book()
    update(book, evaluate(BAD, LIMITS, NOW, NOW))
    assert [i.key for i in book.open()] == [
        "no_success|",
        "station_silent|77",
        "sensor_dead|77 co",
        "drift|77 pm2_5",
        "mass_revision|",
        "disk_low|",
    ]
    update(book, evaluate(FINE, LIMITS, NOW, NOW))
    assert book.open() == []


def test_what_is_not_known_stays_as_it_was():
    book = Book()
    update(book, evaluate(BAD, LIMITS, NOW, NOW))
    blind = replace(FINE, stations=[replace(STATION, asked=False, flags={})], scores=[], revisions=None, disk_free=None)
    update(book, evaluate(blind, LIMITS, NOW, NOW))
    assert [i.kind for i in book.open()] == ["station_silent", "sensor_dead", "drift", "mass_revision", "disk_low"]


def test_a_kind_that_cannot_be_evaluated_stays_as_it_was_and_silences_no_other(caplog):
    book = Book()
    update(book, evaluate(replace(BAD, disk_free=0.5), LIMITS, NOW, NOW))
    broken = replace(FINE, scores=[{"station": "77"}], disk_free=0.01)
    evaluation = evaluate(broken, LIMITS, NOW, NOW)
    update(book, evaluation)
    assert [i.key for i in book.open()] == ["drift|77 pm2_5", "disk_low|"]
    assert evaluation.failed == ("drift",)
    (record,) = [r for r in caplog.records if r.name == "instruments.conditions"]
    assert (record.getMessage(), record.exc_info[0]) == ("evaluating drift", KeyError)


@pytest.mark.parametrize(("free", "lasts"), [(0.1, True), (0.12, True), (0.121, False)])
def test_a_disk_that_hovers_at_the_limit_is_told_of_once(free, lasts):
    book = Book()
    update(book, evaluate(replace(FINE, disk_free=0.099), LIMITS, NOW, NOW))
    update(book, evaluate(replace(FINE, disk_free=free), LIMITS, NOW, NOW))
    assert [i.kind for i in book.open()] == ["disk_low"] * lasts


def test_a_station_that_is_configured_no_more_is_let_go():
    book = Book()
    update(book, evaluate(BAD, LIMITS, NOW, NOW))
    update(book, evaluate(replace(BAD, stations=[]), LIMITS, NOW, NOW))
    assert not {"station_silent", "sensor_dead"} & {i.kind for i in book.open()}


def test_metrics_say_which_sensor_is_broken_and_count_the_revisions_of_this_run_alone():
    revisions = [
        StationRevisions(at, "77", count, LAST - 50 * HOUR, LAST - 47 * HOUR)
        for at, count in ((NOW, 3), (NOW, 4), (NOW - HOUR, 100))
    ]
    state = replace(station(flags={"co": "stuck", "pm2_5": "ok"}), revisions=revisions)
    registry = metrics.gauges(state, None, None, None, 0, 0.0, 0.0)
    labels = {"station": "77"}
    assert registry.get_sample_value("airqino_sensor_dead", labels | {"sensor": "co"}) == 1
    assert registry.get_sample_value("airqino_sensor_dead", labels | {"sensor": "pm2_5"}) == 0
    assert registry.get_sample_value("airqino_revised_readings") == 7


@pytest.mark.parametrize(("in_service", "named"), [(True, {"77"}), (False, set())])
def test_a_station_out_of_service_has_no_metrics_that_call_it_silent(in_service, named):
    state = station(in_service=in_service)
    registry = metrics.gauges(state, Tally(), Book(), None, 0, 0.0, 0.0)
    samples = [s for family in registry.collect() for s in family.samples]
    of_stations = ("airqino_newest_hour_timestamp_seconds", "airqino_completeness_ratio", "airqino_sensor_dead")
    assert {s.labels["station"] for s in samples if s.name in of_stations} == named


#: Nothing is known of a station that is not asked any more: no flags, no values, no scores.
GONE = replace(
    STATION, asked=False, newest=None, flags={}, in_service=False, sensors_not_seen=frozenset({"co", "pm2_5"})
)
OF_STATION = ("station_silent|77", "sensor_silent|77 co", "sensor_dead|77 pm2_5", "drift|77 pm2_5")


def opened(*keys: str) -> Book:
    book = Book()
    for key in keys:
        kind, _, subject = key.partition("|")
        book.begin(Incident(kind=kind, subject=subject, since=NOW, title=key, text=""))
    return book


@pytest.mark.parametrize("stations", [[], [replace(GONE, retired=True)], [replace(STATION, station="78")]])
def test_what_is_open_of_a_station_that_is_taken_out_or_retired_ends_at_the_next_check(stations):
    book = opened(*OF_STATION, "disk_low|")
    state = replace(FINE, stations=stations, scores=[], disk_free=None)
    update(book, evaluate(state, LIMITS, NOW, NOW))
    assert [incident.key for incident in book.open()] == ["disk_low|"]


def test_of_one_that_is_only_not_asked_nothing_ends():
    book = opened(*OF_STATION)
    update(book, evaluate(replace(FINE, stations=[GONE], scores=[]), LIMITS, NOW, NOW))
    assert {incident.key for incident in book.open()} == {*OF_STATION}


def test_a_retired_station_opens_nothing():
    broken = replace(STATION, retired=True, in_service=False, flags={"co": "dead", "pm2_5": "stuck"})
    state = replace(FINE, stations=[broken], scores=[SCORE | {"drift": True, "skill": -1.0, "coverage80": 0.1}])
    assert holding(state) == []
    assert "sensor_dead|77 co" in holding(replace(state, stations=[replace(broken, retired=False)]))
