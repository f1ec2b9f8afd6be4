"""Days and the calendar: dates as numbers, for ranges and steps. Years 1 to 9999."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

from analyzer.expressions import Interval, Steps

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - a column without time zone holds naive times
DAY = 86_400
"""In seconds."""
_TICK = Fraction(1, DAY * 10**6)
"""A microsecond, in days: what PostgreSQL counts time in."""
END_OF_DAY = 1 - _TICK


def days(value: date) -> Fraction:
    """Days since 1970-01-01, exact; a time with a zone counts in UTC."""
    if not isinstance(value, datetime):
        return Fraction(value.toordinal() - _EPOCH.toordinal())
    if value.tzinfo is not None:
        value = value.astimezone(UTC).replace(tzinfo=None)
    return Fraction((value - _EPOCH) // timedelta(microseconds=1)) * _TICK


DATES = Interval(days(date.min), days(date.max))
"""Where dates are moved before anything is computed with them (attacks.md, section 5)."""
TIMES = Interval(DATES.lower, days(date.max) + END_OF_DAY)


def moment(value: Fraction) -> datetime:
    """The time that many days after 1970-01-01, moved into years 1 to 9999."""
    assert TIMES.lower is not None
    assert TIMES.upper is not None
    kept = min(max(value, TIMES.lower), TIMES.upper)
    return _EPOCH + timedelta(microseconds=kept // _TICK)


UNITS = ("year", "quarter", "month", "week", "day", "hour", "minute", "second")
"""What a time can be cut to, longest first."""
_PER_DAY = {"day": 1, "hour": 24, "minute": 1440, "second": DAY}


def cut(value: Fraction, unit: str) -> Fraction:
    """The start of the unit that a time lies in, as ``date_trunc`` gives it."""
    if unit in _PER_DAY:
        shares = _PER_DAY[unit]
        return Fraction(days(moment(value)) * shares // 1, shares)
    day = moment(value).date()
    if unit == "week":
        return days(day) - day.weekday()
    month = {"year": 1, "quarter": (day.month - 1) // 3 * 3 + 1, "month": day.month}[unit]
    return days(day.replace(month=month, day=1))


def steps(interval: Interval, unit: str) -> Steps | None:
    """All starts of a unit that the times of an interval lie in; None where it has no end."""
    if interval.lower is None or interval.upper is None:
        return None
    first, last = cut(interval.lower, unit), cut(interval.upper, unit)
    if unit in _PER_DAY:
        count = int((last - first) * _PER_DAY[unit]) + 1
    elif unit == "week":
        count = int(last - first) // 7 + 1
    else:
        a, b = moment(first), moment(last)
        months = (b.year - a.year) * 12 + b.month - a.month
        count = months // {"year": 12, "quarter": 3, "month": 1}[unit] + 1
    return Steps(first, last, unit, count)


def later(value: Fraction, months: int) -> Fraction | None:
    """A time so many months later, as PostgreSQL has it: the day is at most the month's last.
    None where that is outside of years 1 to 9999."""
    at = moment(value)
    count = at.year * 12 + at.month - 1 + months
    if not 12 <= count < 12 * 10_000:
        return None
    year, month = count // 12, count % 12 + 1
    day = date(year, month, min(at.day, monthrange(year, month)[1]))
    return days(day) + value % 1
