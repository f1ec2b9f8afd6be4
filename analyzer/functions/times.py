"""Dates and times: starts of units, distances in days, and constant steps.

Infinite dates, years before 1 and years after 9999 would make some of these fail, or give what no
number can hold. So what is computed with is first moved into years 1 to 9999.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from analyzer import ranges
from analyzer.dates import DATES, DAY, END_OF_DAY, TIMES, UNITS, cut, later, steps
from analyzer.expressions import UNBOUNDED, Call, Constant, Expr, Facts, Interval
from analyzer.functions.base import (
    Function,
    arity,
    between,
    build,
    coerce,
    merged,
    whole_operand,
)
from analyzer.functions.zones import ZONES
from analyzer.refusals import BadArgument, WrongType
from analyzer.types import Type

_TIMES = frozenset({Type.DATE, Type.TIMESTAMP, Type.TIMESTAMPTZ})
_ENDS = {
    Type.DATE: ("0001-01-01", "9999-12-31"),
    Type.TIMESTAMP: ("0001-01-01 00:00:00", "9999-12-31 23:59:59.999999"),
    Type.TIMESTAMPTZ: ("0001-01-01 00:00:00+00", "9999-12-31 23:59:59.999999+00"),
}
_ZONE_HINT = "Say which time zone you mean: x AT TIME ZONE 'UTC' has none."
_MOST_DAYS = 1_000_000
"""What can be added to a date: it stays far inside of what PostgreSQL can hold."""
_SHIFT = Interval(Fraction(-_MOST_DAYS), Fraction(_MOST_DAYS))


def is_time(type_: Type) -> bool:
    """Whether values of the type are dates or timestamps."""
    return type_ in _TIMES


def kept(expression: Expr, *, declared: bool = False) -> Interval:
    """The range of a date or timestamp, in days, once it is moved into years 1 to 9999; without
    bounds where the owner declared none."""
    facts = expression.facts
    return _moved(facts, DATES if facts.stored is Type.DATE else TIMES, declared=declared)


def _moved(facts: Facts, into: Interval, *, declared: bool) -> Interval:
    interval = facts.declared if declared else facts.physical
    return UNBOUNDED if declared and interval.magnitude is None else ranges.moved(interval, into)


def inside(text: str, expression: Expr) -> str:
    """The printed date or timestamp, moved into years 1 to 9999 where it need not be there."""
    stored = expression.facts.stored
    if expression.facts.physical.within(DATES if stored is Type.DATE else TIMES):
        return text
    return between(text, stored, *_ENDS[stored])


def as_time(text: str, expression: Expr) -> str:
    """The same as a timestamp without time zone."""
    text = inside(text, expression)
    return f"CAST({text} AS timestamp)" if expression.type is Type.DATE else text


def local(name: str, expression: Expr) -> Expr:
    """A date or a timestamp without time zone.

    Raises:
        WrongType: it is something else.
    """
    if expression.type is Type.TIMESTAMPTZ:
        raise WrongType(f"{name} takes no timestamp with time zone.", hint=_ZONE_HINT)
    if isinstance(expression, Constant) and expression.untyped:
        raise WrongType(f"{name} takes a date or a timestamp.", hint="Write DATE '2020-12-31'.")
    if not is_time(expression.type):
        raise WrongType(f"{name} takes a date or a timestamp, not {expression.type.value}.")
    return expression


def constant_word(name: str, expression: Expr, known: Sequence[str]) -> str:
    """A constant word out of a list.

    Raises:
        BadArgument: it is none of them.
    """
    value = expression.value if isinstance(expression, Constant) else None
    if not isinstance(value, str) or value.lower() not in known:
        raise BadArgument(f"{name} takes one of these constants: {', '.join(known)}.")
    return value.lower()


def _date_trunc(name: str, args: Sequence[Expr]) -> Call:
    """``date_trunc('month', x)``. Of a date it is a timestamp without time zone, where PostgreSQL
    gives one with the session's zone: here no session has a zone of its own."""
    arity(name, args, 2)
    unit = constant_word(name, args[0], UNITS)
    x = local(name, args[1])
    physical, declared = (
        ranges.monotone(kept(x, declared=d), lambda t: cut(t, unit)) for d in (False, True)
    )
    facts = merged([x], Type.TIMESTAMP, physical=physical, declared=declared)
    facts = replace(facts, domain=steps(declared, unit))
    return Call(name, (x,), Type.TIMESTAMP, x.nullable, facts, unit)


