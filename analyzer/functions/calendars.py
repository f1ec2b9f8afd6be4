"""Dates as people write and count them: ``to_char`` with a constant format, and age in years."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from analyzer.dates import UNITS, moment
from analyzer.expressions import UNBOUNDED, Call, Constant, Expr, Interval
from analyzer.functions.base import Function, arity, build, constant, merged
from analyzer.functions.times import as_time, kept, local
from analyzer.refusals import BadArgument
from analyzer.types import Type

_NUMBERS = {
    "YYYY": "year",
    "YY": "year",
    "IYYY": "week",
    "Q": "quarter",
    "MM": "month",
    "IW": "week",
    "WW": "day",
    "DDD": "day",
    "DD": "day",
    "D": "day",
    "ID": "day",
    "HH24": "hour",
    "HH12": "hour",
    "AM": "hour",
    "MI": "minute",
    "SS": "second",
}
_NAMES = {
    "Mon": "month",
    "MON": "month",
    "Month": "month",
    "FMMonth": "month",
    "Dy": "day",
    "DY": "day",
    "Day": "day",
    "FMDay": "day",
}
_UNITS = {**_NUMBERS, **{k.lower(): v for k, v in _NUMBERS.items()}, **_NAMES}
"""What a format may be made of, and the unit of time that each is the same in. None of them depends
on a locale."""
_LONGEST_FIRST = "|".join(sorted(_UNITS, key=len, reverse=True))
_PIECE = re.compile(rf'({_LONGEST_FIRST})|"[A-Za-z0-9 .,:/_-]*"|[ .,:/_-]')
_MOST_FORMAT = 50


def _to_char(name: str, args: Sequence[Expr]) -> Call:
    """``to_char(x, format)``. It is the same all through the finest unit of its format, so it is
    computed from the start of that unit: public where those starts are."""
    arity(name, args, 2)
    x = local(name, args[0])
    form = args[1].value if isinstance(args[1], Constant) else None
    units = _units(form) if isinstance(form, str) else None
    if units is None:
        raise BadArgument(
            "to_char takes a constant format here, of parts that depend on no language.",
            hint=f"Its parts are {', '.join((*_NUMBERS, *_NAMES))}, and - / . , : between.",
        )
    if units:
        x = build("date_trunc", [constant(_finest(units)), x])
    length = Interval(Fraction(0), Fraction(4 * len(str(form))))
    facts = merged([x], Type.TEXT, physical=length)
    return Call(name, (x,), Type.TEXT, x.nullable, facts, str(form))


def _units(form: str) -> set[str] | None:
    """The units that a format shows; None where it has another part."""
    found, at = set(), 0
    while at < len(form) <= _MOST_FORMAT:
        match = _PIECE.match(form, at)
        if match is None:
            return None
        if match[1]:
            found.add(_UNITS[match[1]])
        at = match.end()
    return found if at == len(form) else None


def _finest(units: set[str]) -> str:
    """The longest unit of whose starts no shown unit changes in between: weeks cross months."""
    finest = max(units, key=UNITS.index)
    return "day" if finest == "week" and len(units) > 1 else finest


def _render_to_char(call: Call, args: Sequence[str]) -> str:
    return f"to_char({as_time(args[0], call.args[0])}, '{call.detail}')"


_REST = {"month": Fraction(11), "day": Fraction(30)}
"""What is left of an age beside its full years and months, at most."""


def _age(name: str, args: Sequence[Expr]) -> Call:
    """``EXTRACT(year FROM age(a, b))``: the full years from ``b`` to ``a``, negative where ``a`` is
    earlier; or the months beside the years, or the days beside those. The field comes first."""
    arity(name, args, 3)
    word = str(args[0].value).lower() if isinstance(args[0], Constant) else ""
    if word not in ("year", *_REST):
        raise BadArgument(
            "Of an age there are year, month and day.",
            hint="Days are a - b of dates, and EXTRACT(day FROM a - b) of timestamps.",
        )
    a, b = (local(name, arg) for arg in args[1:])
    physical, declared = (
        _aged(word, kept(a, declared=d), kept(b, declared=d)) for d in (False, True)
    )
    facts = merged(
        [a, b], Type.INT4, physical=physical, declared=declared, tick=Fraction(1), on_grid=True
    )
    return Call(name, (a, b), Type.NUMERIC, a.nullable or b.nullable, facts, word)


def _aged(word: str, a: Interval, b: Interval) -> Interval:
    """The years are never fewer for a later ``a``, and never more for a later ``b``."""
    if word in _REST:
        return Interval(-_REST[word], _REST[word])
    if a.lower is None or a.upper is None or b.lower is None or b.upper is None:
        return UNBOUNDED
    return Interval(_full_years(a.lower, b.upper), _full_years(a.upper, b.lower))


def _full_years(a: Fraction, b: Fraction) -> Fraction:
    if a < b:
        return -_full_years(b, a)
    later, earlier = moment(a), moment(b)
    return Fraction(later.year - earlier.year - (later.replace(year=4) < earlier.replace(year=4)))


def _render_age(call: Call, args: Sequence[str]) -> str:
    a, b = (as_time(text, one) for text, one in zip(args, call.args, strict=True))
    return f"CAST(EXTRACT({call.detail} FROM age({a}, {b})) AS integer)"


FUNCTIONS = (
    Function("to_char", _to_char, _render_to_char),
    Function("age", _age, _render_age),
)
