"""The views of what the WHO asks of a day and of a year, by station and pollutant."""

from airqino.quality.means import WHOLE_SHARE
from airqino.readings import LABELS, reading
from airqino.views.daily import concentration, is_compared, is_floor_day
from airqino.views.names import named_stations
from airqino.views.terms import Document, Pipeline, documents_of_station, smallest, zone

__all__ = ["guideline_months", "guideline_year"]

#: Days before today that are a year, as on the public page.
_YEAR_DAYS = 365
#: Calendar months before the running one.
_MONTHS = 12
_DRY = "pm2_5"


def guideline_year() -> Pipeline:
    """Return what the last 365 local days before today say, by station and pollutant.

    `days` are those since the station's first document within them, `valid_days` those whose mean can be vouched for
    and was compared. `judged` tells whether the year's mean may be compared with the annual guideline: ``floor`` where
    the sensor stood at its floor on a quarter of the days or more, or where too few days are valid but would not be
    without that; ``none`` without a valid day; ``few`` where fewer than 75 % of the days are valid; else ``yes``.
    """

    counts = ("valid_days", "days_above", "floor_days")

    def row(name: str) -> Document:
        of = reading(name)
        return {
            **{"pollutant": of.label, "unit": of.unit, "digits": of.digits, "smallest": smallest(of)},
            **{"guideline": of.guideline, "annual_guideline": of.annual_guideline},
            **{part: {"$ifNull": [f"$known.{name}_{part}", 0]} for part in counts},
            "days_above_dry": {"$ifNull": [f"$known.{name}_days_above_dry", 0]} if name == _DRY else None,
            "year_mean": {"$ifNull": [f"$known.{name}_year_mean", None]},
        }

    def sums(name: str) -> Document:
        valid = is_compared(name)
        return {
            f"{name}_valid_days": _days(valid),
            f"{name}_days_above": _days(valid, f"${name}_above_who"),
            f"{name}_floor_days": _days(is_floor_day(name)),
            f"{name}_year_mean": {"$avg": {"$cond": [valid, concentration(name), None]}},
            **({f"{name}_days_above_dry": _days(valid, f"${name}_dry_above_who")} if name == _DRY else {}),
        }

    group: Document = {"_id": None, "first": {"$min": "$day"}}
    for name in LABELS:
        group |= sums(name)
    days: Pipeline = [_between("$$first", "$$today"), {"$group": group}]
    enough = {"$multiply": [WHOLE_SHARE, "$days"]}
    at_floor = [
        {"$gt": ["$rows.floor_days", 0]},
        {
            "$or": [
                {"$gte": ["$rows.floor_days", {"$multiply": [1 - WHOLE_SHARE, "$days"]}]},
                {
                    "$and": [
                        {"$lt": ["$rows.valid_days", enough]},
                        {"$gte": [{"$add": ["$rows.valid_days", "$rows.floor_days"]}, enough]},
                    ]
                },
            ]
        },
    ]
    verdicts = [
        {"case": {"$and": at_floor}, "then": "floor"},
        {"case": {"$lte": ["$rows.valid_days", 0]}, "then": "none"},
        {"case": {"$lt": ["$rows.valid_days", enough]}, "then": "few"},
    ]
    parts = tuple(row(_DRY))
    share = {"$cond": [{"$gt": ["$days", 0]}, {"$divide": ["$rows.valid_days", "$days"]}, None]}
    times = {"$divide": ["$rows.year_mean", "$rows.annual_guideline"]}
    return [
        *named_stations(),
        {"$set": {"today": _local_day("$$NOW"), "first": _local_day(_earlier("$$NOW", "day", _YEAR_DAYS))}},
        documents_of_station("daily_averages", days, "known", first="$first", today="$today"),
        {"$set": {"known": {"$first": "$known"}}},
        {"$set": {"days": {"$ifNull": [_days_between("$known.first", "$today"), 0]}}},
        {"$set": {"rows": [row(name) for name in LABELS]}},
        {"$unwind": "$rows"},
        {"$set": {"judged": {"$switch": {"branches": verdicts, "default": "yes"}}}},
        {
            "$project": {
                **{"_id": 0, "station": 1, "station_name": 1, "days": 1, "judged": 1, "share_valid": share},
                **{part: f"$rows.{part}" for part in parts},
                "times_annual": {"$cond": [{"$eq": ["$judged", "yes"]}, times, None]},
            }
        },
    ]


def guideline_months() -> Pipeline:
    """Return valid days and days over the guideline by station, pollutant and month: of the last twelve and this one.

    Today is not among them. A month without a document of the station has no row.
    """
    group: Document = {"_id": {"$substrBytes": ["$day", 0, 7]}}
    for name in LABELS:
        group[f"{name}_valid_days"] = _days(is_compared(name))
        group[f"{name}_days_above"] = _days(is_compared(name), f"${name}_above_who")
    days: Pipeline = [_between("$$first", "$$today"), {"$group": group}]
    parts = ("valid_days", "days_above")
    rows = [{"pollutant": text} | {part: f"$month.{name}_{part}" for part in parts} for name, text in LABELS.items()]
    month = {"$dateTrunc": {"date": "$$NOW", "unit": "month", "timezone": zone("$time_zone")}}
    return [
        *named_stations(),
        {"$set": {"today": _local_day("$$NOW"), "first": _local_day(_earlier(month, "month", _MONTHS))}},
        documents_of_station("daily_averages", days, "month", first="$first", today="$today"),
        {"$unwind": "$month"},
        {"$set": {"calendar_month": {"$concat": ["$month._id", "-01"]}, "rows": rows}},
        {"$unwind": "$rows"},
        {
            "$project": {
                **{"_id": 0, "station": 1, "station_name": 1, "calendar_month": 1},
                **{part: f"$rows.{part}" for part in ("pollutant", *parts)},
            }
        },
    ]


def _days(*true: object) -> Document:
    """Return the number of days on which all of some expressions are true."""
    return {"$sum": {"$cond": [{"$and": list(true)}, 1, 0]}}


def _earlier(moment: object, unit: str, amount: int) -> Document:
    """Return the moment some local days or months before another."""
    return {"$dateSubtract": {"startDate": moment, "unit": unit, "amount": amount, "timezone": zone("$time_zone")}}


def _between(first: str, today: str) -> Document:
    return {"$match": {"$expr": {"$and": [{"$gte": ["$day", first]}, {"$lt": ["$day", today]}]}}}


def _local_day(moment: object) -> Document:
    """Return a station's day in which a moment lies, as documents write it."""
    return {"$dateToString": {"date": moment, "format": "%Y-%m-%d", "timezone": zone("$time_zone")}}


def _days_between(first: str, last: str) -> Document:
    ends = [{"$dateFromString": {"dateString": day, "onError": None, "onNull": None}} for day in (first, last)]
    return {"$dateDiff": {"startDate": ends[0], "endDate": ends[1], "unit": "day"}}