def _render_date_trunc(call: Call, args: Sequence[str]) -> str:
    return f"date_trunc('{call.detail}', {as_time(args[0], call.args[0])})"


def shifted(name: str, args: Sequence[Expr]) -> Call:
    """``+`` and ``-`` where an operand is a date or a timestamp.

    Raises:
        WrongType: no such operator.
    """
    a, b = args
    if name == "-" and is_time(a.type):
        b = coerce(b, a.type)
    elif name == "-" and is_time(b.type):
        a = coerce(a, b.type)
    if name == "-" and is_time(a.type) and is_time(b.type):
        days = a.type is b.type is Type.DATE
        return build("date - date" if days else "time - time", [a, b])
    if name == "+" and is_time(b.type) and not is_time(a.type):
        a, b = b, a
    return _add_days("date + integer" if name == "+" else "date - integer", [a, b])


def _difference(name: str, args: Sequence[Expr]) -> Call:
    """Days between two dates."""
    arity(name, args, 2)
    a, b = args
    physical, declared = (
        ranges.add(kept(a, declared=d), ranges.negate(kept(b, declared=d))) for d in (False, True)
    )
    facts = merged(
        args, Type.INT4, physical=physical, declared=declared, tick=Fraction(1), on_grid=True
    )
    return Call(name, (a, b), Type.INT4, a.nullable or b.nullable, facts)


def _render_difference(call: Call, args: Sequence[str]) -> str:
    a, b = (inside(t, e) for t, e in zip(args, call.args, strict=True))
    return f"({a} - {b})"


def _add_days(name: str, args: Sequence[Expr]) -> Call:
    """A date so many days later or earlier; a distance beyond a million days is cut to that."""
    arity(name, args, 2)
    a, b = args
    if a.type is not Type.DATE or coerce(b, Type.INT4).type is not Type.INT4:
        kinds = f"{a.type.value} and {b.type.value}"
        raise WrongType(
            f"There is no operator {name.split()[1]} for {kinds}.",
            hint="Write date + integer, or x + INTERVAL '1 day' with a constant.",
        )
    b = coerce(b, Type.INT4)
    physical, declared = (
        ranges.add(
            kept(a, declared=d),
            _signed(name, _moved(b.facts, _SHIFT, declared=d)),
        )
        for d in (False, True)
    )
    facts = merged(
        [a, b], Type.DATE, physical=physical, declared=declared, tick=Fraction(1), on_grid=True
    )
    return Call(name, (a, b), Type.DATE, a.nullable or b.nullable, facts)


def _signed(name: str, interval: Interval) -> Interval:
    return ranges.negate(interval) if "-" in name else interval


def _render_add_days(call: Call, args: Sequence[str]) -> str:
    a, b = call.args
    distance = whole_operand(args[1], b, _MOST_DAYS)
    return f"({inside(args[0], a)} {call.function.split()[1]} {distance})"


_UNIT_SIZES = {
    # months, days, seconds
    "year": (12, 0, 0),
    "month": (1, 0, 0),
    "week": (0, 7, 0),
    "day": (0, 1, 0),
    "hour": (0, 0, 3600),
    "minute": (0, 0, 60),
    "second": (0, 0, 1),
}
_PIECE = re.compile(r"\s*([+-]?[0-9]{1,9})\s*([a-z]+?)s?(?![a-z])\s*")
_MOST_YEARS = 1000


def interval_parts(text: str) -> tuple[int, int, int]:
    """The months, days and seconds of a constant such as ``1 year 2 months``.

    Raises:
        BadArgument: it is not written so, or longer than 1000 years.
    """
    total, at, lower = [0, 0, 0], 0, text.lower()
    while at < len(lower):
        match = _PIECE.match(lower, at)
        sizes = _UNIT_SIZES.get(match[2]) if match else None
        if match is None or sizes is None:
            raise BadArgument(
                f"'{text[:40]}' is no interval here.",
                hint="Write whole numbers with year, month, week, day, hour, minute or second.",
            )
        total = [t + int(match[1]) * s for t, s in zip(total, sizes, strict=True)]
        at = match.end()
    months, days, seconds = total
    most_days = _MOST_YEARS * 365
    if (
        not lower.strip()
        or abs(months) > _MOST_YEARS * 12
        or abs(days) > most_days
        or abs(seconds) > most_days * DAY
    ):
        raise BadArgument(f"An interval is at most {_MOST_YEARS} years long.")
    return months, days, seconds


