"""What has to be measured for an aggregate, and on which grid."""

from __future__ import annotations

import math
from fractions import Fraction

from analyzer.expressions import Aggregate, Expr
from analyzer.measures import (
    Axis,
    Bounds,
    Count,
    Distinct,
    Histogram,
    Measure,
    People,
    Shares,
    Sum,
)
from analyzer.ranges import round_half_away
from analyzer.refusals import BadArgument
from analyzer.timelines import moment_of

_MOST_STEPS = 2**52
"""What one unit may add to a cell: far inside int8, so no sum in SQL or noise can overflow."""
_SHARE = Fraction(1, 100)
"""The grid of counts whose rows may be scaled down."""
_MOST_PRODUCT = 2**42
"""What one unit may add to a cell of products of two axes."""
_BUCKETS = 256
"""The most buckets of a histogram; fewer where the range has fewer values."""
_FINEST = 2**44
"""Where a grid is finer than this share of the range, epsql chooses a coarser one."""


def people(argument: Expr | None, bounds: Bounds) -> Measure:
    """How many units a group has; with one row each, that is how many rows."""
    if bounds.one_row:
        return Count(argument, bounds.sets, Fraction(1), bounds.sets)
    return People(argument, bounds.max_groups)


def measures_of(aggregate: Aggregate, bounds: Bounds) -> tuple[Measure, ...]:
    """What has to be measured for an aggregate, in the order that its value is computed from.

    Raises:
        BadArgument: the argument has no clamping bounds, or they leave nothing to measure.
    """
    sets = bounds.alike
    cap = bounds.sets * (1 if bounds.one_row else bounds.max_rows)
    share = Fraction(1) if bounds.one_group or bounds.one_row else _SHARE
    arguments = aggregate.arguments
    match aggregate.kind:
        case "count_units":
            return (people(arguments[0] if arguments else None, bounds),)
        case "count":
            return (Count(arguments[0] if arguments else None, cap, share, sets),)
        case "count_distinct":
            return (Distinct(arguments[0], cap),)
        case "sum":
            axis = _axis(aggregate, arguments[0], cap)
            if axis.lower == axis.upper == 0:
                raise _constant(aggregate)
            return (Sum(axis.argument, axis.lower, axis.upper, axis.tick, cap),)
        case "avg":
            axis = _wide(aggregate, arguments[0], cap)
            return (Shares((axis,), squared=False, cap=cap, sets=sets),)
        case "var_pop" | "var_samp" | "stddev_pop" | "stddev_samp" | "squares":
            return (_squares(aggregate, arguments[0], cap, sets),)
        case "quantile":
            axis = _wide(aggregate, arguments[0], cap)
            step = -(-(axis.width + 1) // _BUCKETS)
            grid = Fraction(1) if bounds.one_row else _SHARE
            return (Histogram(axis, step, cap, grid, bounds.sets),)
        case _:
            return _products(aggregate, cap, sets)


def _products(aggregate: Aggregate, cap: int, sets: int) -> tuple[Measure, ...]:
    """For two arguments (y, x): their product moments, and the squares that the kind needs."""
    axes = tuple(_coarse(_wide(aggregate, a, cap), cap) for a in aggregate.arguments)
    found: list[Measure] = [Shares(axes, squared=False, cap=cap, sets=sets)]
    y, x = aggregate.arguments
    if aggregate.kind in ("corr", "regr_slope", "regr_intercept", "regr_r2"):
        found.append(_squares(aggregate, x, cap, sets))
    if aggregate.kind in ("corr", "regr_r2"):
        found.append(_squares(aggregate, y, cap, sets))
    return tuple(found)


def _squares(aggregate: Aggregate, argument: Expr, cap: int, sets: int) -> Shares:
    axis = _coarse(_wide(aggregate, argument, cap), cap)
    return Shares((axis,), squared=True, cap=cap, sets=sets)


def _axis(aggregate: Aggregate, argument: Expr, cap: int) -> Axis:
    """The argument on its grid, between the bounds that were declared for it."""
    declared = argument.facts.declared
    name = spoken(aggregate)
    if declared.lower is None or declared.upper is None:
        raise BadArgument(
            f"The argument of {name} has no bounds, so one person's influence has none.",
            detail="No bounds are declared for a column in it, or a division may pass any.",
            hint=f"Set them in the query: {_clamp(argument)}.",
        )
    lower, upper = declared.lower, declared.upper
    tick = _grid(argument, upper - lower, max(abs(lower), abs(upper)), cap)
    return Axis(argument, round_half_away(lower / tick), round_half_away(upper / tick), tick)


def _clamp(argument: Expr) -> str:
    """How bounds are written in a query."""
    low, high, ends = "0", "200", "0 and 200"
    if moment_of(argument) is not None:
        low, high, ends = "DATE '2000-01-01'", "DATE '2029-12-31'", "the two"
    text = f"LEAST(GREATEST(x, {low}), {high}) keeps x between {ends}"
    if not argument.nullable:
        return text
    return f"{text}; FILTER (WHERE x IS NOT NULL) beside it, as it turns NULL into {low}"


def _wide(aggregate: Aggregate, argument: Expr, cap: int) -> Axis:
    axis = _axis(aggregate, argument, cap)
    if axis.width == 0:
        raise _constant(aggregate)
    return axis


def _coarse(axis: Axis, cap: int) -> Axis:
    """The axis on a grid coarse enough that products of two stay small integers."""
    most, tick = min(2**20, math.isqrt(_MOST_PRODUCT // cap)), axis.tick
    while axis.width * axis.tick / tick > most:
        tick *= 10
    if tick == axis.tick:
        return axis
    lower, upper = axis.lower * axis.tick, axis.upper * axis.tick
    return Axis(axis.argument, math.floor(lower / tick), math.ceil(upper / tick), tick)


def _constant(aggregate: Aggregate) -> BadArgument:
    return BadArgument(
        f"The argument of {spoken(aggregate)} is always the same.",
        hint="Count rows with count(*) instead.",
    )


def spoken(aggregate: Aggregate) -> str:
    return aggregate.name.upper()


def _grid(argument: Expr, width: Fraction, magnitude: Fraction, cap: int) -> Fraction:
    """The argument's own grid, or the largest power of ten that splits its range a million ways."""
    tick, most = argument.facts.tick, magnitude * cap
    if tick is not None and width <= _FINEST * tick and most <= _MOST_STEPS * tick:
        return tick
    tick = Fraction(1)
    span = width or magnitude or Fraction(1)
    while span / tick < 10**6:
        tick /= 10
    while span / tick >= 10**7:
        tick *= 10
    if most > _MOST_STEPS * tick:
        raise BadArgument(
            "The bounds are too far from zero for their width.",
            hint="Subtract a constant inside the aggregate, for example avg(x - 1000000).",
        )
    return tick
