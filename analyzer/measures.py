"""What is measured of each group, as integer cells with a proven sensitivity.

Neighbouring databases differ by all rows of one privacy unit. Each unit's rows enter a group only as
the cells below, and the cells of a group are the sum over its units. So one unit changes a cell by at
most what it contributes itself, in at most ``max_groups`` groups. Everything is counted in grid
steps, whole numbers from the first row on, so sums are exact in any order.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from analyzer.expressions import Aggregate, Expr
from analyzer.functions.arithmetic import round_half_away
from analyzer.refusals import BadArgument
from mechanisms.calibration import Sensitivity

_MOST_STEPS = 2**52
"""What one unit may add to a cell: far inside int8, so no sum in SQL or noise can overflow."""
_FINEST = 2**44
"""Where a grid is finer than this share of the range, epsql chooses a coarser one."""


@dataclass(frozen=True, slots=True)
class Count:
    """Rows where the argument is not NULL (all rows without one), at most ``cap`` for a unit.

    One unit adds an integer between 0 and ``cap`` to one cell of each of its groups.
    """

    argument: Expr | None
    cap: int
    cells = 1
    tick = Fraction(1)

    def sensitivity(self, max_groups: int) -> Sensitivity:
        return _over_groups(self.cap, max_groups)


@dataclass(frozen=True, slots=True)
class Sum:
    """The sum of a unit's clamped values, clamped to ``cap`` times the clamping bounds.

    With per-unit totals kept within [cap * min(lower, 0), cap * max(upper, 0)], one unit adds at most
    cap * max(|lower|, |upper|) to one cell of each of its groups, in absolute value.
    """

    argument: Expr
    lower: int
    upper: int
    tick: Fraction
    cap: int
    cells = 1

    def sensitivity(self, max_groups: int) -> Sensitivity:
        return _over_groups(self.cap * max(abs(self.lower), abs(self.upper)), max_groups)


@dataclass(frozen=True, slots=True)
class Mean:
    """Two cells: the distance of the values from the lower bound, and from the upper bound.

    A row at x adds U = x - lower >= 0 to one cell and W = upper - x >= 0 to the other, together
    always upper - lower. A unit with more than ``cap`` rows in a group has both scaled by cap / rows and
    rounded down. So one unit adds a pair with U + W <= cap * (upper - lower) to each of its groups: that is
    its L1 norm, and bounds its L2 norm. Sum and count of the mean both follow from the pair for the price
    of one, and the mean's error is least where values are spread (shared evidence: rewriting, 3.3).
    """

    argument: Expr
    lower: int
    upper: int
    tick: Fraction
    cap: int
    cells = 2

    @property
    def width(self) -> int:
        return self.upper - self.lower

    def sensitivity(self, max_groups: int) -> Sensitivity:
        return _over_groups(self.cap * self.width, max_groups)


Measure = Count | Sum | Mean


def _over_groups(most: int, max_groups: int) -> Sensitivity:
    """``most`` in one group's cells, in L1 and so in L2, over ``max_groups`` groups."""
    return Sensitivity(l1=most * max_groups, l2_squared=most * most * max_groups)


def measure(aggregate: Aggregate, cap: int) -> Measure:
    """What has to be measured for an aggregate; ``cap`` rows of a unit count in a group.

    Raises:
        BadArgument: the argument has no clamping bounds, or they leave nothing to measure.
    """
    if aggregate.kind == "count":
        return Count(aggregate.argument, cap)
    if aggregate.kind == "count_units":
        return Count(aggregate.argument, 1)
    assert aggregate.argument is not None
    lower, upper = _bounds(aggregate)
    tick = _grid(aggregate.argument, upper - lower, max(abs(lower), abs(upper)), cap)
    low, high = round_half_away(lower / tick), round_half_away(upper / tick)
    if (aggregate.kind == "avg" and low == high) or low == high == 0:
        raise BadArgument(
            f"The argument of {aggregate.kind.upper()} is always the same.",
            hint="Count rows with count(*) instead.",
        )
    kind = Sum if aggregate.kind == "sum" else Mean
    return kind(aggregate.argument, low, high, tick, cap)


def _bounds(aggregate: Aggregate) -> tuple[Fraction, Fraction]:
    assert aggregate.argument is not None
    declared = aggregate.argument.facts.declared
    if declared.lower is None or declared.upper is None:
        raise BadArgument(
            f"The argument of {aggregate.kind.upper()} has no bounds, so one person's influence has none.",
            detail="The data owner declared no bounds for a column in it, or a division may pass any.",
            hint="Set them in the query: LEAST(GREATEST(x, 0), 200) keeps x between 0 and 200.",
        )
    return declared.lower, declared.upper


def _grid(argument: Expr, width: Fraction, magnitude: Fraction, cap: int) -> Fraction:
    """The argument's own grid, or the largest power of ten that splits its range a million ways."""
    tick = argument.facts.tick
    if tick is None or width / tick > _FINEST or magnitude * cap / tick > _MOST_STEPS:
        tick = Fraction(1)
        span = width or magnitude or Fraction(1)
        while span / tick < 10**6:
            tick /= 10
        while span / tick >= 10**7:
            tick *= 10
    if magnitude * cap / tick > _MOST_STEPS:
        raise BadArgument(
            "The bounds are too far from zero for their width.",
            hint="Subtract a constant inside the aggregate, for example avg(x - 1000000).",
        )
    return tick


def decimal(value: Fraction) -> Decimal:
    """A rational with a power-of-ten denominator, exactly; others are never made here."""
    return Decimal(value.numerator) / Decimal(value.denominator)
