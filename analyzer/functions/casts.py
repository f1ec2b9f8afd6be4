"""Conversions that cannot fail, or that are made so: out-of-range numbers move to the nearest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from analyzer import ranges
from analyzer.expressions import Call, Expr, Interval
from analyzer.functions.arithmetic import round_half_away
from analyzer.functions.base import Function, as_type, coerce, merged
from analyzer.refusals import Unsupported
from analyzer.types import Type

_TO_TEXT = frozenset({Type.INT4, Type.INT8, Type.BOOL, Type.DATE, Type.UUID})
_ONE = Fraction(1)


def build_cast(expression: Expr, to: Type) -> Expr:
    """``CAST(expression AS to)``.

    Raises:
        BadArgument: a constant that is no value of that type.
        Unsupported: a conversion that could fail on some row.
    """
    expression = coerce(expression, to)
    source = expression.type
    if source is to:
        return expression
    if source.is_number and to.is_integer:
        return _to_integer(expression, to)
    facts = merged([expression], to)
    if source.is_number and to.is_number:
        # Numeric and double precision share exact storage, and whole numbers stay as they are.
        old = expression.facts
        exact = old.stored is Type.FLOAT8 and to is Type.NUMERIC
        facts = replace(
            facts,
            stored=Type.NUMERIC if exact else old.stored,
            physical=ranges.LIMIT if exact else old.physical,
            declared=old.declared,
            tick=old.tick,
        )
    elif source is Type.BOOL and to is Type.INT4:
        bit = Interval(Fraction(0), _ONE)
        facts = replace(
            facts, physical=bit, declared=bit, tick=_ONE, domain=(0, 1), total_domain=True
        )
    elif source is Type.INT4 and to is Type.BOOL:
        facts = replace(facts, domain=(False, True), total_domain=True)
    elif not (
        (source in _TO_TEXT and to is Type.TEXT) or (source is Type.TIMESTAMP and to is Type.DATE)
    ):
        raise Unsupported(
            f"A conversion from {source.value} to {to.value} is not supported.",
            detail="It could fail on some row, and the failure would be an answer.",
            hint="Use CASE to name the values that you mean.",
        )
    return Call("cast", (expression,), to, expression.nullable, facts, to.value)


def _to_integer(expression: Expr, to: Type) -> Call:
    old, target = expression.facts, ranges.INT4 if to is Type.INT4 else ranges.INT8
    facts = merged([expression], old.stored, declared=old.declared, tick=_ONE)
    if old.stored.is_integer:
        # Wider storage than the type is harmless: everything downstream goes by the storage.
        facts = replace(facts, physical=old.physical)
    else:
        facts = replace(
            facts,
            stored=to,
            physical=_meet(ranges.monotone(old.physical, round_half_away), target),
            declared=ranges.monotone(old.declared, round_half_away),
        )
    return Call("cast", (expression,), to, expression.nullable, facts, to.value)


def _meet(a: Interval, b: Interval) -> Interval:
    """``a`` moved into ``b``, as clamping does."""
    if b.lower is None or b.upper is None:
        return a
    lower = b.lower if a.lower is None else min(max(a.lower, b.lower), b.upper)
    upper = b.upper if a.upper is None else max(min(a.upper, b.upper), b.lower)
    return Interval(lower, upper)


def _render(call: Call, args: Sequence[str]) -> str:
    (inner,), stored = call.args, call.facts.stored
    if call.type is Type.BOOL:
        return f"({args[0]} <> 0)"  # an integer may be stored wider, and only int4 has the cast
    if not call.type.is_number or inner.type is Type.BOOL:
        return f"CAST({args[0]} AS {call.type.value})"
    if not call.type.is_integer or inner.facts.stored.is_integer:
        return as_type(args[0], inner, stored)
    # Rounded first, in its own type (numeric and float8 round halves differently); then what is
    # out of range moves to the bound: NaN too, so the bound is that of the facts. Where NULL is
    # possible, one below the range stands for it, because LEAST passes over NULL.
    rounded = as_type(f"round({args[0]})", inner, Type.NUMERIC)
    physical = call.facts.physical
    assert physical.lower is not None
    assert physical.upper is not None
    least, most = int(physical.lower), int(physical.upper)
    low = f"CAST('{least - 1 if inner.nullable else least}' AS numeric)"
    moved = f"LEAST(GREATEST({rounded}, {low}), CAST('{most}' AS numeric))"
    return f"CAST({f'NULLIF({moved}, {low})' if inner.nullable else moved} AS {stored.value})"


def _build(_name: str, _args: Sequence[Expr]) -> Call:
    raise AssertionError("a cast needs its target: call build_cast")


FUNCTIONS = (Function("cast", _build, _render),)
