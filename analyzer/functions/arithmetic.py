"""Numbers: ``+ - * / %`` and rounding, made total by wide storage, limits and NULLIF."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction

from analyzer import ranges
from analyzer.expressions import Call, Constant, Expr, Interval
from analyzer.functions.base import (
    Function,
    arity,
    merged,
    numbers,
    operand,
    operand_range,
    physical_range,
    static_integer,
    widest,
)
from analyzer.functions.times import is_time, shifted
from analyzer.refusals import WrongType
from analyzer.types import Type

_LONG = 32
"""Operations up to which decimals may add up."""


def _binary(name: str, args: Sequence[Expr]) -> Call:
    arity(name, args, 2)
    if name in "+-" and any(is_time(a.type) for a in args):
        return shifted(name, args)
    a, b = numbers(name, args)
    type_ = widest([a.type, b.type])
    if name in ("%", "div") and type_ is Type.FLOAT8:
        raise WrongType(
            f"{name} takes integers or numeric, not double precision.",
            hint="Write CAST(x AS numeric) for both sides.",
        )
    physical = _interval(name, type_, operand_range(a), operand_range(b))
    physical = _as_computed(name, type_, physical, 1 + a.facts.size + b.facts.size)
    declared = _interval(name, type_, a.facts.declared, b.facts.declared)
    stored = Type.NUMERIC
    if type_.is_integer:
        stored = ranges.carrier(physical, a.facts.stored, b.facts.stored)
    tick = _tick(name, a, b)
    whole = type_.is_integer or name == "div"
    facts = merged(
        [a, b],
        stored,
        physical=physical,
        declared=declared,
        endless=False,
        tick=tick or (Fraction(1) if whole else None),
        on_grid=whole or (tick is not None and a.facts.on_grid and b.facts.on_grid),
    )
    nullable = a.nullable or b.nullable or (name in _DIVISIONS and _can_be_zero(b))
    return Call(name, (a, b), Type.NUMERIC if name == "div" else type_, nullable, facts)


_DIVISIONS = ("/", "%", "div")


def _can_be_zero(b: Expr) -> bool:
    physical = physical_range(b)
    return not (
        (physical.lower is not None and physical.lower > 0)
        or (physical.upper is not None and physical.upper < 0)
    )


def _interval(name: str, type_: Type, a: Interval, b: Interval) -> Interval:
    match name:
        case "+":
            return ranges.add(a, b)
        case "-":
            return ranges.add(a, ranges.negate(b))
        case "*":
            return ranges.multiply(a, b)
        case "/":
            return ranges.divide(a, b, truncated=type_.is_integer)
        case "div":
            # Only of whole numbers is the quotient no larger than the dividend: 1 / 0.25 is 4.
            quotient = ranges.divide(a, b, truncated=type_.is_integer)
            return ranges.monotone(quotient, math.trunc)
        case _:
            return ranges.remainder(a, b)


def _as_computed(name: str, type_: Type, exact: Interval, size: int) -> Interval:
    """What the results of an operation can be, rounded as :func:`_render_binary` has it."""
    if name == "/" and not type_.is_integer:
        return ranges.inexact(exact)
    if name == "*" and size > _LONG:
        return ranges.rounded(exact)
    return exact


def _tick(name: str, a: Expr, b: Expr) -> Fraction | None:
    if name in ("/", "div") or a.facts.tick is None or b.facts.tick is None:
        return None
    if name == "*":
        # A constant is its own grid: halves of a grid of tenths lie on a grid of twentieths.
        x, y = (
            abs(Fraction(e.value)) or Fraction(1)
            if isinstance(e, Constant) and isinstance(e.value, int | Decimal)
            else e.facts.tick
            for e in (a, b)
        )
        assert x is not None
        assert y is not None
        return x * y
    return ranges.common_tick([a.facts.tick, b.facts.tick])


def _render_binary(call: Call, args: Sequence[str]) -> str:
    stored = call.facts.stored
    left, right = (operand(t, e, stored) for t, e in zip(args, call.args, strict=True))
    if call.function in _DIVISIONS and _can_be_zero(call.args[1]):
        right = f"NULLIF({right}, CAST(0 AS {stored.value}))"
    truncated = call.function == "div" or (call.function == "/" and call.type.is_integer)
    if truncated and stored is Type.NUMERIC:
        return f"div({left}, {right})"
    text = f"({left} {'/' if truncated else call.function} {right})"
    if call.function == "*" and stored is Type.NUMERIC and call.facts.size > _LONG:
        # Each product has the decimals of both factors: a long chain of them would take its time
        # on one row and not on another.
        return f"round({text}, {ranges.DECIMALS})"
    return text


def _unary(name: str, args: Sequence[Expr]) -> Call:
    arity(name, args, 1)
    (a,) = numbers(name, args)
    turn = {"neg": ranges.negate, "abs": ranges.absolute, "sign": _sign}[name]
    physical = turn(operand_range(a))
    type_ = a.type
    if name == "sign" and type_.is_integer:
        type_ = Type.FLOAT8
    stored = ranges.carrier(physical, a.facts.stored) if a.type.is_integer else Type.NUMERIC
    sign = name == "sign"
    facts = merged(
        [a],
        stored,
        physical=physical,
        declared=turn(a.facts.declared),
        endless=False,
        tick=Fraction(1) if sign else a.facts.tick,
        on_grid=sign or a.facts.on_grid,
    )
    return Call(name, (a,), type_, a.nullable, facts)


def _sign(_: Interval) -> Interval:
    return Interval(Fraction(-1), Fraction(1))


def _render_unary(call: Call, args: Sequence[str]) -> str:
    text = operand(args[0], call.args[0], call.facts.stored)
    if call.function == "neg":
        return f"(- {text})"
    if call.function == "sign" and call.facts.stored is not Type.NUMERIC:
        return f"CAST(sign(CAST({text} AS numeric)) AS {call.facts.stored.value})"
    return f"{call.function}({text})"


_WHOLE: dict[str, Callable[[Fraction], int]] = {
    "ceil": math.ceil,
    "floor": math.floor,
    "trunc": math.trunc,
    "round": ranges.round_half_away,
}


def _rounding(name: str, args: Sequence[Expr]) -> Call:
    arity(name, args, 1, 2 if name in ("round", "trunc") else 1)
    (a,) = numbers(name, args[:1])
    digits = 0
    if len(args) == 2:
        if a.type is Type.FLOAT8:
            raise WrongType(
                f"{name} to decimals takes numeric, not double precision.",
                hint=f"Write {name}(CAST(x AS numeric), 2).",
            )
        digits = static_integer(name, args[1], -15, 15)
    step = Fraction(10) ** -digits
    type_ = a.type
    if type_.is_integer:
        type_ = Type.NUMERIC if len(args) == 2 else Type.FLOAT8

    def to_grid(x: Fraction) -> Fraction:
        return _WHOLE[name](x / step) * step

    stored = a.facts.stored
    if digits != 0:
        stored = Type.NUMERIC
    before = operand_range(a) if a.facts.stored is Type.NUMERIC else a.facts.physical
    facts = merged(
        [a],
        stored,
        physical=ranges.monotone(before, to_grid),
        declared=ranges.monotone(a.facts.declared, to_grid),
        endless=False,
        tick=step,
        on_grid=True,
    )
    return Call(name, (a,), type_, a.nullable, facts, str(digits))


def _render_rounding(call: Call, args: Sequence[str]) -> str:
    """Numerics are limited first: one of all the digits that there are cannot be rounded up."""
    stored = call.facts.stored
    if stored.is_integer:
        return args[0]
    text = operand(args[0], call.args[0], stored)
    return f"{call.function}({text}{f', {call.detail}' if call.detail != '0' else ''})"


FUNCTIONS = (
    *(Function(name, _binary, _render_binary) for name in ("+", "-", "*", *_DIVISIONS)),
    *(Function(name, _unary, _render_unary) for name in ("neg", "abs", "sign")),
    *(Function(name, _rounding, _render_rounding) for name in _WHOLE),
)
