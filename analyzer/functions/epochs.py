"""Numbers of seconds since 1970 as moments."""

from __future__ import annotations

from collections.abc import Sequence

from analyzer import ranges
from analyzer.dates import DAY, TIMES
from analyzer.expressions import UNBOUNDED, Call, Expr, Interval
from analyzer.functions.base import Function, arity, as_type, between, merged, numbers
from analyzer.types import Type

_FIRST, _LAST = "-62135596800", "253402300799"
"""The first and the last second of the years 1 to 9999, where the moment is moved."""


def _to_timestamp(name: str, args: Sequence[Expr]) -> Call:
    arity(name, args, 1)
    (seconds,) = numbers(name, args)
    facts = merged(
        [seconds], Type.TIMESTAMPTZ, physical=TIMES, declared=_in_days(seconds.facts.declared)
    )
    return Call(name, (seconds,), Type.TIMESTAMPTZ, seconds.nullable, facts)


def _in_days(seconds: Interval) -> Interval:
    if seconds.lower is None or seconds.upper is None:
        return UNBOUNDED
    return ranges.moved(Interval(seconds.lower / DAY, seconds.upper / DAY), TIMES)


def _render(call: Call, args: Sequence[str]) -> str:
    seconds = as_type(args[0], call.args[0], Type.NUMERIC)
    kept = between(seconds, Type.NUMERIC, _FIRST, _LAST)
    # In microseconds: a number too fine for double precision would not be cast.
    return f"to_timestamp(CAST(round({kept}, 6) AS double precision))"


FUNCTIONS = (Function("to_timestamp", _to_timestamp, _render),)
