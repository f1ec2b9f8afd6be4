"""Value ranges through expressions, and the storage type that no value in a range overflows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

from analyzer.catalog import Column
from analyzer.domains import on_grid
from analyzer.expressions import UNBOUNDED, Facts, Interval
from analyzer.types import Type

INT4 = Interval(Fraction(-(2**31)), Fraction(2**31 - 1))
INT8 = Interval(Fraction(-(2**63)), Fraction(2**63 - 1))
LIMIT = Interval(Fraction(-(10**15)), Fraction(10**15))
"""Where arithmetic first limits an operand whose range is not known (attacks.md, section 5)."""
_WIDE = Fraction(10**30)
DECIMALS = 30
"""To which a number is rounded that can have thousands of them, before it is computed with."""
_DIGITS = Fraction(1, 10**12)
"""More than the last of the 16 digits that a quotient or a power of numerics has at least."""
_DECIMALS = Fraction(1, 10**30)
"""Numbers of 30 decimals are the finest that printed SQL relies on."""
_ENDS = 10**60
"""Ends of intervals are kept to so many, both in size and in fineness."""
NOISY = Interval(-_WIDE, _WIDE)
"""Noisy values: 64-bit cells times a grid step."""


def limited(interval: Interval) -> Interval:
    """The range of an operand once arithmetic has limited it; see :func:`needs_limit`."""
    return LIMIT if needs_limit(interval) else interval


def needs_limit(interval: Interval) -> bool:
    """True when the emitted SQL must limit this operand before it computes with it."""
    return not interval.within(NOISY)


def carrier(interval: Interval, *stored: Type) -> Type:
    """The narrowest exact number type that holds the interval and all operands' storage."""
    if Type.NUMERIC in stored or Type.FLOAT8 in stored or not interval.within(INT8):
        return Type.NUMERIC
    return Type.INT8 if Type.INT8 in stored or not interval.within(INT4) else Type.INT4


def moved(a: Interval, into: Interval) -> Interval:
    """``a`` moved into a range with two ends, as clamping does."""
    low, high = into.lower, into.upper
    assert low is not None
    assert high is not None
    return Interval(
        low if a.lower is None else min(max(a.lower, low), high),
        high if a.upper is None else max(min(a.upper, high), low),
    )


def add(a: Interval, b: Interval) -> Interval:
    return Interval(
        None if a.lower is None or b.lower is None else a.lower + b.lower,
        None if a.upper is None or b.upper is None else a.upper + b.upper,
    )


def negate(a: Interval) -> Interval:
    return Interval(None if a.upper is None else -a.upper, None if a.lower is None else -a.lower)


def multiply(a: Interval, b: Interval) -> Interval:
    if a.magnitude is None or b.magnitude is None:
        return UNBOUNDED
    return _corners(a, b, lambda x, y: x * y)


def divide(a: Interval, b: Interval, *, truncated: bool) -> Interval:
    """Quotients; a zero divisor gives NULL and so no value. ``truncated``: integers, toward
    zero."""
    if a.magnitude is None:
        return UNBOUNDED
    if b.lower is not None and b.upper is not None and (b.lower > 0 or b.upper < 0):
        quotient = _corners(a, b, lambda x, y: x / y)
    elif truncated:
        quotient = Interval(-a.magnitude, a.magnitude)
    else:
        return UNBOUNDED
    return monotone(quotient, math.trunc) if truncated else quotient


def remainder(a: Interval, b: Interval) -> Interval:
    """``a % b`` has the sign of ``a`` and is smaller than both in magnitude."""
    magnitudes = [m for m in (a.magnitude, b.magnitude) if m is not None]
    if not magnitudes:
        return UNBOUNDED
    most = min(magnitudes)
    return Interval(
        Fraction(0) if a.lower is not None and a.lower >= 0 else -most,
        Fraction(0) if a.upper is not None and a.upper <= 0 else most,
    )


def absolute(a: Interval) -> Interval:
    if a.magnitude is None:
        return Interval(Fraction(0), None)
    if a.lower is not None and a.lower >= 0:
        return a
    if a.upper is not None and a.upper <= 0:
        return negate(a)
    return Interval(Fraction(0), a.magnitude)


def inexact(a: Interval) -> Interval:
    """What ``a``, the range of exact results, is once PostgreSQL has rounded each of them: a
    quotient or a power of numerics. Rounding takes nothing past zero.

    That a result is above zero, or at least some number, may only be relied on after this: in
    PostgreSQL 1 / 3.0 * 3 is less than 1, and small powers of small numbers are 0.
    """
    return Interval(
        None if a.lower is None else _outward(a.lower, -1),
        None if a.upper is None else _outward(a.upper, 1),
    )


