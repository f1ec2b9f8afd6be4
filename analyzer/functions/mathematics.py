"""Roots, logarithms, powers and buckets. Where PostgreSQL would fail, the value is NULL."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction

from analyzer import ranges
from analyzer.expressions import UNBOUNDED, Call, Constant, Expr, Interval
from analyzer.functions.base import (
    Function,
    arity,
    between,
    fixed,
    merged,
    numbers,
    operand,
    operand_range,
    static_integer,
    widest,
)
from analyzer.refusals import BadArgument
from analyzer.types import Type

_LEAST = Fraction(1, 10**30)
"""Arguments of roots and logarithms are rounded to 30 decimals: this is the least one above 0."""
_MOST = Fraction(10**30)
_EXPONENTS = Interval(Fraction(-50), Fraction(50))
_EXPONENTIAL, _LOGARITHM = 20, 200
"""How many sums take as long as one of these."""
_SLACK = Fraction(1, 10**9)
"""By how much ranges are widened for what float64 and 16 digits of numeric leave out."""


def _image(function: Callable[[float], float], interval: Interval) -> Interval:
    """The image of an interval with two ends under an increasing function, a little widened."""
    assert interval.lower is not None
    assert interval.upper is not None
    low, high = (Fraction(function(float(x))) for x in (interval.lower, interval.upper))
    return Interval(low - _SLACK * (1 + abs(low)), high + _SLACK * (1 + abs(high)))


def _floating(types: Sequence[Type]) -> Type:
    """What PostgreSQL gives for a function of numeric and of double precision."""
    return Type.NUMERIC if widest(types) is Type.NUMERIC else Type.FLOAT8


def _sqrt(name: str, args: Sequence[Expr]) -> Call:
    arity(name, args, 1)
    (a,) = numbers(name, args)
    room = Interval(Fraction(0), _MOST)
    physical, declared = (_root(i, room) for i in (operand_range(a), a.facts.declared))
    facts = merged([a], Type.NUMERIC, endless=False, physical=physical, declared=declared)
    return Call(name, (a,), _floating([a.type]), a.nullable or not _positive(a, 0), facts)


def _root(interval: Interval, room: Interval) -> Interval:
    if interval.magnitude is None:
        return Interval(Fraction(0), None)
    image = _image(math.sqrt, ranges.moved(interval, room))
    return Interval(max(image.lower or Fraction(0), Fraction(0)), image.upper)


def _positive(a: Expr, least: int) -> bool:
    """Whether the number, rounded to 30 decimals, is at least 0, or above it (``least`` 1)."""
    lower = operand_range(a).lower
    return lower is not None and lower >= least * _LEAST


def _render_sqrt(call: Call, args: Sequence[str]) -> str:
    (a,) = call.args
    text = operand(args[0], a, Type.NUMERIC)
    if not _positive(a, 0):
        # Rounded, everything below zero is at most -1e-30: moved there, and then away.
        low = f"CAST('{fixed(-_LEAST)}' AS numeric)"
        text = f"NULLIF(numeric_larger(round({text}, 30), {low}), {low})"
    return f"sqrt({text})"


def _logarithm(name: str, args: Sequence[Expr]) -> Call:
    """``ln(x)``, ``log(x)`` to base 10, ``log(b, x)`` to a constant base."""
    arity(name, args, 1, 2 if name == "log" else 1)
    typed = numbers(name, args)
    a, base, detail = typed[-1], math.e, ""
    if len(typed) == 2:
        base, detail = _base(typed[0])
    elif name == "log":
        base = 10.0
    step = a.facts.tick if a.facts.on_grid else None
    # Of declared values on a grid, one step is the least that is more than nothing.
    rooms = (Interval(_LEAST, _MOST), Interval(max(step or _LEAST, _LEAST), _MOST))

    def log(x: float) -> float:
        return math.log(x) / math.log(base)

    physical, declared = (
        _image_either_way(log, ranges.moved(interval, room))
        for interval, room in zip((operand_range(a), a.facts.declared), rooms, strict=True)
    )
    work = _EXPONENTIAL if name == "ln" else _LOGARITHM
    facts = merged(
        [a], Type.NUMERIC, work=work, endless=False, physical=physical, declared=declared
    )
    type_ = Type.NUMERIC if detail else _floating([a.type])
    return Call(name, (a,), type_, a.nullable or not _positive(a, 1), facts, detail)


def _image_either_way(function: Callable[[float], float], interval: Interval) -> Interval:
    """As :func:`_image`, for a function that may also decrease: a logarithm to a base below 1."""
    falling = function(2.0) < 0
    if not falling:
        return _image(function, interval)
    return ranges.negate(_image(lambda x: -function(x), interval))


def _base(expression: Expr) -> tuple[float, str]:
    value = expression.value if isinstance(expression, Constant) else None
    if (
        isinstance(value, bool)
        or not isinstance(value, int | Decimal)
        or not Fraction(1, 1000) <= Fraction(value) <= 10**6
        or abs(Fraction(value) - 1) < Fraction(1, 1000)
    ):
        raise BadArgument(
            "The base of log is a constant between 0.001 and 1,000,000, and not 1.",
            hint="Write ln(x) / ln(b) for another one.",
        )
    return float(value), format(Decimal(value), "f")


def _render_logarithm(call: Call, args: Sequence[str]) -> str:
    (a,) = call.args
    text = operand(args[0], a, Type.NUMERIC)
    if not _positive(a, 1):
        zero = "CAST(0 AS numeric)"
        text = f"NULLIF(numeric_larger(round({text}, 30), {zero}), {zero})"
    base = f"CAST('{call.detail}' AS numeric), " if call.detail else ""
    return f"{call.function}({base}{text})"


def _exp(name: str, args: Sequence[Expr]) -> Call:
    """The exponential function; an argument beyond 50 either way counts as 50."""
    arity(name, args, 1)
    (a,) = numbers(name, args)
    physical, declared = (
        _image(math.exp, ranges.moved(i, _EXPONENTS)) for i in (operand_range(a), a.facts.declared)
    )
    physical = Interval(Fraction(0), physical.upper)
    declared = Interval(Fraction(0), declared.upper)
    facts = merged(
        [a], Type.NUMERIC, work=_EXPONENTIAL, endless=False, physical=physical, declared=declared
    )
    return Call(name, (a,), _floating([a.type]), a.nullable, facts)


def _render_exp(call: Call, args: Sequence[str]) -> str:
    text = operand(args[0], call.args[0], Type.NUMERIC)
    if not operand_range(call.args[0]).within(_EXPONENTS):
        text = between(text, Type.NUMERIC, "-50", "50")
    return f"exp({text})"


def _power(name: str, args: Sequence[Expr]) -> Call:
    arity(name, args, 2)
    a, b = numbers(name, args)
    exponent = b.value if isinstance(b, Constant) else None
    if exponent == Decimal("0.5"):
        root = _sqrt("sqrt", [a])
        type_ = Type.FLOAT8 if Type.FLOAT8 in (a.type, b.type) else Type.NUMERIC
        return Call("sqrt", root.args, type_, root.nullable, root.facts)
    if exponent not in (2, 3):
        raise BadArgument(
            "The exponent of power is one of the constants 2, 3 and 0.5.",
            hint="Other powers could pass all bounds; exp and ln make some of them.",
        )
    assert isinstance(exponent, int | Decimal)
    whole = int(exponent)
    physical, declared = (_raised(i, whole) for i in (operand_range(a), a.facts.declared))
    physical = ranges.inexact(physical)
    facts = merged([a], Type.NUMERIC, endless=False, physical=physical, declared=declared)
    types = [a.type, b.type]
    return Call(name, (a,), _floating(types), a.nullable, facts, str(whole))


def _raised(interval: Interval, exponent: int) -> Interval:
    if interval.magnitude is None:
        return Interval(Fraction(0), None) if exponent == 2 else UNBOUNDED
    if exponent == 2:
        interval = ranges.absolute(interval)
    return ranges.monotone(interval, lambda x: x**exponent)


def _render_power(call: Call, args: Sequence[str]) -> str:
    text = operand(args[0], call.args[0], Type.NUMERIC)
    return f"power({text}, CAST({call.detail} AS numeric))"


def _width_bucket(name: str, args: Sequence[Expr]) -> Call:
    """``width_bucket(x, low, high, count)``: 0 below, ``count + 1`` from ``high`` on."""
    arity(name, args, 4)
    a, *ends = numbers(name, args[:3])
    low, high = (_end(name, end) for end in ends)
    count = static_integer(name, args[3], 1, 10_000)
    if low >= high:
        raise BadArgument(
            "width_bucket takes a lower end that is less than the upper end.",
            hint="Exchange the ends.",
        )

    def bucket(x: Fraction) -> int:
        return min(max(math.floor((x - low) * count / (high - low)) + 1, 0), count + 1)

    everything = Interval(Fraction(0), Fraction(count + 1))
    physical, declared = (
        ranges.monotone(i, bucket) if i.magnitude is not None else everything
        for i in (operand_range(a), a.facts.declared)
    )
    if a.facts.stored is Type.NUMERIC:
        # NaN counts as larger than all numbers, whatever the range of the numbers is.
        physical = Interval(physical.lower, everything.upper)
    facts = merged(
        [a], Type.INT4, physical=physical, declared=declared, tick=Fraction(1), on_grid=True
    )
    detail = " ".join(str(n) for n in (low, high, count))
    return Call(name, (a,), Type.INT4, a.nullable, facts, detail)


def _end(name: str, expression: Expr) -> Fraction:
    value = expression.value if isinstance(expression, Constant) else None
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise BadArgument(f"{name} takes constants for its ends.")
    return Fraction(value)


def _render_width_bucket(call: Call, args: Sequence[str]) -> str:
    low, high, count = (Fraction(n) for n in call.detail.split())
    numeric = operand(args[0], call.args[0], Type.NUMERIC)
    kept = between(numeric, Type.NUMERIC, fixed(low - 1), fixed(high + 1))
    ends = ", ".join(f"CAST('{fixed(end)}' AS numeric)" for end in (low, high))
    return f"width_bucket({kept}, {ends}, {count})"


FUNCTIONS = (
    Function("sqrt", _sqrt, _render_sqrt),
    Function("ln", _logarithm, _render_logarithm),
    Function("log", _logarithm, _render_logarithm),
    Function("exp", _exp, _render_exp),
    Function("power", _power, _render_power),
    Function("width_bucket", _width_bucket, _render_width_bucket),
)
