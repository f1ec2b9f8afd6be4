"""Fields of dates and times, and of the distances between them: EXTRACT."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from analyzer import ranges
from analyzer.dates import DAY, moment
from analyzer.expressions import Call, Expr, Interval
from analyzer.functions.base import Function, arity, build, merged
from analyzer.functions.times import constant_word, inside, is_time, kept, local
from analyzer.refusals import WrongType
from analyzer.types import Type


@dataclass(frozen=True, slots=True)
class _Field:
    least: int
    most: Fraction
    of_dates: bool = True
    whole: bool = True


_LAST_SECOND = Fraction(59_999_999, 1_000_000)
_FIELDS = {
    "millennium": _Field(1, Fraction(10)),
    "century": _Field(1, Fraction(100)),
    "decade": _Field(0, Fraction(999)),
    "year": _Field(1, Fraction(9999)),
    "isoyear": _Field(1, Fraction(9999)),
    "quarter": _Field(1, Fraction(4)),
    "month": _Field(1, Fraction(12)),
    "week": _Field(1, Fraction(53)),
    "day": _Field(1, Fraction(31)),
    "doy": _Field(1, Fraction(366)),
    "dow": _Field(0, Fraction(6)),
    "isodow": _Field(1, Fraction(7)),
    "hour": _Field(0, Fraction(23), of_dates=False),
    "minute": _Field(0, Fraction(59), of_dates=False),
    "second": _Field(0, _LAST_SECOND, of_dates=False, whole=False),
    "milliseconds": _Field(0, _LAST_SECOND * 1000, of_dates=False, whole=False),
    "microseconds": _Field(0, _LAST_SECOND * 10**6, of_dates=False),
    "epoch": _Field(0, Fraction(0), whole=False),
}


def _extract(name: str, args: Sequence[Expr]) -> Call:
    """``EXTRACT(field FROM x)``; the field comes first, as a constant text."""
    arity(name, args, 2)
    if args[1].type is Type.INTERVAL:
        return build("interval field", args)
    name = "EXTRACT"
    word = constant_word(name, args[0], tuple(_FIELDS))
    x = args[1] if word == "epoch" and is_time(args[1].type) else local(name, args[1])
    field = _FIELDS[word]
    if x.type is Type.DATE and not field.of_dates:
        raise WrongType(f"A date has no {word}.")
    physical, declared = (_field_range(word, kept(x, declared=d)) for d in (False, True))
    tick = Fraction(1) if field.whole else Fraction(1, 10**6)
    if word == "epoch" and x.type is Type.DATE:
        tick = Fraction(DAY)
    stored = Type.INT4 if field.whole else Type.NUMERIC
    facts = merged([x], stored, physical=physical, declared=declared, tick=tick, on_grid=True)
    return Call("extract", (x,), Type.NUMERIC, x.nullable, facts, word)


def _field_range(word: str, interval: Interval) -> Interval:
    match word:
        case "millennium":
            return ranges.monotone(interval, lambda t: (moment(t).year + 999) // 1000)
        case "century":
            return ranges.monotone(interval, lambda t: (moment(t).year + 99) // 100)
        case "decade":
            return ranges.monotone(interval, lambda t: moment(t).year // 10)
        case "year":
            return ranges.monotone(interval, lambda t: moment(t).year)
        case "isoyear":
            return ranges.monotone(interval, lambda t: moment(t).isocalendar().year)
        case "epoch":
            return ranges.monotone(interval, lambda t: t * DAY)
    return Interval(Fraction(_FIELDS[word].least), _FIELDS[word].most)


def _render_extract(call: Call, args: Sequence[str]) -> str:
    text = f"EXTRACT({call.detail} FROM {inside(args[0], call.args[0])})"
    return f"CAST({text} AS integer)" if call.facts.stored is Type.INT4 else text


FUNCTIONS = (Function("extract", _extract, _render_extract),)