def _outward(end: Fraction, way: int) -> Fraction:
    moved = end + way * (abs(end) * _DIGITS + _DECIMALS)
    return moved if way * end >= 0 else way * min(way * moved, Fraction(0))


def coarse(a: Interval) -> Interval:
    """``a`` with ends of few digits, moved outward. Else those of power(power(x, 3), 3) and so on
    have three times as many digits each time, more than any analyzer has time for."""
    return Interval(
        None if a.lower is None else _shortened(a.lower, math.floor),
        None if a.upper is None else _shortened(a.upper, math.ceil),
    )


def _shortened(end: Fraction, way: Callable[[Fraction], int]) -> Fraction | None:
    if abs(end.numerator) > _ENDS * end.denominator:
        return None
    return end if end.denominator <= _ENDS else Fraction(way(end * _ENDS), _ENDS)


def rounded(a: Interval) -> Interval:
    """What the numbers of an interval are, rounded to ``DECIMALS``."""
    return monotone(a, lambda x: Fraction(round_half_away(x * 10**DECIMALS), 10**DECIMALS))


def round_half_away(x: Fraction) -> int:
    """Numeric's rounding; at least as wide as float8's, which rounds halves to even."""
    whole = (2 * abs(x.numerator) + x.denominator) // (2 * x.denominator)
    return whole if x.numerator >= 0 else -whole


def monotone(a: Interval, function: Callable[[Fraction], int | Fraction]) -> Interval:
    """The image of an interval under a function that never decreases."""
    return Interval(
        None if a.lower is None else Fraction(function(a.lower)),
        None if a.upper is None else Fraction(function(a.upper)),
    )


def extreme(parts: list[tuple[Interval, bool]], *, greatest: bool) -> Interval:
    """GREATEST or LEAST of (range, nullable) arguments. NULL arguments are passed over, so only an
    argument that is never NULL bounds the result on the near side."""
    if not greatest:
        return negate(extreme([(negate(i), n) for i, n in parts], greatest=True))
    every = parts[0][0]
    for interval, _ in parts[1:]:
        every = every.union(interval)
    sure = [i.lower for i, nullable in parts if not nullable and i.lower is not None]
    lower = max([*sure, *([every.lower] if every.lower is not None else [])], default=None)
    return Interval(lower, every.upper)


def common_tick(ticks: list[Fraction | None]) -> Fraction | None:
    """The coarsest grid that holds all the given grids, or None when one has none."""
    known = [tick for tick in ticks if tick is not None]
    if not known or len(known) < len(ticks):
        return None
    denominator = math.lcm(*(tick.denominator for tick in known))
    numerators = (tick.numerator * (denominator // tick.denominator) for tick in known)
    return Fraction(math.gcd(*numerators), denominator)


def column_facts(column: Column, *, protected: bool) -> Facts:
    """What is known of a declared column before any expression is made of it."""
    declared = UNBOUNDED
    if column.lower is not None and column.upper is not None:
        declared = Interval(column.lower, column.upper)
    physical, tick = UNBOUNDED, column.tick
    if column.type.is_integer:
        physical = INT4 if column.type is Type.INT4 else INT8
        tick = tick or Fraction(1)
    elif column.type is Type.DATE:
        tick = Fraction(1)
    elif column.type is Type.NUMERIC and column.precision is not None:
        scale = column.scale or 0
        most = Fraction(10) ** (column.precision - scale)
        physical = Interval(-most, most)
        tick = tick or Fraction(1, 10**scale)
    domain = column.values if column.values is not None else column.values_from
    if domain is None and column.type is Type.BOOL:
        domain = (False, True)
    facts = Facts(
        stored=column.type,
        endless=column.type is Type.NUMERIC and column.precision is None,
        physical=physical,
        declared=declared,
        tick=tick,
        on_grid=column.type is Type.DATE or (column.type.is_integer and tick == 1),
        domain=domain,
        # A boolean of which the owner declares one value can still hold the other.
        total_domain=column.type is Type.BOOL and domain == (False, True),
        protected=protected,
    )
    return facts if domain is not None else replace(facts, domain=on_grid(facts))


def _corners(
    a: Interval, b: Interval, function: Callable[[Fraction, Fraction], Fraction]
) -> Interval:
    ends = [
        function(x, y)
        for x in (a.lower, a.upper)
        for y in (b.lower, b.upper)
        if x is not None and y is not None
    ]
    return Interval(min(ends), max(ends))
