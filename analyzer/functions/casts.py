"""Conversions that cannot fail, or that are made so: out-of-range numbers move to the nearest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from analyzer import ranges
from analyzer.domains import with_domain
from analyzer.expressions import Call, Expr, Facts, Interval
from analyzer.functions.base import Function, as_type, between, coerce, fixed, merged
from analyzer.functions.text import to_convert
from analyzer.functions.times import as_time, is_time, kept
from analyzer.ranges import INT8
from analyzer.refusals import BadArgument, Unsupported
from analyzer.types import Type

_TO_TEXT = frozenset({Type.INT4, Type.INT8, Type.BOOL, Type.DATE, Type.UUID})
_ONE = Fraction(1)
_PRINTED = Interval(Fraction(0), Fraction(40))
"""How long the texts are that these types print as: a uuid has 36 characters."""
_MOST_DIGITS = 30
_READING = 30
"""How many operations on numbers take as long as to find one in a text."""
SMALL = Interval(Fraction(-(2**15)), Fraction(2**15 - 1))
"""The range of a smallint."""


def build_cast(
    expression: Expr, to: Type, *, digits: tuple[int, int] | None = None, small: bool = False
) -> Expr:
    """``CAST(expression AS to)``.

    Args:
        expression: what is converted.
        to: the target type.
        digits: precision and scale, where the target is ``numeric(p, s)``.
        small: whether the target is ``smallint``, which epsql holds as an integer in its range.

    Raises:
        BadArgument: a constant that is no value of that type.
        Unsupported: a conversion that could fail on some row.
    """
    expression = coerce(expression, to)
    if expression.type is Type.TEXT and to.is_number:
        expression = with_domain(_from_text(expression, to))
    if digits is not None and expression.type.is_number:
        return with_domain(_to_digits(expression, *digits))
    if small and expression.type.is_number:
        return with_domain(_to_integer(expression, Type.INT4, SMALL))
    if expression.type is to:
        return expression
    if expression.type.is_number and to.is_integer:
        return with_domain(_to_integer(expression, to, ranges.INT4 if to is Type.INT4 else INT8))
    return with_domain(_plain_cast(expression, to))


def _plain_cast(expression: Expr, to: Type) -> Call:
    source, old = expression.type, expression.facts
    facts = merged([expression], to)
    if source.is_number and to.is_number:
        # Numeric and double precision share exact storage, and whole numbers stay as they are.
        exact = old.stored is Type.FLOAT8 and to is Type.NUMERIC
        facts = replace(
            facts,
            stored=Type.NUMERIC if exact else old.stored,
            physical=ranges.LIMIT if exact else old.physical,
            declared=old.declared,
            endless=old.endless,
            tick=old.tick,
            on_grid=old.on_grid,
        )
    elif source is Type.BOOL and to is Type.INT4:
        bit = Interval(Fraction(0), _ONE)
        facts = replace(facts, physical=bit, declared=bit, tick=_ONE, on_grid=True)
        facts = replace(facts, domain=(0, 1), total_domain=True)
    elif source is Type.INT4 and to is Type.BOOL:
        facts = replace(facts, domain=(False, True), total_domain=True)
    elif source in _TO_TEXT and to is Type.TEXT:
        facts = replace(facts, physical=_PRINTED)
    elif source is Type.TIMESTAMP and to is Type.DATE:
        physical, declared = (ranges.monotone(i, math.floor) for i in (old.physical, old.declared))
        facts = replace(facts, physical=physical, declared=declared, tick=_ONE, on_grid=True)
    elif source is Type.DATE and to is Type.TIMESTAMP:
        physical, declared = (kept(expression, declared=d) for d in (False, True))
        facts = replace(facts, physical=physical, declared=declared)
    else:
        raise _refused(source, to)
    return Call("cast", (expression,), to, expression.nullable, facts, to.value)


def _refused(source: Type, to: Type) -> Unsupported:
    hint = "Use CASE to name the values that you mean."
    if Type.TIMESTAMPTZ in (source, to):
        hint = "Say which time zone you mean: x AT TIME ZONE 'UTC' has none."
    elif source.is_number and to is Type.TEXT:
        hint = "Only whole numbers have one spelling: cast to integer first."
    elif source is Type.TEXT and is_time(to):
        hint = "Compare with DATE '2020-12-31', or send the date as a parameter."
    return Unsupported(
        f"A conversion from {source.value} to {to.value} is not supported.",
        detail="It could fail on some row, and the failure would be an answer.",
        hint=hint,
    )


_BLANK = "[ \\t\\n\\v\\f\\r]*"
_SPELLINGS = {
    Type.INT4: "[+-]?[0-9]{1,9}",
    Type.INT8: "[+-]?[0-9]{1,18}",
    Type.NUMERIC: "[+-]?(?:[0-9]{1,15}(?:[.][0-9]{0,15})?|[.][0-9]{1,15})",
}
"""Numbers that every text of this form is. Other texts become NULL, where PostgreSQL fails."""


def _from_text(expression: Expr, to: Type) -> Call:
    """A text as the number that it spells, NULL where it does not plainly spell one."""
    stored = Type.NUMERIC if to is Type.FLOAT8 else to
    whole = stored.is_integer
    most = Fraction(10**9 if stored is Type.INT4 else 10**18 if whole else 10**15)
    facts = merged(
        [expression],
        stored,
        work=_READING,
        physical=Interval(-most, most),
        tick=_ONE if whole else Fraction(1, 10**15),
        on_grid=True,
    )
    return Call("cast text", (expression,), to, True, facts, to.value)


def _render_from_text(call: Call, args: Sequence[str]) -> str:
    stored = call.facts.stored
    pattern = f"^{_BLANK}({_SPELLINGS[stored]}){_BLANK}$"
    text = to_convert(args[0], call.args[0])
    return f"CAST(substring({text} FROM '{pattern}') AS {stored.value})"


def _to_digits(expression: Expr, precision: int, scale: int) -> Call:
    """``CAST(x AS numeric(p, s))``: rounded, and moved to the largest number that fits.

    Raises:
        BadArgument: no such type, or one with more digits than arithmetic holds here.
    """
    if not (1 <= precision <= _MOST_DIGITS and 0 <= scale <= min(precision, 15)):
        raise BadArgument(
            "numeric(p, s) takes p between 1 and 30, and s between 0 and p and at most 15."
        )
    step = Fraction(1, 10**scale)
    most = Fraction(10) ** (precision - scale) - step
    physical, declared = (
        ranges.monotone(i, lambda x: ranges.round_half_away(x / step) * step)
        for i in (expression.facts.physical, expression.facts.declared)
    )
    room = Interval(-most, most)
    bounded = declared.magnitude is not None
    facts = merged(
        [expression],
        Type.NUMERIC,
        physical=ranges.moved(physical, room),
        declared=ranges.moved(declared, room) if bounded else Interval(),
        endless=False,
        tick=step,
        on_grid=True,
    )
    detail = f"{precision},{scale}"
    return Call("cast digits", (expression,), Type.NUMERIC, expression.nullable, facts, detail)


def _render_to_digits(call: Call, args: Sequence[str]) -> str:
    """Moved into the range of the facts and not only of the type: NaN has to be in there too."""
    _, scale = call.detail.split(",")
    physical = call.facts.physical
    assert physical.lower is not None
    assert physical.upper is not None
    # Moved before it is rounded: a number of all the digits that there are cannot be rounded up.
    text = as_type(args[0], call.args[0], Type.NUMERIC)
    text = between(text, Type.NUMERIC, fixed(physical.lower), fixed(physical.upper))
    return f"round({text}, {scale})"


def _to_integer(expression: Expr, to: Type, room: Interval) -> Call:
    old = expression.facts
    facts = merged([expression], old.stored, declared=old.declared, tick=_ONE, on_grid=True)
    if old.stored.is_integer and room is not SMALL:
        # Wider storage than the type is harmless: everything downstream goes by the storage.
        tick = old.tick if old.on_grid else _ONE
        return _whole(expression, to, replace(facts, physical=old.physical, tick=tick))
    physical, declared = (
        ranges.monotone(i, ranges.round_half_away) for i in (old.physical, old.declared)
    )
    return _whole(
        expression,
        to,
        replace(facts, stored=to, physical=ranges.moved(physical, room), declared=declared),
    )


def _whole(expression: Expr, to: Type, facts: Facts) -> Call:
    return Call("cast", (expression,), to, expression.nullable, facts, to.value)


def _render(call: Call, args: Sequence[str]) -> str:
    (inner,), stored = call.args, call.facts.stored
    if call.type is Type.BOOL:
        return f"({args[0]} <> 0)"  # an integer may be stored wider, and only int4 has the cast
    if call.type is Type.TIMESTAMP:
        return as_time(args[0], inner)
    if not call.type.is_number or inner.type is Type.BOOL:
        return f"CAST({args[0]} AS {call.type.value})"
    physical, before = call.facts.physical, inner.facts
    if not call.type.is_integer or (
        before.stored.is_integer and before.physical.within(physical) and stored is before.stored
    ):
        return as_type(args[0], inner, stored)
    # A float8 is rounded first, in its own type, as it rounds halves to even. Then what is out of
    # range moves to the bound: NaN too, so the bound is that of the facts. A numeric is rounded by
    # the cast, as before it is moved it may have all the digits that there are.
    text = f"round({args[0]})" if before.stored is Type.FLOAT8 else args[0]
    text = as_type(text, inner, Type.NUMERIC)
    assert physical.lower is not None
    assert physical.upper is not None
    moved = between(text, Type.NUMERIC, str(physical.lower), str(physical.upper))
    return f"CAST({moved} AS {stored.value})"


def _build(_name: str, _args: Sequence[Expr]) -> Call:
    raise AssertionError("a cast needs its target: call build_cast")


FUNCTIONS = (
    Function("cast", _build, _render),
    Function("cast digits", _build, _render_to_digits),
    Function("cast text", _build, _render_from_text),
)