def interval_constant(text: str) -> str:
    """Such a constant in the one spelling that epsql sends, ISO 8601; as :func:`interval_parts`
    raises."""
    months, days, seconds = interval_parts(text)
    return f"P{months}M{days}DT{seconds}S"


def _add_interval(name: str, args: Sequence[Expr]) -> Call:
    """A date or timestamp moved by a constant interval, which comes second, as a constant text."""
    arity(name, args, 2)
    x = local("Adding an interval", args[0])
    value = args[1].value if isinstance(args[1], Constant) else None
    if not isinstance(value, str):
        raise BadArgument("An interval has to be a constant.", hint="Write INTERVAL '1 day'.")
    constant = interval_constant(value)
    physical, declared = (
        _moved_by(constant, kept(x, declared=d), forth="+" in name) for d in (False, True)
    )
    facts = merged([x], Type.TIMESTAMP, physical=physical, declared=declared)
    return Call(name, (x,), Type.TIMESTAMP, x.nullable, facts, constant)


def _moved_by(constant: str, interval: Interval, *, forth: bool) -> Interval:
    months, days, seconds = (int(n) for n in re.findall(r"-?[0-9]+", constant))
    sign = 1 if forth else -1
    months, rest = sign * months, sign * (days + Fraction(seconds, DAY))
    if interval.lower is None or interval.upper is None:
        return UNBOUNDED
    low, high = interval.lower, interval.upper
    if months:
        # Months have 28 to 31 days. Within one day the order can turn: the 30th and the 31st both
        # become the last day of a shorter month.
        first, last = later(low, months), later(high, months)
        low = min(low + 28 * months, low + 31 * months) if first is None else Fraction(first // 1)
        most = max(high + 28 * months, high + 31 * months) if last is None else last
        high = most // 1 + END_OF_DAY
    return Interval(low + rest, high + rest)


def _render_add_interval(call: Call, args: Sequence[str]) -> str:
    text = as_time(args[0], call.args[0])
    return f"({text} {call.function.split()[1]} CAST('{call.detail}' AS interval))"


def _at_time_zone(name: str, args: Sequence[Expr]) -> Call:
    """``x AT TIME ZONE zone``: the zone's own time of a moment, or the moment of such a time."""
    arity(name, args, 2)
    x = args[0]
    zone = args[1].value if isinstance(args[1], Constant) else None
    if zone not in ZONES:
        raise BadArgument(
            "AT TIME ZONE takes one of a list of constants.", hint=f"They are: {', '.join(ZONES)}."
        )
    if x.type not in (Type.TIMESTAMP, Type.TIMESTAMPTZ):
        raise WrongType(
            f"AT TIME ZONE takes a timestamp, not {x.type.value}.",
            hint="A date is in no time zone; write CAST(x AS timestamp) first.",
        )
    type_ = Type.TIMESTAMP if x.type is Type.TIMESTAMPTZ else Type.TIMESTAMPTZ
    shift = Fraction(0) if zone == "UTC" else Fraction(1)
    around = Interval(-shift, shift)
    physical, declared = (ranges.add(kept(x, declared=d), around) for d in (False, True))
    facts = merged([x], type_, physical=physical, declared=declared)
    return Call(name, (x,), type_, x.nullable, facts, str(zone))


def _render_at_time_zone(call: Call, args: Sequence[str]) -> str:
    return f"({inside(args[0], call.args[0])} AT TIME ZONE '{call.detail}')"


def _is_finite(name: str, args: Sequence[Expr]) -> Call:
    arity(name, args, 1)
    if not is_time(args[0].type):
        raise WrongType(f"{name} takes a date or a timestamp, not {args[0].type.value}.")
    facts = merged(args, Type.BOOL, domain=(False, True), total_domain=True)
    return Call(name, tuple(args), Type.BOOL, args[0].nullable, facts)


def _render_is_finite(_: Call, args: Sequence[str]) -> str:
    return f"isfinite({args[0]})"


FUNCTIONS = (
    Function("date_trunc", _date_trunc, _render_date_trunc),
    Function("date - date", _difference, _render_difference),
    Function("date + integer", _add_days, _render_add_days),
    Function("date - integer", _add_days, _render_add_days),
    Function("time + interval", _add_interval, _render_add_interval),
    Function("time - interval", _add_interval, _render_add_interval),
    Function("at time zone", _at_time_zone, _render_at_time_zone),
    Function("isfinite", _is_finite, _render_is_finite),
)
