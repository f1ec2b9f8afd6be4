"""Distances between times, which PostgreSQL calls intervals: parts of them, and steps of them.

A difference of times has days and a time of less than one, of the same sign, and no months. So its
seconds say all of it, and it is carried as those. It is compared and taken apart, and never shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from math import trunc

from analyzer import ranges
from analyzer.dates import DAY, TIMES
from analyzer.expressions import UNBOUNDED, Call, Constant, Expr, Interval, Steps
from analyzer.functions.base import (
    Function,
    arity,
    build,
    coerce,
    constant,
    fixed,
    merged,
    whole_operand,
)
from analyzer.functions.times import as_time, interval_parts, kept, local
from analyzer.refusals import BadArgument, WrongType
from analyzer.types import Type

_MONTH = 30 * DAY
"""As PostgreSQL compares intervals."""
_TICK = Fraction(1, 10**6)
_LONGEST = 1000 * 365 * DAY
_MOST_STEPS = 10**9


def compared(text: str) -> Constant:
    """A constant interval as differences of times compare with it.

    Raises:
        BadArgument: it is not written as intervals are here.
    """
    months, whole, seconds = interval_parts(text)
    return constant(months * _MONTH + whole * DAY + seconds, Type.INTERVAL)


def _seconds_of(text: str) -> int:
    """A constant interval in seconds.

    Raises:
        BadArgument: it has months, which differ in length, or is not written as it should.
    """
    months, whole, seconds = interval_parts(text)
    if months:
        raise BadArgument("Months and years differ in length.", hint="Write days or weeks here.")
    return whole * DAY + seconds


def _text(expression: Expr, what: str) -> str:
    value = expression.value if isinstance(expression, Constant) else None
    if not isinstance(value, str):
        raise BadArgument(f"{what} has to be a constant.", hint="Write INTERVAL '15 minutes'.")
    return value


def _distance(name: str, args: Sequence[Expr]) -> Call:
    """A time less another; a date is its first moment, and what has no zone is meant in UTC."""
    arity(name, args, 2)
    seconds = build("-", [build("extract", [constant("epoch"), x]) for x in args])
    facts = replace(seconds.facts, stored=Type.NUMERIC)
    return Call(name, (seconds,), Type.INTERVAL, seconds.nullable, facts)


def _render_distance(_: Call, args: Sequence[str]) -> str:
    return args[0]


_SIXTY = Fraction(60)
_PARTS = {"hour": Fraction(23), "minute": _SIXTY - 1, "second": _SIXTY - _TICK}
"""The largest of those that have one."""
_FIELDS = ("day", *_PARTS, "epoch")


def _field(name: str, args: Sequence[Expr]) -> Call:
    """``EXTRACT(field FROM a - b)``; the field comes first, as a constant text."""
    arity(name, args, 2)
    word, x = _text(args[0], "The field").lower(), args[1]
    if word not in _FIELDS:
        raise BadArgument(
            f"A difference of times has no {word}; it has {', '.join(_FIELDS)}.",
            hint="Write EXTRACT(epoch FROM a - b) / 86400 for days with their decimals, or"
            " EXTRACT(year FROM age(a, b)).",
        )
    whole = word not in ("second", "epoch")
    physical, declared = (_part(word, i) for i in (x.facts.physical, x.facts.declared))
    facts = merged(
        [x],
        Type.INT4 if whole else Type.NUMERIC,
        physical=physical,
        declared=declared,
        tick=x.facts.tick if word == "epoch" else Fraction(1) if whole else _TICK,
        on_grid=True,
    )
    return Call(name, (x,), Type.NUMERIC, x.nullable, facts, word)


def _part(word: str, seconds: Interval) -> Interval:
    """Parts have the sign of the whole."""
    if word == "epoch":
        return seconds
    if word == "day":
        return ranges.monotone(seconds, lambda x: trunc(x / DAY))
    most = _PARTS[word]
    return Interval(
        Fraction(0) if seconds.lower is not None and seconds.lower >= 0 else -most,
        Fraction(0) if seconds.upper is not None and seconds.upper <= 0 else most,
    )


def _render_field(call: Call, args: Sequence[str]) -> str:
    match call.detail:
        case "day":
            text = f"div({args[0]}, {DAY})"
        case "hour":
            text = f"mod(div({args[0]}, 3600), 24)"
        case "minute":
            text = f"mod(div({args[0]}, 60), 60)"
        case "second":
            text = f"mod({args[0]}, 60)"
        case _:
            text = args[0]
    return f"CAST({text} AS integer)" if call.facts.stored is Type.INT4 else text


def _add_steps(name: str, args: Sequence[Expr]) -> Call:
    """``x + INTERVAL '5 minutes' * n`` of a whole number; more than 1000 years count as those."""
    arity(name, args, 3)
    x, seconds = local("Adding an interval", args[0]), _seconds_of(_text(args[1], "An interval"))
    n = coerce(args[2], Type.INT4)
    tick = n.facts.tick
    if not (n.type.is_number and n.facts.on_grid and tick is not None and tick.denominator == 1):
        raise WrongType(
            "An interval is multiplied by whole numbers here.", hint="Write floor(n) or n::integer."
        )
    most = min(_LONGEST // max(abs(seconds), 1), _MOST_STEPS)
    room = Interval(Fraction(-most), Fraction(most))
    step = Interval(Fraction(seconds, DAY), Fraction(seconds, DAY))
    physical = ranges.multiply(ranges.moved(n.facts.physical, room), step)
    declared = UNBOUNDED
    if n.facts.declared.magnitude is not None:
        declared = ranges.multiply(ranges.moved(n.facts.declared, room), step)
    facts = merged(
        [x, n],
        Type.TIMESTAMP,
        physical=ranges.add(kept(x), physical),
        declared=ranges.add(kept(x, declared=True), declared),
    )
    return Call(name, (x, n), Type.TIMESTAMP, x.nullable or n.nullable, facts, f"{seconds} {most}")


def _render_add_steps(call: Call, args: Sequence[str]) -> str:
    (x, n), (seconds, most) = call.args, call.detail.split()
    number = f"CAST({whole_operand(args[1], n, int(most))} AS double precision)"
    return f"({as_time(args[0], x)} + {number} * CAST('PT{seconds}S' AS interval))"


def _date_bin(name: str, args: Sequence[Expr]) -> Call:
    """``date_bin('15 minutes', x, origin)``. Bins begin at a time before all that there are: before
    its origin, some releases of PostgreSQL bin what begins a bin into the one before."""
    arity(name, args, 3)
    stride = _seconds_of(_text(args[0], "The width of bins"))
    x, origin = args[1], coerce(args[2], Type.TIMESTAMP)
    if stride <= 0:
        raise BadArgument("Bins are wider than nothing.")
    if x.type is not Type.TIMESTAMP:
        raise WrongType(
            f"date_bin takes a timestamp without time zone, not {x.type.value}.",
            hint="Write CAST(x AS timestamp) of a date, or x AT TIME ZONE 'UTC'.",
        )
    if not isinstance(origin, Constant) or origin.type not in (Type.DATE, Type.TIMESTAMP):
        raise BadArgument("The origin of bins is a constant.", hint="Write TIMESTAMP '2001-01-01'.")
    start, width = origin.facts.physical.lower, Fraction(stride, DAY)
    if start is None:
        raise BadArgument("The origin of bins is a time.")

    def begin(at: Fraction) -> Fraction:
        return start + (at - start) // width * width

    physical, declared = (ranges.monotone(kept(x, declared=d), begin) for d in (False, True))
    domain = None
    if declared.lower is not None and declared.upper is not None:
        count = int((declared.upper - declared.lower) / width) + 1
        domain = Steps(declared.lower, declared.upper, width, count)
    facts = merged([x], Type.TIMESTAMP, physical=physical, declared=declared, domain=domain)
    assert TIMES.lower is not None
    ahead = (TIMES.lower - begin(TIMES.lower)) * DAY
    return Call(name, (x,), Type.TIMESTAMP, x.nullable, facts, f"{stride} {fixed(ahead)}")


def _render_date_bin(call: Call, args: Sequence[str]) -> str:
    stride, ahead = (f"CAST('PT{seconds}S' AS interval)" for seconds in call.detail.split())
    first = f"(CAST('0001-01-01' AS timestamp) - {ahead})"
    return f"date_bin({stride}, {as_time(args[0], call.args[0])}, {first})"


FUNCTIONS = (
    Function("time - time", _distance, _render_distance),
    Function("interval field", _field, _render_field),
    Function("time + interval * number", _add_steps, _render_add_steps),
    Function("date_bin", _date_bin, _render_date_bin),
)
